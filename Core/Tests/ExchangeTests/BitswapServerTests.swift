// What the bitswap server promises: the answers of the specification, and its ceilings.

import Exchange
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

/// A peer id made of a number.
func peer(_ number: UInt8) -> PeerID {
    let hash = Multihash.sha2_256(of: [number].rawSpan)
    guard let peer = try? PeerID(hash) else { preconditionFailure("a digest is a peer id") }
    return peer
}

/// A server with a store beside it that answers at once.
struct ServingPeer {
    var server: BitswapServer
    var store: [Multihash: [UInt8]] = [:]
    var now = Instant(nanoseconds: 1_000_000_000)

    init(limits: BitswapServer.Limits = .init(), _ blocks: [[UInt8]] = []) {
        server = BitswapServer(limits: limits)
        for bytes in blocks { store[.sha2_256(of: bytes.rawSpan)] = bytes }
    }

    mutating func ask(_ wants: [BitswapMessage.Want], from peer: PeerID, isFull: Bool = false) {
        var lists = BitswapMessage()
        lists.wants = wants
        lists.isFull = isFull
        server.receive(lists, from: peer, now: now)
    }

    mutating func lookUp() {
        while let order = server.nextLookUp() {
            let counts = order.cids.map { store[$0.hash]?.count }
            server.lookedUp(order.id, byteCounts: counts, now: now)
        }
    }

    /// What would be sent next, read back.
    mutating func answer() throws -> (id: UInt64, peer: PeerID, ReceivedBitswapMessage)? {
        lookUp()
        guard let transmit = server.nextTransmit() else { return nil }
        let bytes = joined(transmit.message, store)
        return (transmit.id, transmit.peer, try ReceivedBitswapMessage(verifying: bytes))
    }
}

@Suite struct BitswapServerTests {
    let alice = peer(1)
    let bob = peer(2)

    @Test("have, don't have, small and large blocks are answered as the specification has it")
    func answers() throws {
        let small = block(1024, seed: 1)
        let large = block(1025, seed: 2)
        let none = block(10, seed: 3)
        let silent = block(10, seed: 4)
        var host = ServingPeer([small.bytes, large.bytes])
        host.server.opened(alice, .v1_2_0, now: host.now)
        host.ask(
            [
                .init(small.cid, .have), .init(large.cid, .have),
                .init(none.cid, .block, absence: .answer), .init(silent.cid, .block),
            ], from: alice)
        let (id, _, answer) = try #require(try host.answer())
        #expect(answer.blocks.map(\.cid) == [small.cid])
        #expect(answer.lists.presences == [.init(large.cid, .have), .init(none.cid, .dontHave)])
        host.server.sent(id)
        #expect(try host.answer() == nil)
        // A want for a block that comes later is kept, and answered then.
        host.store[silent.cid.hash] = silent.bytes
        _ = host.server.stored(silent.cid.hash, byteCount: silent.bytes.count)
        #expect(try host.answer()?.2.blocks.map(\.cid) == [silent.cid])
    }

    @Test("a block is answered with the prefix of the CID it was asked for by")
    func prefixes() throws {
        let content = block(5000, seed: 1)
        var host = ServingPeer([content.bytes])
        host.server.opened(alice, .v1_2_0, now: host.now)
        let v0 = try #require(CID(v0: content.cid.hash))
        host.ask(
            [.init(content.cid, .block), .init(v0, .block), .init(v0.v1, .block)], from: alice)
        let answer = try #require(try host.answer())
        #expect(Set(answer.2.blocks.map(\.cid)) == [content.cid, v0, v0.v1])
    }

    @Test("older peers get what they understand", arguments: [BitswapVersion.v1_0_0, .v1_1_0])
    func olderVersions(version: BitswapVersion) throws {
        let content = block(5000, seed: 1)
        var host = ServingPeer([content.bytes])
        host.server.opened(alice, version, now: host.now)
        let v0 = try #require(CID(v0: content.cid.hash))
        host.ask(
            [.init(v0, .block), .init(block(9, seed: 3).cid, .block, absence: .answer)],
            from: alice)
        let answer = try #require(try host.answer())
        #expect(answer.2.blocks.map(\.cid) == [v0])
        #expect(answer.2.lists.presences.isEmpty && answer.2.lists.pendingBytes == 0)
        host.server.sent(answer.id)
        #expect(try host.answer() == nil)
    }

    @Test("higher priorities come first, and cancelled wants not at all")
    func priorities() throws {
        let blocks = (0..<9).map { block(60_000, seed: UInt64($0)) }
        var host = ServingPeer(blocks.map(\.bytes))
        host.server.opened(alice, .v1_2_0, now: host.now)
        host.ask(
            blocks.enumerated().map {
                .init($0.element.cid, .block, priority: $0.offset == 5 ? 9 : 1)
            }, from: alice)
        host.lookUp()
        host.ask([.init(blocks[0].cid, .cancel), .init(blocks[7].cid, .cancel)], from: alice)
        var order: [CID] = []
        while let (id, _, answer) = try host.answer() {
            order += answer.blocks.map(\.cid)
            host.server.sent(id)
        }
        #expect(order == [5, 1, 2, 3, 4, 6, 8].map { blocks[$0].cid })
        #expect(host.server.wantCount(of: alice) == 0)
    }

