// What a page looks for other pages for, and to whom it turns.

import Exchange
import Multiformats
import Testing
import Wire

@testable import BrowserCore

@Suite struct SearchTests {
    private let film = Multihash.sha2_256(of: [1].rawSpan)
    private let start = Instant(nanoseconds: 1_000_000_000)
    private var table = WantTable()
    private var searches = Searches()

    private mutating func session() -> WantTable.SessionID { table.openSession(now: start) }

    private static func peers(_ count: Int) throws -> [PeerID] {
        try (0..<count).map { try PeerID(Multihash.sha2_256(of: [UInt8($0)].rawSpan)) }
    }

    @Test("a page turns to four that have it, and to another for each that is lost")
    mutating func holders() throws {
        let peers = try Self.peers(40)
        let reading = session()
        let before = searches.look(for: film, reading, waits: true)
        let turns = searches.found(peers, for: film, now: start)
        #expect(before.isEmpty && turns.count == Searches.maxHolders)
        #expect(turns.allSatisfy { $0.sessions == [reading] && !$0.isForCalls })
        // Named again, they are not turned to again, and no more than so many are remembered.
        let again = searches.found(peers, for: film, now: start)
        #expect(again.isEmpty)
        var seen = Set(turns.map { $0.peer })
        var present = turns.map { $0.peer }
        while let peer = present.popLast() {
            for turn in searches.lost(peer, now: start) {
                #expect(seen.insert(turn.peer).inserted)
                present.append(turn.peer)
            }
        }
        #expect(seen.count == Searches.maxHolders + Searches.maxSpares)
        // Those who waited for the answer are told, once.
        let (first, second) = (searches.answered(film), searches.answered(film))
        let over = searches.end(reading)
        #expect(first == [reading] && second.isEmpty && over == [film])
        let late = searches.found(peers, for: film, now: start)
        #expect(late.isEmpty)
    }

    @Test("one for whom there is no room has its turn later") mutating func room() throws {
        let peers = try Self.peers(2)
        _ = searches.look(for: film, session(), waits: false)
        let turns = searches.found(peers, for: film, now: start)
        searches.postpone(peers[1])
        let (later, last) = (searches.turn(now: start), searches.turn(now: start))
        #expect(turns.map { $0.peer } == peers)
        #expect(later.map { $0.peer } == [peers[1]] && last.isEmpty)
    }

    /// A page of many pictures of one folder asks once.
    @Test("small readings of one root share a question, and whom it brought")
    mutating func glances() throws {
        let peers = try Self.peers(6)
        let (one, other, third) = (session(), session(), session())
        var glance = searches.glance(for: film, one, now: start)
        #expect(glance.turns.isEmpty && glance.isAsked && glance.over.isEmpty)
        glance = searches.glance(for: film, other, now: start)
        #expect(glance.turns.isEmpty && !glance.isAsked)
        let turns = searches.found(Array(peers.prefix(1)), for: film, now: start)
        #expect(turns.count == 1 && turns[0].sessions == [one, other])
        // As long as nothing is read nobody is turned to, but whoever was found is remembered.
        let over = searches.end(one) + searches.end(other)
        let idle = searches.found(peers, for: film, now: start)
        let lost = searches.lost(peers[0], now: start)
        #expect(over.isEmpty && idle.isEmpty && lost.isEmpty)
        glance = searches.glance(for: film, third, now: start + .seconds(1))
        #expect(glance.turns.map { $0.peer } == Array(peers[1...4]) && !glance.isAsked)
        #expect(glance.turns.allSatisfy { $0.sessions == [third] })
        // Once in a while the places are asked again.
        glance = searches.glance(for: film, session(), now: start + Searches.rest)
        #expect(glance.isAsked && glance.turns.count == Searches.maxHolders)
    }

    @Test("what was read a while ago is forgotten, and makes room before that")
    mutating func forgetting() throws {
        let song = Multihash.sha2_256(of: [2].rawSpan)
        let other = Multihash.sha2_256(of: [3].rawSpan)
        let late = start + Searches.callTime
        _ = searches.glance(for: film, session(), now: start)
        let reading = session()
        // The first one is still read.
        var over = searches.glance(for: song, reading, now: late).over
        over += searches.end(reading)
        over += searches.glance(for: other, session(), now: late + .seconds(59)).over
        #expect(over.isEmpty)
        over = searches.glance(for: other, session(), now: late + .seconds(60)).over
        #expect(over == [song])
        // However much is read, what is looked for has its place.
        for number in 0..<(2 * Searches.maxSearches) {
            let bytes = [UInt8(number & 255), UInt8(number >> 8), 1]
            let reading = session()
            let hash = Multihash.sha2_256(of: bytes.rawSpan)
            let isAsked = searches.glance(for: hash, reading, now: late).isAsked
            #expect(isAsked, "\(number)")
            _ = searches.end(reading)
        }
    }

    @Test("for calls a page connects with others, and asks about them once in ten seconds")
    mutating func calls() throws {
        let peers = try Self.peers(2)
        let asked = [0, 9, 10].map { searches.call(for: film, now: start + .seconds($0)).isAsked }
        #expect(asked == [true, false, true])
        let turns = searches.found(peers, for: film, now: start + .seconds(11))
        #expect(turns.map { $0.peer } == peers && turns.allSatisfy { $0.isForCalls })
        // Named again, they are to be connected with, as they may have been left.
        let again = searches.found(peers, for: film, now: start + .seconds(12))
        #expect(again.map { $0.peer } == peers)
        let song = Multihash.sha2_256(of: [2].rawSpan)
        let over = searches.call(for: song, now: start + .seconds(70)).over
        #expect(over == [film])
    }
}
