// Points of a clock that only goes forward. Machines are told the time; they have no clock of
// their own, so that a test or a simulation can give them any. Arithmetic of durations takes 128
// bits and is not inlined: a page would load a copy for each time that something is due.

/// A point in time of a monotonic clock, to the nanosecond. Only differences have a meaning.
public struct Instant: Hashable, Sendable {
    /// Nanoseconds since the clock's start, which is arbitrary.
    public let nanoseconds: UInt64

    /// The instant `nanoseconds` after the clock's start.
    @inlinable public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// How much time lies between `earlier` and this instant; zero if `earlier` is later.
    @inline(never)
    public func since(_ earlier: Instant) -> Duration {
        guard nanoseconds > earlier.nanoseconds else { return .zero }
        return .nanoseconds(Int64(clamping: nanoseconds - earlier.nanoseconds))
    }

    /// The instant `duration` later, within what the clock can show.
    @inline(never)
    public static func + (instant: Instant, duration: Duration) -> Instant {
        let step = duration.wholeNanoseconds
        let (sum, overflow) =
            step >= 0
            ? instant.nanoseconds.addingReportingOverflow(UInt64(step))
            : instant.nanoseconds.subtractingReportingOverflow(step.magnitude)
        return Instant(nanoseconds: overflow ? (step >= 0 ? .max : 0) : sum)
    }
}

extension Instant: Comparable {
    @inlinable public static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension Duration {
    /// The duration in nanoseconds, cut off at 292 years.
    @inline(never)
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || carry ? (seconds > 0 ? .max : .min) : sum
    }
}

extension Optional where Wrapped == Instant {
    /// The earlier of two deadlines, where nil is none at all.
    @inlinable public func earlier(_ other: Instant?) -> Instant? {
        guard let self else { return other }
        guard let other else { return self }
        return Swift.min(self, other)
    }
}
