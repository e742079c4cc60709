// The responder's side of `/weft/call/1`. It takes questions, hands them on to whoever runs calls,
// and sends for each answer first a signed header, then what the header commits to.
//
// Headers that are ready while a signature is being made wait for the next, which covers them all:
// so the price of signing falls as the load grows, and a single answer waits for nothing.

import IPLD
public import Multiformats
public import Wire

/// The ceilings of a responder.
public struct CallServerLimits: Hashable, Sendable {
    /// Streams of one peer.
    public var streamsPerPeer = 2
    /// Streams of all peers.
    public var streams = 1_024
    /// Calls of one peer that are under way.
    public var callsPerPeer = CallProtocol.maxCallsPerPeer
    /// Calls of all peers that are under way.
    public var calls = 1_024
    /// When a peer that is refused because of these may ask again.
    public var busyTime: Duration = .milliseconds(250)

    /// The usual ceilings.
    public init() {}
}

/// Answers what peers want to have run.
public struct CallServer: Sendable {
    /// What the owner has to do.
    public enum Event: Hashable, Sendable {
        /// A peer asks for a call: ``answer(_:_:price:salt:)`` or ``refuse(_:_:)`` with the number.
        case asked(UInt64, PeerID, CallQuestion)
        /// Nobody waits any more for the answer with this number.
        case withdrawn(UInt64)
        /// Sign this message with the node's identity: ``signed(_:_:)`` with the number.
        case sign(UInt64, [UInt8])
        /// A peer has opened its stream: a good time for ``claim(_:_:)``.
        case opened(PeerID)
        /// A peer has signed what it owes.
        case acknowledged(PeerID, [UInt8])
        /// A peer says something that has to do with no question.
        case news(PeerID, CallNews)
    }

    private struct Asked {
        let stream: StreamID
        let question: CallQuestion
        let deadline: Instant
    }

    private struct Answer {
        let id: UInt64
        let header: CallHeader
        let salt: [UInt8]
        let result: [UInt8]
    }

    private struct Stream {
        let peer: PeerID
        /// The questions that are being answered, by the asker's number.
        var numbers = [UInt64: UInt64]()
        /// When the first of them is given up; nil if nothing is set for it.
        var due: Instant?
        var lastID: UInt64?
        /// Answers that no signature covers yet.
        var ready: [Answer] = []
        /// Those that are being signed now.
        var signing: [Answer] = []
    }

    private let limits: CallServerLimits
    private var offer: CallOffer
    private var streams = [StreamID: Stream]()
    private var asked = [UInt64: Asked]()
    private var streamCounts = [PeerID: Int]()
    private var callCounts = [PeerID: Int]()
    private var signatures = [UInt64: StreamID]()
    /// Streams with answers that no signature covers yet.
    private var unsigned = Outbox<StreamID>()
    private var deadlines = DeadlineQueue<StreamID>()
    private var nextNumber: UInt64 = 1
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    /// A responder that nobody has asked.
    public init(offer: CallOffer, limits: CallServerLimits = CallServerLimits()) {
        self.offer = offer
        self.limits = limits
    }

    /// How many calls are under way.
    public var callCount: Int { asked.count }

    // MARK: The owner's side

    /// Changes what is offered, and tells those who have a stream.
    public mutating func setOffer(_ offer: CallOffer) {
        guard offer != self.offer else { return }
        self.offer = offer
        let message = CallReply.offer(offer).encoded
        let open = streams.map { $0.key }.sorted(by: Self.precedes)
        for stream in open { send(message, on: stream) }
    }

    /// How long calls have to wait now. Told with each header, not by itself.
    public mutating func setQueue(_ queue: Duration) { offer.queue = queue }

    /// The result of a call.
    ///
    /// - Parameters:
    ///   - price: what its gas costs, no more than the asker allowed.
    ///   - salt: ``CallProtocol/saltBytes`` random bytes that nobody can guess.
    /// - Returns: what the asker owes for it; nil if nobody waits for it any more.
    public mutating func answer(
        _ number: UInt64, _ record: CallRecord, price: Price, salt: [UInt8]
    ) -> CallHeader? {
        precondition(salt.count == CallProtocol.saltBytes, "a salt has 32 bytes")
        guard let entry = asked.removeValue(forKey: number) else { return nil }
        release(entry)
        let commitment = Commitment.make(salt: salt, record: record)
        let header = CallHeader(
            call: entry.question.call.cid, nonce: entry.question.nonce, commitment: commitment,
            gas: record.gas, price: min(price, entry.question.maxPrice))
        streams[entry.stream]?.ready.append(
            Answer(id: entry.question.id, header: header, salt: salt, result: record.result))
        unsigned.append(entry.stream)
        return header
    }

