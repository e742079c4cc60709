// Whether a peer is there and how far away it is (github.com/libp2p/specs, ping): it sends back the
// 32 bytes it is sent, as often as it is asked.

public import Multiformats
public import Wire

/// The ping protocol with all peers. Its streams are raw.
public struct Ping: Sendable {
    /// How many bytes go back and forth.
    public static let size = 32
    /// How long an answer may take.
    public static let timeout: Duration = .seconds(10)
    /// How long a stream that a peer opened may be silent.
    public static let idleTimeout: Duration = .seconds(60)
    /// How many streams one peer may open.
    public static let maxStreamsPerPeer = 2
    /// How many streams all peers together may open, and how many questions of ours are under way.
    public static let maxStreams = 1_024

    /// What came of a question.
    public enum Event: Hashable, Sendable {
        /// The peer answered after this time.
        case answered(UInt64, PeerID, Duration)
        case failed(UInt64, PeerID, StreamFault)
    }

    private struct Question {
        let number: UInt64
        let peer: PeerID
        let bytes: [UInt8]
        var received: [UInt8] = []
        var sent: Instant
    }

    private struct Echo {
        let peer: PeerID
        /// What has come of the next 32 bytes.
        var pending: [UInt8] = []
        var lastUse: Instant
    }

    private var opening = [UInt64: Question]()
    private var questions = [StreamID: Question]()
    private var echoes = [StreamID: Echo]()
    private var echoCounts = [PeerID: Int]()
    private var deadlines = DeadlineQueue<StreamID>()
    private var nextNumber: UInt64 = 1
    private var random: SeededGenerator
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    /// A machine that has asked nobody. The seed makes the bytes, which are no secret.
    public init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    /// Asks a peer. The number comes back with the answer.
    public mutating func ping(_ peer: PeerID, now: Instant) -> UInt64 {
        let number = nextNumber
        nextNumber += 1
        guard opening.count + questions.count < Self.maxStreams else {
            events.append(.failed(number, peer, .overLimit))
            return number
        }
        opening[number] = Question(
            number: number, peer: peer, bytes: random.bytes(Self.size), sent: now)
        orders.append(.open(peer, [PeerProtocols.ping], request: number))
        return number
    }

    /// Takes what happened to a stream of the protocol.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, _):
            guard var question = opening.removeValue(forKey: request) else {
                orders.append(.reset(stream))
                return
            }
            question.sent = now
            orders.append(.send(stream, question.bytes))
            questions[stream] = question
            deadlines.add(stream, at: now + Self.timeout)
        case .refused(let request, let fault):
            guard let question = opening.removeValue(forKey: request) else { return }
            events.append(.failed(question.number, question.peer, fault))
        case .accepted(let stream, let peer, _):
            let count = echoCounts[peer] ?? 0
            guard count < Self.maxStreamsPerPeer, echoes.count < Self.maxStreams else {
                orders.append(.reset(stream))
                return
            }
            echoCounts[peer] = count + 1
            echoes[stream] = Echo(peer: peer, lastUse: now)
            deadlines.add(stream, at: now + Self.idleTimeout)
        case .message(let stream, let bytes):
            if echoes[stream] != nil {
                echo(bytes, on: stream, now: now)
            } else {
                check(bytes, on: stream, now: now)
            }
        case .finished(let stream):
            if removeEcho(stream) { orders.append(.finish(stream)) }
            fail(stream, .disconnected)
        case .reset(let stream):
            _ = removeEcho(stream)
            fail(stream, .disconnected)
        }
    }

    /// Gives up on answers that take too long, and on streams that are silent.
    public mutating func advance(to now: Instant) {
        while let stream = deadlines.popDue(at: now) {
            if let echo = echoes[stream] {
                let end = echo.lastUse + Self.idleTimeout
                guard end <= now else {
                    deadlines.add(stream, at: end)
                    continue
                }
                _ = removeEcho(stream)
                orders.append(.reset(stream))
            } else if questions[stream] != nil {
                orders.append(.reset(stream))
                fail(stream, .timedOut)
            }
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What came of a question.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    private mutating func echo(_ bytes: [UInt8], on stream: StreamID, now: Instant) {
        guard var state = echoes.removeValue(forKey: stream) else { return }
        state.lastUse = now
        state.pending += bytes
        let whole = state.pending.count - state.pending.count % Self.size
        if whole > 0 {
            orders.append(.send(stream, Array(state.pending[..<whole])))
            state.pending.removeFirst(whole)
        }
        echoes[stream] = state
    }

    private mutating func check(_ bytes: [UInt8], on stream: StreamID, now: Instant) {
        guard var question = questions.removeValue(forKey: stream) else { return }
        question.received += bytes
        guard question.received.count >= Self.size else {
            questions[stream] = question
            return
        }
        orders.append(.finish(stream))
        guard question.received == question.bytes else {
            events.append(.failed(question.number, question.peer, .unsupported))
            return
        }
        events.append(
            .answered(question.number, question.peer, now.since(question.sent)))
    }

    private mutating func removeEcho(_ stream: StreamID) -> Bool {
        guard let state = echoes.removeValue(forKey: stream) else { return false }
        let count = (echoCounts[state.peer] ?? 1) - 1
        echoCounts[state.peer] = count > 0 ? count : nil
        return true
    }

    private mutating func fail(_ stream: StreamID, _ fault: StreamFault) {
        guard let question = questions.removeValue(forKey: stream) else { return }
        events.append(.failed(question.number, question.peer, fault))
    }
}
