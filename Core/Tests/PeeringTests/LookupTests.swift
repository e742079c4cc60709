import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

/// A lookup among peers that name others which are not there.
@Suite struct LookupTests {
    private let target = KadID(0, 0, 0, 0)

    /// A peer at this distance from the target.
    private func candidate(_ distance: UInt64) throws -> (id: KadID, peer: PeerID) {
        (KadID(distance, 0, 0, 0), try peer(distance))
    }

    @Test("one teller's inventions do not take all the places")
    func allowance() throws {
        let seeds = try (1_000..<1_020).map { try candidate($0) }
        var lookup = Lookup(target: target, paths: 1, seeds: seeds)
        var asked: [PeerID] = []
        while let next = lookup.next() { asked.append(next) }
        #expect(asked.count == Kad.alpha)
        // The first names peers nearer than all others, which never answer.
        let liar = seeds[0]
        let inventions = try (1...20).map { try candidate($0) }
        lookup.answered(liar.peer, liar.id, closer: inventions)
        var next: [PeerID] = []
        while let peer = lookup.next() { next.append(peer) }
        #expect(next == inventions.prefix(1).map(\.peer))
        // As others answer there is room for more, up to the allowance of one teller.
        for seed in seeds[1..<8] { lookup.answered(seed.peer, seed.id, closer: []) }
        while let peer = lookup.next() { next.append(peer) }
        #expect(next.count { peer in inventions.contains { $0.peer == peer } } == Tellers.allowance)
        // When they have not answered, the rest of them is not believed.
        for invention in inventions.prefix(3) { lookup.late(invention.id) }
        #expect(lookup.next() == nil && lookup.isConverged)
    }

    @Test("what somebody else names too is asked, whoever named it first")
    func vouching() throws {
        let seeds = try (1_000..<1_010).map { try candidate($0) }
        var lookup = Lookup(target: target, paths: 1, seeds: seeds)
        while lookup.next() != nil {}
        let named = try (1...20).map { try candidate($0) }
        lookup.answered(seeds[0].peer, seeds[0].id, closer: named)
        for seed in seeds[1..<9] { lookup.answered(seed.peer, seed.id, closer: []) }
        while lookup.next() != nil {}
        for invention in named.prefix(3) { lookup.failed(invention.id) }
        #expect(lookup.next() == nil)
        lookup.answered(seeds[9].peer, seeds[9].id, closer: [named[10]])
        #expect(lookup.next() == named[10].peer)
        #expect(lookup.next() == nil)
    }

    @Test("a teller whose peers are there may name as many as it likes")
    func honesty() throws {
        let seeds = try (1_000..<1_001).map { try candidate($0) }
        var lookup = Lookup(target: target, paths: 1, seeds: seeds)
        while lookup.next() != nil {}
        let named = try (1...20).map { try candidate($0) }
        lookup.answered(seeds[0].peer, seeds[0].id, closer: named)
        var open = 0
        while lookup.next() != nil { open += 1 }
        #expect(open == Tellers.allowance)
        lookup.answered(named[0].peer, named[0].id, closer: [])
        lookup.answered(named[1].peer, named[1].id, closer: [])
        lookup.late(named[2].id)
        open = 0
        while lookup.next() != nil { open += 1 }
        // The nearest have not all answered yet; three of the first five have been asked.
        #expect(open > 2)
        // One that was given up and answers all the same counts as right.
        lookup.answered(named[2].peer, named[2].id, closer: [])
        #expect(lookup.closest(3).map(\.peer) == named.prefix(3).map(\.peer))
    }

    @Test("if nobody is left to believe, everybody is believed again")
    func forgiving() throws {
        let seeds = try (1_000..<1_001).map { try candidate($0) }
        var lookup = Lookup(target: target, paths: 1, seeds: seeds)
        while lookup.next() != nil {}
        let named = try (1...20).map { try candidate($0) }
        lookup.answered(seeds[0].peer, seeds[0].id, closer: named)
        var asked: Set<PeerID> = []
        while let next = lookup.next() {
            asked.insert(next)
            for entry in named where entry.peer == next { lookup.failed(entry.id) }
        }
        #expect(asked.count == named.count)
    }

    @Test("patience follows how long peers take, within bounds")
    func patience() {
        var times = AnswerTimes()
        #expect(times.patience == Kad.patience)
        for _ in 0..<100 { times.note(.milliseconds(100)) }
        #expect(times.patience == Kad.shortestPatience)
        for _ in 0..<100 { times.note(.milliseconds(1_700)) }
        #expect(times.patience >= .milliseconds(1_700) && times.patience <= Kad.patience)
        for _ in 0..<100 { times.note(.seconds(60)) }
        #expect(times.patience == Kad.patience)
    }

    @Test("nobody's word of a peer that could not be reached is taken for a while")
    func unreachable() throws {
        var peers = UnreachablePeers()
        for number in 0..<2_000 as Range<UInt64> {
            peers.insert(try peer(number), now: instant(1))
        }
        let last = try peer(1_999)
        #expect(peers.contains(last, now: instant(100)))
        #expect(!peers.contains(last, now: instant(122)))
        peers.remove(last)
        #expect(!peers.contains(last, now: instant(2)))
        #expect(peers.count <= UnreachablePeers.limit)
    }
}
