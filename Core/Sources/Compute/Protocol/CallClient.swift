// The asker's side of `/weft/call/1`: one stream to each peer that is asked, with many questions on
// it, and a deadline for each of them. An answer is given out when its header is signed by the
// peer, answers this very question, and the output is what the header commits to. That makes it the
// peer's answer; whether it is right is another question (Trust).

import IPLD
public import Multiformats
public import Wire

/// Why a peer gave no answer.
public enum CallFailure: Hashable, Sendable {
    /// The peer could not be reached.
    case unreachable(StreamFault)
    /// The peer said no.
    case refused(CallRefusal)
    /// The stream ended before there was an answer.
    case disconnected
    /// No header came in time.
    case stalled
    /// A header came, but not what it commits to.
    case vanished
    /// The header is about another call.
    case otherQuestion
    /// The header is about this call, but answers an older question.
    case replayed
    /// What was revealed is not what the header commits to.
    case brokenCommitment
    /// The header is not signed by the peer.
    case badSignature
    /// The peer says that it used more gas than it was allowed, or wants a higher price.
    case overcharged
    /// What the peer sent makes no sense.
    case malformed
    /// This node has asked the peer for as much as it may.
    case overLimit
    /// The peer passed on somebody's answer that was wrong.
    case brokenWord

    /// Whether the peer broke the protocol, which nobody does by accident.
    public var isMisbehaviour: Bool {
        switch self {
        case .otherQuestion, .replayed, .brokenCommitment, .badSignature, .overcharged, .malformed:
            true
        default: false
        }
    }
}

extension CallFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable(let fault): fault.description
        case .refused(let refusal): refusal.description
        case .disconnected: "the connection ended before there was an answer"
        case .stalled: "the peer did not answer in time"
        case .vanished: "the peer signed an answer and did not send it"
        case .otherQuestion: "the peer answered another call"
        case .replayed: "the peer sent an answer to an older question"
        case .brokenCommitment: "the peer's output is not what it had signed"
        case .badSignature: "the answer is not signed by the peer"
        case .overcharged: "the peer wants to be paid for more than was allowed"
        case .malformed: "what the peer sent makes no sense"
        case .overLimit: "a limit of this node was reached"
        case .brokenWord: "the peer passed on a wrong answer of somebody else"
        }
    }
}

/// What a peer answered: signed, and as it was committed to.
public struct CallAnswer: Hashable, Sendable {
    /// What the peer signed.
    public let header: SignedHeader
    /// The salt of its commitment.
    public let salt: [UInt8]
    /// The result.
    public let record: CallRecord

    /// An answer, whose parts have been found to fit together.
    public init(_ header: SignedHeader, salt: [UInt8], record: CallRecord) {
        self.header = header
        self.salt = salt
        self.record = record
    }

    /// Whether the header commits to this record and names its gas and call.
    public var fits: Bool {
        header.header.gas == record.gas && header.header.call == record.call.cid
            && header.header.commitment == Commitment.make(salt: salt, record: record)
    }
}

/// Asks peers to run calls.
public struct CallClient: Sendable {
    /// What happened, and what the owner has to do.
    public enum Event: Hashable, Sendable {
        /// A peer says what it offers.
        case offered(PeerID, CallOffer)
        /// A peer says how long calls wait there now.
        case queued(PeerID, Duration)
        /// Look whether this is the peer's signature of the message: ``verified(_:_:)``.
        case verify(UInt64, PeerID, message: [UInt8], signature: [UInt8])
        /// The answer to the question with this number.
        case answered(UInt64, CallAnswer)
        /// There is no answer to the question with this number, and none will come.
        case failed(UInt64, CallFailure)
        /// A peer says what this node owes it.
        case claimed(PeerID, [UInt8])
        /// A peer has signed a receipt that this node signed.
        case receipted(PeerID, [UInt8])
        /// A peer says something that has to do with no question.
        case news(PeerID, CallNews)
        /// Instead of an answer to the question with this number, the peer passes on what others
        /// have signed before.
        case recalled(UInt64, by: PeerID, [CallAnswer])
    }

    /// The most questions under way, to all peers together.
    public static let maxQuestions = 4_096
    /// The most peers with a stream.
    public static let maxPeers = 512

    struct Question: Sendable {
        let peer: PeerID
        let asked: CallQuestion
        var deadline: Instant
        /// The header, as soon as it is there, and whether its signature has been looked at.
        var header: SignedHeader?
        var isVerified = false
        /// What was revealed, as long as the signature has not been looked at.
        var revealed: (salt: [UInt8], record: CallRecord)?
        /// What others have signed and the peer passes on, and how much of it has been looked at.
        var recalled: [CallAnswer] = []
        var checked = 0
    }

