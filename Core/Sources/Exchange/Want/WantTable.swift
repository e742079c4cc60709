// One table of wanted blocks over all sources that could bring them: who has what, who is asked for
// what, and what happens when it does not come.
//
// A session wants blocks in the order in which its reader will read them. Every source gets as much
// as it delivers in about half a second. A fast source takes what is read next; a slow one begins
// so much further on that it never holds up the reader. What a source is late with is asked of
// another, and what it has not begun to send is taken away from it, so that few bytes come twice.
//
// The table knows no protocol: it gives out actions and is told what came of them. How a source
// is asked is the business of BitswapClient, of the stream exchange and of HTTP.

public import Multiformats
public import Wire

/// Who is asked for which block, and when.
public struct WantTable: Sendable {
    let limits: Limits
    var sessions = [SessionID: Session]()
    /// The sessions in the order of their turns.
    var sessionOrder: [SessionID] = []
    var sources = [SourceID: Source]()
    var wants = [Multihash: Want]()
    var actions: [Action] = []
    /// How many of the actions have been taken.
    private var taken = 0
    var isStale = false
    private var nextNumber: UInt64 = 0

    /// An empty table.
    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// The next thing to be done; nil if nothing is, until something happens or time passes.
    public mutating func nextAction(now: Instant) -> Action? {
        if taken == actions.count {
            actions.removeAll(keepingCapacity: true)
            taken = 0
            guard isStale else { return nil }
            isStale = false
            plan(now: now)
        }
        guard taken < actions.count else { return nil }
        taken += 1
        return actions[taken - 1]
    }

    /// Time has passed.
    public mutating func advance(to now: Instant) {
        watch(now: now)
        isStale = true
    }

    private mutating func makeNumber() -> UInt64 {
        nextNumber += 1
        return nextNumber
    }

    // MARK: Sessions

    /// Begins a session, which fails when nothing has come for as long as `patience`.
    public mutating func openSession(
        patience: Duration = .seconds(30), now: Instant
    ) -> SessionID {
        let id = SessionID(number: makeNumber())
        sessions[id] = Session(patience: patience, lastProgress: now, lastBroadcast: now)
        sessionOrder.append(id)
        return id
    }

    /// Ends a session; what only it wanted is no longer asked for.
    public mutating func closeSession(_ id: SessionID, now: Instant) {
        guard let session = sessions[id] else { return }
        if let source = session.streamSource { abandonStream(of: source, in: id, now: now) }
        // In the order of their places, so that the actions have one.
        let mine = wants.filter { $0.value.sessions.contains(id) }
            .sorted { $0.value.place < $1.value.place }
        for (hash, _) in mine { unwant(hash, in: id, now: now) }
        for source in session.order { sources[source]?.sessions.removeAll { $0 == id } }
        sessions[id] = nil
        sessionOrder.removeAll { $0 == id }
        isStale = true
    }

    /// Whether a session waits for a block, or for what comes of a whole, or will want what a whole
    /// left out.
    func wantsMore(_ id: SessionID) -> Bool {
        sessions[id].map { $0.wantCount > 0 || $0.streamRoot != nil || $0.readsOn } ?? false
    }

    /// What a session has received.
    public func tally(of id: SessionID) -> Tally { sessions[id]?.tally ?? Tally() }

    /// A session wants a block. `position` orders what it wants, such as by the offset in a file;
    /// `size` is how long the block probably is. Returns false if the session wants too much.
    public mutating func want(
        _ cid: CID, at position: UInt64, size: Int?, in id: SessionID, now: Instant
    ) -> Bool {
        guard let session = sessions[id] else { return false }
        if wants[cid.hash]?.sessions.contains(id) == true { return true }
        guard session.wantCount < limits.wantsPerSession else { return false }
        if session.wantCount == 0 { sessions[id]?.lastProgress = now }
        sessions[id]?.wantCount += 1
        sessions[id]?.readsOn = false
        isStale = true
        if wants[cid.hash] != nil {
            wants[cid.hash]?.sessions.append(id)
            return true
        }
        let place = WantQueue.Place(position: position, sequence: makeNumber())
        wants[cid.hash] = Want(
            cid: cid, place: place, size: max(size ?? session.averageSize, 1), since: now,
            sessions: [id])
        sessions[id]?.queue.insert(cid.hash, at: place)
        return true
    }

    /// A session wants a block no longer.
    public mutating func unwant(_ hash: Multihash, in id: SessionID, now: Instant) {
        guard let want = wants[hash], want.sessions.contains(id) else { return }
        sessions[id]?.wantCount -= 1
        isStale = true
        guard want.sessions.count > 1 else {
            withdraw(want, besides: nil, now: now)
            wants[hash] = nil
            return
        }
        let wasOwner = want.sessions[0] == id
        wants[hash]?.sessions.removeAll { $0 == id }
        guard wasOwner else { return }
        // The next one asks for it from now on.
        withdraw(want, besides: nil, now: now)
        wants[hash]?.holders = []
        wants[hash]?.probes = []
        sessions[want.sessions[1]]?.queue.insert(hash, at: want.place)
    }

