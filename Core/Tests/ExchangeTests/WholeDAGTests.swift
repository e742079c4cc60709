// A whole DAG in one request, as one node's exchange sees it: who is asked, what happens when they
// do not have it, vanish or lie, and when others share the work.

import Exchange
import IPLD
import Multiformats
import Testing
import Wire

@Suite struct WholeDAGTests {
    static let weft = PeerSwarmTests.weft

    /// One that sends little at a time.
    static func slow(_ rate: Double) -> SwarmNode {
        var node = weft
        node.rate = rate
        node.limits.weftServer.dagMessageBytes = 4 << 10
        node.limits.weftServer.unacknowledgedBytesPerPeer = 8 << 10
        return node
    }

    let tree: WeftExchangeTests.Tree
    let dag: WeftDAG
    /// The blocks in the order in which they come.
    let all: [CID]

    init() throws {
        tree = try WeftExchangeTests.Tree(.raw)
        dag = WeftDAG(root: tree.root, path: ["film"], scope: .all)
        all = try tree.expected(.all)
    }

    /// Nodes of which those that are named have everything; all are offered.
    private func swarm(
        _ nodes: [SwarmNode], owners: [Int], as standing: WantTable.Standing = .neighbour,
        room: Int = 16 << 20
    ) -> PeerSwarm {
        var swarm = PeerSwarm([SwarmNode()] + nodes, seed: 1)
        for node in owners {
            for (cid, bytes) in tree.store { swarm.stores[node][cid.hash] = bytes }
        }
        for node in nodes.indices {
            swarm.exchanges[0].offer(
                PeerSwarm.id(node + 1), to: swarm.session, as: standing, now: swarm.now)
        }
        let isTaken = swarm.exchanges[0].stream(
            dag, room: room, in: swarm.session, now: swarm.now)
        #expect(isTaken)
        return swarm
    }

    /// Wants what has not come, block by block.
    private func wantRest(_ swarm: inout PeerSwarm) {
        for (index, cid) in all.enumerated() where swarm.arrivals[cid.hash] == nil {
            let isTaken = swarm.exchanges[0].want(
                cid, at: UInt64(index), size: nil, in: swarm.session, now: swarm.now)
            #expect(isTaken)
        }
    }

    @Test("it comes in one request and in order from a peer of whom nothing was known")
    func oneNeighbour() {
        var swarm = swarm([Self.weft], owners: [1])
        swarm.run { $0.streamsOver > 0 }
        #expect(swarm.streamed == all && swarm.streamsOver == 1, "\(swarm)")
        // Open, ask, and the bytes.
        #expect(swarm.seconds < 0.12, "\(swarm)")
        #expect(swarm.exchanges[0].tally(of: swarm.session).surplusBytes == 0)
    }

    @Test("no more comes than the reader has room for, and a reader that pauses loses nobody")
    func room() {
        var swarm = swarm([Self.weft], owners: [1], room: 20_000)
        swarm.grants = false
        swarm.run(until: 60) { $0.streamsOver > 0 }
        let largest = tree.store.values.map(\.count).max() ?? 0
        #expect(swarm.streamedBytes >= 20_000 && swarm.streamedBytes < 20_000 + largest)
        #expect(swarm.streamsOver == 0, "\(swarm)")
        swarm.grants = true
        swarm.exchanges[0].grant(1 << 20, in: swarm.session, now: swarm.now)
        swarm.run(until: 120) { $0.streamsOver > 0 }
        #expect(swarm.streamed == all && swarm.streamsOver == 1, "\(swarm)")
    }

    @Test("those who lack it say so, one after the other, until somebody has it")
    func search() {
        var swarm = swarm([Self.weft, Self.weft, Self.weft], owners: [3])
        swarm.run { $0.streamsOver > 0 }
        #expect(swarm.streamed == all && swarm.streamsOver == 1, "\(swarm)")
    }

    @Test("nobody has it: that is said once, and the first block fails")
    func nobody() {
        var swarm = swarm([Self.weft, SwarmNode()], owners: [])
        swarm.run { $0.streamsOver > 0 }
        #expect(swarm.streamed.isEmpty && swarm.streamsOver == 1, "\(swarm)")
        wantRest(&swarm)
        swarm.run { !$0.failures.isEmpty }
        #expect(swarm.failures.first == .absent, "\(swarm)")
    }

