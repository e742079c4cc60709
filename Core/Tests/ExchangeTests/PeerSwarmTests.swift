// Whole exchanges against each other: everything arrives, whoever lies, vanishes or is slow, and
// hardly anything comes twice.

import Exchange
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct PeerSwarmTests {
    /// Blocks that do not compress and are quickly made.
    static func content(_ count: Int, of size: Int, seed: UInt64 = 7) -> [(
        cid: CID, bytes: [UInt8]
    )] {
        let base = block(size, seed: seed).bytes
        return (0..<count).map { index in
            var bytes = base
            for shift in 0..<4 { bytes[shift] = UInt8(truncatingIfNeeded: index >> (8 * shift)) }
            return (CID(.raw, .sha2_256(of: bytes.rawSpan)), bytes)
        }
    }

    /// A swarm in which every node but the first has everything and is offered as a provider.
    static func swarm(
        _ nodes: [SwarmNode], _ blocks: [(cid: CID, bytes: [UInt8])], seed: UInt64 = 1,
        as standing: WantTable.Standing = .provider
    ) -> PeerSwarm {
        var swarm = PeerSwarm([SwarmNode()] + nodes, seed: seed)
        var store: [Multihash: [UInt8]] = [:]
        for block in blocks { store[block.cid.hash] = block.bytes }
        for node in nodes.indices {
            swarm.stores[node + 1] = store
            swarm.exchanges[0].offer(
                PeerSwarm.id(node + 1), to: swarm.session, as: standing, now: swarm.now)
        }
        var position: UInt64 = 0
        for block in blocks {
            let isTaken = swarm.exchanges[0].want(
                block.cid, at: position, size: block.bytes.count, in: swarm.session,
                now: swarm.now)
            #expect(isTaken)
            position += UInt64(block.bytes.count)
        }
        return swarm
    }

    static func expectFewTwice(_ swarm: PeerSwarm, _ bytes: Int) {
        let tally = swarm.exchanges[0].tally(of: swarm.session)
        #expect(tally.surplusBytes * 50 <= UInt64(bytes), "\(swarm)")
    }

    @Test("one peer brings everything, near the rate of its line")
    func onePeer() {
        let blocks = Self.content(400, of: 1 << 16)
        var swarm = Self.swarm([SwarmNode()], blocks)
        swarm.run(blocks: 400)
        #expect(swarm.arrivals.count == 400, "\(swarm)")
        let best = Double(400 << 16) / 10_000_000
        #expect(swarm.seconds < best * 1.15 + 0.3, "\(swarm) instead of \(best)")
        #expect(swarm.receivedBytes < (400 << 16) + 400 * 60)
        Self.expectFewTwice(swarm, 400 << 16)
    }

    @Test("four capped peers bring their sum")
    func fourPeers() {
        let blocks = Self.content(1000, of: 1 << 16)
        var swarm = Self.swarm(Array(repeating: SwarmNode(latency: 0.005), count: 4), blocks)
        swarm.run(blocks: 1000)
        #expect(swarm.arrivals.count == 1000, "\(swarm)")
        let best = Double(1000 << 16) / 40_000_000
        #expect(swarm.seconds < best / 0.95 + 0.05, "\(swarm) instead of \(best)")
        Self.expectFewTwice(swarm, 1000 << 16)
    }

    @Test("older peers serve as well", arguments: BitswapVersion.allCases)
    func versions(version: BitswapVersion) {
        let blocks = Self.content(50, of: 1 << 14)
        var swarm = Self.swarm(
            [SwarmNode(speaks: [version.protocolName])], blocks, as: .neighbour)
        swarm.run(blocks: 50)
        #expect(swarm.arrivals.count == 50, "\(swarm)")
        Self.expectFewTwice(swarm, 50 << 14)
    }

    @Test("the first bytes come first: a reader is never far behind what came")
    func firstBytesFirst() {
        let blocks = Self.content(300, of: 1 << 16)
        var swarm = Self.swarm(
            [SwarmNode(rate: 8e6), SwarmNode(rate: 1e6, latency: 0.1), SwarmNode(rate: 4e6)],
            blocks)
        swarm.run(blocks: 300)
        #expect(swarm.arrivals.count == 300, "\(swarm)")
        var readable = 0.0
        for (index, block) in blocks.enumerated() {
            readable = max(readable, swarm.arrivals[block.cid.hash] ?? .infinity)
            // At 13 MB/s, with half a second for the first answers and the slow one.
            let due = Double((index + 1) << 16) / 13e6 + 1.2
            #expect(readable < due, "block \(index) can be read at \(readable) s, not \(due)")
        }
    }

    @Test("a liar is caught by its first block, named, and asked for nothing more")
    func liar() {
        let blocks = Self.content(100, of: 1 << 14)
        var swarm = Self.swarm([SwarmNode(temper: .lies), SwarmNode()], blocks)
        swarm.run(blocks: 100)
        #expect(swarm.arrivals.count == 100, "\(swarm)")
        #expect(Set(swarm.violations) == [PeerSwarm.id(1)])
    }

    @Test("a peer that vanishes without a word costs its own blocks and a moment")
    func vanishing() {
        let blocks = Self.content(400, of: 1 << 16)
        var swarm = Self.swarm(
            [SwarmNode(temper: .vanishes(afterBytes: 3 << 20)), SwarmNode()], blocks)
        swarm.run(blocks: 400)
        #expect(swarm.arrivals.count == 400 && swarm.violations.isEmpty, "\(swarm)")
        #expect(swarm.seconds < 5, "\(swarm)")
        Self.expectFewTwice(swarm, 400 << 16)
    }

    @Test("neighbours who have nothing are asked little, and those who have it are found")
    func neighbours() {
        let blocks = Self.content(60, of: 1 << 14)
        var swarm = Self.swarm(
            Array(repeating: SwarmNode(), count: 20), blocks, as: .neighbour)
        for node in 1...19 { swarm.stores[node] = [:] }
        swarm.run(blocks: 60)
        #expect(swarm.arrivals.count == 60, "\(swarm)")
        #expect(swarm.seconds < 2, "\(swarm)")
    }

    @Test("limited connections are not used")
    func limitedConnections() {
        let blocks = Self.content(1, of: 1 << 14)
        var swarm = PeerSwarm([SwarmNode(), SwarmNode()], seed: 1)
        swarm.stores[1][blocks[0].cid.hash] = blocks[0].bytes
        swarm.exchanges[0].connected(PeerSwarm.id(1), .limited, now: swarm.now)
        swarm.exchanges[0].offer(
            PeerSwarm.id(1), to: swarm.session, as: .provider, now: swarm.now)
        let isTaken = swarm.exchanges[0].want(
            blocks[0].cid, at: 0, size: nil, in: swarm.session, now: swarm.now)
        #expect(isTaken)
        swarm.run(blocks: 1)
        #expect(swarm.failures == [.absent] && swarm.messages == 0)
    }

    static let weft = SwarmNode(
        speaks: [WeftLimits.protocolName, BitswapVersion.v1_2_0.protocolName])

    @Test("thousands of small objects come in few messages")
    func smallObjects() {
        let blocks = Self.content(4000, of: 1024)
        var swarm = Self.swarm([Self.weft], blocks)
        swarm.run(blocks: 4000)
        #expect(swarm.arrivals.count == 4000, "\(swarm)")
        // 4 MB at 10 MB/s, and some round trips of 40 ms until the rate is known.
        #expect(swarm.seconds < 0.4 + 0.5, "\(swarm)")
        #expect(swarm.receivedBytes < 4000 * (1024 + 8), "\(swarm.receivedBytes)")
        Self.expectFewTwice(swarm, 4000 * 1024)
    }

    @Test("Weft and bitswap peers bring one download together")
    func mixedPeers() {
        let blocks = Self.content(800, of: 1 << 16)
        var swarm = Self.swarm([Self.weft, SwarmNode(), Self.weft, SwarmNode()], blocks)
        swarm.run(blocks: 800)
        #expect(swarm.arrivals.count == 800, "\(swarm)")
        let best = Double(800 << 16) / 40_000_000
        #expect(swarm.seconds < best / 0.9 + 0.2, "\(swarm) instead of \(best)")
        Self.expectFewTwice(swarm, 800 << 16)
    }

    @Test("a Weft peer that lies is caught, and one that lacks blocks says so")
    func weftFaults() {
        let blocks = Self.content(100, of: 1 << 14)
        var liar = Self.weft
        liar.temper = .lies
        var swarm = Self.swarm([liar, Self.weft, Self.weft], blocks)
        for (index, block) in blocks.enumerated() where index % 3 == 0 {
            swarm.stores[2][block.cid.hash] = nil
        }
        swarm.run(blocks: 100)
        #expect(swarm.arrivals.count == 100, "\(swarm)")
        #expect(Set(swarm.violations) == [PeerSwarm.id(1)])
    }

    @Test("swarms of every kind finish", arguments: Array(1...10) + [88, 104])
    func randomSwarms(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var nodes = [SwarmNode(rate: 3e6)]
        for _ in 0..<Int.random(in: 2...14, using: &random) {
            var node = SwarmNode(
                rate: .random(in: 2e5...2e7, using: &random),
                latency: .random(in: 0.001...0.15, using: &random))
            switch Int.random(in: 0..<9, using: &random) {
            case 0: node.temper = .lies
            case 1: node.temper = .vanishes(afterBytes: .random(in: 0...(4 << 20), using: &random))
            case 2: node.loss = 0.02
            case 3: node.speaks = [BitswapVersion.v1_1_0.protocolName]
            default: break
            }
            nodes.append(node)
        }
        for index in nodes.indices where random.next() % 3 == 0 {
            nodes[index].speaks = Self.weft.speaks
        }
        let blocks = Self.content(500, of: 1 << 16, seed: seed)
        var swarm = Self.swarm(nodes, blocks, seed: seed)
        swarm.run(blocks: 500)
        #expect(swarm.arrivals.count == 500, "\(swarm)")
        Self.expectFewTwice(swarm, 500 << 16)
    }

    @Test("one seed gives one run")
    func determinism() {
        let blocks = Self.content(80, of: 1 << 14)
        let nodes = [SwarmNode(loss: 0.1), SwarmNode(rate: 1e6), SwarmNode(temper: .lies)]
        var first = Self.swarm(nodes, blocks, seed: 3)
        var second = Self.swarm(nodes, blocks, seed: 3)
        first.run(blocks: 80)
        second.run(blocks: 80)
        #expect("\(first)" == "\(second)")
        #expect(first.arrivals == second.arrivals)
    }
}
