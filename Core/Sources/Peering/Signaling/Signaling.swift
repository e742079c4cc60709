// Two peers that hear each other through a third, a relay, agree on a WebRTC connection of their
// own (github.com/libp2p/specs, webrtc/webrtc.md). One has opened a stream and offers, the other
// answers, and both tell more ways to them as they find them. The relay has proven neither of them
// to the other; the stream's connection has, so that what comes over it can be believed.

public import Multiformats
public import Wire

/// Why no connection came of it.
public enum SignalingFailure: Hashable, Sendable {
    /// The peer is not connected, does not speak this, or has too many already.
    case refused
    /// The peer broke the rules, or gave up.
    case ended
    case timedOut
    /// Too many connections are being made.
    case busy
}

/// All WebRTC connections that are being made through others. It makes none itself.
public struct Signaling: Sendable {
    /// How many are being made at once, and with one peer.
    public static let maxCalls = 32
    public static let maxCallsPerPeer = 2
    /// How many of them others may have begun, so that these leave us some of our own.
    public static let maxForeignCalls = 24
    /// How many ways one side may tell.
    public static let maxCandidates = 32
    /// How long all of it may take, and how long a peer that calls may take to offer.
    public static let timeout: Duration = .seconds(15)
    public static let offerTimeout: Duration = .seconds(5)

    /// What is to be done, or has happened. Calls have numbers.
    public enum Event: Hashable, Sendable {
        /// The peer of a call of ours listens: make an offer, and only now what is behind it.
        case wanted(UInt64)
        /// A peer offers a connection.
        case offered(UInt64, PeerID, [UInt8])
        /// The peer answered our offer.
        case answered(UInt64, [UInt8])
        /// One more way to the peer.
        case candidate(UInt64, [UInt8])
        /// Give it up.
        case failed(UInt64, SignalingFailure)
    }

    private enum Phase {
        /// We called, and the stream is not there.
        case opening
        /// We may offer.
        case offering
        /// We offered.
        case awaitingAnswer
        /// The peer called, and has not offered.
        case awaitingOffer
        /// The peer offered.
        case answering
        /// There is an offer and an answer.
        case agreed
    }

    private struct Call {
        let peer: PeerID
        let isOurs: Bool
        var phase: Phase
        /// When it is given up.
        var end: Instant
        var stream: StreamID?
        var candidatesHeard = 0
        var candidatesTold = 0
    }

    private var calls = [UInt64: Call]()
    private var numbers = [StreamID: UInt64]()
    private var deadlines = DeadlineQueue<UInt64>()
    /// The number of the next call.
    public private(set) var nextNumber: UInt64
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    /// Nobody is being connected. Whoever makes a new one for those who know numbers of an old one
    /// has it begin where that ended.
    public init(firstNumber: UInt64 = 1) { nextNumber = firstNumber }

    /// How many connections are being made.
    public var count: Int { calls.count }

    // MARK: Ours

    /// Calls a peer to which there is a relayed connection. Returns the call's number.
    public mutating func call(_ peer: PeerID, now: Instant) -> UInt64 {
        let number = nextNumber
        guard hasRoom(for: peer) else {
            nextNumber += 1
            events.append(.failed(number, .busy))
            return number
        }
        add(Call(peer: peer, isOurs: true, phase: .opening, end: now + Self.timeout))
        orders.append(.open(peer, [PeerProtocols.signaling], request: number))
        return number
    }

    /// Makes the offer of a call of ours.
    public mutating func offer(_ number: UInt64, _ description: [UInt8]) {
        guard let call = calls[number], call.phase == .offering else { return }
        calls[number]?.phase = .awaitingAnswer
        send(.offer(description), in: number)
    }

    /// Answers the offer of a peer.
    public mutating func answer(_ number: UInt64, _ description: [UInt8]) {
        guard let call = calls[number], call.phase == .answering else { return }
        calls[number]?.phase = .agreed
        send(.answer(description), in: number)
    }

    /// Tells one more way to us; there is no use in more than ``maxCandidates``.
    public mutating func tell(_ number: UInt64, _ candidate: [UInt8]) {
        guard let call = calls[number], call.candidatesTold < Self.maxCandidates else { return }
        switch call.phase {
        case .awaitingAnswer, .answering, .agreed:
            calls[number]?.candidatesTold += 1
            send(.candidate(candidate), in: number)
        case .opening, .offering, .awaitingOffer: return
        }
    }

