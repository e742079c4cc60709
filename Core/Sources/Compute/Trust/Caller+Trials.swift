// Disputes under way, accusations from elsewhere, and what follows from both.

import Multiformats
public import Wire

extension Caller {
    /// Looks into what somebody says about a peer. If it is proven, or a replay proves it, the peer
    /// is not asked any more.
    ///
    /// - Throws: ``EvidenceFault`` if it proves nothing, whatever a replay says.
    public mutating func accuse(_ evidence: Evidence, now: Instant) throws(EvidenceFault) {
        switch try evidence.examine() {
        case .proven: convict(evidence.accused, evidence)
        case .dependsOn(let order):
            guard trials.count < Self.maxDisputes,
                !responders.isBanned(evidence.accused, now: now)
            else { return }
            let number = makeNumber()
            trials[number] = Trial(
                dispute: nil, session: nil, accusation: evidence, deadline: now + Self.replayTime)
            wait(for: number, until: now + Self.replayTime)
            events.append(.replay(makeOrder(of: number), order))
        }
    }

    mutating func open(_ dispute: Dispute, for number: UInt64, now: Instant) {
        guard trials.count < Self.maxDisputes else {
            sessions[number]?.isUnclear = true
            sessions[number]?.given = []
            return goOn(number, now: now)
        }
        let trial = makeNumber()
        sessions[number]?.disputeNumber = trial
        trials[trial] = Trial(
            dispute: dispute, session: number, accusation: nil, deadline: now)
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
        trials[number]?.dispute?.loaded(
            blocks.flatMap { Self.records($0, trial.wanted) }, party: trial.party)
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
        guard let accusation = trial.accusation else {
            trials[number]?.dispute?.replayed(replay, party: trial.party)
            proceed(number, now: now)
            settle(now: now)
            return
        }
        trials[number] = nil
        guard let replay, case .dependsOn(let task)? = try? accusation.examine(),
            task.isRefuted(by: replay)
        else { return }
        convict(accusation.accused, accusation)
    }

    /// A step of a trial took too long.
    mutating func giveUp(_ number: UInt64, now: Instant) {
        guard let trial = trials[number] else { return }
        trialOrders[trial.order] = nil
        guard trial.dispute != nil else {
            trials[number] = nil
            return
        }
        if trial.wanted.isEmpty {
            trials[number]?.dispute?.replayed(nil, party: trial.party)
        } else {
            trials[number]?.dispute?.loaded(nil, party: trial.party)
        }
        proceed(number, now: now)
    }

    /// A peer is proven to have lied.
    mutating func convict(_ peer: PeerID, _ evidence: Evidence) {
        responders.ban(peer, until: nil)
        events.append(.convicted(peer, evidence))
    }

    /// A dispute is over: liars go, and the session goes on with what is left.
    private mutating func judge(_ dispute: Dispute, of trial: UInt64, now: Instant) {
        var guilty: Set<PeerID> = []
        for (peer, evidence) in dispute.evidence {
            guilty.insert(peer)
            convict(peer, evidence)
        }
        for peer in dispute.withholding {
            // That cannot be proven to others, so it is this node's affair, and for a time.
            guilty.insert(peer)
            responders.ban(peer, until: now + Responders.banTime)
        }
        let owner = sessions.first { $0.value.disputeNumber == trial }
        guard let (number, session) = owner else { return }
        sessions[number]?.disputeNumber = nil
        for given in session.given {
            guard let peer = given.responder.peer, guilty.contains(peer) else { continue }
            sessions[number]?.noteRefuted(given.responder)
        }
        let first = session.given.first?.responder.peer
        let wasFirstGuilty = first.map { guilty.contains($0) } ?? false
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