    /// The search for providers that ``Action/discover(_:_:)`` asked for is over.
    public mutating func discovered(_ id: SessionID) {
        sessions[id]?.isSearching = false
        isStale = true
    }

    /// How urgent a block is, for protocols that have priorities: higher is read sooner.
    public func priority(of hash: Multihash) -> Int32 {
        guard let want = wants[hash] else { return 0 }
        return Int32.max - Int32(clamping: want.place.position >> 10)
    }

    /// How many sources are being connected to that will join a session. While there are any,
    /// nothing is given up for want of a source.
    public mutating func setProspects(_ count: Int, in id: SessionID) {
        sessions[id]?.prospects = count
        isStale = true
    }

    // MARK: Sources

    /// Someone can be asked.
    public mutating func addSource(_ abilities: Abilities, now: Instant) -> SourceID {
        let id = SourceID(number: makeNumber())
        sources[id] = Source(abilities: abilities, lastActivity: now)
        return id
    }

    /// Someone is gone; what was asked of them is asked of others.
    public mutating func removeSource(_ id: SourceID, now: Instant) {
        guard let source = sources[id] else { return }
        release(id, now: now)
        for session in source.sessions {
            sessions[session]?.seats[id] = nil
            sessions[session]?.order.removeAll { $0 == id }
            if !source.isDropped { note(.unreachable, in: session) }
        }
        sources[id] = nil
        isStale = true
    }

    /// A source takes part in a session.
    public mutating func join(_ source: SourceID, in id: SessionID, as standing: Standing) {
        guard sources[source] != nil, let session = sessions[id] else { return }
        isStale = true
        guard let seat = session.seats[source] else {
            sessions[id]?.seats[source] = Seat(
                promise: standing == .provider ? .promised : .unknown)
            sessions[id]?.order.append(source)
            sources[source]?.sessions.append(id)
            return
        }
        if standing == .provider, seat.promise == .unknown {
            sessions[id]?.seats[source]?.promise = .promised
        }
    }

    /// Bytes of an answer came, though not all of it.
    public mutating func progressed(_ id: SourceID, now: Instant) {
        noteActivity(of: id, now: now)
    }

    /// A source says that it has a block.
    public mutating func has(_ hash: Multihash, _ id: SourceID, now: Instant) {
        noteActivity(of: id, now: now)
        noteAnswer(hash, of: id, isThere: true)
        guard let want = wants[hash] else { return }
        endProbe(of: hash, at: id, now: now)
        for session in want.sessions {
            guard let seat = sessions[session]?.seats[id] else { continue }
            if seat.promise == .unknown { sessions[session]?.seats[id]?.promise = .promised }
            sessions[session]?.seats[id]?.missing.remove(hash)
            sessions[session]?.seats[id]?.silent.remove(hash)
            sessions[session]?.seats[id]?.misses = 0
        }
        isStale = true
    }

    /// A source does not have a block.
    public mutating func lacks(
        _ hash: Multihash, _ id: SourceID, _ evidence: Evidence, now: Instant
    ) {
        if evidence == .answer { noteActivity(of: id, now: now) }
        noteAnswer(hash, of: id, isThere: false)
        isStale = true
        let request = drop(hash, at: id, now: now)
        guard let want = wants[hash] else { return }
        if evidence == .answer {
            if let request, request.wasAlone {
                sources[id]?.pace.answered(after: now.since(request.begun))
            }
            endProbe(of: hash, at: id, now: now)
        } else {
            wants[hash]?.probes.removeAll { $0.source == id }
        }
        for session in want.sessions {
            guard var seat = sessions[session]?.seats[id] else { continue }
            // A source that lacks thousands of blocks is asked again rather than remembered.
            if seat.missing.count >= limits.wantsPerSession {
                seat.missing = []
                seat.silent = []
            }
            seat.missing.insert(hash)
            if evidence == .silence { seat.silent.insert(hash) } else { seat.silent.remove(hash) }
            seat.misses += 1
            if seat.misses >= limits.misses, seat.promise != .proven { seat.promise = .unknown }
            sessions[session]?.seats[id] = seat
        }
        requeue(hash)
    }

