// What a page looks for other pages for: a few of those that have it are turned to, and others
// instead of those that cannot be reached or leave.

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
    /// How long calls want others after the last one, and who has what is small is remembered; and
    /// when these are asked about again.
    static let callTime: Duration = .seconds(60)
    static let rest: Duration = .seconds(10)

    private struct Search {
        let hash: Multihash
        /// The readings that it is for, and those of them that wait for an answer.
        var sessions: [WantTable.SessionID] = []
        var waiting: [WantTable.SessionID] = []
        /// When a call last wanted it, or something small of it was read, and when it was asked
        /// about for that.
        var called: Instant?
        var glanced: Instant?
        var asked: Instant?
        var turnedTo: [PeerID] = []
        var spares: [PeerID] = []

        func isCalled(at now: Instant) -> Bool {
            called.map { now.since($0) < Searches.callTime } ?? false
        }

        /// Whether it is kept although nothing of it is read.
        func isKept(at now: Instant) -> Bool {
            isCalled(at: now) || glanced.map { now.since($0) < Searches.callTime } ?? false
        }

        /// Whether the places are to be asked again, which are then.
        mutating func isToBeAsked(now: Instant) -> Bool {
            if let asked, now.since(asked) < Searches.rest { return false }
            asked = now
            return true
        }

        /// Turns to as many as there may be.
        mutating func turn(now: Instant) -> [Turn] {
            let isForCalls = isCalled(at: now)
            var turns: [Turn] = []
            // Nobody is turned to for what was read.
            guard isForCalls || !sessions.isEmpty else { return [] }
            while turnedTo.count < Searches.maxHolders, !spares.isEmpty {
                let peer = spares.removeFirst()
                turnedTo.append(peer)
                turns.append(Turn(peer: peer, sessions: sessions, isForCalls: isForCalls))
            }
            return turns
        }
    }

    /// Whom to turn to, and for what.
    struct Turn {
        let peer: PeerID
        let sessions: [WantTable.SessionID]
        /// Whether it is to be connected with although nothing of it is read.
        let isForCalls: Bool
    }

    private var searches: [Search] = []

    /// Where the search for a block stands, which is begun if there is none; nil if there are too
    /// many.
    private mutating func place(of hash: Multihash) -> Int? {
        if let place = searches.firstIndex(where: { $0.hash == hash }) { return place }
        if searches.count >= Self.maxSearches {
            // What is only remembered makes room.
            guard let old = searches.firstIndex(where: { $0.sessions.isEmpty && $0.called == nil })
            else { return nil }
            searches.remove(at: old)
        }
        searches.append(Search(hash: hash))
        return searches.count - 1
    }

    /// A reading looks for a block; it may wait for an answer. Returns to whom the page has turned.
    mutating func look(
        for hash: Multihash, _ session: WantTable.SessionID, waits: Bool
    ) -> [Turn] {
        guard let place = place(of: hash) else { return [] }
        if !searches[place].sessions.contains(session) {
            searches[place].sessions.append(session)
        }
        if waits { searches[place].waiting.append(session) }
        return searches[place].turnedTo.map {
            Turn(peer: $0, sessions: [session], isForCalls: false)
        }
    }

    /// A reading of something small looks for others with what it is a part of. Returns to whom the
    /// page turns, whether the places are to be asked, and what is not looked for any more.
    mutating func glance(
        for hash: Multihash, _ session: WantTable.SessionID, now: Instant
    ) -> (turns: [Turn], isAsked: Bool, over: [Multihash]) {
        let over = removeOver(besides: hash, now: now)
        let turns = look(for: hash, session, waits: false)
        guard let place = place(of: hash) else { return ([], false, over) }
        searches[place].glanced = now
        let isAsked = searches[place].isToBeAsked(now: now)
        return (turns + searches[place].turn(now: now), isAsked, over)
    }

    /// A call looks for others. Returns whether they are to be asked about, and what is not looked
    /// for any more.
    mutating func call(for hash: Multihash, now: Instant) -> (isAsked: Bool, over: [Multihash]) {
        let over = removeOver(besides: hash, now: now)
        guard let place = place(of: hash) else { return (false, over) }
        searches[place].called = now
        return (searches[place].isToBeAsked(now: now), over)
    }

    private mutating func removeOver(besides hash: Multihash, now: Instant) -> [Multihash] {
        func isOver(_ search: Search) -> Bool {
            search.hash != hash && search.sessions.isEmpty && !search.isKept(at: now)
        }
        let over = searches.filter(isOver).map { $0.hash }
        searches.removeAll(where: isOver)
        return over
    }

    /// These have what was looked for. Returns to whom the page turns.
    mutating func found(_ peers: [PeerID], for hash: Multihash, now: Instant) -> [Turn] {
        guard let place = searches.firstIndex(where: { $0.hash == hash }) else { return [] }
        var search = searches[place]
        // One that was turned to for a reading need not be connected.
        let known = search.isCalled(at: now) ? peers.filter { search.turnedTo.contains($0) } : []
        for peer in peers where !search.turnedTo.contains(peer) && !search.spares.contains(peer) {
            if search.spares.count >= Self.maxSpares { search.spares.removeFirst() }
            search.spares.append(peer)
        }
        let turns = search.turn(now: now)
        searches[place] = search
        return known.map { Turn(peer: $0, sessions: [], isForCalls: true) } + turns
    }

    /// A page could not be reached, or has left. Returns to whom this one turns instead.
    mutating func lost(_ peer: PeerID, now: Instant) -> [Turn] {
        var turns: [Turn] = []
        for place in searches.indices where searches[place].turnedTo.contains(peer) {
            searches[place].turnedTo.removeAll { $0 == peer }
            turns += searches[place].turn(now: now)
        }
        return turns
    }

    /// There may be room for more pages now. Returns to whom this one turns.
    mutating func turn(now: Instant) -> [Turn] {
        var turns: [Turn] = []
        for place in searches.indices { turns += searches[place].turn(now: now) }
        return turns
    }

    /// There is no room for a page that this one has turned to: its turn comes later.
    mutating func postpone(_ peer: PeerID) {
        for place in searches.indices where searches[place].turnedTo.contains(peer) {
            searches[place].turnedTo.removeAll { $0 == peer }
            guard searches[place].spares.count < Self.maxSpares else { continue }
            searches[place].spares.insert(peer, at: 0)
        }
    }

    /// All have answered: the readings that waited for that.
    mutating func answered(_ hash: Multihash) -> [WantTable.SessionID] {
        guard let place = searches.firstIndex(where: { $0.hash == hash }) else { return [] }
        let sessions = searches[place].waiting
        searches[place].waiting = []
        return sessions
    }

    /// A reading is over. Returns what is not looked for any more.
    mutating func end(_ session: WantTable.SessionID) -> [Multihash] {
        var over: [Multihash] = []
        for place in searches.indices.reversed() {
            guard searches[place].sessions.contains(session) else { continue }
            searches[place].sessions.removeAll { $0 == session }
            searches[place].waiting.removeAll { $0 == session }
            guard searches[place].sessions.isEmpty, searches[place].called == nil,
                searches[place].glanced == nil
            else { continue }
            over.append(searches.remove(at: place).hash)
        }
        return over
    }

    /// Nobody is looked for any more.
    mutating func removeAll() { searches = [] }
}
