// How work is handed out: what is read next first, to each source as much as it delivers.

import Multiformats
import Wire

extension WantTable {
    /// For how long a source is given work ahead, besides the time that its answers take.
    private static let horizon = 0.5
    /// How many blocks are looked through for one that a source may have.
    private static let lookThrough = 256

    /// Looks at every session: asks who has what, hands out work, gives up what nobody can bring.
    mutating func plan(now: Instant) {
        guard !sessionOrder.isEmpty else { return }
        // Everyone begins once.
        sessionOrder.append(sessionOrder.removeFirst())
        for id in sessionOrder {
            revive(in: id, now: now)
            planStream(in: id, now: now)
            assign(in: id, now: now)
            reviewRequests(in: id, now: now)
            probe(in: id, now: now)
            search(in: id, now: now)
            giveUp(in: id, now: now)
        }
    }

    mutating func begin(at id: SourceID, now: Instant) {
        // Whoever was idle had nothing to be silent about.
        if sources[id].map({ $0.open.isEmpty && $0.streams.isEmpty }) == true {
            sources[id]?.idleUntil = now
        }
        sources[id]?.pace.began(now: now)
    }

    // MARK: Requests

    /// Hands out blocks until every source has enough or nothing is left.
    private mutating func assign(in id: SessionID, now: Instant) {
        guard let session = sessions[id], !session.queue.isEmpty else { return }
        var free: [(id: SourceID, rate: Double)] = []
        for source in session.order {
            guard let entry = sources[source], hasRoom(entry, in: session, now: now) else {
                continue
            }
            let rate = entry.pace.rate(now: now) ?? 0
            // The fastest takes what is read next; of the same rate, who came first.
            free.insert((source, rate), at: free.firstIndex { $0.rate < rate } ?? free.count)
        }
        while !free.isEmpty {
            free.removeAll { !giveOne(to: $0.id, in: id, now: now) }
        }
    }

    /// Asks a source for one more block; false if it has enough or there is none for it.
    private mutating func giveOne(to id: SourceID, in session: SessionID, now: Instant) -> Bool {
        guard let want = nextWant(for: id, in: session, now: now) else { return false }
        sessions[session]?.queue.remove(at: want.place)
        request(want, from: id, in: session, now: now)
        return true
    }

    private func nextWant(for id: SourceID, in sessionID: SessionID, now: Instant) -> Want? {
        guard let session = sessions[sessionID], let source = sources[id],
            hasRoom(source, in: session, now: now),
            let hash = choose(for: id, source, in: session, now: now),
            let want = wants[hash]
        else { return nil }
        // Whoever reads may run out of room, but never waits for what is not asked for.
        let isFirst = session.queue.first == hash
        return isFirst || session.outstanding + want.size <= limits.room ? want : nil
    }

    mutating func request(
        _ want: Want, from id: SourceID, in session: SessionID, now: Instant
    ) {
        guard sources[id] != nil else { return }
        let expectation = sources[id].flatMap { $0.expectation(of: want.size, now: now) }
        let request = Request(
            hash: want.cid.hash, size: want.size, begun: now,
            expected: now + (expectation ?? limits.hedge),
            wasAlone: sources[id]?.open.isEmpty ?? true)
        begin(at: id, now: now)
        sources[id]?.open.append(request)
        sources[id]?.openBytes += want.size
        sessions[session]?.outstanding += want.size
        wants[want.cid.hash]?.holders.append(id)
        // A probe that is on its way is answered by the block.
        wants[want.cid.hash]?.probes.removeAll { $0.source == id }
        let due = dueTime(of: request, now: now)
        let soonest = sessions[session].flatMap { $0.hedgeAt }
        sessions[session]?.hedgeAt = soonest.earlier(due)
        actions.append(.request(id, want.cid))
    }

    /// Whether a source may be asked for more: one block until it brought one, then about as much
    /// as it delivers while its answers are on their way and a little longer.
    func hasRoom(_ source: Source, in session: Session, now: Instant) -> Bool {
        guard source.isUsable, source.pausedUntil <= now,
            source.open.count < source.abilities.requests
        else { return false }
        guard let rate = source.pace.rate(now: now) else { return source.open.isEmpty }
        guard source.open.count >= 2 else { return true }
        let latency = source.pace.latency?.fractionalSeconds ?? 0
        return Double(source.openBytes) < rate * (Self.horizon + 2 * min(latency, 2))
    }

