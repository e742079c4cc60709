// Paths lead through every kind of node, and walks give out the blocks that a CAR of their scope
// must hold, in the order of Kubo's exports.

import IPLD
import Multiformats
import Testing
import Wire

@Suite struct PathTests {
    @Test(
        "maps and links of dag-cbor and dag-json",
        arguments: [
            "dag-cbor-traversal", "dag-json-traversal",
        ])
    func values(name: String) throws {
        let fixture = try Fixture(name)
        let blocks = fixture.blocks
        let inside = try blocks.resolve(fixture.root, ["foo", "object", "banana"])
        #expect(inside.cid == fixture.root)
        #expect(inside.remaining == ["foo", "object", "banana"])
        #expect(inside.blocks == [fixture.root])

        let end = try blocks.resolve(fixture.root, ["foo", "link", "bar", "hello"])
        #expect(end.cid == fixture.order[2])
        #expect(end.remaining == ["hello"])
        #expect(end.blocks == fixture.order)

        let link = try blocks.resolve(fixture.root, ["foo", "link"])
        #expect(link.cid == fixture.order[1])
        #expect(link.remaining.isEmpty)
        #expect(link.blocks == [fixture.root])

        #expect(throws: DAGError(fixture.order[2], .notFound(segment: 3))) {
            try blocks.resolve(fixture.root, ["foo", "link", "bar", "missing"])
        }
        #expect(throws: DAGError(fixture.root, .notFound(segment: 2))) {
            try blocks.resolve(fixture.root, ["foo", "object", "link"])
        }
    }

    @Test func fromADirectoryThroughAValueToAFile() throws {
        let fixture = try Fixture("dir-with-dag-cbor-with-links")
        let path = ["document", "files", "multiblock"]
        let resolved = try fixture.blocks.resolve(fixture.root, path)
        #expect(try fixture.blocks.read(resolved.cid).size == 1026)
        #expect(resolved.blocks.count == 2)
        #expect(resolved.remaining.isEmpty)
    }

    @Test(
        "lists take decimal indices",
        arguments: [
            ("0", 0), ("1", 1), ("10", 10), ("11", nil), ("01", nil), ("-1", nil), ("", nil),
            ("1x", nil), ("99999999999999999999", nil),
        ])
    func lists(segment: String, index: Int?) throws {
        var blocks = MemoryBlocks()
        let targets = (0...10).map { Profile.v1_2025.leaf(of: [UInt8($0)]).entry.cid }
        let bytes = try DagCBOR.encode(.list(targets.map { .link($0) }))
        let block = EncodedBlock(bytes, codec: .dagCBOR)
        blocks.add(block)
        #expect(
            try index.map { _ in try blocks.resolve(block.cid, [segment]).cid }
                == index.map { targets[$0] })
        if index == nil {
            #expect(throws: DAGError(block.cid, .notFound(segment: 0))) {
                try blocks.resolve(block.cid, [segment])
            }
        }
    }

    @Test func nodesThatAreNotUnixFSLeadOnByTheirLinks() throws {
        var blocks = MemoryBlocks()
        let leaf = Profile.v1_2025.leaf(of: [1])
        for data in [nil, [], Array("no UnixFS")] {
            let node = blocks.add(
                PBNode(links: [PBLink(leaf.entry.cid, name: Array("x"), tsize: 1)], data: data))
            #expect(try blocks.resolve(node, ["x"]).cid == leaf.entry.cid)
        }
    }

    @Test func filesEndAPath() throws {
        var blocks = MemoryBlocks()
        let raw = blocks.add(file: Array("abc"), .v1_2025)
        let node = blocks.add(file: Array("abc"), .v0_2015)
        #expect(throws: DAGError(raw.cid, .notADirectory(.file))) {
            try blocks.resolve(raw.cid, ["x"])
        }
        #expect(throws: DAGError(node.cid, .notADirectory(.file))) {
            try blocks.resolve(node.cid, ["x"])
        }
        let empty = try blocks.resolve(raw.cid, [])
        #expect(empty.cid == raw.cid)
        #expect(empty.blocks.isEmpty)
    }
}

@Suite struct WalkTests {
    @Test(
        "a whole DAG comes in the order of Kubo's export",
        arguments: [
            "dir-with-files", "dir-with-duplicate-files", "symlink", "dag-cbor-traversal",
            "dag-json-traversal", "dir-with-dag-cbor-with-links", "dir-special-chars",
            "directory-with-multilayer-hamt-and-multiblock-files", "unixfs-dir-with-mode-mtime",
            "single-layer-hamt-with-multi-block-files", "subdir-with-mixed-block-files",
        ])
    func all(name: String) throws {
        let fixture = try Fixture(name)
        let walk = try fixture.blocks.walk(fixture.root, .all)
        #expect(walk.given == fixture.order)
        #expect(walk.revisited.isEmpty)
    }

