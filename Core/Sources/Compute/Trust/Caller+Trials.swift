// Disputes under way, and what follows from them.

import Multiformats
public import Wire

extension Caller {
    mutating func open(_ dispute: Dispute, for number: UInt64, now: Instant) {
        guard trials.count < Self.maxDisputes else {
            sessions[number]?.isUnclear = true
            sessions[number]?.given = []
            return goOn(number, now: now)
        }
        let trial = makeNumber()
        sessions[number]?.disputeNumber = trial
        trials[trial] = Trial(dispute: dispute, deadline: now)
        proceed(trial, now: now)
    }

    private mutating func makeOrder(of trial: UInt64) -> UInt64 {
        let order = makeNumber()
        trials[trial]?.order = order
        trialOrders[order] = trial
        return order
    }

    private mutating func wait(for trial: UInt64, until deadline: Instant) {
        trials[trial]?.deadline = deadline
        deadlines.add(.dispute(trial), at: deadline)
    }

    private mutating func proceed(_ number: UInt64, now: Instant) {
        guard var dispute = trials[number]?.dispute else { return }
        let step = dispute.next()
        trials[number]?.dispute = dispute
        switch step {
        case .load(let cids, let party):
            trials[number]?.party = party
            trials[number]?.wanted = cids
            wait(for: number, until: now + Self.loadTime)
            events.append(.load(makeOrder(of: number), cids, from: dispute.parties[party].peer))
        case .replay(let order, let party):
            trials[number]?.party = party
            trials[number]?.wanted = []
            wait(for: number, until: now + Self.replayTime)
            events.append(.replay(makeOrder(of: number), order))
        case .over:
            trials[number] = nil
            judge(dispute, of: number, now: now)
        }
    }

    /// The blocks of records that were to be got, in the order in which they were named; nil if not
    /// all of them could be.
    public mutating func loaded(_ order: UInt64, _ blocks: [[UInt8]]?, now: Instant) {
        guard let number = trialOrders.removeValue(forKey: order), let trial = trials[number],
            trial.order == order
        else { return }
        trials[number]?.dispute.loaded(
            blocks.flatMap { Self.records($0, trial.wanted) }, party: trial.party)
        proceed(number, now: now)
        settle(now: now)
    }

    /// This machine could not find out whether they are to be had, which is nobody's fault.
    public mutating func couldNotLoad(_ order: UInt64, now: Instant) {
        guard let number = trialOrders.removeValue(forKey: order), trials[number]?.order == order
        else { return }
        trials[number]?.dispute.couldNotLoad()
        proceed(number, now: now)
        settle(now: now)
    }

    private static func records(_ blocks: [[UInt8]], _ cids: [CID]) -> [CallRecord]? {
        guard blocks.count == cids.count else { return nil }
        var records: [CallRecord] = []
        for (block, cid) in zip(blocks, cids) {
            // What does not decode is no record, whoever has signed its name.
            guard let record = try? CallRecord(decoding: block.rawSpan), record.cid == cid else {
                return nil
            }
            records.append(record)
        }
        return records
    }

    /// What came of a replay; nil if this node could not run it.
    public mutating func replayed(_ order: UInt64, _ replay: Replay?, now: Instant) {
        guard let number = trialOrders.removeValue(forKey: order), let trial = trials[number],
            trial.order == order
        else { return }
        trials[number]?.dispute.replayed(replay, party: trial.party)
        proceed(number, now: now)
        settle(now: now)
    }

    /// A step of a trial took too long.
    mutating func giveUp(_ number: UInt64, now: Instant) {
        guard let trial = trials[number] else { return }
        trialOrders[trial.order] = nil
        if trial.wanted.isEmpty {
            trials[number]?.dispute.replayed(nil, party: trial.party)
        } else {
            trials[number]?.dispute.loaded(nil, party: trial.party)
        }
        proceed(number, now: now)
    }

    /// A peer is proven to have lied.
    mutating func convict(_ peer: PeerID, _ evidence: Evidence) {
        guard !responders.isBannedForGood(peer) else { return }
        responders.ban(peer, until: nil)
        events.append(.convicted(peer, evidence))
    }

    /// A dispute is over: liars go, and the session goes on with what is left.
    private mutating func judge(_ dispute: Dispute, of trial: UInt64, now: Instant) {
        var guilty: Set<PeerID> = []
        let owner = sessions.first { $0.value.disputeNumber == trial }
        let given = owner?.value.given ?? []
        for (peer, evidence) in dispute.evidence {
            guilty.insert(peer)
            convict(peer, evidence)
            // Whoever has signed the same record has told the same lie.
            guard case .wrongAnswer(let wrong) = evidence else { continue }
            for other in given where other.record == wrong.answer.record {
                guard let accomplice = other.responder.peer, let answer = other.answer,
                    guilty.insert(accomplice).inserted
                else { continue }
                let same = WrongAnswer(answer, path: wrong.path, records: wrong.records)
                convict(accomplice, .wrongAnswer(same))
            }
        }
        for other in given {
            // It could not know better, or so it seems; but it is relied upon less from now on.
            guard let peer = other.responder.peer, guilty.contains(peer), let via = other.via
            else { continue }
            responders.note(.brokenWord, of: via, now: now)
        }
        for peer in dispute.withholding {
            // That cannot be proven to others, so it is this node's affair, and for a time.
            guilty.insert(peer)
            responders.ban(peer, until: now + Responders.banTime)
        }
        guard let (number, session) = owner else { return }
        sessions[number]?.disputeNumber = nil
        for given in session.given {
            guard let peer = given.responder.peer, guilty.contains(peer) else { continue }
            sessions[number]?.noteRefuted(given.responder)
        }
        let first = session.given.first?.responder.peer
        let wasFirstGuilty = first.map { guilty.contains($0) } ?? false
        // What is too old to be looked into is believed no more, and nobody is to blame.
        guilty.formUnion(dispute.forgetful)
        for other in given where other.isNoted {
            guard let peer = other.responder.peer, guilty.contains(peer) else { continue }
            events.append(.disbelieve(other.record))
            break
        }
        if guilty.isEmpty {
            // Nobody is found to be wrong, so nobody is believed but this node itself.
            sessions[number]?.isUnclear = true
            sessions[number]?.given.removeAll { $0.responder != .here }
        } else {
            sessions[number]?.given.removeAll { given in
                given.responder.peer.map { guilty.contains($0) } ?? false
            }
        }
        guard session.isDelivered else { return conclude(number, now: now) }
        if wasFirstGuilty {
            let right = sessions[number]?.given.first?.record
            for waiter in session.waiters(number) { events.append(.refuted(waiter, right)) }
        }
        end(number)
    }
}