    /// The block that a source is asked for next: the first one that the others will not have
    /// brought anyway by the time that this source has.
    private func choose(
        for id: SourceID, _ source: Source, in session: Session, now: Instant
    ) -> Multihash? {
        guard let seat = session.seats[id], seat.promise != .unknown else { return nil }
        let count = session.queue.count
        guard count > 0 else { return nil }
        let skipped = handicap(of: id, source, in: session, now: now)
        guard skipped < count else {
            // The others will be done before, except with what they do not have.
            return (0..<min(count, Self.lookThrough)).lazy.map { session.queue[$0] }.first {
                !seat.missing.contains($0)
                    && !isBetterServed($0, than: id, source, in: session, now: now)
            }
        }
        for index in skipped..<min(count, skipped + Self.lookThrough)
        where !seat.missing.contains(session.queue[index]) {
            return session.queue[index]
        }
        for index in stride(from: skipped - 1, through: max(0, skipped - Self.lookThrough), by: -1)
        where !seat.missing.contains(session.queue[index]) {
            return session.queue[index]
        }
        return nil
    }

    /// Whether another source that may have a block would bring it sooner.
    private func isBetterServed(
        _ hash: Multihash, than id: SourceID, _ source: Source, in session: Session, now: Instant
    ) -> Bool {
        let size = session.averageSize
        guard let own = source.expectation(of: size, now: now) else { return false }
        return session.order.contains { other in
            guard other != id, let entry = sources[other], entry.isUsable,
                entry.pausedUntil <= now, let seat = session.seats[other],
                seat.promise != .unknown, !seat.missing.contains(hash),
                let theirs = entry.expectation(of: size, now: now)
            else { return false }
            return (theirs, other.number) < (own, id.number)
        }
    }

    /// How many blocks of the queue the others will have brought before this source brings one.
    private func handicap(
        of id: SourceID, _ source: Source, in session: Session, now: Instant
    ) -> Int {
        var others = 0.0
        var underWay = 0
        for other in session.order where other != id {
            guard let entry = sources[other], entry.isUsable else { continue }
            others += entry.pace.rate(now: now) ?? 0
            underWay += entry.openBytes
        }
        let size = session.averageSize
        guard let own = source.expectation(of: size, now: now) else {
            // It is tried a little further on, while there is something.
            return others > 0 ? min(4, session.queue.count - 1) : 0
        }
        let brought = min(others * own.fractionalSeconds, 1e12) - Double(underWay)
        return Int(min(max(brought / Double(size), 0), Double(limits.wantsPerSession)))
    }

    // MARK: Those of whom nothing is known

    /// Asks neighbours whether they have what is read next, while nobody is known who does.
    private mutating func probe(in id: SessionID, now: Instant) {
        guard let session = sessions[id] else { return }
        let helpers = session.order.count {
            sources[$0]?.isUsable == true && session.seats[$0]?.promise != .unknown
        }
        guard let head = head(of: session), var want = wants[head] else { return }
        // About the root of a whole, everyone has been asked.
        guard session.streamSource == nil || session.streamRoot?.hash != head else { return }
        // A block that those who had the others do not have may be anywhere.
        guard helpers < 8 || want.holders.isEmpty else { return }
        want.probes.removeAll { sources[$0.source]?.isUsable != true }
        for source in session.order where want.probes.count < limits.probesPerWant {
            guard let entry = sources[source], entry.isUsable, entry.pausedUntil <= now,
                let seat = session.seats[source], seat.promise == .unknown,
                !seat.missing.contains(head), !want.holders.contains(source),
                !want.probes.contains(where: { $0.source == source })
            else { continue }
            switch entry.abilities.probing {
            case .answersHave:
                want.probes.append(Probe(source: source, begun: now))
                sessions[id]?.seats[source]?.ask(about: head)
                actions.append(.probe(source, want.cid))
            case .none:
                // It can only be tried, with a block or with all of them.
                guard session.streamRoot?.hash != head, entry.open.isEmpty, want.holders.isEmpty
                else { continue }
                sessions[id]?.queue.remove(at: want.place)
                wants[head]?.probes = want.probes
                request(want, from: source, in: id, now: now)
                return
            }
        }
        wants[head]?.probes = want.probes
    }

    /// What is read next of what a session wants.
    private func head(of session: Session) -> Multihash? {
        session.queue.first ?? firstOutstanding(in: session) ?? session.streamRoot?.hash
    }

