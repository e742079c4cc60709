// Asking a peer for the value under a key (github.com/libp2p/specs, fetch): one question and one
// answer a stream. Here it is for IPNS records alone, as deployed peers have it.

public import Multiformats
public import Wire

/// The fetch protocol with all peers.
public struct KeyFetch: Sendable {
    /// The longest message, in bytes: an IPNS record with what is around it.
    public static let maxBytes = 12 << 10
    /// How long a question may wait for its answer, on either side.
    public static let timeout: Duration = .seconds(10)
    /// How many streams of one peer may be without an answer.
    public static let maxStreamsPerPeer = 4
    /// How many streams all peers together may open, and how many questions of ours are under way.
    public static let maxStreams = 256

    /// What happened.
    public enum Event: Hashable, Sendable {
        /// A peer asks for an IPNS record; ``answer(_:_:)`` with the number.
        case asked(UInt64, name: PeerID)
        /// The peer has this, or nothing.
        case answered(UInt64, [UInt8]?)
        case failed(UInt64, StreamFault)
    }

    private struct Question {
        let number: UInt64
        let key: [UInt8]
    }

    private enum Serving {
        case listening
        case lookingUp(UInt64)
        case answered
    }

    private var opening = [UInt64: Question]()
    private var questions = [StreamID: Question]()
    private var serving = [StreamID: (peer: PeerID, state: Serving)]()
    private var servingCounts = [PeerID: Int]()
    private var lookUps = [UInt64: StreamID]()
    private var deadlines = DeadlineQueue<StreamID>()
    private var nextNumber: UInt64 = 1
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    private static let prefix = Array("/ipns/".utf8)

    /// A machine that has asked nobody.
    public init() {}

    /// The key of an IPNS record.
    public static func key(of name: PeerID) -> [UInt8] { prefix + name.bytes }

    // MARK: Asking

    /// Asks a peer for the record of a name. The number comes back with the answer, which proves
    /// nothing by itself.
    public mutating func fetch(_ name: PeerID, from peer: PeerID) -> UInt64 {
        let number = makeNumber()
        guard opening.count + questions.count < Self.maxStreams else {
            events.append(.failed(number, .overLimit))
            return number
        }
        opening[number] = Question(number: number, key: Self.key(of: name))
        orders.append(.open(peer, [PeerProtocols.fetch], request: number))
        return number
    }

    // MARK: Serving

    /// Answers a peer's question; nil if there is no such record.
    public mutating func answer(_ number: UInt64, _ record: [UInt8]?) {
        guard let stream = lookUps.removeValue(forKey: number) else { return }
        send(record.map { .value($0) } ?? .notFound, on: stream)
    }

    private mutating func send(_ response: FetchResponse, on stream: StreamID) {
        // A peer that does not end its side keeps the stream until its time is up.
        if let peer = serving[stream]?.peer { release(peer) }
        serving[stream]?.state = .answered
        orders.append(.send(stream, response.encoded))
        orders.append(.finish(stream))
    }

    // MARK: Streams and time

    /// Takes what happened to a stream of the protocol.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, _):
            guard let question = opening.removeValue(forKey: request) else {
                orders.append(.reset(stream))
                return
            }
            questions[stream] = question
            deadlines.add(stream, at: now + Self.timeout)
            orders.append(.send(stream, FetchRequest(question.key).encoded))
            orders.append(.finish(stream))
        case .refused(let request, let fault):
            guard let question = opening.removeValue(forKey: request) else { return }
            events.append(.failed(question.number, fault))
        case .accepted(let stream, let peer, _):
            let count = servingCounts[peer] ?? 0
            guard count < Self.maxStreamsPerPeer, serving.count < Self.maxStreams else {
                orders.append(.reset(stream))
                return
            }
            servingCounts[peer] = count + 1
            serving[stream] = (peer, .listening)
            deadlines.add(stream, at: now + Self.timeout)
        case .message(let stream, let bytes):
            if serving[stream] != nil {
                take(request: bytes, on: stream)
            } else {
                take(response: bytes, on: stream)
            }
        case .finished(let stream):
            if case .listening? = serving[stream]?.state { drop(stream) }
            if case .answered? = serving[stream]?.state { _ = remove(stream) }
            fail(stream, .disconnected)
        case .reset(let stream):
            _ = remove(stream)
            fail(stream, .disconnected)
        }
    }

    /// Gives up what takes too long.
    public mutating func advance(to now: Instant) {
        while let stream = deadlines.popDue(at: now) {
            drop(stream)
            guard questions[stream] != nil else { continue }
            orders.append(.reset(stream))
            fail(stream, .timedOut)
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What happened.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    private mutating func makeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    private mutating func take(request bytes: [UInt8], on stream: StreamID) {
        guard case .listening? = serving[stream]?.state else { return }
        let request: FetchRequest
        do throws(DecodeError) {
            request = try FetchRequest(decoding: bytes.rawSpan)
        } catch {
            drop(stream)
            return
        }
        guard request.key.starts(with: Self.prefix),
            let name = try? PeerID(
                decoding: Array(request.key.dropFirst(Self.prefix.count)).rawSpan)
        else {
            send(.notFound, on: stream)
            return
        }
        let number = makeNumber()
        lookUps[number] = stream
        serving[stream]?.state = .lookingUp(number)
        events.append(.asked(number, name: name))
    }

    private mutating func take(response bytes: [UInt8], on stream: StreamID) {
        guard let question = questions.removeValue(forKey: stream) else { return }
        do throws(DecodeError) {
            switch try FetchResponse(decoding: bytes.rawSpan) {
            case .value(let value): events.append(.answered(question.number, value))
            case .notFound, .failed: events.append(.answered(question.number, nil))
            }
        } catch {
            events.append(.failed(question.number, .unsupported))
        }
        orders.append(.reset(stream))
    }

    /// Ends a peer's stream, if it is one.
    private mutating func drop(_ stream: StreamID) {
        if remove(stream) { orders.append(.reset(stream)) }
    }

    private mutating func remove(_ stream: StreamID) -> Bool {
        guard let entry = serving.removeValue(forKey: stream) else { return false }
        switch entry.state {
        case .answered: return true
        case .lookingUp(let number): lookUps[number] = nil
        case .listening: break
        }
        release(entry.peer)
        return true
    }

    private mutating func release(_ peer: PeerID) {
        let count = (servingCounts[peer] ?? 1) - 1
        servingCounts[peer] = count > 0 ? count : nil
    }

    private mutating func fail(_ stream: StreamID, _ fault: StreamFault) {
        guard let question = questions.removeValue(forKey: stream) else { return }
        events.append(.failed(question.number, fault))
    }
}