    /// Instead of an answer of this node: what others have answered before. Nothing is owed for it.
    public mutating func recall(_ number: UInt64, _ history: ResultHistory) {
        guard let entry = asked.removeValue(forKey: number) else { return }
        release(entry)
        let reply = CallReply.vouched(
            id: entry.question.id, result: history.record.result, history.vouchers)
        send(reply.encoded, on: entry.stream)
    }

    /// Says no to a question.
    public mutating func refuse(_ number: UInt64, _ refusal: CallRefusal) {
        guard let entry = asked.removeValue(forKey: number) else { return }
        release(entry)
        send(CallReply.refuse(id: entry.question.id, refusal).encoded, on: entry.stream)
    }

    /// A signature that was asked for; nil if none could be made, which ends the stream.
    public mutating func signed(_ number: UInt64, _ signature: [UInt8]?) {
        guard let stream = signatures.removeValue(forKey: number),
            let answers = streams[stream]?.signing
        else { return }
        streams[stream]?.signing = []
        guard let signature else { return drop(stream) }
        var message = CallReply.headers(
            answers.map { ($0.id, $0.header) }, signature: signature, queue: offer.queue
        ).encoded
        for answer in answers {
            let reveal = CallReply.reveal(id: answer.id, salt: answer.salt, result: answer.result)
                .encoded
            if message.count + reveal.count > Self.messageBytes {
                send(message, on: stream)
                message = []
            }
            message += reveal
        }
        send(message, on: stream)
        if streams[stream]?.ready.isEmpty == false { unsigned.append(stream) }
    }

    /// Messages are sent when they have this size: larger ones would keep others waiting.
    private static let messageBytes = 64 << 10

    /// Asks a peer to sign what it owes. Returns whether it has a stream for that.
    @discardableResult
    public mutating func claim(_ receipt: [UInt8], of peer: PeerID) -> Bool {
        tell(.claim(receipt), peer)
    }

    /// Gives a peer the receipt that both have signed.
    @discardableResult
    public mutating func deliver(_ receipt: [UInt8], to peer: PeerID) -> Bool {
        tell(.receipt(receipt), peer)
    }

    /// Tells a peer something that has to do with no question, if it has a stream.
    @discardableResult
    public mutating func tell(_ news: CallNews, to peer: PeerID) -> Bool {
        tell(.news(news), peer)
    }

    /// The peers that have a stream.
    public var peers: [PeerID] {
        streamCounts.map { $0.key }.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
    }

    private mutating func tell(_ reply: CallReply, _ peer: PeerID) -> Bool {
        guard streamCounts[peer] != nil,
            let stream = streams.filter({ $0.value.peer == peer }).map({ $0.key })
                .max(by: Self.precedes)
        else { return false }
        send(reply.encoded, on: stream)
        return true
    }

    private static func precedes(_ left: StreamID, _ right: StreamID) -> Bool {
        (left.connection, left.stream) < (right.connection, right.stream)
    }

    // MARK: Streams and time

