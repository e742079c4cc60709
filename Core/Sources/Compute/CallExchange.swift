// Compute is everything about calls that needs no engine: what a call is and what its record says
// (Calls, Records), how peers ask each other (Protocol), whom a node asks (Selection), how it finds
// out who lies (Trust), and what peers owe each other (Credit).
//
// `CallExchange` is what a node holds of it. It runs nothing and signs nothing: that leaves as a
// numbered order, and comes back by its number.

import Cryptography
public import Multiformats
public import Wire

/// The calls of a node, in both directions.
public struct CallExchange: Sendable {
    /// What happened, and what the owner has to do.
    public enum Event: Hashable, Sendable {
        /// Look whether this is the peer's signature: ``verified(_:_:now:)`` with the number.
        case verify(UInt64, PeerID, message: [UInt8], signature: [UInt8])
        /// Sign this with the node's identity: ``signed(_:_:)`` with the number.
        case sign(UInt64, [UInt8])
        /// Run this call: ``ran(_:_:now:time:)`` with the number. If a peer says so, what others
        /// have answered will do: ``recalled(_:_:)``.
        case run(UInt64, Call, RunPurpose)
        /// The result of a run is not needed any more. If a peer has taken its call back:
        /// ``used(_:by:now:time:)`` with how much gas it has cost by now.
        case stop(UInt64, takenBack: ServedCall?)
        /// Look for peers that run this contract: ``found(_:running:now:)`` for each, then
        /// ``searched(_:now:)``.
        case search(CID)
        /// Get these records from a peer or, without one, from this node's store:
        /// ``loaded(_:_:now:)`` with the number.
        case load(UInt64, [CID], from: PeerID?)
        /// Run this activation again: ``replayed(_:_:now:)`` with the number.
        case replay(UInt64, ReplayOrder)
        /// The result of a call of this node.
        case answered(UInt64, CallResult)
        /// There is no result of a call of this node.
        case failed(UInt64, CallError)
        /// A result that was given out has turned out to be wrong. With the right one, if known.
        case refuted(UInt64, CallRecord?)
        /// A peer has lied. The proof is for everybody.
        case convicted(PeerID, Evidence)
        /// Look into what is said to be a proof: ``examined(_:_:now:)`` with the number.
        case examine(UInt64, [UInt8])
        /// An answer that nothing speaks against is worth remembering. Who passed it on; nil if the
        /// signer was asked.
        case vouched(CallAnswer, via: PeerID?)
        /// A result is not to be remembered any more.
        case disbelieve(CallRecord)
        /// Keep this receipt, and all changes of accounts before it: ``kept(_:_:)`` with the
        /// number.
        case keep(UInt64, Receipt)
        /// A balance has changed.
        case changed(BalanceChange)
    }

    /// A call that is run for a peer.
    public struct ServedCall: Hashable, Sendable {
        let peer: PeerID
        let call: CID
    }

    /// Which machine an order is of: the last bits of its number.
    private enum Origin: UInt64 {
        case server = 0
        case caller = 1
        case book = 2
        case proofs = 3
    }

    var server: CallServer
    var caller: Caller
    /// What peers owe each other.
    public package(set) var book: CreditBook
    /// The connected peers that run calls.
    var neighbours: Set<PeerID> = []
    var proofs: ProofExchange
    var receipts = ReceiptExchange()
    var random: SecretGenerator
    private var salts: SecretGenerator
    private var price: Price
    /// The questions that are being answered, by the server's number.
    private var serving = [UInt64: ServedCall]()
    private var events = Outbox<Event>()

    /// A node that has called nobody.
    ///
    /// - Parameters:
    ///   - secret: ``SecretGenerator/secretBytes`` random bytes, of which all choices follow.
    ///   - responders: what is known of peers from before.
    public init(
        offer: CallOffer, book: CreditBook, secret: [UInt8],
        responders: Responders = Responders(),
        limits: CallServerLimits = CallServerLimits()
    ) {
        server = CallServer(offer: offer, limits: limits)
        caller = Caller(secret: SHA256.hash((secret + [1]).rawSpan))
        caller.responders = responders
        salts = SecretGenerator(secret: SHA256.hash((secret + [2]).rawSpan))
        random = SecretGenerator(secret: SHA256.hash((secret + [3]).rawSpan))
        proofs = ProofExchange(owner: book.owner)
        self.book = book
        price = offer.price
    }

    /// All that is known of those who may be asked.
    public var responders: Responders { caller.responders }

    /// How many calls are under way: those of this node with their checks, and those of peers.
    public var callCounts: (own: Int, served: Int) { (caller.sessionCount, server.callCount) }

    // MARK: This node's calls

    /// Has a call run; see ``Caller/fetch(_:terms:audit:candidates:known:here:now:)``.
    public mutating func fetch(
        _ call: Call, terms: CallTerms = CallTerms(), audit: CallAudit = .usual,
        candidates: [PeerID], known: ResultHistory? = nil, here: LocalCapacity?, now: Instant
    ) -> UInt64 {
        caller.fetch(
            call, terms: terms, audit: audit, candidates: candidates, known: known, here: here,
            now: now)
    }

