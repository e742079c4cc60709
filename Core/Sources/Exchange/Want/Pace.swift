public import Wire

/// How fast a source is, from what it brought: bytes over the time in which something was asked of
/// it, looking back one to two seconds of that time, and how long its answers take when it has
/// nothing else to do.
public struct Pace: Sendable {
    /// How much time one half of what is looked back on takes.
    private static let window: Duration = .seconds(1)
    /// So many bytes, or so much time, tell how fast a source is: a few bytes tell only how long
    /// the way is.
    private static let enoughBytes: UInt64 = 64 << 10
    private static let enoughTime: Duration = .milliseconds(250)

    private struct Span {
        var bytes: UInt64 = 0
        var busy: Duration = .zero
    }

    private var current = Span()
    private var previous = Span()
    private var running = 0
    private var since = Instant(nanoseconds: 0)
    /// How long an answer takes; nil before the first.
    public private(set) var latency: Duration?

    /// The pace of a source of which nothing is known.
    public init() {}

    /// Something was asked.
    public mutating func began(now: Instant) {
        if running == 0 { since = now }
        running += 1
    }

    /// Something that was asked is answered or given up.
    public mutating func ended(now: Instant) {
        guard running > 0 else { return }
        account(now)
        running -= 1
    }

    /// A block came.
    public mutating func received(_ byteCount: Int, now: Instant) {
        account(now)
        if current.busy >= Self.window {
            previous = current
            current = Span()
        }
        current.bytes += UInt64(byteCount)
    }

    /// An answer came this long after it was asked for, with nothing asked before it.
    public mutating func answered(after duration: Duration) {
        latency = latency.map { $0 * 7 / 8 + duration / 8 } ?? duration
    }

    /// Whether enough came to tell how long something larger takes.
    public var isTelling: Bool {
        previous.bytes + current.bytes >= Self.enoughBytes
            || previous.busy + current.busy >= Self.enoughTime
    }

    /// Bytes a second; nil if nothing came yet.
    public func rate(now: Instant) -> Double? {
        let bytes = previous.bytes + current.bytes
        guard bytes > 0 else { return nil }
        let busy = previous.busy + current.busy + (running > 0 ? now.since(since) : .zero)
        return Double(bytes) * 1e9 / Double(max(busy.wholeNanoseconds, 100_000))
    }

    private mutating func account(_ now: Instant) {
        guard running > 0 else { return }
        current.busy += now.since(since)
        since = now
    }
}

extension Duration {
    /// A duration of so many seconds, which may be fractional; an hour at the most.
    static func fraction(_ seconds: Double) -> Duration {
        .nanoseconds(Int64(min(max(seconds, 0), 3600) * 1e9))
    }

    /// This duration in seconds.
    var fractionalSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}
