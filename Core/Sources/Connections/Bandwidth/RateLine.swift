// A rate of bytes that many flows share: a token bucket (the generic cell rate algorithm, where one
// point in time is the whole state) with a line in front of it.

public import Wire

/// Lets so many bytes pass per second, over all flows together, and lets the flows take turns.
///
/// In any window of `t` seconds no more than ``rate`` · t + ``burst`` bytes are granted. A flow
/// that gets nothing at once stands in line, and its turn comes as ``nextTurn(now:)``. Flows that
/// want little have a line of their own, which takes turns with the other, so that a short message
/// never waits behind much data.
public struct RateLine: Sendable {
    /// What names a flow.
    public typealias Flow = UInt64

    /// Bytes that a flow in line may now send or receive.
    public struct Turn: Hashable, Sendable {
        /// Whose turn it is.
        public let flow: Flow
        /// How many bytes.
        public let byteCount: Int
    }

    /// Up to how many bytes are little.
    public static let little = 4_096
    /// The least rate, in bytes a second: less would not carry a connection's own upkeep.
    public static let leastRate: UInt64 = 4_096
    /// The highest rate, in bytes a second. More is as good as no limit.
    public static let mostRate: UInt64 = 1 << 36

    private static let second: UInt64 = 1_000_000_000

    /// Bytes per second; nil lets everything pass.
    public private(set) var rate: UInt64?
    /// How often a flow had to wait, since the start.
    public private(set) var waits: UInt64 = 0
    /// What each flow in line wants.
    private var wanted = [Flow: Int]()
    private var littles = Line()
    private var others = Line()
    /// Whether the last turn was of the line of those who want little.
    private var wasLittle = false
    /// When the bucket would be full.
    private var full = Instant(nanoseconds: 0)

    /// Flows in their order. Those that have left are passed over; each stands in it once.
    private struct Line {
        private var flows: [Flow?] = []
        private var head = 0
        private var gone = 0

        mutating func append(_ flow: Flow) { flows.append(flow) }

        mutating func remove(_ flow: Flow) {
            guard let index = flows[head...].firstIndex(of: flow) else { return }
            flows[index] = nil
            gone += 1
            guard gone >= 64, gone * 2 > flows.count - head else { return }
            flows = flows[head...].filter { $0 != nil }
            head = 0
            gone = 0
        }

        /// The first, after those that have left have been dropped.
        mutating func first() -> Flow? {
            while head < flows.count {
                if let flow = flows[head] { return flow }
                head += 1
                gone -= 1
            }
            flows.removeAll(keepingCapacity: true)
            head = 0
            return nil
        }

        mutating func popFirst() {
            head += 1
            guard head >= 64, head * 2 > flows.count else { return }
            flows.removeFirst(head)
            head = 0
        }
    }

    /// A line without a limit.
    public init() {}

    /// How many bytes may pass at once after a pause: those of an eighth of a second, 16 KiB at
    /// least.
    public var burst: Int {
        Int(clamping: min(1 << 30, max(16 << 10, (rate ?? Self.mostRate) / 8)))
    }

    /// The most bytes of one turn: those of a 64th of a second, from 8 KiB to 1 MiB.
    public var quantum: Int {
        Int(clamping: min(1 << 20, max(8 << 10, (rate ?? Self.mostRate) / 64)))
    }

    /// Changes the rate. Everybody in line gets a turn soon.
    public mutating func setRate(_ new: UInt64?, now: Instant) {
        rate = new.map { min(Self.mostRate, max(Self.leastRate, $0)) }
        // What was overdrawn at the old rate would be a wait without a reason.
        full = now
    }

    /// Asks for bytes. Returns how many may pass now, at most a ``quantum``. If it is none, the
    /// flow stands in line until its turn, or until it leaves.
    public mutating func ask(_ flow: Flow, for count: Int, now: Instant) -> Int {
        guard rate != nil, count > 0 else { return max(0, count) }
        guard wanted[flow] == nil else { return 0 }
        let size = min(count, quantum)
        let isLittle = size <= Self.little
        // Who wants little passes by those who want much.
        let isFirst = isLittle ? littles.first() == nil : wanted.isEmpty
        if isFirst, ready(for: size) <= now {
            take(size, now: now)
            return size
        }
        waits += 1
        wanted[flow] = size
        if isLittle { littles.append(flow) } else { others.append(flow) }
        return 0
    }

    /// Takes a flow out of the line.
    public mutating func leave(_ flow: Flow) {
        guard let size = wanted.removeValue(forKey: flow) else { return }
        if size <= Self.little { littles.remove(flow) } else { others.remove(flow) }
    }

    /// Gives back bytes that were granted and not used.
    public mutating func giveBack(_ count: Int, now: Instant) {
        guard count > 0, let rate else { return }
        let time = UInt64(count) * Self.second / rate
        let back = full.nanoseconds > time ? full.nanoseconds - time : 0
        full = max(now, Instant(nanoseconds: back))
    }

    /// When ``nextTurn(now:)`` has something; nil while nobody stands in line.
    public mutating func deadline() -> Instant? {
        guard let next = next() else { return nil }
        return rate == nil ? Instant(nanoseconds: 0) : ready(for: next.size)
    }

    /// The next flow in line, if it is time.
    public mutating func nextTurn(now: Instant) -> Turn? {
        guard let next = next() else { return nil }
        if rate != nil {
            guard ready(for: next.size) <= now else { return nil }
            take(next.size, now: now)
        }
        wanted[next.flow] = nil
        if next.isLittle { littles.popFirst() } else { others.popFirst() }
        wasLittle = next.isLittle
        return Turn(flow: next.flow, byteCount: next.size)
    }

    private mutating func next() -> (flow: Flow, size: Int, isLittle: Bool)? {
        let (little, other) = (littles.first(), others.first())
        let isLittle = little != nil && (other == nil || !wasLittle)
        guard let flow = isLittle ? little : other, let size = wanted[flow] else { return nil }
        return (flow, min(size, quantum), isLittle)
    }

    /// When so many bytes may pass.
    private func ready(for count: Int) -> Instant {
        let ahead = time(burst - count, .down)
        return Instant(nanoseconds: full.nanoseconds > ahead ? full.nanoseconds - ahead : 0)
    }

    private mutating func take(_ count: Int, now: Instant) {
        let start = max(full, now)
        full = Instant(nanoseconds: start.nanoseconds + time(count, .up))
    }

    private enum Rounding {
        case down, up
    }

    /// How long so many bytes take, in nanoseconds.
    private func time(_ count: Int, _ rounding: Rounding) -> UInt64 {
        guard count > 0, let rate else { return 0 }
        let product = UInt64(count) * Self.second
        return product / rate + (rounding == .up && product % rate != 0 ? 1 : 0)
    }
}
