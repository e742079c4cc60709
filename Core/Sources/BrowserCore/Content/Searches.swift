// What a page looks for other pages for: a few of those that have it are turned to, and others instead
// of those that cannot be reached or leave.

import Exchange
import Multiformats
import Wire

/// All that other pages are looked for.
struct Searches {
    /// To how many of those that have something the page turns, and how many more it remembers.
    static let maxHolders = 4
    static let maxSpares = 32
    /// How many searches there are. Readings bound those that are for them.
    static let maxSearches = ContentPeer.maxReadings + 64
    /// How long calls want others after the last one, and when these are asked about again.
    static let callTime: Duration = .seconds(60)
    static let rest: Duration = .seconds(10)

    private struct Search {
        /// The readings that it is for, and those of them that wait for an answer.
        var sessions: [WantTable.SessionID] = []
        var waiting: [WantTable.SessionID] = []
        /// When a call last wanted it, and when it was asked about for calls.
        var called: Instant?
        var asked: Instant?
        var turnedTo: [PeerID] = []
        var spares: [PeerID] = []

        func isCalled(at now: Instant) -> Bool {
            called.map { now.since($0) < Searches.callTime } ?? false
        }
    }

    /// Whom to turn to, and for what.
    struct Turn {
        let peer: PeerID
        let sessions: [WantTable.SessionID]
        /// Whether it is to be connected with although nothing of it is read.
        let isForCalls: Bool
    }

    private var searches: [Multihash: Search] = [:]

    /// A reading looks for a block; it may wait for an answer. Returns to whom the page has turned.
    mutating func look(
        for hash: Multihash, _ session: WantTable.SessionID, waits: Bool
    ) -> [Turn] {
        guard searches[hash] != nil || searches.count < Self.maxSearches else { return [] }
        var search = searches[hash] ?? Search()
        if !search.sessions.contains(session) { search.sessions.append(session) }
        if waits { search.waiting.append(session) }
        searches[hash] = search
        return search.turnedTo.map { Turn(peer: $0, sessions: [session], isForCalls: false) }
    }

    /// A call looks for others. Returns whether they are to be asked about, and what is not looked for
    /// any more.
    mutating func call(for hash: Multihash, now: Instant) -> (isAsked: Bool, over: [Multihash]) {
        let over = searches.keys.filter { other in
            guard other != hash, let search = searches[other] else { return false }
            return search.sessions.isEmpty && !search.isCalled(at: now)
        }
        for old in over { searches[old] = nil }
        guard searches[hash] != nil || searches.count < Self.maxSearches else {
            return (false, over)
        }
        var search = searches[hash] ?? Search()
        search.called = now
        let isAsked = search.asked.map { now.since($0) >= Self.rest } ?? true
        if isAsked { search.asked = now }
        searches[hash] = search
        return (isAsked, over)
    }

    /// These have what was looked for. Returns to whom the page turns.
    mutating func found(_ peers: [PeerID], for hash: Multihash, now: Instant) -> [Turn] {
        guard var search = searches[hash] else { return [] }
        for peer in peers where !search.turnedTo.contains(peer) && !search.spares.contains(peer) {
            if search.spares.count >= Self.maxSpares { search.spares.removeFirst() }
            search.spares.append(peer)
        }
        searches[hash] = search
        // One that was turned to for a reading need not be connected.
        let known = search.isCalled(at: now) ? peers.filter { search.turnedTo.contains($0) } : []
        return known.map { Turn(peer: $0, sessions: [], isForCalls: true) } + turn(hash, now: now)
    }

    private mutating func turn(_ hash: Multihash, now: Instant) -> [Turn] {
        guard var search = searches[hash] else { return [] }
        let isForCalls = search.isCalled(at: now)
        var turns: [Turn] = []
        while search.turnedTo.count < Self.maxHolders, !search.spares.isEmpty {
            let peer = search.spares.removeFirst()
            search.turnedTo.append(peer)
            turns.append(Turn(peer: peer, sessions: search.sessions, isForCalls: isForCalls))
        }
        searches[hash] = search
        return turns
    }

    /// A page could not be reached, or has left. Returns to whom this one turns instead.
    mutating func lost(_ peer: PeerID, now: Instant) -> [Turn] {
        var turns: [Turn] = []
        for hash in searches.keys where searches[hash]?.turnedTo.contains(peer) == true {
            searches[hash]?.turnedTo.removeAll { $0 == peer }
            turns += turn(hash, now: now)
        }
        return turns
    }

    /// All have answered: the readings that waited for that.
    mutating func answered(_ hash: Multihash) -> [WantTable.SessionID] {
        let sessions = searches[hash]?.waiting ?? []
        searches[hash]?.waiting = []
        return sessions
    }

    /// A reading is over. Returns what is not looked for any more.
    mutating func end(_ session: WantTable.SessionID, now: Instant) -> [Multihash] {
        var over: [Multihash] = []
        for hash in searches.keys where searches[hash]?.sessions.contains(session) == true {
            searches[hash]?.sessions.removeAll { $0 == session }
            searches[hash]?.waiting.removeAll { $0 == session }
            guard let search = searches[hash], search.sessions.isEmpty, search.called == nil else {
                continue
            }
            searches[hash] = nil
            over.append(hash)
        }
        return over
    }

    /// Nobody is looked for any more.
    mutating func removeAll() { searches = [:] }
}