    struct Peer: Sendable {
        /// What is to be said as soon as there is a stream.
        var waiting: [UInt8] = []
        var request: UInt64?
        var stream: StreamID?
        var numbers: Set<UInt64> = []
        var due: Instant?
        var idleSince: Instant?
    }

    var questions = [UInt64: Question]()
    var peers = [PeerID: Peer]()
    var peerOf = [StreamID: PeerID]()
    private var opening = [UInt64: PeerID]()
    var verifications = [UInt64: (peer: PeerID, numbers: [UInt64])]()
    /// The signatures of others that are looked at, by order, for which question.
    var recalls = [UInt64: (number: UInt64, by: PeerID)]()
    private var deadlines = DeadlineQueue<PeerID>()
    private var nextNumber: UInt64 = 1
    var orders = Outbox<StreamOrder>()
    var events = Outbox<Event>()

    /// An asker that has asked nobody.
    public init() {}

    // MARK: Asking

    /// Asks a peer to run a call. The number comes back with the answer, or with the reason why
    /// there is none, at the deadline at the latest.
    ///
    /// - Parameter nonce: ``CallProtocol/nonceBytes`` fresh random bytes.
    public mutating func ask(
        _ call: Call, of peer: PeerID, maxPrice: Price, nonce: [UInt8], patience: Duration,
        mayRecall: Bool = false, now: Instant
    ) -> UInt64 {
        precondition(nonce.count == CallProtocol.nonceBytes, "a nonce has 16 bytes")
        let number = makeNumber()
        guard peer.publicKey != nil else {
            // Its answers would prove nothing.
            events.append(.failed(number, .unreachable(.unsupported)))
            return number
        }
        guard questions.count < Self.maxQuestions,
            peers[peer] != nil || peers.count < Self.maxPeers,
            peers[peer]?.numbers.count ?? 0 < CallProtocol.maxCallsPerPeer
        else {
            events.append(.failed(number, .overLimit))
            return number
        }
        let patience = min(patience, CallProtocol.maxPatience)
        let question = Question(
            peer: peer,
            asked: CallQuestion(
                id: number, call: call, nonce: nonce, maxPrice: maxPrice, patience: patience,
                mayRecall: mayRecall),
            deadline: now + patience)
        questions[number] = question
        var entry = peers[peer] ?? Peer()
        entry.numbers.insert(number)
        entry.idleSince = nil
        if let stream = entry.stream { send(question.asked, on: stream) }
        peers[peer] = entry
        connect(peer)
        watch(peer, until: question.deadline)
        return number
    }

    /// Whether a peer may be asked for one more call.
    func hasRoom(for peer: PeerID) -> Bool {
        guard let entry = peers[peer] else { return true }
        return entry.numbers.count < CallProtocol.maxCallsPerPeer
    }

    /// Takes a question back. Nothing comes of it any more.
    public mutating func cancel(_ number: UInt64, now: Instant) {
        guard let question = questions[number] else { return }
        if let stream = peers[question.peer]?.stream {
            orders.append(.send(stream, CallCommand.cancel(number).encoded))
        }
        forget(number, now: now)
    }

    /// Sends a peer a receipt that this node has signed. Returns whether there is a stream for it.
    @discardableResult
    public mutating func acknowledge(_ receipt: [UInt8], to peer: PeerID) -> Bool {
        guard let stream = peers[peer]?.stream else { return false }
        orders.append(.send(stream, CallCommand.acknowledge(receipt).encoded))
        return true
    }

    /// The most bytes that wait for the stream to a peer.
    private static let maxWaiting = 16 << 10

    /// Tells a peer something that has to do with no question. If no stream to it can be had, it is
    /// not told.
    public mutating func tell(_ news: CallNews, to peer: PeerID, now: Instant) {
        let message = CallCommand.news(news).encoded
        if let stream = peers[peer]?.stream {
            orders.append(.send(stream, message))
            return
        }
        guard peers[peer] != nil || peers.count < Self.maxPeers else { return }
        var entry = peers[peer] ?? Peer()
        guard entry.waiting.count + message.count <= Self.maxWaiting else { return }
        entry.waiting += message
        peers[peer] = entry
        connect(peer)
    }

    /// Opens a stream to a peer, if there is none yet.
    private mutating func connect(_ peer: PeerID) {
        guard let entry = peers[peer], entry.stream == nil, entry.request == nil else { return }
        let request = makeNumber()
        peers[peer]?.request = request
        opening[request] = peer
        orders.append(.open(peer, [CallProtocol.name], request: request))
    }

