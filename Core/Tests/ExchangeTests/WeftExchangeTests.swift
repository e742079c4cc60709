// The stream exchange: its frames, its order, its credit, what it costs, and hostile input.

import Exchange
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

/// A reader and a server with a store, joined by a stream that counts bytes.
struct WeftPair {
    var requests = WeftRequests()
    var server: WeftServer
    var store: [Multihash: [UInt8]] = [:]
    let stream = StreamID(connection: 1, stream: 1)
    var blocks: [(cid: CID, bytes: [UInt8])] = []
    var missing: [CID] = []
    var present: [CID] = []
    var ends: [UInt64: (WeftStatus, WeftRequests.Completeness)] = [:]
    var bytesThere = 0
    var bytesBack = 0
    var framesBack = 0
    private var nextNumber: UInt64 = 0

    init(_ blocks: [(cid: CID, bytes: [UInt8])], limits: WeftServer.Limits = .init()) {
        server = WeftServer(limits: limits)
        for block in blocks { store[block.cid.hash] = block.bytes }
        server.opened(stream, by: peer(1))
    }

    /// Sends a command to the server.
    mutating func tell(_ command: WeftCommand) throws {
        requests.note(command)
        let frame = command.encoded
        bytesThere += frame.count + Varint.length(of: UInt64(frame.count))
        let read = try WeftCommand.decode(frame.rawSpan)
        #expect(read == [command])
        try server.receive(read, on: stream)
    }

    /// Asks for listed blocks.
    mutating func ask(_ cids: [CID], credit: UInt64) throws -> UInt64 {
        nextNumber += 1
        try tell(.list(id: nextNumber, credit: credit, cids))
        return nextNumber
    }

    /// Asks for a DAG.
    mutating func ask(_ dag: WeftDAG, credit: UInt64) throws -> UInt64 {
        nextNumber += 1
        try tell(.dag(id: nextNumber, credit: credit, dag))
        return nextNumber
    }

    /// Answers what the server wants to know.
    mutating func find() {
        var isBusy = true
        while isBusy {
            isBusy = false
            while let lookUp = server.nextLookUp() {
                let counts = lookUp.cids.map { store[$0.hash]?.count }
                server.lookedUp(lookUp.id, byteCounts: counts)
                isBusy = true
            }
            while let load = server.nextLoad() {
                server.loaded(load.id, store[load.cid.hash])
                isBusy = true
            }
        }
    }

    /// Brings one frame back; false if there is none.
    mutating func bring() throws -> Bool {
        guard let frame = nextFrame() else { return false }
        try take(frame)
        return true
    }

    /// What the server sends next.
    mutating func nextFrame() -> [UInt8]? {
        find()
        guard let transmit = server.nextTransmit() else { return nil }
        let frame = joined(transmit.message, store)
        bytesBack += frame.count + Varint.length(of: UInt64(frame.count))
        framesBack += 1
        #expect(frame.count <= WeftLimits.maxAnswerFrame)
        server.sent(transmit.id)
        return frame
    }

    mutating func take(_ frame: [UInt8]) throws {
        for outcome in try requests.receive(frame) {
            switch outcome {
            case .blocks(_, let new): blocks += new.map { ($0.cid, Array($0.bytes)) }
            case .missing(_, let cid): missing.append(cid)
            case .present(_, let cid): present.append(cid)
            case .ended(let id, let status, let completeness): ends[id] = (status, completeness)
            }
        }
    }

    mutating func run() throws {
        while try bring() {}
    }
}

@Suite struct WeftExchangeTests {
    @Test("a thousand blocks of 1 KiB cost one round trip and under 40 bytes each")
    func overhead() throws {
        let blocks = PeerSwarmTests.content(1000, of: 1024)
        var pair = WeftPair(blocks)
        let id = try pair.ask(blocks.map(\.cid), credit: 16 << 20)
        try pair.run()
        #expect(pair.blocks.map(\.cid) == blocks.map(\.cid))
        #expect(pair.blocks.map(\.bytes) == blocks.map(\.bytes))
        #expect(pair.ends[id]?.0 == .complete && pair.ends[id]?.1 == .whole)
        // Nothing but the request went there; yamux adds 12 bytes to each frame.
        let overhead = pair.bytesThere + pair.bytesBack - 1000 * 1024 + 12 * pair.framesBack
        #expect(overhead < 1000 * 36, "\(Double(overhead) / 1000) bytes a block")
    }

