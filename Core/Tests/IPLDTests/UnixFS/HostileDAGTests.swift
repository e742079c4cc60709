// DAGs that lie, cycle as far as a DAG can, or are made to cost: each gets a precise error, before
// a wrong byte is handed out, in bounded time and memory.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct HostileFileTests {
    /// A file node over these parts.
    private func node(
        _ sizes: [UInt64], fileSize: UInt64?, links: [CID], data: [UInt8]? = nil, name: String = ""
    ) -> PBNode {
        var node = UnixFSNode(.file)
        node.blockSizes = sizes
        node.fileSize = fileSize
        let links = links.map { PBLink($0, name: Array(name), tsize: 1) }
        return PBNode(links: links, data: node.encoded(data: data))
    }

    private func expect(
        _ kind: DecodeError.Kind, at cid: CID, _ blocks: MemoryBlocks, reading root: CID,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: DAGError.self, sourceLocation: sourceLocation) {
            try blocks.read(root)
        }
        #expect(error?.cid == cid, sourceLocation: sourceLocation)
        guard case .invalid(let reason) = error?.fault else {
            Issue.record("\(String(describing: error))", sourceLocation: sourceLocation)
            return
        }
        #expect(reason.kind == kind, "\(reason)", sourceLocation: sourceLocation)
    }

    @Test func sizesThatContradictEachOther() {
        var blocks = MemoryBlocks()
        let leaf = Profile.v1_2025.leaf(of: Array("abc"))
        blocks.add(leaf.block)
        let cid = leaf.entry.cid
        for lie in [
            node([3], fileSize: 4, links: [cid]), node([3], fileSize: 0, links: [cid]),
            node([3], fileSize: 3, links: [cid], data: [1]), node([], fileSize: 3, links: [cid]),
            node([3, 3], fileSize: 6, links: [cid]), node([], fileSize: 1, links: []),
            node([.max, 1], fileSize: 0, links: [cid, cid]),
            node([.max], fileSize: nil, links: [cid], data: [1]),
            // Nobody who counts bytes in signed numbers may meet these.
            node([1 << 63], fileSize: nil, links: [cid]), node([.max], fileSize: nil, links: [cid]),
            node([1 << 62, 1 << 62], fileSize: nil, links: [cid, cid]),
            node([3], fileSize: 3, links: [cid], name: "x"),
        ] {
            let root = blocks.add(lie)
            expect(.malformed, at: root, blocks, reading: root)
        }
    }

    @Test("a child larger or smaller than its parent says", arguments: [0, 1, 2, 4, 1000])
    func childrenThatLie(said: UInt64) throws {
        var blocks = MemoryBlocks()
        for profile in [Profile.v1_2025, .v0_2015] {
            let good = profile.leaf(of: Array("good"))
            let bad = profile.leaf(of: Array("bad"))
            blocks.add(good.block)
            blocks.add(bad.block)
            let root = blocks.add(
                node([4, said], fileSize: 4 + said, links: [good.entry.cid, bad.entry.cid]))
            if said == 0 {
                // A part that is said to be empty is not even looked at.
                #expect(try blocks.read(root).content == Array("good"))
            } else {
                expect(.mismatch, at: bad.entry.cid, blocks, reading: root)
                #expect(try blocks.read(root, 0..<4).content == Array("good"))
            }
        }
    }

    /// The deepest chain that is not cyclic by construction; a cycle would be endless depth.
    @Test func tenThousandDeep() throws {
        var blocks = MemoryBlocks()
        let leaf = Profile.v1_2025.leaf(of: [1])
        blocks.add(leaf.block)
        var chain = [leaf.entry.cid]
        for _ in 0..<10_000 {
            chain.append(blocks.add(node([1], fileSize: 1, links: [chain[chain.count - 1]])))
        }
        let root = chain[10_000]
        expect(.overLimit, at: chain[10_000 - DAGLimits.maxFileDepth], blocks, reading: root)
        #expect(try blocks.read(chain[DAGLimits.maxFileDepth]).content == [1])
        let error = #expect(throws: DAGError.self) { try blocks.walk(root, .all) }
        #expect(error?.cid == chain[10_000 - DAGLimits.maxDepth])
        #expect(throws: DAGError.self) { try blocks.walk(root, .entity(nil)) }
    }

    /// Five levels of a thousand links each to the next level would be 10¹⁵ blocks to visit.
    @Test func bombs() throws {
        var blocks = MemoryBlocks()
        var cid = Profile.v1_2025.leaf(of: []).entry.cid
        for _ in 0..<5 {
            cid = blocks.add(
                node(
                    [UInt64](repeating: 0, count: 1000), fileSize: 0,
                    links: [CID](repeating: cid, count: 1000)))
        }
        let reading = try blocks.read(cid)
        #expect(reading.content.isEmpty)
        #expect(reading.asked.count == 1)
        blocks.add(Profile.v1_2025.leaf(of: []).block)
        #expect(try blocks.walk(cid, .all).given.count == 6)
    }

    @Test func moreLinksThanAreKept() throws {
        var blocks = MemoryBlocks()
        var next = (cid: Profile.v1_2025.leaf(of: [1]).entry.cid, size: UInt64(1))
        let width = 40_000
        for level in 0..<8 {
            // The levels differ, so that nothing is left out as a repeat.
            let other = Profile.v1_2025.leaf(of: [UInt8(level), 1]).entry.cid
            var node = UnixFSNode(.file)
            node.blockSizes = [next.size] + [UInt64](repeating: 2, count: width)
            node.fileSize = next.size + UInt64(2 * width)
            let links = [next.cid] + [CID](repeating: other, count: width)
            next = (
                blocks.add(
                    PBNode(
                        links: links.map { PBLink($0, name: nil, tsize: nil) },
                        data: node.encoded())), node.fileSize ?? 0
            )
        }
        let error = #expect(throws: DAGError.self) { try blocks.read(next.cid) }
        guard case .invalid(let reason) = error?.fault else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.kind == .overLimit)
        #expect(throws: DAGError.self) { try blocks.walk(next.cid, .all) }
    }

    @Test func blocksOverTheLimit() {
        var blocks = MemoryBlocks()
        let content = [UInt8](repeating: 0, count: BlockLimits.maxBytes)
        let root = blocks.add(node([], fileSize: nil, links: [], data: content))
        expect(.overLimit, at: root, blocks, reading: root)
        let value = EncodedBlock(content + [0], codec: .dagCBOR)
        blocks.add(value)
        #expect(throws: DAGError.self) { try blocks.resolve(value.cid, ["a"]) }
        #expect(throws: DAGError.self) { try blocks.walk(value.cid, .all) }
    }

    @Test func otherKindsAreNoFiles() throws {
        var blocks = MemoryBlocks()
        let directory = try blocks.add(directory: [], .v1_2025).cid
        let plain = blocks.add(PBNode(data: nil))
        let value = EncodedBlock([0xa0], codec: .dagCBOR)
        blocks.add(value)
        #expect(throws: DAGError(directory, .notAFile(.directory))) { try blocks.read(directory) }
        #expect(throws: DAGError(value.cid, .notAFile(nil))) { try blocks.read(value.cid) }
        expect(.malformed, at: plain, blocks, reading: plain)
        #expect(throws: DAGError(value.cid, .notADirectory(nil))) { try blocks.list(value.cid) }
        let file = blocks.add(file: [], .v0_2015).cid
        #expect(throws: DAGError(file, .notADirectory(.file))) { try blocks.list(file) }
    }

    /// After an error a reader asks for the same block again, and has handed nothing out.
    @Test func anErrorChangesNothing() throws {
        var blocks = MemoryBlocks()
        let root = blocks.add(file: Array("some content"), .small(chunk: 5, width: 2)).cid
        var reader = FileReader(root: root)
        let rubbish: [UInt8] = [1, 2, 3]
        #expect(throws: DAGError.self) { try reader.supply(rubbish.rawSpan) }
        #expect(reader.next() == .block(root))
        let block = try blocks.block(root)
        try reader.supply(block.rawSpan)
        #expect(reader.next() == .size(12))
    }

    @Test func noiseNeverTraps() {
        var noise = Noise(seed: 3)
        var blocks = MemoryBlocks()
        let file = blocks.add(file: noise.bytes(upTo: 400), .small(chunk: 7, width: 4))
        let directory = try? blocks.add(
            directory: (0..<40).map { ("name \($0)", file) },
            .small(chunk: 7, width: 4, sharding: 0))
        for cid in [file.cid, directory?.cid ?? file.cid] {
            guard let block = try? blocks.block(cid) else { return }
            expectNoTrap(on: block, seed: 9) { bytes in
                var file = FileReader(root: cid)
                if (try? file.supply(bytes.rawSpan)) != nil { _ = file.next() }
                var directory = DirectoryReader(root: cid)
                if (try? directory.supply(bytes.rawSpan)) != nil { _ = directory.next() }
                var path = PathResolver(root: cid, path: ["name 7"])
                if (try? path.supply(bytes.rawSpan)) != nil { _ = path.next() }
                var walk = DAGWalk(root: cid, scope: .all, repeats: .omitted)
                if (try? walk.supply(bytes.rawSpan)) != nil { _ = walk.next() }
                _ = try? Entity(cid, bytes.rawSpan)
                _ = try? UnixFSNode(decoding: bytes.rawSpan)
            }
        }
    }
}