    /// Takes a call back.
    public mutating func cancel(_ number: UInt64, now: Instant) {
        caller.cancel(number, now: now)
    }

    /// A search has found a peer that is said to run a contract.
    public mutating func found(_ peer: PeerID, running contract: CID, now: Instant) {
        caller.found(peer, running: contract, now: now)
    }

    /// A search for those who run a contract has come to its end.
    public mutating func searched(_ contract: CID, now: Instant) {
        caller.searched(contract, now: now)
    }

    /// The way to a peer and back takes this long, as a ping has measured it.
    public mutating func setRoundTrip(_ time: Duration, of peer: PeerID) {
        caller.responders.setRoundTrip(time, of: peer)
    }

    // MARK: What is offered

    /// Changes what is offered to peers.
    public mutating func setOffer(_ offer: CallOffer) {
        price = offer.price
        server.setOffer(offer)
    }

    /// How long calls have to wait now.
    public mutating func setQueue(_ queue: Duration) { server.setQueue(queue) }

    // MARK: Orders that have been carried out

    /// Whether a signature that was to be looked at is the peer's.
    public mutating func verified(_ order: UInt64, _ isValid: Bool, now: Instant) {
        caller.verified(order >> 2, isValid, now: now)
    }

    /// A signature that was asked for; nil if none could be made.
    public mutating func signed(_ order: UInt64, _ signature: [UInt8]?) {
        if order & 3 == Origin.book.rawValue {
            book.signed(order >> 2, signature)
        } else {
            server.signed(order >> 2, signature)
        }
    }

    /// The result of a run; nil if this machine could not: that is no result of the call.
    ///
    /// - Parameter time: seconds since 1970.
    public mutating func ran(_ order: UInt64, _ record: CallRecord?, now: Instant, time: UInt64) {
        let number = order >> 2
        guard order & 3 == Origin.server.rawValue else {
            caller.ran(number, record, now: now)
            return
        }
        guard let peer = serving.removeValue(forKey: number)?.peer else { return }
        guard let record else { return server.refuse(number, .resource) }
        let salt = salts.bytes(CallProtocol.saltBytes)
        if let header = server.answer(number, record, price: price, salt: salt) {
            book.served(peer, header, now: now, time: time)
            stopIfOverdrawn(peer, time: time)
        }
    }

    /// A call that its asker took back has used so much gas here, about.
    ///
    /// - Parameter time: seconds since 1970.
    public mutating func used(_ gas: UInt64, by call: ServedCall, now: Instant, time: UInt64) {
        book.withdrew(call.peer, call: call.call, gas: gas, price: price, now: now, time: time)
        stopIfOverdrawn(call.peer, time: time)
    }

    /// Whoever has got as much as it may gets no more of what is under way for it.
    private mutating func stopIfOverdrawn(_ peer: PeerID, time: UInt64) {
        guard book.isOverdrawn(peer, time: time) else { return }
        let numbers = serving.filter { $0.value.peer == peer }.map { $0.key }.sorted()
        for number in numbers {
            serving[number] = nil
            server.refuse(number, .credit)
            events.append(.stop(Self.tag(number, .server), takenBack: nil))
        }
    }

    /// Instead of a run for a peer: what others have answered.
    public mutating func recalled(_ order: UInt64, _ history: ResultHistory) {
        let number = order >> 2
        guard order & 3 == Origin.server.rawValue, serving.removeValue(forKey: number) != nil
        else { return }
        server.recall(number, history)
    }

    /// A receipt has been kept, or could not be.
    public mutating func kept(_ order: UInt64, _ isKept: Bool) { book.kept(order >> 2, isKept) }

    /// What came of looking into a proof.
    public mutating func examined(_ order: UInt64, _ finding: ProofFinding, now: Instant) {
        proofs.examined(order >> 2, finding, now: now)
    }

    /// The blocks of records that were to be got, in their order; nil if not all could be.
    public mutating func loaded(_ order: UInt64, _ blocks: [[UInt8]]?, now: Instant) {
        caller.loaded(order >> 2, blocks, now: now)
    }

    /// This machine could not find out whether these records are to be had.
    public mutating func couldNotLoad(_ order: UInt64, now: Instant) {
        caller.couldNotLoad(order >> 2, now: now)
    }

    /// What came of a replay; nil if this machine could not run it.
    public mutating func replayed(_ order: UInt64, _ replay: Replay?, now: Instant) {
        caller.replayed(order >> 2, replay, now: now)
    }

    // MARK: Streams and time

    /// Takes what happened to a stream of ``CallProtocol/name``.
    ///
    /// - Parameters:
    ///   - isOurs: whether this node opened the stream, or tried to.
    ///   - time: seconds since 1970.
    public mutating func receive(_ event: StreamEvent, isOurs: Bool, now: Instant, time: UInt64) {
        if isOurs {
            caller.receive(event, now: now)
        } else {
            server.receive(event, now: now)
        }
        settle(now: now, time: time)
    }

    /// Gives up what takes too long.
    public mutating func advance(to now: Instant) {
        server.advance(to: now)
        caller.advance(to: now)
        advanceNews(to: now)
    }

