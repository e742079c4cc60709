// Pins and reference counts.

import IPLD
import Multiformats
import NIOCore
import Testing

@testable import BlockStore

@Suite struct PinningTests {
    @Test("pinned content stays, unpinned content goes", arguments: Backing.allCases)
    func keeps(backing: Backing) async throws {
        let test = try StoreUnderTest(backing)
        var random = Seeded(4)
        let leaves = (0..<20).map { _ in leaf(3000, &random) }
        let shared = leaf(3000, &random)
        let a = try parent(of: leaves.prefix(10).map(\.cid) + [shared.cid], salt: 1)
        let b = try parent(of: leaves.suffix(10).map(\.cid) + [shared.cid], salt: 2)
        let alone = leaf(100, &random)
        try await test.store.add(leaves + [shared, a], pinning: a.cid, name: "a")
        try await test.store.add([b, alone])
        try await test.store.pin(b.cid, .recursive, name: "b")
        let pinned = try await test.store.blocks(after: nil, limit: 100, onlyPinned: true)
        #expect(Set(pinned) == Set((leaves + [shared, a, b]).map(\.cid.hash)))
        try await test.store.collect(.everything)
        for block in leaves + [shared, a, b] { #expect(try await test.store.holds(block)) }
        #expect(try await test.store.holds(alone) == false)

        try await test.store.unpin(a.cid)
        try await test.reopen()
        let report = try await test.store.collect(.everything)
        #expect(report.blocks == 11)
        for block in leaves.suffix(10) + [shared, b] {
            #expect(try await test.store.holds(block))
        }
        for block in leaves.prefix(10) + [a] {
            #expect(try await test.store.holds(block) == false)
        }
        try await test.store.unpin(b.cid)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 0)
        #expect(test.store.statistics().segments == 0)
        try await test.store.close()
    }