@Suite struct HostileDirectoryTests {
    /// A shard with one entry, and whatever is wrong with it.
    private func shard(
        _ names: [String], bitfield: [UInt8], fanout: UInt64? = 256, hash: UInt64? = 0x22,
        to cid: CID? = nil
    ) -> PBNode {
        var node = UnixFSNode(.hamtShard)
        node.fanout = fanout
        node.hashType = hash
        let target = cid ?? Profile.v1_2025.leaf(of: []).entry.cid
        return PBNode(
            links: names.map { PBLink(target, name: Array($0), tsize: 0) },
            data: node.encoded(data: bitfield))
    }

    private func expect(
        _ kind: DecodeError.Kind, listing root: CID, _ blocks: MemoryBlocks,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: DAGError.self, sourceLocation: sourceLocation) {
            try blocks.list(root)
        }
        guard case .invalid(let reason) = error?.fault else {
            Issue.record("\(String(describing: error))", sourceLocation: sourceLocation)
            return
        }
        #expect(reason.kind == kind, "\(reason)", sourceLocation: sourceLocation)
    }

    /// The name of the UnixFS specification: its hash starts with 00, then 6E.
    private let name = "470.txt"

    @Test func theShardOfTheSpecificationIsGood() throws {
        var blocks = MemoryBlocks()
        let root = blocks.add(shard(["00" + name], bitfield: [1]))
        #expect(try blocks.list(root).map(\.text) == [name])
        let below = blocks.add(
            shard(["6E" + name], bitfield: [0x40] + [UInt8](repeating: 0, count: 13)))
        let above = blocks.add(shard(["00"], bitfield: [1], to: below))
        #expect(try blocks.list(above).map(\.text) == [name])
        #expect(try blocks.resolve(above, [name]).blocks == [above, below])
        #expect(throws: DAGError(above, .notFound(segment: 0))) { try blocks.resolve(above, [""]) }
    }

    @Test("a fan-out that lies", arguments: [nil, 0, 1, 4, 255, 2048, 1 << 63, .max])
    func fanouts(fanout: UInt64?) {
        var blocks = MemoryBlocks()
        let root = blocks.add(shard(["00" + name], bitfield: [1], fanout: fanout))
        expect(.malformed, listing: root, blocks)
        #expect(throws: DAGError.self) { try blocks.resolve(root, [name]) }
        #expect(throws: DAGError.self) { try blocks.walk(root, .entity(nil)) }
    }

    @Test func hashesThatAreNotKnown() {
        var blocks = MemoryBlocks()
        for hash in [nil, 0x12, 0x23] as [UInt64?] {
            let root = blocks.add(shard(["00" + name], bitfield: [1], hash: hash))
            expect(.unsupported, listing: root, blocks)
        }
    }

    @Test func bucketsThatLie() {
        var blocks = MemoryBlocks()
        for lie in [
            shard(["01" + name], bitfield: [2]),  // not the bucket of its hash
            shard(["00" + name], bitfield: [2]),  // not the bucket of the bitfield
            shard(["00" + name], bitfield: [3]),  // fewer links than bits
            shard(["00" + name, "00" + name], bitfield: [1]),  // the same twice
            shard(["00" + name], bitfield: []),  // no bits at all
            shard(["00" + name], bitfield: [UInt8](repeating: 0, count: 32) + [1]),
            shard(["0" + name], bitfield: [1]), shard(["0"], bitfield: [1]),
            shard([""], bitfield: [1]), shard(["0x" + name], bitfield: [1]),
            shard(["00" + name, "01"], bitfield: [1]),
            shard(["000" + name], bitfield: [1]),
        ] {
            expect(.malformed, listing: blocks.add(lie), blocks)
        }
        let lower = blocks.add(
            shard(["6e" + name], bitfield: [0x40] + [UInt8](repeating: 0, count: 13)))
        expect(.malformed, listing: lower, blocks)
    }

    @Test func shardsBelowThatLie() {
        var blocks = MemoryBlocks()
        let bits: [UInt8] = [0x40] + [UInt8](repeating: 0, count: 13)
        let good = blocks.add(shard(["6E" + name], bitfield: bits))
        // A part of a directory is no directory: its names are not where their hashes say.
        expect(.malformed, listing: good, blocks)
        let wide = blocks.add(shard(["06E" + name], bitfield: bits, fanout: 1024))
        expect(.malformed, listing: blocks.add(shard(["00"], bitfield: [1], to: wide)), blocks)
        let raw = Profile.v1_2025.leaf(of: Array("x"))
        blocks.add(raw.block)
        expect(
            .malformed, listing: blocks.add(shard(["00"], bitfield: [1], to: raw.entry.cid)), blocks
        )
        let flat = blocks.add(PBNode(data: UnixFSNode(.directory).encoded()))
        expect(.malformed, listing: blocks.add(shard(["00"], bitfield: [1], to: flat)), blocks)
    }

    @Test func shardsDeeperThanAHash() throws {
        var blocks = MemoryBlocks()
        var root = blocks.add(shard(["00" + name], bitfield: [1]))
        for _ in 0..<10_000 { root = blocks.add(shard(["00"], bitfield: [1], to: root)) }
        expect(.overLimit, listing: root, blocks)
        #expect(throws: DAGError.self) { try blocks.walk(root, .entity(nil)) }
    }

    @Test(
        "names that cannot be reached or written",
        arguments: [
            [""], ["."], [".."], ["a/b"], ["/"], ["a\0b"], ["a", "a"], ["b", "a", "b"],
        ])
    func flatNames(names: [String]) {
        var blocks = MemoryBlocks()
        let target = Profile.v1_2025.leaf(of: []).entry.cid
        let links = names.map { PBLink(target, name: Array($0), tsize: 0) }
        let root = blocks.add(PBNode(links: links, data: UnixFSNode(.directory).encoded()))
        expect(.malformed, listing: root, blocks)
    }

    @Test func namesThatAreNotUTF8AreListedAsTheyAre() throws {
        var blocks = MemoryBlocks()
        let target = Profile.v1_2025.leaf(of: []).entry.cid
        let link = PBLink(target, name: [0x61, 0xff], tsize: 0)
        let root = blocks.add(PBNode(links: [link], data: UnixFSNode(.directory).encoded()))
        let entries = try blocks.list(root)
        #expect(entries.map(\.name) == [[0x61, 0xff]])
        #expect(entries.map(\.text) == ["a\u{fffd}"])
    }

    @Test func unsortedDirectoriesKeepTheirOrder() throws {
        var blocks = MemoryBlocks()
        let target = Profile.v1_2025.leaf(of: []).entry.cid
        let links = ["b", "a", "c"].map { PBLink(target, name: Array($0), tsize: 0) }
        let root = blocks.add(PBNode(links: links, data: UnixFSNode(.directory).encoded()))
        #expect(try blocks.list(root).map(\.text) == ["b", "a", "c"])
    }
}

