// The calls of this node: chooses who runs each, asks a second one when the first is slow, checks
// answers, finds out who is wrong when they differ, and stops asking liars.

public import Multiformats
public import Wire

/// Has calls run, here or by peers.
public struct Caller: Sendable {
    /// What happened, and what the owner has to do.
    public enum Event: Hashable, Sendable {
        /// Look whether this is the peer's signature: ``verified(_:_:now:)`` with the number.
        case verify(UInt64, PeerID, message: [UInt8], signature: [UInt8])
        /// Run this call for this node: ``ran(_:_:now:)`` with the number. What it calls may be
        /// asked of peers, on these terms and checked like this (``RunPurpose/own(_:_:)``).
        case run(UInt64, Call, CallTerms, CallAudit)
        /// Look for peers that run this contract: ``found(_:running:now:)`` for each, then
        /// ``searched(_:now:)``.
        case search(CID)
        /// Its result is not needed any more.
        case stop(UInt64)
        /// Get these records, from a peer or, without one, from this node's store:
        /// ``loaded(_:_:now:)`` with the number.
        case load(UInt64, [CID], from: PeerID?)
        /// Run this activation again: ``replayed(_:_:now:)`` with the number.
        case replay(UInt64, ReplayOrder)
        /// The result of a call.
        case answered(UInt64, CallResult)
        /// There is no result of a call.
        case failed(UInt64, CallError)
        /// A result that was given out has turned out to be wrong. With the right one, if it is
        /// known.
        case refuted(UInt64, CallRecord?)
        /// A peer has answered, which this node now owes it for.
        case owed(PeerID, CallHeader)
        /// A peer has lied. It is not asked any more; the proof is for everybody.
        case convicted(PeerID, Evidence)
        /// A peer says what this node owes it.
        case claimed(PeerID, [UInt8])
        /// A peer has signed a receipt that this node signed.
        case receipted(PeerID, [UInt8])
        /// An answer that nothing speaks against is worth remembering.
        case vouched(CallAnswer, via: PeerID?)
        /// A result is not to be remembered any more: somebody who vouched for it lied, or it
        /// cannot be told whether it is right.
        case disbelieve(CallRecord)
        /// A peer says something that has to do with no question.
        case news(PeerID, CallNews)
    }

    /// The most calls under way, checks among them.
    public static let maxSessions = 4_096
    /// The most disputes under way.
    public static let maxDisputes = 64
    /// How much longer than twice what is expected this node may take for a call of its own, before
    /// a peer is asked as well. It does not vanish; it is slow when a call is more than others of
    /// its method were, and then a peer would be, too.
    static let patienceHere: Duration = .seconds(1)
    /// How long a peer may take to give out records that it has committed to.
    static let loadTime: Duration = .seconds(30)
    /// How long this node may take to replay an activation.
    static let replayTime: Duration = .seconds(300)

    enum Due: Sendable {
        case session(UInt64)
        case dispute(UInt64)
        case search(CID)
    }

    /// A dispute of a session.
    struct Trial: Sendable {
        var dispute: Dispute
        var order: UInt64 = 0
        var party = 0
        var wanted: [CID] = []
        var deadline: Instant
    }

    var client = CallClient()
    /// All that is known of those who may be asked.
    public internal(set) var responders = Responders()
    var sessions = [UInt64: CallSession]()
    /// The session of each question and of each run.
    var owners = [UInt64: UInt64]()
    var runs = [UInt64: UInt64]()
    var search = ResponderSearch()
    /// The sessions that wait until a peer may be asked for more, and for how many there is room.
    private var line = Outbox<UInt64>()
    private var freed = 0
    /// The sessions that others may join, and which session those follow who have.
    var shared = [CallSession.Key: UInt64]()
    private var leaders = [UInt64: UInt64]()
    var trials = [UInt64: Trial]()
    var trialOrders = [UInt64: UInt64]()
    private var hedges = HedgeBudget()
    var deadlines = DeadlineQueue<Due>()
    var random: SecretGenerator
    private var nextNumber: UInt64 = 1
    var events = Outbox<Event>()

    /// A caller whose choices and nonces follow from a secret of
    /// ``SecretGenerator/secretBytes`` random bytes.
    public init(secret: [UInt8]) { random = SecretGenerator(secret: secret) }

    /// How many calls, and checks of calls, are under way.
    public var sessionCount: Int { sessions.count }

    // MARK: Calls