    @Test("what is missing keeps its place")
    func missing() throws {
        let blocks = PeerSwarmTests.content(600, of: 64)
        var pair = WeftPair(blocks.enumerated().filter { $0.offset % 3 != 0 }.map(\.element))
        let id = try pair.ask(blocks.map(\.cid), credit: 1 << 20)
        try pair.run()
        #expect(pair.blocks.count == 400 && pair.missing.count == 200)
        #expect(pair.missing == stride(from: 0, to: 600, by: 3).map { blocks[$0].cid })
        #expect(pair.ends[id]?.0 == .complete && pair.ends[id]?.1 == .whole)
    }

    @Test("whether blocks are there is told in a few bytes, without them")
    func presence() throws {
        let blocks = PeerSwarmTests.content(600, of: 64)
        var pair = WeftPair(Array(blocks[..<400]))
        try pair.tell(.presence(id: 1, blocks.map(\.cid)))
        try pair.run()
        #expect(pair.present == blocks[..<400].map(\.cid))
        #expect(pair.missing == blocks[400...].map(\.cid))
        #expect(pair.blocks.isEmpty && pair.ends[1]?.0 == .complete)
        #expect(pair.bytesBack < 100)
    }

    @Test("no more comes than the credit and one block, and other requests go on")
    func credit() throws {
        let blocks = PeerSwarmTests.content(100, of: 10_000)
        var pair = WeftPair(blocks)
        let first = try pair.ask(blocks.map(\.cid), credit: 25_000)
        try pair.run()
        #expect(pair.blocks.count == 3 && pair.requests.credit(of: first) == -5000)
        let second = try pair.ask([blocks[99].cid], credit: 1)
        try pair.run()
        #expect(pair.ends[second]?.0 == .complete && pair.blocks.count == 4)
        try pair.tell(.credit(id: first, bytes: 1 << 20))
        try pair.run()
        #expect(pair.blocks.count == 101 && pair.ends[first]?.0 == .complete)
    }