@Suite struct UnixFSNodeTests {
    @Test("nodes are read as they were written", arguments: 0..<40)
    func roundTrip(seed: UInt64) throws {
        var noise = Noise(seed: seed)
        var node = UnixFSNode(UnixFSNode.Kind(rawValue: UInt8(seed % 6)) ?? .file)
        if Bool.random(using: &noise) { node.fileSize = noise.next() }
        node.blockSizes = (0..<Int.random(in: 0...5, using: &noise)).map { _ in noise.next() }
        if Bool.random(using: &noise) { node.fanout = noise.next() }
        if Bool.random(using: &noise) { node.hashType = noise.next() }
        if Bool.random(using: &noise) {
            node.metadata = FileMetadata(
                mode: UInt32.random(in: 0...(.max), using: &noise),
                modified: ModificationTime(
                    seconds: Int64(bitPattern: noise.next()),
                    nanoseconds: .random(in: 0..<1_000_000_000, using: &noise)))
        }
        let data = noise.bytes(upTo: 20)
        let bytes = node.encoded(data: data)
        let decoded = try UnixFSNode(decoding: bytes.rawSpan)
        #expect(decoded.encoded(data: data) == bytes)
        #expect(decoded.dataRange.map { Array(bytes[$0]) } == data)
        #expect(decoded.blockSizes == node.blockSizes)
        #expect(decoded.metadata == node.metadata)
        #expect(decoded.fileSize == node.fileSize)
        #expect(decoded.fanout == node.fanout)
        expectNoTrap(on: bytes, seed: seed, rounds: 50) {
            _ = try? UnixFSNode(decoding: $0.rawSpan)
        }
    }

