// Asking one source for all that is below a root, in one request: who is asked, and when the work
// is divided after all.
//
// A whole in one request costs next to nothing for each block, so that small blocks come as fast as
// large ones. But it comes from one source alone. So it is asked for while nobody else is known who
// could help, and of a source that may turn out to have nothing, which then says so at once; the
// others are asked meanwhile whether they have the root. If some do, the whole ends soon, and the
// rest is wanted block by block.
//
// Pages want blocks alone. What is not inlined here they need not load.

public import Multiformats
public import Wire

extension WantTable {
    /// How far asking for a whole has come.
    enum Streaming: Sendable {
        /// Nobody is to be asked.
        case none
        /// Somebody is sought who may have this root.
        case wanted(CID)
        /// This source sends, or is about to.
        case from(SourceID, root: CID)
        /// This source has been told to stop. What was on its way still comes, so that nobody else
        /// is asked for it.
        case ending(SourceID, root: CID)
    }

    /// A session wants all that is below a root, in one request: ``Action/stream(_:_:)``. When that
    /// is over, or nobody can be asked so, ``Action/streamOver(_:)`` follows. `room` is how many
    /// bytes may come before ``grant(_:in:now:)``.
    ///
    /// Returns false if it cannot be wanted so now.
    public mutating func stream(
        _ root: CID, room: Int, in id: SessionID, now: Instant
    ) -> Bool {
        guard case .none? = sessions[id]?.streaming,
            wants[root.hash]?.sessions.contains(id) != true,
            want(root, at: 0, size: nil, in: id, now: now)
        else { return false }
        sessions[id]?.streaming = .wanted(root)
        sessions[id]?.streamRoom = room
        return true
    }

    /// How many bytes of a whole may come before more are granted.
    public func streamRoom(of id: SessionID) -> Int { sessions[id]?.streamRoom ?? 0 }

    /// A session's reader has taken so many bytes of a whole, so that as many more may come.
    public mutating func grant(_ bytes: Int, in id: SessionID, now: Instant) {
        guard let session = sessions[id] else { return }
        sessions[id]?.streamRoom += bytes
        // Whoever was not allowed to send had nothing to be silent about.
        if session.streamRoom <= 0, let source = session.streamSource {
            sources[source]?.idleUntil = now
        }
    }

    /// Whether anybody wants a block.
    public func isWanted(_ hash: Multihash) -> Bool { !wants.isEmpty && wants[hash] != nil }

    /// Blocks of a whole came, `byteCount` in all. The table knows already of `known` of these
    /// bytes, by ``arrived(_:byteCount:from:now:)``.
    public mutating func streamed(
        _ byteCount: Int, known: Int, from id: SourceID, in session: SessionID, now: Instant
    ) {
        noteActivity(of: id, now: now)
        if sources[id]?.pace.latency == nil, let begun = sessions[session]?.streamBegun {
            sources[id]?.pace.answered(after: now.since(begun))
        }
        sources[id]?.pace.received(byteCount - known, now: now)
        sources[id]?.strikes = 0
        sessions[session]?.streamRoom -= byteCount
        sessions[session]?.tally.bytes += UInt64(byteCount - known)
        sessions[session]?.lastProgress = now
        sessions[session]?.lastBroadcast = now
        sessions[session]?.seats[id]?.promise = .proven
    }

    /// A whole that ``Action/stream(_:_:)`` asked for is over, all of it or not. If nothing of it
    /// came, somebody else is sought.
    public mutating func streamEnded(_ source: SourceID, in id: SessionID, now: Instant) {
        guard let session = sessions[id], session.streamSource == source,
            let root = session.streamRoot
        else { return }
        sources[source]?.streams.removeAll { $0 == id }
        sources[source]?.pace.ended(now: now)
        sessions[id]?.isAlone = false
        isStale = true
        guard wants[root.hash]?.sessions.contains(id) == true else {
            return finishStreaming(in: id)
        }
        sessions[id]?.streaming = .wanted(root)
        requeue(root.hash)
    }

    /// A session wants no more at once. What is on its way still comes, before
    /// ``Action/streamOver(_:)``.
    public mutating func endStream(in id: SessionID, now: Instant) {
        switch sessions[id]?.streaming {
        case .from(let source, let root): stopStream(of: source, root, in: id)
        case .wanted(let root):
            unwant(root.hash, in: id, now: now)
            finishStreaming(in: id)
        case .none?, .ending, nil: break
        }
    }

    private mutating func stopStream(of source: SourceID, _ root: CID, in id: SessionID) {
        sessions[id]?.streaming = .ending(source, root: root)
        sessions[id]?.isAlone = false
        actions.append(.cancelStream(source, id))
    }

    /// Ends a whole whose source is not to be listened to any longer.
    @inline(never)
    mutating func abandonStream(of source: SourceID, in id: SessionID, now: Instant) {
        actions.append(.abandonStream(source, id))
        streamEnded(source, in: id, now: now)
    }