    @Test func scopes() throws {
        let fixture = try Fixture("directory-with-multilayer-hamt-and-multiblock-files")
        let blocks = fixture.blocks
        #expect(try blocks.walk(fixture.root, .block).given == [fixture.root])
        #expect(try blocks.walk(fixture.root, .entity(nil)).given == [fixture.root])
        let shards = try blocks.resolve(fixture.root, ["hamtDir"])
        let listing = try blocks.walk(shards.cid, .entity(nil), .omitted, after: shards.blocks)
        #expect(listing.given.count == 3, "all shards, and none of the files")
        let file = try blocks.resolve(fixture.root, ["basicDir", "exampleA"]).cid
        let whole = try blocks.walk(file, .entity(nil)).given
        #expect(whole.count == 6)
        for (bytes, leaves) in [
            ("0:*", [1, 2, 3, 4, 5]), ("0:0", [1]), ("255:256", [1, 2]), ("512:1023", [3, 4]),
            ("-1:*", [5]), ("-3:*", [4, 5]), ("1024:-2", [5]), ("1000:99999999", [4, 5]),
            ("1026:*", []), ("5:4", []), ("-99999:0", [1]), ("0:-1026", [1]), ("0:-1027", []),
        ] {
            let range = try #require(EntityBytes(bytes))
            let walk = try blocks.walk(file, .entity(range))
            #expect(walk.given == [file] + leaves.map { whole[$0] }, "entity-bytes=\(bytes)")
        }
    }

    @Test func repeatsAreKeptOnRequest() throws {
        let fixture = try Fixture("dir-with-duplicate-files")
        let walk = try fixture.blocks.walk(fixture.root, .all, .kept)
        #expect(walk.given.count == fixture.order.count + 1, "ascii.txt is there twice")
        #expect(walk.given[1] == walk.given[2])
    }

    /// The root of a value is among the blocks of the path already; it must not come again.
    @Test("blocks of the path come once", arguments: [DAGWalk.Repeats.omitted, .kept])
    func afterAPath(repeats: DAGWalk.Repeats) throws {
        let fixture = try Fixture("dag-cbor-traversal")
        let path = try fixture.blocks.resolve(fixture.root, ["foo", "object"])
        let walk = try fixture.blocks.walk(path.cid, .all, repeats, after: path.blocks)
        #expect(path.blocks + walk.given == fixture.order)
        #expect(walk.revisited == [fixture.root])
    }

    /// Two equal halves, the first of which is wanted in part: what the second half needs is given
    /// out although its root was before.
    @Test func aRangeThatCutsARepeatedPart() throws {
        var blocks = MemoryBlocks()
        let profile = Profile.small(chunk: 1, width: 2)
        let half = Array("abcd")
        let root = blocks.add(file: half + half, profile)
        for first in 0..<8 {
            for last in first..<8 {
                let bytes = EntityBytes(from: Int64(first), to: Int64(last))
                let walk = try blocks.walk(root.cid, .entity(bytes))
                #expect(Set(walk.given).count == walk.given.count, "a block comes twice")
                let wanted = UInt64(first)..<UInt64(last + 1)
                #expect(Set(walk.given) == Set(try blocks.read(root.cid, wanted).asked))
                let kept = try blocks.walk(root.cid, .entity(bytes), .kept)
                #expect(kept.given == (try blocks.read(root.cid, wanted).asked))
            }
        }
    }

    @Test(
        "entity-bytes",
        arguments: [
            ("0:*", 10, 0..<10), ("-4:*", 10, 6..<10), ("2:5", 10, 2..<6), ("0:-3", 10, 0..<8),
            ("-99:2", 10, 0..<3), ("9:9", 10, 9..<10), ("0:0", 0, nil), ("10:*", 10, nil),
            ("0:9223372036854775807", 10, 0..<10), ("-9223372036854775808:*", 10, 0..<10),
        ] as [(String, UInt64, Range<UInt64>?)])
    func entityBytes(text: String, size: UInt64, range: Range<UInt64>?) throws {
        #expect(try #require(EntityBytes(text)).range(in: size) == range)
    }

    @Test(arguments: [
        "", ":", "1", "1:", ":1", "*:1", "1:2:3", "+1:2", "a:b", "1:9223372036854775808",
    ])
    func entityBytesRefused(text: String) {
        #expect(EntityBytes(text) == nil)
    }
}
