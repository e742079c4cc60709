// Blocks between whole nodes, both ways, over connections that may break.

import Exchange
import IPLD
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

struct BlockTests {
    static func blocks(_ count: Int, seed: UInt64) -> [(cid: CID, bytes: [UInt8])] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            let bytes = random.bytes(Int.random(in: 100...20_000, using: &random))
            return (CID(.raw, Multihash.sha2_256(of: bytes.rawSpan)), bytes)
        }
    }

    static func want(_ blocks: [(cid: CID, bytes: [UInt8])]) -> [NodeCore.Want] {
        blocks.enumerated().map { NodeCore.Want($1.cid, at: UInt64($0), size: nil) }
    }

    @Test("Two nodes give each other what the other has, at the same time")
    func bothWays() throws {
        var network = VirtualNetwork(seed: 11)
        let one = try network.add()
        let two = try network.add()
        let left = Self.blocks(60, seed: 1)
        let right = Self.blocks(60, seed: 2)
        for block in left { network.hosts[one].store[block.cid.hash] = block.bytes }
        for block in right { network.hosts[two].store[block.cid.hash] = block.bytes }
        _ = network.connect(one, two)
        let mine = try network.session(one)
        let yours = try network.session(two)
        network.order(one, .want(mine, Self.want(right)))
        network.order(two, .want(yours, Self.want(left)))
        network.run(for: .seconds(20))
        #expect(network.hosts[one].blocks.count == 60)
        #expect(network.hosts[two].blocks.count == 60)
        #expect(right.allSatisfy { network.hosts[one].blocks[$0.cid.hash] == $0.bytes })
        #expect(network.hosts[one].missing.isEmpty && network.hosts[two].missing.isEmpty)
        #expect(try network.status(one).violations == 0)
        let close = network.order(one, .closeSession(mine))
        #expect(network.isDone(one, close))
    }

    /// A node of an archive that links to these blocks, in dag-cbor.
    private static func parent(of cids: [CID]) -> (cid: CID, bytes: [UInt8]) {
        var bytes: [UInt8] = [0x98, UInt8(cids.count)]
        for cid in cids {
            bytes += [0xd8, 42, 0x58, UInt8(cid.bytes.count + 1), 0] + cid.bytes
        }
        return (CID(.dagCBOR, Multihash.sha2_256(of: bytes.rawSpan)), bytes)
    }

    @Test("A whole comes in one request from the one neighbour of several who has it")
    func whole() throws {
        var network = VirtualNetwork(seed: 16)
        let one = try network.add()
        let two = try network.add()
        let three = try network.add()
        let leaves = Self.blocks(200, seed: 5)
        let root = Self.parent(of: leaves.map(\.cid))
        for block in leaves + [root] { network.hosts[two].store[block.cid.hash] = block.bytes }
        _ = network.connect(one, three)
        _ = network.connect(one, two)
        network.run(for: .seconds(5))
        let session = try network.session(one)
        let dag = WeftDAG(root: root.cid, path: [], scope: .all)
        let id = network.order(one, .stream(session, dag, room: 16 << 20))
        #expect(network.isDone(one, id))
        let again = network.order(one, .stream(session, dag, room: 16 << 20))
        #expect(network.failure(one, again) == .overLimit)
        network.run(for: .seconds(20))
        #expect(network.hosts[one].blocks.count == 201)
        #expect(network.hosts[one].streamsOver == [session])
        #expect(network.hosts[one].missing.isEmpty)
    }

    @Test("A peer that connects after a session began takes part in it")
    func lateNeighbour() throws {
        var network = VirtualNetwork(seed: 12)
        let one = try network.add()
        let two = try network.add()
        let blocks = Self.blocks(10, seed: 3)
        for block in blocks { network.hosts[two].store[block.cid.hash] = block.bytes }
        let session = try network.session(one)
        _ = network.connect(two, one)
        network.order(one, .want(session, Self.want(blocks)))
        network.run(for: .seconds(20))
        #expect(network.hosts[one].blocks.count == 10)
    }

    @Test("A block that comes into the store goes to those who asked for it before")
    func storedLater() throws {
        var network = VirtualNetwork(seed: 13)
        let one = try network.add()
        let two = try network.add()
        let three = try network.add()
        let blocks = Self.blocks(5, seed: 4)
        _ = network.connect(one, two)
        let session = try network.session(one)
        network.order(one, .want(session, Self.want(blocks)))
        network.run(for: .milliseconds(500))
        for block in blocks { network.hosts[three].store[block.cid.hash] = block.bytes }
        _ = network.connect(two, three)
        let middle = try network.session(two)
        network.order(two, .want(middle, Self.want(blocks)))
        network.run(for: .seconds(120))
        #expect(network.hosts[two].blocks.count == 5)
        // Asked again, or told, or given up: never left without a word.
        #expect(network.hosts[one].blocks.count + network.hosts[one].missing.count == 5)
    }

    @Test("What nobody has is said to be missing")
    func missing() throws {
        var network = VirtualNetwork(seed: 14)
        let one = try network.add()
        let two = try network.add()
        _ = network.connect(one, two)
        let session = try network.session(one)
        network.order(one, .want(session, Self.want(Self.blocks(3, seed: 5))))
        network.run(for: .seconds(120))
        #expect(network.hosts[one].missing.count == 3)
    }

    @Test("Lost connections cost time, not blocks", arguments: [UInt64](1...6))
    func lossy(seed: UInt64) throws {
        var network = VirtualNetwork(seed: seed)
        let reader = try network.add()
        let blocks = Self.blocks(80, seed: seed)
        for _ in 0..<3 {
            let host = try network.add()
            for block in blocks { network.hosts[host].store[block.cid.hash] = block.bytes }
            _ = network.connect(reader, host)
        }
        network.conditions.breakage = 0.02
        let session = try network.session(reader)
        network.order(reader, .want(session, Self.want(blocks)))
        for _ in 0..<60 {
            network.run(for: .seconds(1))
            for host in 1...3 {
                network.order(
                    reader, .connect(network.id(host), [network.hosts[host].address]))
            }
        }
        #expect(network.hosts[reader].blocks.count == 80)
        #expect(network.hosts[reader].missing.isEmpty)
    }

    /// Whoever was reading from a peer gets it back by itself: at once after a break, and soon
    /// after a division of the network is over.
    @Test("A peer that was lost is sought again", arguments: [0, 3, 12])
    func lostAndFound(seconds: Int) throws {
        var network = VirtualNetwork(seed: 15)
        let reader = try network.add()
        let owner = try network.add()
        let blocks = Self.blocks(400, seed: 6)
        for block in blocks { network.hosts[owner].store[block.cid.hash] = block.bytes }
        _ = network.connect(reader, owner)
        let session = try network.session(reader)
        network.order(reader, .want(session, Self.want(blocks)))
        while network.hosts[reader].blocks.count < 40 { network.run(for: .milliseconds(20)) }
        #expect(network.hosts[reader].blocks.count < 300)
        if seconds > 0 { network.divide { $0 } }
        network.cut(reader, owner)
        network.run(for: .seconds(seconds))
        if seconds > 0 {
            #expect(network.hosts[reader].blocks.count < 400)
            network.divide { _ in 0 }
        }
        // A dial that was under way has its time; the packets of this network are not sent again.
        let before = network.hosts[reader].blocks.count
        network.run(for: .seconds(18))
        #expect(network.hosts[reader].blocks.count > before)
        network.run(for: .seconds(30))
        #expect(network.hosts[reader].blocks.count == 400)
        #expect(network.hosts[reader].missing.isEmpty)
    }

    /// A line that nobody is told of is noticed by its silence. The dead connection is replaced,
    /// whoever had made it, as long as the session has patience and not longer.
    @Test("A peer that falls silent is called again", arguments: [4, 14, 40], [false, true])
    func silent(seconds: Int, isCalled: Bool) throws {
        var network = VirtualNetwork(seed: 17)
        let reader = try network.add()
        let owner = try network.add()
        let blocks = Self.blocks(400, seed: 8)
        for block in blocks { network.hosts[owner].store[block.cid.hash] = block.bytes }
        _ = isCalled ? network.connect(owner, reader) : network.connect(reader, owner)
        let session = try network.session(reader, patience: .seconds(60))
        network.order(reader, .want(session, Self.want(blocks)))
        while network.hosts[reader].blocks.count < 40 { network.run(for: .milliseconds(20)) }
        network.divide { $0 }
        network.run(for: .seconds(seconds))
        let before = network.hosts[reader].blocks.count
        #expect(before < 400)
        network.divide { _ in 0 }
        // A dial that was under way has its five seconds: here packets are not sent again.
        network.run(for: .seconds(7))
        #expect(network.hosts[reader].blocks.count > before)
        network.run(for: .seconds(30))
        #expect(network.hosts[reader].blocks.count == 400)
        #expect(network.hosts[reader].missing.isEmpty)
        #expect(network.hosts[reader].open.count <= 1)

        network.divide { $0 }
        network.order(reader, .want(session, Self.want(Self.blocks(3, seed: 9))))
        network.run(for: .seconds(75))
        #expect(network.hosts[reader].missing.count == 3)
    }

    /// One that this node let go of is not, and who reads hears soon that nobody is left.
    @Test("A peer that was sent away is not sought again") func sentAway() throws {
        var network = VirtualNetwork(seed: 16)
        let reader = try network.add()
        let owner = try network.add()
        let blocks = Self.blocks(400, seed: 7)
        for block in blocks { network.hosts[owner].store[block.cid.hash] = block.bytes }
        _ = network.connect(reader, owner)
        let session = try network.session(reader)
        network.order(reader, .want(session, Self.want(blocks)))
        while network.hosts[reader].blocks.count < 40 { network.run(for: .milliseconds(20)) }
        network.order(reader, .disconnect(network.id(owner)))
        network.run(for: .seconds(5))
        let got = network.hosts[reader].blocks.count
        #expect(got < 400 && network.hosts[reader].missing.count == 400 - got)
    }
}
