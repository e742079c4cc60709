// What comes back from those who were asked, and when it is enough.

public import Multiformats
public import Wire

extension Caller {
    /// Takes what the client has to say.
    mutating func settle(now: Instant) {
        while let event = client.nextEvent() {
            switch event {
            case .offered(let peer, let offer): responders.setOffer(offer, of: peer)
            case .queued(let peer, let queue): responders.setQueue(queue, of: peer)
            case .verify(let order, let peer, let message, let signature):
                events.append(.verify(order, peer, message: message, signature: signature))
            case .answered(let question, let answer): take(answer, to: question, now: now)
            case .failed(let question, let failure): take(failure, of: question, now: now)
            case .claimed(let peer, let receipt): events.append(.claimed(peer, receipt))
            case .receipted(let peer, let receipt): events.append(.receipted(peer, receipt))
            case .news(let peer, let news): events.append(.news(peer, news))
            case .recalled(let question, let peer, let answers):
                take(answers, passedOnBy: peer, to: question, now: now)
            }
        }
        callUp(now: now)
    }

    private mutating func take(_ answer: CallAnswer, to question: UInt64, now: Instant) {
        guard let number = owners.removeValue(forKey: question) else { return }
        let peer = answer.header.responder
        let header = answer.header.header
        events.append(.owed(peer, header))
        guard let attempt = end(question, of: number) else { return }
        responders.noteAnswer(
            of: peer, gas: header.gas, expected: attempt.expected,
            took: now.since(attempt.started),
            load: (attempt.work.adding(attempt.waiting), attempt.work))
        sessions[number]?.amount += header.amount
        sessions[number]?.note(attempt, .answered, now: now)
        sessions[number]?.given.append(
            CallSession.Given(responder: .peer(peer), record: answer.record, answer: answer))
        conclude(number, now: now)
    }

    /// Takes what others have signed before, as a peer passes it on.
    private mutating func take(
        _ answers: [CallAnswer], passedOnBy peer: PeerID, to question: UInt64, now: Instant
    ) {
        guard let number = owners.removeValue(forKey: question),
            let attempt = end(question, of: number)
        else { return }
        let new = answers.filter { answer in
            let signer = answer.header.responder
            return !responders.isBanned(signer, now: now)
                && sessions[number]?.given.contains { $0.responder == .peer(signer) } == false
        }
        sessions[number]?.note(attempt, .passedOn(UInt32(clamping: new.count)), now: now)
        for answer in new {
            sessions[number]?.given.append(
                CallSession.Given(
                    responder: .peer(answer.header.responder), record: answer.record,
                    answer: answer, via: peer, isRemembered: true))
        }
        if new.isEmpty { goOn(number, now: now) } else { conclude(number, now: now) }
    }

    private mutating func take(_ failure: CallFailure, of question: UInt64, now: Instant) {
        guard let number = owners.removeValue(forKey: question),
            let attempt = end(question, of: number)
        else { return }
        // A peer that had less than its time for the call is not to blame.
        let isBlamed = failure != .stalled || now.since(attempt.started) >= attempt.expected
        if case .peer(let peer) = attempt.responder, isBlamed {
            responders.note(failure, of: peer, now: now)
        }
        sessions[number]?.note(attempt, .failed(failure), now: now)
        goOn(number, now: now)
    }

    /// The result of a call that this node was to run; nil if it could not.
    public mutating func ran(_ order: UInt64, _ record: CallRecord?, now: Instant) {
        guard let number = runs.removeValue(forKey: order),
            let attempt = end(order, of: number)
        else { return }
        guard let record else {
            sessions[number]?.note(attempt, .notRunHere, now: now)
            goOn(number, now: now)
            return
        }
        sessions[number]?.note(attempt, .answered, now: now)
        sessions[number]?.given.append(
            CallSession.Given(responder: .here, record: record, answer: nil))
        conclude(number, now: now)
        settle(now: now)
    }

    /// Somebody who was asked is of no use: asks somebody else, unless others are still at it.
    func isWaiting(_ number: UInt64) -> Bool {
        guard let session = sessions[number] else { return false }
        return session.disputeNumber != nil || !session.attempts.isEmpty || session.isSearching
            || session.isQueued
    }