    @Test(
        "what the specification refuses",
        arguments: [
            "", "1801", "0806", "08ffffffffffffffffff01",  // no type, unknown types
            "0802 38 8080808010",  // a mode over 32 bits
            "0802 4200", "0802 4205 15 01000000",  // a time without seconds
            "0802 4207 0801 15 00000000", "0802 4207 0801 15 00ca9a3b",  // nanoseconds 0 and 10⁹
            "0802 1a01 01", "0802 0a01 00",  // wrong wire types
            "0802 12ff", "0802 2203 0101",  // lengths that overrun
            "0802 2201 80",  // packed sizes that end within one
        ])
    func refused(bytes: String) {
        let bytes = hex(bytes)
        #expect(throws: DecodeError.self) { try UnixFSNode(decoding: bytes.rawSpan) }
    }

    @Test func timesBeforeTheEpoch() throws {
        let bytes = hex("0802 4210 08ffffffffffffffffff01 15 ffc99a3b")
        let node = try UnixFSNode(decoding: bytes.rawSpan)
        #expect(node.metadata.modified?.seconds == -1)
        #expect(node.metadata.modified?.nanoseconds == 999_999_999)
        #expect(node.encoded() == bytes)
    }

    @Test func packedSizesAndUnknownFieldsAreRead() throws {
        let bytes = hex("0802 2203 01ac02 4801 52 02 ffff")
        #expect(try UnixFSNode(decoding: bytes.rawSpan).blockSizes == [1, 300])
    }
}