    /// Has a call run. Its number comes back with the result, or with the reason why there is none,
    /// by the end of the terms' patience.
    ///
    /// - Parameters:
    ///   - candidates: the peers that may be asked.
    ///   - known: who vouches for a result that is remembered. If that is as much as `audit` wants,
    ///     nobody is asked.
    ///   - here: what this node can do itself; nil if it does not run this call.
    public mutating func fetch(
        _ call: Call, terms: CallTerms = CallTerms(), audit: CallAudit = .usual,
        candidates: [PeerID], known: ResultHistory? = nil, here: LocalCapacity?, now: Instant
    ) -> UInt64 {
        let number = makeNumber()
        guard sessions.count + leaders.count < Self.maxSessions else {
            events.append(.failed(number, CallError(kind: .overLimit, trace: [])))
            return number
        }
        let order = CallSession.Order(call, terms, audit, candidates, here, now + terms.patience)
        let leader = shared[order.key]
        let other = leader.flatMap { sessions[$0] }
        if let leader, other?.ends(about: order) == true {
            follow(leader, number, until: order.deadline)
            return number
        }
        var session = CallSession(order: order)
        if let known { recall(known, for: &session, now: now) }
        sessions[number] = session
        guard !session.isSettled else {
            conclude(number, now: now)
            settle(now: now)
            return number
        }
        // The one that goes on longest is joined by most.
        if other.map({ $0.deadline < order.deadline }) ?? true { shared[order.key] = number }
        if audit == .selfExecution { runHere(number, now: now) }
        if session.isImpossible {
            fail(number, .nobody)
        } else if !isWaiting(number) {
            goOn(number, now: now)
        }
        watch(number)
        settle(now: now)
        return number
    }

    /// Somebody wants what somebody else has asked for: one call, and both get its result.
    private mutating func follow(_ leader: UInt64, _ number: UInt64, until deadline: Instant) {
        sessions[leader]?.followers.append(number)
        leaders[number] = leader
        guard let session = sessions[leader], session.deadline < deadline else { return }
        sessions[leader]?.deadline = deadline
        watch(leader)
    }

    /// Takes a call back. What others wait for goes on.
    public mutating func cancel(_ number: UInt64, now: Instant) {
        let leader = leaders.removeValue(forKey: number) ?? number
        guard let session = sessions[leader], !session.isDelivered else { return }
        if leader == number {
            sessions[leader]?.isLeaderGone = true
        } else {
            sessions[leader]?.followers.removeAll { $0 == number }
        }
        guard sessions[leader]?.waiters(leader).isEmpty == true else { return }
        stopAttempts(of: leader, now: now)
        end(leader)
    }

    /// Chooses somebody for a session and asks. Returns whether there was anybody.
    @discardableResult
    mutating func ask(for number: UInt64, now: Instant) -> Bool {
        guard let session = sessions[number], session.asked.count < session.maxAsked else {
            return false
        }
        // A quorum is of peers; who runs the call itself needs no quorum.
        let mayRun = !session.ranHere && session.needed == 1 && !session.isDelivered
        let rest = session.rest
        // Where this node is slow or busy, and nobody is known, looking for somebody may pay.
        if mayRun, let here = session.here, session.isSearching || !session.hasSearched,
            session.attempts.isEmpty,
            responders.eligible(rest, for: session.call, session.terms, now: now).isEmpty,
            responders.isWorthSearching(for: session.call, here: here, session.terms)
        {
            return false
        }
        let open = rest.filter { client.hasRoom(for: $0) }
        let choice = responders.choose(
            for: session.call, session.terms, of: open, here: mayRun ? session.here : nil,
            random: &random, now: now)
        switch choice {
        case .here?: runHere(number, now: now)
        case .peer(let peer)?: ask(peer, for: number, now: now)
        case nil:
            guard open.count < rest.count else { return false }
            let full = rest.filter { !client.hasRoom(for: $0) }
            guard !responders.eligible(full, for: session.call, session.terms, now: now).isEmpty
            else { return false }
            sessions[number]?.isQueued = true
            line.append(number)
            return false
        }
        return true
    }

    /// Lets those ask who wait because this node had asked everybody for as much as it may.
    mutating func callUp(now: Instant) {
        while freed > 0, let number = line.popFirst() {
            guard sessions[number]?.isQueued == true else { continue }
            freed -= 1
            sessions[number]?.isQueued = false
            goOn(number, now: now)
        }
        freed = 0
    }

