// How fast bytes have come in the last seconds.

public import Wire

/// Counts bytes, and knows how many there were in the last ``window`` seconds.
public struct RateMeter: Sendable {
    /// Over how many seconds the rate is taken.
    public static let window = 4

    /// All bytes since the start.
    public private(set) var total: UInt64 = 0
    /// Bytes by the second, the current one and those before it.
    private var seconds = [UInt64](repeating: 0, count: RateMeter.window + 1)
    private var current: UInt64 = 0

    /// A meter that has counted nothing.
    public init() {}

    /// Counts bytes.
    public mutating func add(_ count: Int, now: Instant) {
        turn(to: now)
        total &+= UInt64(count)
        seconds[Int(current % UInt64(seconds.count))] &+= UInt64(count)
    }

    /// Bytes per second, over the last full seconds.
    public mutating func rate(now: Instant) -> UInt64 {
        turn(to: now)
        var sum: UInt64 = 0
        for (index, count) in seconds.enumerated()
        where index != Int(current % UInt64(seconds.count)) {
            sum &+= count
        }
        return sum / UInt64(Self.window)
    }

    /// Forgets the seconds that have passed.
    private mutating func turn(to now: Instant) {
        let second = now.nanoseconds / 1_000_000_000
        guard second > current else { return }
        let steps = min(second - current, UInt64(seconds.count))
        for step in 0..<steps {
            seconds[Int((second - step) % UInt64(seconds.count))] = 0
        }
        current = second
    }
}