    /// Goes on after something failed.
    mutating func goOn(_ number: UInt64, now: Instant) {
        guard let session = sessions[number] else { return }
        if session.isDelivered {
            guard session.disputeNumber == nil, session.attempts.isEmpty else { return }
            if session.given.count <= session.deliveredCount {
                check(number, now: now)
            } else {
                end(number)
            }
            return
        }
        if session.isSettled { return conclude(number, now: now) }
        guard session.disputeNumber == nil else { return }
        if !fill(number, now: now), widen(number, now: now) { fill(number, now: now) }
        guard !isWaiting(number) else { return }
        // Who can run it itself does not depend on peers.
        if session.here != nil, !session.ranHere {
            runHere(number, now: now)
            return
        }
        fail(number, session.failure)
    }

    /// Looks whether what came suffices, and what is to be done if not.
    mutating func conclude(_ number: UInt64, now: Instant) {
        guard let session = sessions[number], session.disputeNumber == nil else { return }
        if let (one, two) = session.opponents {
            open(
                Dispute(
                    Dispute.Party(one), Dispute.Party(two)),
                for: number, now: now)
            return
        }
        guard session.isSettled else { return goOn(number, now: now) }
        remember(number)
        guard !session.isDelivered else { return end(number) }
        stopAttempts(of: number, now: now)
        deliver(number, now: now)
    }

    /// Says which answers are worth remembering.
    private mutating func remember(_ number: UInt64) {
        for (place, given) in (sessions[number]?.given ?? []).enumerated() where !given.isNoted {
            sessions[number]?.given[place].isNoted = true
            if let answer = given.answer { events.append(.vouched(answer, via: given.via)) }
        }
    }

    private mutating func deliver(_ number: UInt64, now: Instant) {
        guard let session = sessions[number], let first = session.given.first else { return }
        let own = session.given.first { $0.responder == .here }
        let witnesses = session.given.count { $0.via == nil }
        let basis: Confidence.Basis =
            if own != nil {
                .executedHere
            } else if session.needed > 1 || first.isRemembered && witnesses > 1 {
                .agreement(UInt32(witnesses))
            } else if case .sample(let millionths) = session.audit, canCheck(session, now: now) {
                .sampling(millionths: millionths)
            } else {
                .history
            }
        let history = first.responder.peer.map { responders[$0] }
        let result = CallResult(
            record: first.record, responder: first.responder, answer: first.answer,
            isRemembered: first.isRemembered, confidence: Confidence(basis, of: history),
            amount: session.amount, trace: session.trace)
        for waiter in session.waiters(number) { events.append(.answered(waiter, result)) }
        sessions[number]?.isDelivered = true
        sessions[number]?.deliveredCount = session.given.count
        closeToOthers(number, session)
        // Whether it is checked is decided now, when nobody can make the answer depend on it.
        guard own == nil, case .sample(let millionths) = session.audit,
            random.next() % 1_000_000 < UInt64(millionths)
        else { return end(number) }
        check(number, now: now)
    }

    /// Asks another peer at random the same. For it this is a question like any other. If there is
    /// none, this node runs the call itself.
    mutating func check(_ number: UInt64, now: Instant) {
        guard let session = sessions[number], session.checks < CallSession.maxChecks else {
            return end(number)
        }
        let peers = responders.eligible(session.rest, for: session.call, session.terms, now: now)
        if let peer = Responders.pick(peers, &random) {
            sessions[number]?.checks += 1
            ask(peer, for: number, now: now)
        } else if session.here != nil, !session.ranHere {
            sessions[number]?.checks += 1
            runHere(number, now: now)
        } else if !session.isSearching {
            if widen(number, now: now) { check(number, now: now) } else { end(number) }
        }
    }

    /// Whether there is anybody who could check an answer: another peer, or this node.
    private func canCheck(_ session: CallSession, now: Instant) -> Bool {
        session.here != nil && !session.ranHere
            || !responders.eligible(session.rest, for: session.call, session.terms, now: now)
                .isEmpty
    }
}

extension Responder {
    /// The peer; nil for this node.
    public var peer: PeerID? {
        if case .peer(let peer) = self { peer } else { nil }
    }
}