    /// A block came that has been checked against its CID. `from` is whoever sent it.
    public mutating func arrived(
        _ hash: Multihash, byteCount: Int, from id: SourceID, now: Instant
    ) -> Arrival {
        noteActivity(of: id, now: now)
        let request = drop(hash, at: id, now: now)
        sources[id]?.pace.received(byteCount, now: now)
        if let request, request.wasAlone, sources[id]?.pace.latency == nil {
            sources[id]?.pace.answered(after: now.since(request.begun))
        }
        sources[id]?.strikes = 0
        isStale = true
        guard let want = wants.removeValue(forKey: hash) else {
            for session in sources[id]?.sessions.prefix(1) ?? [] {
                sessions[session]?.tally.surplusBytes += UInt64(byteCount)
            }
            return .surplus
        }
        withdraw(want, besides: id, now: now)
        for session in want.sessions {
            guard var entry = sessions[session] else { continue }
            // Nothing may refer to the session twice, or its tables would be copied.
            sessions[session] = nil
            entry.wantCount -= 1
            entry.tally.bytes += UInt64(byteCount)
            entry.averageSize = max(1, (entry.averageSize * 7 + byteCount) / 8)
            entry.lastProgress = now
            entry.lastBroadcast = now
            entry.seats[id]?.promise = .proven
            entry.seats[id]?.misses = 0
            sessions[session] = entry
        }
        return .wanted(want.sessions)
    }

    /// Something went wrong with a source. What was asked of it is asked of others.
    public mutating func failed(_ id: SourceID, _ fault: Fault, now: Instant) {
        guard sources[id] != nil else { return }
        release(id, now: now)
        switch fault {
        case .busy(let pause): sources[id]?.pausedUntil = now + pause
        case .broke:
            sources[id]?.isSuspended = true
            sources[id]?.strikes += 1
        case .lied: sources[id]?.isDropped = true
        }
        for session in sources[id]?.sessions ?? [] {
            switch fault {
            case .busy: break
            case .broke: note(.unreachable, in: session)
            case .lied: note(.unverifiable, in: session)
            }
        }
        isStale = true
    }

    // MARK: Small rules

    /// Someone who shows signs of life may be asked again.
    mutating func noteActivity(of id: SourceID, now: Instant) {
        guard let source = sources[id] else { return }
        sources[id]?.lastActivity = now
        if source.isSuspended {
            sources[id]?.isSuspended = false
            isStale = true
        }
    }

    /// The worst of what went wrong is what a failure is put down to.
    private mutating func note(_ failure: Failure, in id: SessionID) {
        switch (sessions[id]?.blame, failure) {
        case (.absent, _), (.unreachable, .unverifiable): sessions[id]?.blame = failure
        default: break
        }
    }

    private mutating func endProbe(of hash: Multihash, at id: SourceID, now: Instant) {
        guard let index = wants[hash]?.probes.firstIndex(where: { $0.source == id }),
            let probe = wants[hash]?.probes.remove(at: index)
        else { return }
        sources[id]?.pace.answered(after: now.since(probe.begun))
    }

    /// Puts a block back that nobody is being asked for.
    mutating func requeue(_ hash: Multihash) {
        guard let want = wants[hash], want.holders.isEmpty else { return }
        let id = want.sessions[0]
        // What begins a whole is being asked for.
        guard sessions[id]?.streamSource == nil || sessions[id]?.streamRoot?.hash != hash else {
            return
        }
        sessions[id]?.queue.insert(hash, at: want.place)
    }

    /// Takes a request off a source's list.
    mutating func drop(_ hash: Multihash, at id: SourceID, now: Instant) -> Request? {
        guard let request = sources[id]?.open.remove(hash) else { return nil }
        sources[id]?.openBytes -= request.size
        sources[id]?.pace.ended(now: now)
        if let want = wants[hash] {
            wants[hash]?.holders.removeAll { $0 == id }
            sessions[want.sessions[0]]?.outstanding -= request.size
        }
        return request
    }

    /// Tells everyone who has been asked for a block that it is no longer wanted.
    mutating func withdraw(_ want: Want, besides source: SourceID?, now: Instant) {
        for holder in want.holders where holder != source {
            if let request = sources[holder]?.open.remove(want.cid.hash) {
                sources[holder]?.openBytes -= request.size
                sources[holder]?.pace.ended(now: now)
                sessions[want.sessions[0]]?.outstanding -= request.size
            }
            actions.append(.cancel(holder, want.cid))
        }
        for probe in want.probes where probe.source != source {
            actions.append(.cancel(probe.source, want.cid))
        }
        sessions[want.sessions[0]]?.queue.remove(at: want.place)
    }

    /// Takes everything away from a source that it was asked for.
    mutating func release(_ id: SourceID, now: Instant) {
        guard let source = sources[id] else { return }
        for request in source.open.all {
            guard let want = wants[request.hash] else { continue }
            actions.append(.cancel(id, want.cid))
            _ = drop(request.hash, at: id, now: now)
            requeue(request.hash)
        }
        for session in source.streams { abandonStream(of: id, in: session, now: now) }
    }
}