    /// The block that has been asked for and is read first.
    private func firstOutstanding(in session: Session) -> Multihash? {
        var first: Want?
        for source in session.order {
            guard let request = sources[source]?.open.first, let want = wants[request.hash],
                let owner = want.sessions.first, sessions[owner]?.order == session.order
            else { continue }
            if first.map({ want.place < $0.place }) ?? true { first = want }
        }
        return first?.cid.hash
    }

    // MARK: Giving up

    /// Looks for providers when there is nobody, or nothing has come for a while.
    private mutating func search(in id: SessionID, now: Instant) {
        guard let session = sessions[id], !session.isSearching, session.wantCount > 0,
            let head = head(of: session).flatMap({ wants[$0] })
        else { return }
        if let last = session.lastSearch, now.since(last) < limits.searchPause { return }
        let isAlone =
            session.prospects == 0
            && !session.order.contains {
                guard let source = sources[$0], source.isUsable else { return false }
                return session.seats[$0].map { !$0.missing.contains(head.cid.hash) } ?? false
            }
        guard isAlone || now.since(session.lastProgress) >= limits.search else { return }
        sessions[id]?.isSearching = true
        sessions[id]?.lastSearch = now
        actions.append(.discover(id, head.cid))
    }

    /// Fails what nobody is left to bring, and everything if nothing has come for too long.
    private mutating func giveUp(in id: SessionID, now: Instant) {
        guard let session = sessions[id], session.wantCount > 0 else { return }
        if now.since(session.lastProgress) >= session.patience {
            let mine = wants.filter { $0.value.sessions.contains(id) }
                .sorted { $0.value.place < $1.value.place }
            for (hash, want) in mine { fail(hash, want.cid, .deadline, in: id, now: now) }
            return
        }
        guard !session.isSearching, session.lastSearch != nil, session.prospects == 0
        else { return }
        // What is hopeless further on is found out when it comes to the front.
        while let hash = sessions[id]?.queue.first, isHopeless(hash, in: session),
            let want = wants[hash]
        {
            if forgivesSilence(about: hash, in: id) { return assign(in: id, now: now) }
            fail(hash, want.cid, session.blame, in: id, now: now)
        }
    }

    /// Whether there is somebody to ask again for a block that nobody else has: who has brought
    /// others and did not answer in time may only be slow, for as long as the session waits.
    private mutating func forgivesSilence(about hash: Multihash, in id: SessionID) -> Bool {
        var isSlow = false
        for source in sessions[id]?.order ?? [] {
            guard var seat = sessions[id]?.seats[source], seat.promise == .proven,
                sources[source]?.isDropped == false, seat.silent.remove(hash) != nil
            else { continue }
            seat.missing.remove(hash)
            sessions[id]?.seats[source] = seat
            isSlow = true
        }
        return isSlow
    }

    private func isHopeless(_ hash: Multihash, in session: Session) -> Bool {
        !session.order.contains { source in
            guard let other = sources[source], let seat = session.seats[source],
                !other.isSuspended || mayTryAgain(other, seat)
            else { return false }
            return !other.isDropped && !seat.missing.contains(hash)
        }
    }

    /// Whether who broke off is worth another try. One that has brought something always is, as
    /// long as the session waits: when a line fails for a few seconds, it is the same one that goes
    /// on.
    private func mayTryAgain(_ source: Source, _ seat: Seat) -> Bool {
        !source.isDropped && (source.strikes < limits.strikes || seat.promise == .proven)
    }

    private mutating func fail(
        _ hash: Multihash, _ cid: CID, _ failure: Failure, in id: SessionID, now: Instant
    ) {
        unwant(hash, in: id, now: now)
        actions.append(.fail(id, cid, failure))
    }

    /// Lets those who broke off try again if there is nobody else.
    private mutating func revive(in id: SessionID, now: Instant) {
        guard let session = sessions[id], session.wantCount > 0,
            !session.order.contains(where: {
                sources[$0]?.isUsable == true && session.seats[$0]?.promise != .unknown
            })
        else { return }
        for source in session.order {
            guard let entry = sources[source], let seat = session.seats[source],
                entry.isSuspended, mayTryAgain(entry, seat)
            else { continue }
            sources[source]?.isSuspended = false
            // Longer each time: half a second, one, two, and no more than four.
            let doublings = min(entry.strikes, 4)
            sources[source]?.pausedUntil = now + .milliseconds(500) * (1 << doublings) / 2
        }
    }
}