    private mutating func finishStreaming(in id: SessionID) {
        sessions[id]?.streaming = .none
        sessions[id]?.readsOn = true
        actions.append(.streamOver(id))
    }

    // MARK: Planning

    /// Asks someone for everything at once, or ends that when others may help.
    mutating func planStream(in id: SessionID, now: Instant) {
        switch sessions[id]?.streaming {
        case .none?, .ending, nil: break
        case .wanted(let root): seekStream(of: root, in: id, now: now)
        case .from(let source, let root): shareStream(of: source, root, in: id, now: now)
        }
    }

    /// Ends a whole when others may help.
    @inline(never)
    private mutating func shareStream(
        of source: SourceID, _ root: CID, in id: SessionID, now: Instant
    ) {
        guard let session = sessions[id] else { return }
        probeOthers(than: source, for: root, in: id)
        guard now >= session.streamBegun + limits.alone else { return }
        sessions[id]?.isAlone = false
        let others = candidates(for: root, in: session).contains {
            $0 != source && session.seats[$0]?.promise != .unknown
        }
        guard others else { return }
        stopStream(of: source, root, in: id)
    }

    /// Asks the others whether they have the root, each once.
    private mutating func probeOthers(than source: SourceID, for root: CID, in id: SessionID) {
        guard let session = sessions[id] else { return }
        for other in candidates(for: root, in: session)
        where other != source && !session.streamProbed.contains(other)
            && session.streamProbed.count < limits.probesPerWant
            && session.seats[other]?.promise == .unknown
        {
            guard case .answersHave? = sources[other]?.abilities.probing else { continue }
            sessions[id]?.streamProbed.insert(other)
            sessions[id]?.seats[other]?.ask(about: root.hash)
            actions.append(.probe(other, root))
        }
    }

    /// What a source says about a block that it was asked about, whether that has come or not.
    mutating func noteAnswer(_ hash: Multihash, of id: SourceID, isThere: Bool) {
        for session in sources[id]?.sessions ?? []
        where sessions[session]?.seats[id]?.answers(for: hash) == true {
            if !isThere {
                sessions[session]?.seats[id]?.missing.insert(hash)
            } else if sessions[session]?.seats[id]?.promise == .unknown {
                sessions[session]?.seats[id]?.promise = .promised
            }
            isStale = true
        }
    }

    /// Who may be asked in a session and is not known to lack the root.
    private func candidates(for root: CID, in session: Session) -> [SourceID] {
        session.order.filter {
            sources[$0]?.isUsable == true && session.seats[$0]?.missing.contains(root.hash) == false
        }
    }

    @inline(never)
    private mutating func seekStream(of root: CID, in id: SessionID, now: Instant) {
        guard let session = sessions[id] else { return }
        guard let want = wants[root.hash], want.sessions.contains(id) else {
            // It came to somebody else, or cannot be had.
            return finishStreaming(in: id)
        }
        let able = candidates(for: root, in: session).filter {
            sources[$0].map { $0.pausedUntil <= now } ?? false
        }
        func streams(_ source: SourceID) -> Bool {
            sources[source]?.abilities.streaming == .wholes
        }
        let known = able.filter { session.seats[$0].map { $0.promise != .unknown } ?? false }
        if known.count <= 1, let source = known.first ?? able.first(where: streams),
            streams(source)
        {
            return beginStream(at: source, of: want, in: id, now: now)
        }
        // Several divide the work, and whoever can only be asked for blocks is tried with one.
        let isTrial = able.contains {
            sources[$0].map { $0.abilities.probing == .none } ?? false
        }
        guard !known.isEmpty || isTrial else { return }
        unwant(root.hash, in: id, now: now)
        finishStreaming(in: id)
    }

    private mutating func beginStream(
        at source: SourceID, of want: Want, in id: SessionID, now: Instant
    ) {
        sessions[id]?.queue.remove(at: want.place)
        sessions[id]?.seats[source]?.ask(about: want.cid.hash)
        sessions[id]?.streaming = .from(source, root: want.cid)
        sessions[id]?.streamProbed = []
        sessions[id]?.streamBegun = now
        sessions[id]?.isAlone = true
        begin(at: source, now: now)
        sources[source]?.streams.append(id)
        actions.append(.stream(source, id))
    }
}

extension WantTable.Session {
    /// Who sends everything at once.
    var streamSource: WantTable.SourceID? {
        switch streaming {
        case .none, .wanted: nil
        case .from(let source, _), .ending(let source, _): source
        }
    }

    /// Below which all is wanted at once.
    var streamRoot: CID? {
        switch streaming {
        case .none: nil
        case .wanted(let root), .from(_, let root), .ending(_, let root): root
        }
    }
}