    @Test("a pin says why a block is kept", arguments: Backing.allCases)
    func reasons(backing: Backing) async throws {
        let test = try StoreUnderTest(backing)
        var random = Seeded(5)
        let child = leaf(100, &random)
        let root = try parent(of: [child.cid])
        let direct = try parent(of: [leaf(10, &random).cid])
        try await test.store.add([child, root, direct], pinning: root.cid, name: "site")
        try await test.store.pin(direct.cid, .direct, name: "only this")
        for _ in 0..<2 {
            #expect(try await test.store.isPinned(root.cid) == .recursive(name: "site"))
            #expect(try await test.store.isPinned(child.cid) == .indirect)
            #expect(try await test.store.isPinned(direct.cid) == .direct(name: "only this"))
            #expect(try await test.store.isPinned(leaf(1, &random).cid) == nil)
            #expect(
                Set(try await test.store.pins()) == [
                    Pin(root.cid, .recursive, name: "site"),
                    Pin(direct.cid, .direct, name: "only this"),
                ])
            try await test.store.collect(.everything)
            #expect(try await test.store.holds(direct))
            try await test.reopen()
        }
        try await test.store.pin(root.cid, .recursive, name: "renamed")
        #expect(try await test.store.isPinned(root.cid) == .recursive(name: "renamed"))
        try await test.store.unpin(root.cid)
        await #expect(throws: StoreError.notPinned(root.cid)) {
            try await test.store.unpin(root.cid)
        }
        #expect(try await test.store.isPinned(child.cid) == nil)
        try await test.store.close()
    }

    @Test(
        "content that is not all here cannot be pinned, and leaves no trace",
        arguments: Backing.allCases)
    func incomplete(backing: Backing) async throws {
        let test = try StoreUnderTest(backing)
        var random = Seeded(6)
        let here = leaf(100, &random)
        let gone = leaf(100, &random)
        let inner = try parent(of: [here.cid, gone.cid])
        let root = try parent(of: [inner.cid, here.cid])
        let error = StoreError.incomplete(root: root.cid, missing: gone.cid)
        await #expect(throws: error) {
            try await test.store.add([here, inner, root], pinning: root.cid)
        }
        await #expect(throws: error) { try await test.store.pin(root.cid, .recursive) }
        let absent = StoreError.incomplete(root: gone.cid, missing: gone.cid)
        await #expect(throws: absent) { try await test.store.pin(gone.cid, .direct) }
        #expect(try await test.store.pins().isEmpty)
        try await test.store.put(gone)
        try await test.store.pin(root.cid, .recursive)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 4)
        try await test.store.unpin(root.cid)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 0)
        try await test.store.close()
    }

    @Test("the same bytes pinned as raw and as dag-cbor keep the links of the latter")
    func codecs() async throws {
        let test = try StoreUnderTest()
        var random = Seeded(7)
        let child = leaf(100, &random)
        let node = try parent(of: [child.cid])
        let raw = CID(.raw, node.cid.hash)
        try await test.store.add([child, node])
        try await test.store.pin(raw, .recursive)
        try await test.store.pin(node.cid, .recursive)
        try await test.store.unpin(raw)
        try await test.store.collect(.everything)
        #expect(try await test.store.holds(child))
        try await test.store.unpin(node.cid)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 0)
        try await test.store.close()
    }

    @Test("a DAG ten thousand levels deep and one with wide sharing are counted")
    func shapes() async throws {
        let test = try StoreUnderTest()
        var blocks = [block([1, 2, 3])]
        for level in 0..<10_000 {
            let last = try #require(blocks.last)
            blocks.append(try parent(of: [last.cid, last.cid, blocks[level / 2].cid]))
        }
        let root = try #require(blocks.last)
        try await test.store.add(blocks)
        try await test.store.pin(root.cid, .recursive)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 10_001)
        try await test.store.unpin(root.cid)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 0)
        try await test.store.close()
    }

    @Test("counts that take several transactions are right, and are made anew after a crash")
    func manyTransactions() async throws {
        let test = try StoreUnderTest(.files, StoreOptions(maxBytes: 8 << 20))
        var random = Seeded(10)
        let leaves = (0..<3000).map { _ in leaf(200, &random) }
        let nodes = try (0..<30).map { index in
            try parent(of: leaves[index * 100..<index * 100 + 100].map(\.cid))
        }
        let root = try parent(of: nodes.map(\.cid))
        try await test.store.add(leaves + nodes + [root], pinning: root.cid)
        let number = try test.store.index.read { try IndexTransaction.number($0, "recount") }
        #expect(number == nil)
        for round in 0..<2 {
            try await test.store.collect(.everything)
            #expect(test.store.statistics().blocks == 3031)
            #expect(try await test.store.check(.repair).isClean)
            #expect(
                test.store.statistics().pinnedBytes == test.store.statistics().liveBytes)
            guard round == 0 else { break }
            // As if the program had died between the transactions.
            _ = try test.store.index.write { try $0.setNumber("recount", 2) }
            try await test.reopen()
        }
        try await test.store.unpin(root.cid)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 0)
        #expect(test.bytes < 2 << 20)
        try await test.store.close()
    }

    @Test("links inside an identity CID are kept")
    func inlineLinks() async throws {
        let test = try StoreUnderTest()
        var random = Seeded(8)
        let child = leaf(100, &random)
        let inline = try Block(
            hashing: try parent(of: [child.cid]).bytes, codec: .dagCBOR, hash: .identity)
        let root = try parent(of: [inline.cid])
        try await test.store.add([child, root], pinning: root.cid)
        try await test.store.collect(.everything)
        #expect(try await test.store.holds(child))
        try await test.store.close()
    }

    @Test("losing the index loses no pin")
    func indexLost() async throws {
        let test = try StoreUnderTest()
        var random = Seeded(9)
        let leaves = (0..<10).map { _ in leaf(500, &random) }
        let root = try parent(of: leaves.map(\.cid))
        let other = leaf(700, &random)
        try await test.store.add(leaves + [root, other], pinning: root.cid, name: "50 % of ü")
        try await test.store.pin(other.cid, .direct)
        try await test.store.close()
        try BlockStore.rebuildIndex(at: test.directory.path)
        try test.open()
        #expect(test.store.openingEvents == [.indexRebuilt(blocks: 12)])
        #expect(try await test.store.isPinned(root.cid) == .recursive(name: "50 % of ü"))
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 12)
        try await test.store.close()
        try write("this is no database, nor was it ever one", test.directory.path + "/index.sqlite")
        try test.open()
        #expect(test.store.openingEvents == [.indexRebuilt(blocks: 12)])
        #expect(try await test.store.isPinned(other.cid) == .direct(name: ""))
        try await test.store.close()
    }

    @Test("the journal of pins survives a torn line and reads every name back")
    func journal() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/pins.log"
        let pins = ["", "a b", "100 %", "ü\n", "-"].enumerated().map { index, name in
            Pin(block([UInt8(index)]).cid, index % 2 == 0 ? .recursive : .direct, name: name)
        }
        do {
            let (journal, lines) = try PinJournal.open(path)
            #expect(lines.isEmpty)
            #expect(try journal.append(pins.map { .added($0) }) == 5)
            #expect(try journal.append([.removed(pins[0].cid)]) == 6)
        }
        let text = try read(path)
        for count in stride(from: 0, through: text.count, by: 7) {
            try write(text.prefix(count), path)
            let (_, lines) = try PinJournal.open(path)
            let whole = text.prefix(count).count { $0 == 10 }
            #expect(lines.count == whole)
            #expect(try read(path).count { $0 == 10 } == whole)
        }
        try write(text, path)
        let (_, lines) = try PinJournal.open(path)
        #expect(lines.map(\.change) == pins.map { .added($0) } + [.removed(pins[0].cid)])
    }
}