    /// The connection is there, and nothing more is to be said.
    public mutating func connected(_ number: UInt64) {
        guard let call = remove(number) else { return }
        if let stream = call.stream { orders.append(.finish(stream)) }
    }

    /// No connection came of it.
    public mutating func giveUp(_ number: UInt64) {
        guard let call = remove(number) else { return }
        if let stream = call.stream { orders.append(.reset(stream)) }
    }

    // MARK: Streams

    /// Takes what happened to a stream of the protocol.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, _):
            guard calls[request]?.phase == .opening else {
                orders.append(.reset(stream))
                return
            }
            calls[request]?.stream = stream
            calls[request]?.phase = .offering
            numbers[stream] = request
            events.append(.wanted(request))
        case .refused(let request, _):
            if remove(request) != nil { events.append(.failed(request, .refused)) }
        case .accepted(let stream, let peer, _):
            guard hasRoom(for: peer),
                calls.values.count(where: { !$0.isOurs }) < Self.maxForeignCalls
            else {
                orders.append(.reset(stream))
                return
            }
            numbers[stream] = nextNumber
            add(
                Call(
                    peer: peer, isOurs: false, phase: .awaitingOffer, end: now + Self.offerTimeout,
                    stream: stream))
        case .message(let stream, let bytes):
            guard let number = numbers[stream] else { return }
            // Whoever cannot be understood is not going to be.
            guard let message = try? SignalingMessage(decoding: bytes.rawSpan),
                take(message, in: number, now: now)
            else { return fail(number, .ended) }
        case .finished(let stream):
            // Of two that have agreed the first to be connected has nothing more to say.
            guard let number = numbers[stream], calls[number]?.phase != .agreed else { return }
            fail(number, .ended)
        case .reset(let stream):
            guard let number = numbers[stream] else { return }
            _ = remove(number)
            events.append(.failed(number, .ended))
        }
    }

    /// Returns whether the peer may say this now.
    private mutating func take(
        _ message: SignalingMessage, in number: UInt64, now: Instant
    ) -> Bool {
        guard let call = calls[number] else { return true }
        switch (message, call.phase) {
        case (.offer(let description), .awaitingOffer):
            calls[number]?.phase = .answering
            calls[number]?.end = now + Self.timeout
            deadlines.add(number, at: now + Self.timeout)
            events.append(.offered(number, call.peer, description))
        case (.answer(let description), .awaitingAnswer):
            calls[number]?.phase = .agreed
            events.append(.answered(number, description))
        case (.candidate(let text), .awaitingAnswer), (.candidate(let text), .answering),
            (.candidate(let text), .agreed):
            // A browser's last one is empty, or the word null.
            guard !text.isEmpty, text != Array("null".utf8), text != Array("\"\"".utf8) else {
                return true
            }
            guard call.candidatesHeard < Self.maxCandidates else { return false }
            calls[number]?.candidatesHeard += 1
            events.append(.candidate(number, text))
        default: return false
        }
        return true
    }

    /// Gives up on those that take too long.
    public mutating func advance(to now: Instant) {
        while let number = deadlines.popDue(at: now) {
            // One that has offered meanwhile has more time.
            if let call = calls[number], call.end <= now { fail(number, .timedOut) }
        }
    }

    /// When ``advance(to:)`` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What has happened next.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    // MARK: Calls

    private func hasRoom(for peer: PeerID) -> Bool {
        calls.count < Self.maxCalls
            && calls.values.count { $0.peer == peer } < Self.maxCallsPerPeer
    }

    private mutating func add(_ call: Call) {
        calls[nextNumber] = call
        deadlines.add(nextNumber, at: call.end)
        nextNumber += 1
    }

    private mutating func remove(_ number: UInt64) -> Call? {
        guard let call = calls.removeValue(forKey: number) else { return nil }
        if let stream = call.stream { numbers[stream] = nil }
        return call
    }

    private mutating func fail(_ number: UInt64, _ failure: SignalingFailure) {
        guard let call = remove(number) else { return }
        if let stream = call.stream { orders.append(.reset(stream)) }
        events.append(.failed(number, failure))
    }

    private mutating func send(_ message: SignalingMessage, in number: UInt64) {
        let bytes = message.encoded
        guard bytes.count <= SignalingMessage.maxBytes, let stream = calls[number]?.stream else {
            return fail(number, .ended)
        }
        orders.append(.send(stream, bytes))
    }
}