    // MARK: Streams and time

    /// Takes what happened to a stream of the protocol that this node opened.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, _):
            guard let peer = opening.removeValue(forKey: request), peers[peer] != nil else {
                orders.append(.reset(stream))
                return
            }
            peers[peer]?.request = nil
            peers[peer]?.stream = stream
            peerOf[stream] = peer
            if let waiting = peers[peer]?.waiting, !waiting.isEmpty {
                orders.append(.send(stream, waiting))
                peers[peer]?.waiting = []
            }
            for number in peers[peer]?.numbers.sorted() ?? [] {
                guard let question = questions[number] else { continue }
                var asked = question.asked
                asked.patience = question.deadline.since(now)
                send(asked, on: stream)
            }
            rest(peer, now: now)
        case .refused(let request, let fault):
            guard let peer = opening.removeValue(forKey: request) else { return }
            end(peer, .unreachable(fault), now: now)
        case .message(let stream, let bytes):
            guard let peer = peerOf[stream] else { return }
            do throws(DecodeError) {
                for reply in try CallReply.decode(bytes.rawSpan) {
                    take(reply, of: peer, now: now)
                }
            } catch {
                orders.append(.reset(stream))
                end(peer, .malformed, now: now)
            }
        case .finished(let stream):
            guard let peer = peerOf[stream] else { return }
            orders.append(.reset(stream))
            end(peer, .disconnected, now: now)
        case .reset(let stream):
            guard let peer = peerOf[stream] else { return }
            end(peer, .disconnected, now: now)
        case .accepted(let stream, _, _): orders.append(.reset(stream))
        }
    }

    /// Gives up what takes too long, and streams that are of no use.
    public mutating func advance(to now: Instant) {
        while let peer = deadlines.popDue(at: now) {
            guard let entry = peers[peer], let due = entry.due, due <= now else { continue }
            peers[peer]?.due = nil
            if let idle = entry.idleSince, entry.numbers.isEmpty {
                guard now.since(idle) >= CallProtocol.idleTime else {
                    watch(peer, until: idle + CallProtocol.idleTime)
                    continue
                }
                if let stream = entry.stream { orders.append(.reset(stream)) }
                end(peer, .disconnected, now: now)
                continue
            }
            expire(peer, now: now)
        }
    }

    private mutating func expire(_ peer: PeerID, now: Instant) {
        var next: Instant?
        for number in peers[peer]?.numbers.sorted() ?? [] {
            guard let question = questions[number] else { continue }
            guard question.deadline <= now else {
                next = next.earlier(question.deadline)
                continue
            }
            let failure = question.header == nil ? CallFailure.stalled : .vanished
            if let stream = peers[peer]?.stream {
                orders.append(.send(stream, CallCommand.cancel(number).encoded))
            }
            fail(number, failure, now: now)
        }
        if let next { watch(peer, until: next) }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What happened.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    // MARK: Tables

    mutating func makeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    private mutating func send(_ question: CallQuestion, on stream: StreamID) {
        orders.append(.send(stream, CallCommand.ask(question).encoded))
    }

    mutating func watch(_ peer: PeerID, until deadline: Instant) {
        if let due = peers[peer]?.due, due <= deadline { return }
        peers[peer]?.due = deadline
        deadlines.add(peer, at: deadline)
    }

    mutating func fail(_ number: UInt64, _ failure: CallFailure, now: Instant) {
        guard questions[number] != nil else { return }
        forget(number, now: now)
        events.append(.failed(number, failure))
    }

    mutating func forget(_ number: UInt64, now: Instant) {
        guard let question = questions.removeValue(forKey: number) else { return }
        peers[question.peer]?.numbers.remove(number)
        rest(question.peer, now: now)
    }

    /// Notes that nothing is asked of a peer any more, so that its stream is closed after a while.
    private mutating func rest(_ peer: PeerID, now: Instant) {
        guard let entry = peers[peer], entry.numbers.isEmpty, entry.idleSince == nil else { return }
        peers[peer]?.idleSince = now
        watch(peer, until: now + CallProtocol.idleTime)
    }

    /// A peer's stream is over.
    mutating func end(_ peer: PeerID, _ failure: CallFailure, now: Instant) {
        guard let entry = peers.removeValue(forKey: peer) else { return }
        if let stream = entry.stream { peerOf[stream] = nil }
        if let request = entry.request { opening[request] = nil }
        for number in entry.numbers.sorted() {
            guard let question = questions.removeValue(forKey: number) else { continue }
            let isVanished = failure == .disconnected && question.header != nil
            events.append(.failed(number, isVanished ? .vanished : failure))
        }
    }
}