    /// Takes what happened to a stream of the protocol that a peer opened.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .accepted(let stream, let peer, _):
            let count = streamCounts[peer] ?? 0
            guard count < limits.streamsPerPeer, streams.count < limits.streams else {
                orders.append(.reset(stream))
                return
            }
            streamCounts[peer] = count + 1
            streams[stream] = Stream(peer: peer)
            send(CallReply.offer(offer).encoded, on: stream)
            events.append(.opened(peer))
        case .message(let stream, let bytes):
            guard let peer = streams[stream]?.peer else { return }
            do throws(DecodeError) {
                for command in try CallCommand.decode(bytes.rawSpan) {
                    guard take(command, of: peer, on: stream, now: now) else {
                        return drop(stream)
                    }
                }
            } catch {
                drop(stream)
            }
        case .finished(let stream):
            // Nobody can cancel any more, and nobody reads for long: a stream is for asking.
            drop(stream)
        case .reset(let stream): remove(stream)
        case .opened(_, let stream, _): orders.append(.reset(stream))
        case .refused: break
        }
    }

    /// Returns whether that was allowed.
    private mutating func take(
        _ command: CallCommand, of peer: PeerID, on stream: StreamID, now: Instant
    ) -> Bool {
        switch command {
        case .ask(let question):
            // Numbers only grow, so that one question cannot be asked twice.
            guard streams[stream]?.lastID.map({ $0 < question.id }) ?? true else { return false }
            streams[stream]?.lastID = question.id
            if let refusal = refusal(of: question, peer) {
                send(CallReply.refuse(id: question.id, refusal).encoded, on: stream)
                return true
            }
            let number = nextNumber
            nextNumber += 1
            callCounts[peer, default: 0] += 1
            let deadline = now + question.patience
            asked[number] = Asked(
                stream: stream, question: question, deadline: deadline)
            streams[stream]?.numbers[question.id] = number
            watch(stream, until: deadline)
            events.append(.asked(number, peer, question))
        case .cancel(let id):
            if let number = streams[stream]?.numbers[id] {
                withdraw(number)
            } else {
                streams[stream]?.ready.removeAll { $0.id == id }
            }
        case .acknowledge(let receipt): events.append(.acknowledged(peer, receipt))
        case .news(let news): events.append(.news(peer, news))
        }
        return true
    }

    private func refusal(of question: CallQuestion, _ peer: PeerID) -> CallRefusal? {
        guard offer.includes(question.call) else { return .notOffered }
        guard question.maxPrice >= offer.price else { return .price }
        guard asked.count < limits.calls, callCounts[peer] ?? 0 < limits.callsPerPeer else {
            return .busy(limits.busyTime)
        }
        return nil
    }

    private mutating func watch(_ stream: StreamID, until deadline: Instant) {
        if let due = streams[stream]?.due, due <= deadline { return }
        streams[stream]?.due = deadline
        deadlines.add(stream, at: deadline)
    }

    /// Gives up what nobody waits for any more.
    public mutating func advance(to now: Instant) {
        while let stream = deadlines.popDue(at: now) {
            guard let entry = streams[stream], let due = entry.due, due <= now else { continue }
            streams[stream]?.due = nil
            var next: Instant?
            let numbers = entry.numbers.map { $0.value }.sorted()
            for number in numbers {
                guard let deadline = asked[number]?.deadline else { continue }
                if deadline <= now { withdraw(number) } else { next = next.earlier(deadline) }
            }
            if let next { watch(stream, until: next) }
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What has to be done.
    public mutating func nextEvent() -> Event? {
        if let event = events.popFirst() { return event }
        while let stream = unsigned.popFirst() {
            guard var entry = streams[stream], !entry.ready.isEmpty, entry.signing.isEmpty else {
                continue
            }
            let count = min(entry.ready.count, CallProtocol.maxBatch)
            entry.signing = [Answer](entry.ready[..<count])
            entry.ready.removeFirst(count)
            streams[stream] = entry
            let number = nextNumber
            nextNumber += 1
            signatures[number] = stream
            return .sign(number, SignedHeader.message(entry.signing.map { $0.header.hash }))
        }
        return nil
    }

    // MARK: Tables

    private mutating func send(_ message: [UInt8], on stream: StreamID) {
        guard !message.isEmpty else { return }
        orders.append(.send(stream, message))
    }

    private mutating func withdraw(_ number: UInt64) {
        guard let entry = asked.removeValue(forKey: number) else { return }
        release(entry)
        events.append(.withdrawn(number))
    }

    private mutating func release(_ entry: Asked) {
        guard let peer = streams[entry.stream]?.peer else { return }
        streams[entry.stream]?.numbers[entry.question.id] = nil
        let count = (callCounts[peer] ?? 1) - 1
        callCounts[peer] = count > 0 ? count : nil
    }

    private mutating func drop(_ stream: StreamID) {
        guard streams[stream] != nil else { return }
        remove(stream)
        orders.append(.reset(stream))
    }

    private mutating func remove(_ stream: StreamID) {
        guard let entry = streams[stream] else { return }
        let numbers = entry.numbers.map { $0.value }.sorted()
        for number in numbers { withdraw(number) }
        streams[stream] = nil
        let count = (streamCounts[entry.peer] ?? 1) - 1
        streamCounts[entry.peer] = count > 0 ? count : nil
    }
}