    @Test(
        "whoever can only be asked for blocks brings them, and others with them",
        arguments: [0, 1])
    func withoutStreams(others: Int) {
        let nodes = [SwarmNode()] + Array(repeating: Self.weft, count: others)
        var swarm = swarm(nodes, owners: Array(1...nodes.count), as: .provider)
        swarm.run { $0.streamsOver > 0 }
        #expect(swarm.streamed.isEmpty && swarm.streamsOver == 1, "\(swarm)")
        wantRest(&swarm)
        swarm.run(blocks: all.count)
        #expect(swarm.arrivals.count == all.count, "\(swarm)")
    }

    @Test("those who do not have it do not end it, however long it takes")
    func bystanders() {
        var swarm = swarm(
            [Self.slow(100_000), Self.weft, Self.weft, SwarmNode()], owners: [1])
        swarm.run { $0.streamsOver > 0 }
        #expect(swarm.streamed == all && swarm.streamsOver == 1, "\(swarm)")
    }

    @Test("when others have it too, one peer sends alone for a moment; nothing comes twice")
    func takingOver() {
        var swarm = swarm([Self.slow(200_000), Self.weft, Self.weft], owners: [1, 2, 3])
        swarm.run { $0.streamsOver > 0 }
        #expect(!swarm.streamed.isEmpty && swarm.streamed.count < all.count, "\(swarm)")
        #expect(swarm.streamed == Array(all.prefix(swarm.streamed.count)))
        wantRest(&swarm)
        swarm.run(blocks: all.count)
        #expect(swarm.arrivals.count == all.count, "\(swarm)")
        #expect(swarm.exchanges[0].tally(of: swarm.session).surplusBytes == 0, "\(swarm)")
    }

    @Test("whoever is slower to say what it has than another is to bring it gets work all the same")
    func lateAnswer() {
        var far = Self.weft
        far.latency = 0.35
        var swarm = swarm([Self.slow(30_000), far], owners: [1, 2])
        swarm.run { !$0.streamed.isEmpty }
        swarm.exchanges[0].endStream(in: swarm.session, now: swarm.now)
        swarm.run { $0.streamsOver > 0 }
        wantRest(&swarm)
        swarm.run(blocks: all.count)
        #expect(swarm.arrivals.count == all.count, "\(swarm)")
        #expect(swarm.broughtBytes[PeerSwarm.id(2)] ?? 0 > 20_000, "\(swarm.broughtBytes)")
    }

    @Test("a peer that vanishes is given up, and another one goes on")
    func vanishing() {
        var first = Self.slow(10_000_000)
        first.temper = .vanishes(afterBytes: 20_000)
        var swarm = swarm([first, Self.weft], owners: [1, 2])
        swarm.run { $0.streamsOver > 0 }
        #expect(swarm.streamsOver == 1, "\(swarm)")
        wantRest(&swarm)
        swarm.run(blocks: all.count, until: 60)
        #expect(swarm.arrivals.count == all.count, "\(swarm)")
    }

    @Test("a peer that lies is caught with its first wrong block, and another one goes on")
    func lying() {
        var liar = Self.weft
        liar.temper = .lies
        var swarm = swarm([liar, Self.weft], owners: [1, 2])
        swarm.run { $0.streamsOver > 0 }
        wantRest(&swarm)
        swarm.run(blocks: all.count)
        #expect(swarm.arrivals.count == all.count, "\(swarm)")
        #expect(swarm.violations == [PeerSwarm.id(1)], "\(swarm)")
    }

    @Test("a session that ends has its peer stop")
    func ending() {
        var swarm = swarm([Self.slow(100_000)], owners: [1])
        swarm.run { !$0.streamed.isEmpty }
        let count = swarm.streamed.count
        swarm.exchanges[0].closeSession(swarm.session, now: swarm.now)
        swarm.run(until: 10) { _ in false }
        #expect(count < all.count && swarm.streamed.count == count, "\(swarm)")
        // Some was on its way.
        #expect(swarm.receivedBytes < tree.store.values.reduce(0) { $0 + $1.count } / 2)
    }
}