    mutating func ask(_ peer: PeerID, for number: UInt64, now: Instant) {
        guard let session = sessions[number] else { return }
        let gas = session.terms.gas(of: session.call)
        let patience = session.isDelivered ? session.terms.patience : session.deadline.since(now)
        let question = client.ask(
            session.call, of: peer, maxPrice: session.terms.maxPrice,
            nonce: random.bytes(CallProtocol.nonceBytes), patience: patience,
            mayRecall: mayRecall(session), now: now)
        owners[question] = number
        if session.asked.isEmpty { hedges.noteCall() }
        let history = responders[peer]
        let attempt = CallSession.Attempt(
            responder: .peer(peer), started: now, expected: history.expectedTime(gas: gas),
            work: history.runningTime(gas: gas), waiting: history.waitingTime)
        sessions[number]?.attempts.append((question, attempt))
        sessions[number]?.asked.insert(peer)
        sessions[number]?.hedgeAt = now + history.patience(gas: gas)
        responders.noteWork(attempt.work, of: peer)
        watch(number)
    }

    /// Whether what others have signed before is welcome. Who checks an answer is to run the call
    /// itself, and is not to know that it checks: so every second question of those that are
    /// checked now and then says no as well.
    private mutating func mayRecall(_ session: CallSession) -> Bool {
        switch session.audit {
        case .none: true
        case .sample: !session.isDelivered && random.next() & 1 == 0
        case .quorum, .selfExecution: false
        }
    }

    /// Puts what is remembered among what was given.
    private func recall(_ known: ResultHistory, for session: inout CallSession, now: Instant) {
        guard known.record.call == session.call, session.audit != .selfExecution else { return }
        let isQuorum = session.needed > 1
        for voucher in known.vouchers
        where !responders.isBanned(voucher.signer, now: now) && !(isQuorum && voucher.via != nil) {
            session.given.append(
                CallSession.Given(
                    responder: .peer(voucher.signer), record: known.record,
                    answer: known.answer(voucher), via: voucher.via, isRemembered: true,
                    isNoted: true))
        }
    }

    mutating func runHere(_ number: UInt64, now: Instant) {
        guard let session = sessions[number], let here = session.here, !session.ranHere else {
            return
        }
        let order = makeNumber()
        let time = session.terms.gas(of: session.call).scaled(
            by: 1_000_000, over: max(1, here.speed))
        let expected = Duration(microseconds: time.adding(here.queue.microseconds))
        runs[order] = number
        sessions[number]?.ranHere = true
        sessions[number]?.attempts.append(
            (order, CallSession.Attempt(responder: .here, started: now, expected: expected)))
        sessions[number]?.hedgeAt = now + expected + expected + Self.patienceHere
        // What is held against the answers of peers rests on nobody's word.
        let isFirst = session.needed == 1 && !session.isDelivered
        events.append(
            .run(order, session.call, session.terms, isFirst ? session.audit : .selfExecution))
    }

    /// Sends a peer a receipt that this node has signed.
    mutating func acknowledge(_ receipt: [UInt8], to peer: PeerID) {
        client.acknowledge(receipt, to: peer)
    }

    /// Tells a peer something that has to do with no question.
    mutating func tell(_ news: CallNews, to peer: PeerID, now: Instant) {
        client.tell(news, to: peer, now: now)
    }

    // MARK: Streams and time

