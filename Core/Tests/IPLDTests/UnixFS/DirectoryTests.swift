// Directories, flat and sharded, of Kubo and of our own, are listed and resolved name by name.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct DirectoryTests {
    @Test func flatDirectoryOfKubo() throws {
        let fixture = try Fixture("dir-with-files")
        let entries = try fixture.blocks.list(fixture.root)
        #expect(
            entries.map(\.text) == ["ascii-copy.txt", "ascii.txt", "hello.txt", "multiblock.txt"])
        #expect(entries.map(\.tsize) == [31, 31, 12, 1271])
        let file = try fixture.blocks.read(entries[3].cid)
        #expect(file.size == 1026)
        #expect(file.content.starts(with: Array("Lorem ipsum")))
        let part = try fixture.blocks.read(entries[3].cid, 512..<513)
        #expect(part.content == Array(file.content[512..<513]))
        #expect(part.asked.count == 2, "the root and one leaf hold the byte")
    }

    @Test(
        "sharded directories of Kubo are built again, block for block",
        arguments: [
            "directory-with-multilayer-hamt-and-multiblock-files",
            "single-layer-hamt-with-multi-block-files",
        ])
    func shardsOfKubo(name: String) throws {
        let fixture = try Fixture(name)
        let root =
            name.hasPrefix("single")
            ? fixture.root : try fixture.blocks.resolve(fixture.root, ["hamtDir"]).cid
        let entries = try fixture.blocks.list(root)
        #expect(entries.count == (name.hasPrefix("single") ? 1000 : 4))
        var builder = DirectoryBuilder(.small(chunk: 256, width: 174, sharding: 0))
        for entry in entries.reversed() {
            let resolved = try fixture.blocks.resolve(root, [entry.text])
            #expect(resolved.cid == entry.cid)
            #expect(resolved.blocks.first == root)
            #expect(resolved.blocks.count <= 3, "only the shards on the way are read")
            try builder.add(
                entry.name,
                DAGEntry(cid: entry.cid, tsize: try #require(entry.tsize), contentSize: 0))
        }
        #expect(try builder.finish().cid == root)
        while let block = builder.nextBlock() {
            #expect(try fixture.blocks.block(block.cid) == block.bytes)
        }
        let error = #expect(throws: DAGError.self) {
            try fixture.blocks.resolve(root, ["missing"])
        }
        #expect(error?.fault == .notFound(segment: 0))
    }

    @Test func namesWithSpecialCharacters() throws {
        let fixture = try Fixture("dir-special-chars")
        let file = try fixture.blocks.resolve(fixture.root, ["foo? #<'", "bar", "file.txt"])
        #expect(try fixture.blocks.read(file.cid).content == Array("3"))
        #expect(file.blocks.count == 3)
    }

    @Test func modesAndTimesOfKubo() throws {
        let fixture = try Fixture("unixfs-dir-with-mode-mtime")
        let root = try fixture.blocks.block(fixture.root)
        let expected = FileMetadata(mode: 0o700, modified: ModificationTime(seconds: 1_655_158_632))
        #expect(try Entity(fixture.root, root.rawSpan) == .directory(expected))
        let path = ["dir2", "sub1", "link1"]
        let link = try fixture.blocks.resolve(fixture.root, path).cid
        let time = FileMetadata(modified: ModificationTime(seconds: 1_655_158_652))
        let block = try fixture.blocks.block(link)
        #expect(
            try Entity(link, block.rawSpan) == .symlink(target: Array("../sub2/file3"), time))
        let made = Profile.v1_2025.symlink(to: Array("../sub2/file3"), metadata: time)
        #expect(made.block.cid == link)

        var builder = DirectoryBuilder(.v1_2025, metadata: expected)
        for entry in try fixture.blocks.list(fixture.root) {
            let tsize = try #require(entry.tsize)
            try builder.add(entry.name, DAGEntry(cid: entry.cid, tsize: tsize, contentSize: 0))
        }
        #expect(try builder.finish().cid == fixture.root)
    }

    @Test func symlinksAreReportedNotFollowed() throws {
        let fixture = try Fixture("symlink")
        let link = try fixture.blocks.resolve(fixture.root, ["bar"]).cid
        let block = try fixture.blocks.block(link)
        #expect(
            try Entity(link, block.rawSpan) == .symlink(target: Array("foo"), FileMetadata()))
        #expect(throws: DAGError(link, .symlink(target: Array("foo"), segment: 1))) {
            try fixture.blocks.resolve(fixture.root, ["bar", "baz"])
        }
        #expect(throws: DAGError(link, .notAFile(.symlink))) { try fixture.blocks.read(link) }
        #expect(throws: DAGError(link, .notADirectory(.symlink))) {
            try fixture.blocks.list(link)
        }

        var blocks = MemoryBlocks()
        let made = Profile.v0_2015.symlink(to: Array("foo"))
        let file = blocks.add(file: Array("content\n"), .v0_2015)
        let root = try blocks.add(directory: [("foo", file), ("bar", made.entry)], .v0_2015)
        #expect(root.cid == fixture.root)
    }

    /// The directories of Kubo's t0040-add-and-cat.sh.
    @Test func moonsOfKubo() throws {
        var blocks = MemoryBlocks()
        let profile = Profile.v0_2015
        let europa = blocks.add(file: Array("Hello Europa!\n"), profile)
        let titan = blocks.add(file: Array("Hello Titan!\n"), profile)
        let mercury = blocks.add(file: Array("hey youre no moon!\n"), profile)
        let jupiter = try blocks.add(directory: [("europa.txt", europa)], profile)
        let saturn = try blocks.add(directory: [("titan.txt", titan)], profile)
        let moons = try blocks.add(
            directory: [("saturn", saturn), ("mercury.txt", mercury), ("jupiter", jupiter)],
            profile)
        #expect(moons.cid.description == "QmVKvomp91nMih5j6hYBA8KjbiaYvEetU2Q7KvtZkLe9nQ")
        let empty = try blocks.add(directory: [], profile)
        #expect(empty.cid.description == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")
    }

    @Test("what is built is listed and resolved", arguments: 0..<24)
    func roundTrip(seed: UInt64) throws {
        var noise = Noise(seed: seed)
        let fanouts: [UInt64] = [8, 16, 32, 256, 512, 1024]
        let fanout = fanouts.randomElement(using: &noise) ?? 256
        let profile = Profile.small(
            chunk: 9, width: 3, sharding: Bool.random(using: &noise) ? 0 : 2000, fanout: fanout)
        var blocks = MemoryBlocks()
        var names: Set<[UInt8]> = []
        for _ in 0..<Int.random(in: 0...200, using: &noise) {
            names.insert(Array("\(UInt32.random(in: 0...9_999, using: &noise))-ä"))
        }
        var builder = DirectoryBuilder(profile)
        for name in names.shuffled(using: &noise) {
            try builder.add(name, blocks.add(file: name, profile))
        }
        let root = try builder.finish()
        while let block = builder.nextBlock() { blocks.add(block) }
        #expect(root.contentSize == UInt64(names.reduce(0) { $0 + $1.count }))

        let listed = try blocks.list(root.cid)
        #expect(Set(listed.map { $0.name }) == names)
        #expect(listed.count == names.count)
        for entry in listed {
            #expect(try blocks.resolve(root.cid, [entry.text]).cid == entry.cid)
            #expect(try blocks.read(entry.cid).content == entry.name)
        }
    }

    @Test(arguments: [
        ("", NameError.empty), (".", .dots), ("..", .dots), ("a/b", .slashOrNUL),
        ("a\0", .slashOrNUL), (String(repeating: "x", count: 1025), .tooLong),
    ])
    func namesThatNoDirectoryHolds(name: String, error: NameError) {
        var builder = DirectoryBuilder(.v1_2025)
        let entry = Profile.v1_2025.leaf(of: []).entry
        #expect(throws: error) { try builder.add(Array(name), entry) }
    }

    @Test("a name twice is refused", arguments: [UInt64(0), 1 << 20])
    func duplicates(sharding: UInt64) throws {
        var builder = DirectoryBuilder(.small(chunk: 9, width: 3, sharding: sharding))
        let entry = Profile.v1_2025.leaf(of: []).entry
        for name in ["a", "b", "a"] { try builder.add(Array(name), entry) }
        #expect(throws: NameError.duplicate) { try builder.finish() }
    }
}