    @Test("credit that crosses a block longer than what was left means the same to both sides")
    func crossingCredit() throws {
        let blocks = PeerSwarmTests.content(3, of: 10_000)
        var pair = WeftPair(blocks)
        let id = try pair.ask(blocks.map(\.cid), credit: 1)
        let frame = pair.nextFrame()
        // Granted before that came, and noticed after it left.
        try pair.tell(.credit(id: id, bytes: 5_000))
        try pair.take(try #require(frame))
        try pair.run()
        #expect(pair.blocks.count == 1)
        try pair.tell(.credit(id: id, bytes: 10_000))
        try pair.run()
        #expect(pair.blocks.count == 2)
        try pair.tell(.credit(id: id, bytes: 10_000))
        try pair.run()
        #expect(pair.ends[id]?.0 == .complete)
    }

    @Test("a request, or some of its blocks, can be taken back at any time")
    func cancelling() throws {
        let blocks = PeerSwarmTests.content(1000, of: 10_000)
        var pair = WeftPair(blocks)
        let id = try pair.ask(blocks.map(\.cid), credit: 100_000)
        try pair.run()
        #expect(pair.blocks.count == 10)
        try pair.tell(.cancelItems(id: id, Array(700..<900)))
        try pair.tell(.credit(id: id, bytes: 8_900_000))
        try pair.run()
        #expect(pair.missing.count == 200)
        let other = try pair.ask(blocks.map(\.cid), credit: 50_000)
        try pair.run()
        try pair.tell(.cancel(id: other))
        try pair.run()
        #expect(pair.ends[other]?.0 == .cancelled && pair.requests.count == 0)
        #expect(pair.server.requestCount(of: pair.stream) == 0)
    }

    /// A file of some 60 leaves below two levels of nodes, in a directory; all its blocks.
    struct Tree {
        var store: [CID: [UInt8]] = [:]
        let file: CID
        let root: CID
        let content: [UInt8]

        init(_ leaves: Profile.Leaves) throws {
            let profile = Profile(
                cidVersion: leaves == .raw ? .v1 : .v0, chunker: .size(2000), width: 8,
                leaves: leaves,
                sharding: Profile.Sharding(
                    estimate: .blockBytes, threshold: 1 << 18, fanout: .default))
            var noise = SeededGenerator(seed: 11)
            content = noise.bytes(120_000)
            var blocks: [EncodedBlock] = []
            var builder = FileBuilder(profile)
            for start in stride(from: 0, to: content.count, by: 2000) {
                let leaf = profile.leaf(of: Array(content[start..<(start + 2000)]))
                blocks.append(leaf.block)
                builder.add(leaf.entry)
                while let node = builder.nextBlock() { blocks.append(node) }
            }
            let file = builder.finish()
            while let node = builder.nextBlock() { blocks.append(node) }
            var directory = DirectoryBuilder(profile)
            try directory.add(Array("film".utf8), file)
            root = try directory.finish().cid
            while let node = directory.nextBlock() { blocks.append(node) }
            self.file = file.cid
            for block in blocks { store[block.cid] = block.bytes }
        }

        /// What a walk of our own gives out.
        func expected(_ scope: DAGWalk.Scope) throws -> [CID] {
            var given: [CID] = [root]
            var walk = DAGWalk(root: file, scope: scope, repeats: .omitted, after: [root])
            while true {
                switch walk.next() {
                case .done: return given
                case .block(let cid):
                    given.append(cid)
                    let bytes = store[cid] ?? []
                    try walk.supply(bytes.rawSpan)
                case .revisit(let cid):
                    let bytes = store[cid] ?? []
                    try walk.supply(bytes.rawSpan)
                }
            }
        }
    }

    static let scopes: [DAGWalk.Scope] = [
        .all, .block, .entity(nil), .entity(EntityBytes(from: 30_500, to: 70_000)),
        .entity(EntityBytes(from: -5000, to: nil)),
    ]

    @Test(
        "a DAG below a path comes in one request, in the order of the walk",
        arguments: scopes, [Profile.Leaves.raw, .dagPB])
    func dag(scope: DAGWalk.Scope, leaves: Profile.Leaves) throws {
        let tree = try Tree(leaves)
        var pair = WeftPair([])
        for (cid, bytes) in tree.store { pair.store[cid.hash] = bytes }
        let dag = WeftDAG(root: tree.root, path: ["film"], scope: scope)
        let id = try pair.ask(dag, credit: 1 << 20)
        try pair.run()
        #expect(pair.ends[id]?.0 == .complete && pair.ends[id]?.1 == .whole)
        #expect(pair.blocks.map(\.cid) == (try tree.expected(scope)))
        let size = pair.blocks.reduce(0) { $0 + $1.bytes.count }
        #expect(pair.bytesThere < 70)
        // No CID is sent: 3 bytes a block, and the heads of frames.
        #expect(pair.bytesBack < size + 3 * pair.blocks.count + 16 * pair.framesBack)
    }

    @Test("a DAG that lacks a block ends there, and says so; so does one that makes no sense")
    func brokenDAG() throws {
        let tree = try Tree(.raw)
        var pair = WeftPair([])
        for (cid, bytes) in tree.store { pair.store[cid.hash] = bytes }
        let order = try tree.expected(.all)
        pair.store[order[40].hash] = nil
        let dag = WeftDAG(root: tree.root, path: ["film"], scope: .all)
        let id = try pair.ask(dag, credit: 1 << 20)
        try pair.run()
        #expect(pair.ends[id]?.0 == .missing && pair.ends[id]?.1 == .partial)
        #expect(pair.blocks.map(\.cid) == Array(order[..<40]))
        let nowhere = WeftDAG(root: tree.root, path: ["music"], scope: .all)
        let other = try pair.ask(nowhere, credit: 1 << 20)
        try pair.run()
        #expect(pair.ends[other]?.0 == .invalid && pair.blocks.count == 41)
    }

    @Test("a DAG is sent no further than its credit")
    func dagCredit() throws {
        let tree = try Tree(.raw)
        var pair = WeftPair([])
        for (cid, bytes) in tree.store { pair.store[cid.hash] = bytes }
        let dag = WeftDAG(root: tree.file, path: [], scope: .all)
        let id = try pair.ask(dag, credit: 10_000)
        try pair.run()
        let size = pair.blocks.reduce(0) { $0 + $1.bytes.count }
        #expect((10_000..<12_000).contains(size) && pair.ends.isEmpty)
        try pair.tell(.credit(id: id, bytes: 1 << 20))
        try pair.run()
        #expect(pair.ends[id]?.1 == .whole)
    }

    @Test("hostile frames throw and do nothing else")
    func hostile() throws {
        let blocks = PeerSwarmTests.content(8, of: 100)
        var noise = Noise(seed: 3)
        var base = WeftRequests()
        let command = WeftCommand.list(id: 1, credit: 1000, blocks.map(\.cid))
        base.note(command)
        let frame = command.encoded
        for count in 0..<frame.count {
            _ = try? WeftCommand.decode(Array(frame[..<count]).rawSpan)
        }
        for _ in 0..<2000 {
            var server = WeftServer()
            let stream = StreamID(connection: 1, stream: 1)
            server.opened(stream, by: peer(1))
            for frame in [noise.mutation(of: frame), noise.bytes(upTo: 100)] {
                guard let commands = try? WeftCommand.decode(frame.rawSpan) else { continue }
                try? server.receive(commands, on: stream)
            }
            while let lookUp = server.nextLookUp() {
                server.lookedUp(lookUp.id, byteCounts: [])
            }
            while server.nextTransmit() != nil {}
        }
        var pair = WeftPair(blocks)
        try pair.tell(command)
        pair.find()
        let transmit = pair.server.nextTransmit()
        let answer = try #require(transmit)
        let bytes = joined(answer.message, pair.store)
        for _ in 0..<2000 {
            var requests = base
            _ = try? requests.receive(noise.mutation(of: bytes))
            _ = try? requests.receive(noise.bytes(upTo: 100))
        }
        for count in 0..<bytes.count {
            var requests = base
            _ = try? requests.receive(Array(bytes[..<count]))
        }
    }

    @Test("wrong bytes, more than asked for and more than allowed end the stream")
    func lies() throws {
        let blocks = PeerSwarmTests.content(2, of: 100)
        var requests = WeftRequests()
        requests.note(.list(id: 1, credit: 100, [blocks[0].cid]))
        func frame(_ bytes: [UInt8]...) -> [UInt8] {
            var body: [UInt8] = []
            body.appendField(1, varint: 1)
            for part in bytes { body.appendField(2, bytes: part) }
            var out: [UInt8] = []
            out.appendField(4, bytes: body)
            return out
        }
        let wrong = frame(blocks[1].bytes)
        let tooMuch = frame(blocks[0].bytes, blocks[0].bytes)
        let good = frame(blocks[0].bytes)
        #expect(throws: DecodeError(.mismatch, "the content does not match its hash")) {
            var copy = requests
            return try copy.receive(wrong)
        }
        #expect(throws: DecodeError.self) {
            var copy = requests
            return try copy.receive(tooMuch)
        }
        #expect(try requests.receive(good).count == 1)
        #expect(throws: DecodeError.self) { try requests.receive(good) }
    }

    @Test("ceilings of requests hold, and who is turned away hears when to come back")
    func ceilings() throws {
        let blocks = PeerSwarmTests.content(3, of: 100)
        var pair = WeftPair(blocks)
        for _ in 0..<(WeftLimits.maxRequests + 3) {
            _ = try pair.ask([blocks[0].cid], credit: 0)
        }
        try pair.run()
        #expect(pair.ends.count == 3)
        #expect(pair.ends.allSatisfy { $0.value.0 == .busy(retry: 1000) })
        var dags = WeftPair(blocks)
        for _ in 0..<6 {
            let dag = WeftDAG(root: blocks[0].cid, path: [], scope: .all)
            _ = try dags.ask(dag, credit: 0)
        }
        try dags.run()
        #expect(dags.ends.count == 2)
        let command = WeftCommand.list(id: 99, credit: 0, [blocks[0].cid])
        try pair.server.receive([.cancel(id: 99)], on: StreamID(connection: 9, stream: 9))
        #expect(throws: DecodeError.self) {
            try dags.server.receive([command, command], on: dags.stream)
        }
    }
}