    /// Takes what happened to a stream of the protocol that this node opened.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        client.receive(event, now: now)
        settle(now: now)
    }

    /// Whether a signature that was to be looked at is the peer's.
    public mutating func verified(_ number: UInt64, _ isValid: Bool, now: Instant) {
        client.verified(number, isValid, now: now)
        settle(now: now)
    }

    /// Asks others where somebody is slow, and gives up what takes too long.
    public mutating func advance(to now: Instant) {
        client.advance(to: now)
        settle(now: now)
        while let due = deadlines.popDue(at: now) {
            switch due {
            case .session(let number): look(at: number, now: now)
            case .dispute(let number):
                guard let trial = trials[number], trial.deadline <= now else { continue }
                giveUp(number, now: now)
            case .search(let contract):
                guard let end = search.end(of: contract), end <= now else { continue }
                searched(contract, now: now)
            }
        }
        settle(now: now)
    }

    private mutating func look(at number: UInt64, now: Instant) {
        guard let session = sessions[number] else { return }
        if !session.isDelivered, session.deadline <= now {
            stopAttempts(of: number, now: now)
            fail(number, session.isUnclear ? .disputed : .timedOut)
            return
        }
        guard let hedge = session.hedgeAt, hedge <= now else { return }
        sessions[number]?.hedgeAt = nil
        guard !session.isDelivered, session.disputeNumber == nil else { return }
        guard session.hasWaitedLonger || hedges.take() else {
            let waited = session.attempts.last.map { now.since($0.attempt.started) }
            sessions[number]?.hasWaitedLonger = true
            sessions[number]?.hedgeAt = now + max(waited ?? .zero, HedgeBudget.pause)
            return watch(number)
        }
        sessions[number]?.hasWaitedLonger = false
        // One more than are needed is enough: the slowest has had its own time and another's.
        if session.attempts.count > session.needed - session.given.count,
            let first = session.attempts.first
        {
            guard case .peer(let peer) = first.attempt.responder else { return }
            owners[first.number] = nil
            client.cancel(first.number, now: now)
            _ = end(first.number, of: number)
            sessions[number]?.note(first.attempt, .failed(.stalled), now: now)
            responders.note(.stalled, of: peer, now: now)
        }
        guard !ask(for: number, now: now) else { return }
        if session.needed > 1, session.here != nil, !session.ranHere {
            // A peer that says nothing must not keep a quorum from what this node can do itself.
            let turn = session.ownTurn
            if turn <= now {
                runHere(number, now: now)
            } else {
                sessions[number]?.hasWaitedLonger = true
                sessions[number]?.hedgeAt = turn
            }
            watch(number)
        } else if !isWaiting(number) {
            goOn(number, now: now)
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { client.deadline.earlier(deadlines.first) }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { client.nextTransmit() }

    /// What happened.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    // MARK: Tables

    mutating func makeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    private mutating func watch(_ number: UInt64) {
        guard let session = sessions[number], !session.isDelivered else { return }
        compact()
        deadlines.add(.session(number), at: session.deadline)
        if let hedge = session.hedgeAt { deadlines.add(.session(number), at: hedge) }
    }

    /// Leaves out the deadlines of calls that are over, when they have become the most by far:
    /// calls end a thousand times sooner than their patience.
    private mutating func compact() {
        guard deadlines.count > 8 * (sessions.count + trials.count) + 512 else { return }
        deadlines = DeadlineQueue()
        let open = sessions.map { $0.key }.sorted()
        for number in open {
            guard let session = sessions[number], !session.isDelivered else { continue }
            deadlines.add(.session(number), at: session.deadline)
            if let hedge = session.hedgeAt { deadlines.add(.session(number), at: hedge) }
        }
        let disputed = trials.map { $0.key }.sorted()
        for number in disputed {
            guard let trial = trials[number] else { continue }
            deadlines.add(.dispute(number), at: trial.deadline)
        }
        for (contract, end) in search.underWay { deadlines.add(.search(contract), at: end) }
    }

    /// Takes back whatever is under way for a session.
    mutating func stopAttempts(of number: UInt64, now: Instant) {
        for (order, _) in sessions[number]?.attempts ?? [] {
            guard let attempt = end(order, of: number) else { continue }
            sessions[number]?.note(attempt, .cancelled, now: now)
            if attempt.responder == .here {
                runs[order] = nil
                events.append(.stop(order))
            } else {
                owners[order] = nil
                client.cancel(order, now: now)
            }
        }
    }

    /// Takes an attempt out of its session, and its work off who has it.
    mutating func end(_ attempt: UInt64, of number: UInt64) -> CallSession.Attempt? {
        guard let ended = sessions[number]?.end(attempt) else { return nil }
        if case .peer(let peer) = ended.responder {
            responders.noteWork(ended.work, doneBy: peer)
            if !line.isEmpty { freed += 1 }
        }
        return ended
    }

    mutating func fail(_ number: UInt64, _ kind: CallError.Kind) {
        guard let session = sessions[number] else { return }
        end(number)
        let error = CallError(kind: kind, trace: session.trace)
        for waiter in session.waiters(number) { events.append(.failed(waiter, error)) }
    }

    /// Nobody can join a session any more.
    mutating func closeToOthers(_ number: UInt64, _ session: CallSession) {
        if shared[session.order.key] == number { shared[session.order.key] = nil }
    }

    /// Forgets a session. A dispute that it began goes on.
    mutating func end(_ number: UInt64) {
        guard let session = sessions.removeValue(forKey: number) else { return }
        if !session.isDelivered { closeToOthers(number, session) }
        for follower in session.followers { leaders[follower] = nil }
    }
}
