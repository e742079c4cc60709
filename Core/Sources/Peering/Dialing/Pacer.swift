public import Wire

/// Lets so many things happen per second, with a burst at most so large (the generic cell rate
/// algorithm: one point in time is the whole state).
public struct Pacer: Sendable {
    /// How many may happen per second, at least one.
    public let perSecond: UInt32
    /// How many may happen at once after a pause, at least one.
    public let burst: UInt32
    /// When the next one would come if they came evenly.
    private var due = Instant(nanoseconds: 0)

    /// A pacer that has been idle.
    public init(perSecond: UInt32, burst: UInt32) {
        self.perSecond = max(1, perSecond)
        self.burst = max(1, burst)
    }

    private var interval: UInt64 { 1_000_000_000 / UInt64(perSecond) }

    /// When the next one may happen.
    public var ready: Instant {
        let ahead = interval * UInt64(burst - 1)
        return Instant(nanoseconds: due.nanoseconds > ahead ? due.nanoseconds - ahead : 0)
    }

    /// Takes the right to do one now; false if it is too early.
    public mutating func take(now: Instant) -> Bool {
        guard now >= ready else { return false }
        due = max(due, now) + .nanoseconds(Int64(interval))
        return true
    }
}