    @Test("no more than the ceiling is on its way to a peer, but one large block always may be")
    func unacknowledged() throws {
        let blocks = (0..<8).map { block(300_000, seed: UInt64($0)) }
        let huge = block(BlockLimits.maxBytes, seed: 99)
        var host = ServingPeer(blocks.map(\.bytes) + [huge.bytes])
        host.server.opened(alice, .v1_2_0, now: host.now)
        host.ask(
            blocks.map { .init($0.cid, .block, priority: 2) } + [.init(huge.cid, .block)],
            from: alice)
        var open: [UInt64] = []
        while let (id, _, answer) = try host.answer() {
            #expect(answer.blocks.count == 1)
            open.append(id)
        }
        #expect(open.count == 3)
        host.server.sent(open[0])
        #expect(try host.answer() != nil)
        #expect(try host.answer() == nil)
        // Somebody else is not held up.
        host.server.opened(bob, .v1_2_0, now: host.now)
        host.ask([.init(huge.cid, .block)], from: bob)
        #expect(try host.answer()?.peer == bob)
    }

    @Test("peers take turns by bytes, whoever asked first")
    func fairness() throws {
        let many = (0..<40).map { block(64_000, seed: UInt64($0)) }
        var host = ServingPeer(many.map(\.bytes))
        for asking in [alice, bob] { host.server.opened(asking, .v1_2_0, now: host.now) }
        host.ask(many.map { .init($0.cid, .block) }, from: alice)
        var turns: [PeerID] = []
        for step in 0..<20 {
            if step == 10 { host.ask(many.map { .init($0.cid, .block) }, from: bob) }
            let (id, to, _) = try #require(try host.answer())
            turns.append(to)
            host.server.sent(id)
        }
        #expect(turns[10...].count { $0 == bob } == 5)
    }

    @Test("wants beyond the ceiling are denied, unless they push out ones that wait in vain")
    func wantCeiling() throws {
        let missing = (0..<1500).map { block(8, seed: 1000 + UInt64($0)).cid }
        let here = block(5000, seed: 1)
        var host = ServingPeer([here.bytes])
        host.server.opened(alice, .v1_2_0, now: host.now)
        host.ask(missing.map { .init($0, .block, absence: .answer) }, from: alice)
        #expect(host.server.wantCount(of: alice) == BitswapLimits.maxWants)
        var denied = 0
        while let (id, _, answer) = try host.answer() {
            denied += answer.lists.presences.count
            host.server.sent(id)
        }
        #expect(denied == 1500)
        host.ask([.init(here.cid, .block)], from: alice)
        #expect(try host.answer()?.2.blocks.count == 1)
        host.ask([], from: alice, isFull: true)
        #expect(host.server.wantCount(of: alice) == 0)
    }

    @Test("a peer that asks too much waits for its allowance")
    func allowance() {
        var limits = BitswapServer.Limits()
        limits.requestsPerSecond = 100
        var host = ServingPeer(limits: limits)
        host.server.opened(alice, .v1_2_0, now: host.now)
        var asked = 0
        for round in 0..<10 {
            host.ask(
                (0..<1000).map { .init(block(8, seed: UInt64(round * 1000 + $0)).cid, .block) },
                from: alice, isFull: true)
            while let order = host.server.nextLookUp() {
                asked += order.cids.count
                host.server.lookedUp(order.id, byteCounts: [], now: host.now)
            }
        }
        #expect(asked == 4 * BitswapLimits.maxWants)
        let deadline = host.server.deadline
        #expect(deadline != nil && deadline! > host.now)
        host.server.advance(to: host.now + .seconds(1))
        #expect(host.server.nextLookUp()?.cids.count == 100)
    }

    @Test("what a broken stream took with it is looked up and sent again, but not for ever")
    func failures() throws {
        let content = block(5000, seed: 1)
        var host = ServingPeer([content.bytes])
        host.server.opened(alice, .v1_2_0, now: host.now)
        host.ask([.init(content.cid, .block, absence: .answer)], from: alice)
        for _ in 0..<3 {
            let (id, _, answer) = try #require(try host.answer())
            #expect(answer.blocks.count == 1)
            host.server.failed(id, now: host.now)
        }
        let last = try #require(try host.answer())
        #expect(last.2.lists.presences == [.init(content.cid, .dontHave)])
    }

    @Test("a peer that leaves and comes back starts with a clean account")
    func reconnection() throws {
        let content = block(1 << 20, seed: 1)
        var host = ServingPeer([content.bytes])
        host.server.opened(alice, .v1_2_0, now: host.now)
        host.ask([.init(content.cid, .block)], from: alice)
        let first = try #require(try host.answer())
        host.server.disconnected(alice)
        host.server.opened(alice, .v1_2_0, now: host.now)
        host.ask([.init(content.cid, .block)], from: alice)
        #expect(try host.answer() != nil)
        host.server.failed(first.id, now: host.now)
        #expect(try host.answer() == nil)
        #expect(host.server.wantCount(of: alice) == 0)
    }
}