    /// When `advance`, and then ``nextEvent(now:time:)``, have something to do.
    public var deadline: Instant? {
        server.deadline.earlier(caller.deadline).earlier(book.deadline).earlier(proofs.deadline)
            .earlier(receipts.next)
    }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? {
        caller.nextTransmit() ?? server.nextTransmit()
    }

    /// What happened.
    ///
    /// - Parameter time: seconds since 1970.
    public mutating func nextEvent(now: Instant, time: UInt64) -> Event? {
        settle(now: now, time: time)
        return events.popFirst()
    }

    // MARK: Between the machines

    /// What one machine says may make another speak.
    private mutating func settle(now: Instant, time: UInt64) {
        book.advance(to: now, time: time)
        while true {
            if let event = server.nextEvent() {
                take(event, now: now, time: time)
            } else if let event = caller.nextEvent() {
                take(event, now: now, time: time)
            } else if let event = book.nextEvent() {
                take(event)
            } else if let event = proofs.nextEvent() {
                take(event, now: now)
            } else {
                return
            }
        }
    }

    private static func tag(_ number: UInt64, _ origin: Origin) -> UInt64 {
        number << 2 | origin.rawValue
    }

    private mutating func take(_ event: CallServer.Event, now: Instant, time: UInt64) {
        switch event {
        case .asked(let number, let peer, let question):
            guard !caller.responders.isBanned(peer, now: now) else {
                return server.refuse(number, .notOffered)
            }
            guard book.mayServe(peer, time: time) else { return server.refuse(number, .credit) }
            serving[number] = ServedCall(peer: peer, call: question.call.cid)
            let purpose = RunPurpose.peer(peer, mayRecall: question.mayRecall)
            events.append(.run(Self.tag(number, .server), question.call, purpose))
        case .withdrawn(let number):
            guard let call = serving.removeValue(forKey: number) else { return }
            events.append(.stop(Self.tag(number, .server), takenBack: call))
        case .sign(let number, let message):
            events.append(.sign(Self.tag(number, .server), message))
        case .opened(let peer):
            book.remind(peer, now: now, time: time)
            if !neighbours.contains(peer) { proofs.meet(peer) }
        case .news(let peer, let news): take(news, from: peer, now: now)
        case .acknowledged(let peer, let receipt):
            book.take(acknowledgement: receipt, from: peer, time: time)
        }
    }

    private mutating func take(_ event: Caller.Event, now: Instant, time: UInt64) {
        switch event {
        case .verify(let number, let peer, let message, let signature):
            events.append(
                .verify(
                    Self.tag(number, .caller), peer, message: message, signature: signature))
        case .run(let number, let call, let terms, let audit):
            events.append(.run(Self.tag(number, .caller), call, .own(terms, audit)))
        case .stop(let number):
            events.append(.stop(Self.tag(number, .caller), takenBack: nil))
        case .search(let contract): events.append(.search(contract))
        case .load(let number, let cids, let peer):
            events.append(.load(Self.tag(number, .caller), cids, from: peer))
        case .replay(let number, let order):
            events.append(.replay(Self.tag(number, .caller), order))
        case .answered(let number, let result): events.append(.answered(number, result))
        case .failed(let number, let error): events.append(.failed(number, error))
        case .refuted(let number, let record): events.append(.refuted(number, record))
        case .owed(let peer, let header): book.received(peer, header, time: time)
        case .convicted(let peer, let evidence):
            book.lied(peer, time: time)
            events.append(.convicted(peer, evidence))
            spread(evidence, now: now)
        case .vouched(let answer, let via): events.append(.vouched(answer, via: via))
        case .disbelieve(let record): events.append(.disbelieve(record))
        case .news(let peer, let news): take(news, from: peer, now: now)
        case .claimed(let peer, let receipt):
            book.take(claim: receipt, from: peer, now: now, time: time)
        case .receipted(let peer, let receipt): book.take(receipt: receipt, from: peer)
        }
    }

    private mutating func take(_ event: CreditBook.Event) {
        switch event {
        case .sign(let number, let message):
            events.append(.sign(Self.tag(number, .book), message))
        case .claim(let peer, let receipt): server.claim(receipt, of: peer)
        case .acknowledge(let peer, let receipt): caller.acknowledge(receipt, to: peer)
        case .deliver(let peer, let receipt): server.deliver(receipt, to: peer)
        case .keep(let number, let receipt):
            events.append(.keep(Self.tag(number, .book), receipt))
        case .changed(let change): events.append(.changed(change))
        case .forked(let peer, let evidence):
            caller.convict(peer, evidence)
        }
    }

    private mutating func take(_ event: ProofExchange.Event, now: Instant) {
        switch event {
        case .tell(let peer, let news): tell(news, to: peer, now: now)
        case .examine(let number, let file):
            events.append(.examine(Self.tag(number, .proofs), file))
        case .stop(let number):
            events.append(.stop(Self.tag(number, .proofs), takenBack: nil))
        case .proven(let evidence): caller.convict(evidence.accused, evidence)
        case .slandered(let peer):
            caller.responders.ban(peer, until: now + Responders.banTime)
        }
    }
}
