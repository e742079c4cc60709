// A damaged index: what a check finds, and that nothing is lost when it is mended or built anew.

import GRDB
import Glibc
import Multiformats
import NIOCore
import Testing

@testable import BlockStore

@Suite struct DamageTests {
    /// A closed store with a pinned DAG of two segments' kinds: added blocks and cache.
    private struct Subject {
        let test: StoreUnderTest
        let root: Block
        let blocks: [Block]
        let cached: Block

        init() async throws {
            test = try StoreUnderTest()
            var random = Seeded(77)
            let leaves = (0..<400).map { _ in leaf(300, &random) }
            root = try parent(of: leaves.map(\.cid))
            blocks = leaves + [root]
            cached = leaf(500, &random)
            try await test.store.add(blocks, pinning: root.cid, name: "kept")
            try await test.store.put(cached)
            try await test.store.close()
        }

        var index: String { test.directory.path + "/index.sqlite" }

        /// Changes the index as `sqlite3` would.
        func execute(_ sql: String) throws {
            let queue = try DatabaseQueue(path: index)
            try queue.write { try $0.execute(sql: sql) }
            try queue.close()
        }

        /// What the store must be after any repair: complete, pinned, and clean.
        func expectSound() async throws {
            let report = try await test.store.check(.report)
            #expect(report.isClean, "\(report)")
            for block in blocks + [cached] { #expect(try await test.store.holds(block)) }
            #expect(try await test.store.isPinned(root.cid) == .recursive(name: "kept"))
            #expect(try await test.store.isPinned(blocks[7].cid) == .indirect)
            try await test.store.collect(.everything)
            #expect(test.store.statistics().blocks == UInt64(blocks.count))
            try await test.store.close()
        }
    }

    @Test(
        "rows that are gone or wrong are reported, and mended without a rebuild",
        arguments: [
            "DELETE FROM blocks WHERE key = (SELECT key FROM blocks WHERE length = 300 LIMIT 1)",
            "DELETE FROM blocks", "UPDATE blocks SET offset = offset + 1 WHERE length = 300",
            "UPDATE blocks SET segment = 3 - segment WHERE length = 300",
            "UPDATE blocks SET segment = 99", "UPDATE blocks SET length = length - 1",
            "DELETE FROM pins", "UPDATE blocks SET segment = 0, refs = 1 WHERE length = 300",
        ])
    func wrongRows(sql: String) async throws {
        let subject = try await Subject()
        try subject.execute(sql)
        try subject.test.open()
        let report = try await subject.test.store.check(.report)
        #expect(!report.isClean)
        #expect(report.indexDamage == nil)
        #expect(report.rotten.isEmpty, "what is sound on disk is not to be called rotten")
        let repaired = try await subject.test.store.check(.repair)
        #expect(repaired.repaired)
        try await subject.expectSound()
    }

    @Test(
        "rows that make no sense neither crash anything nor stay",
        arguments: [
            "UPDATE blocks SET segment = 1 << 40", "UPDATE blocks SET segment = 'x'",
            "UPDATE blocks SET offset = -9223372036854775807 - 1",
            "UPDATE blocks SET length = 1 << 40", "UPDATE blocks SET length = -1",
            "UPDATE blocks SET segment = -9223372036854775807 - 1",
            "UPDATE OR REPLACE blocks SET key = 'text' WHERE length = 500",
            "UPDATE segments SET kind = 9", "UPDATE segments SET number = -number",
            "UPDATE segments SET indexed = 'many'", "DROP TABLE pins",
        ])
    func senselessRows(sql: String) async throws {
        let subject = try await Subject()
        try subject.execute(sql)
        do {
            try subject.test.open()
            // Reading from it must end well, whatever it answers.
            for block in subject.blocks.prefix(20) {
                _ = try? await subject.test.store.block(block.cid.hash)
            }
            let report = try await subject.test.store.check(.repair)
            if report.indexDamage == nil { return try await subject.expectSound() }
            try await subject.test.store.close()
        } catch StoreError.indexDamaged {
            // A store that does not open says why; the same cure helps.
        }
        try BlockStore.rebuildIndex(at: subject.test.directory.path)
        try subject.test.open()
        try await subject.expectSound()
    }

    @Test("any page of the index may be overwritten", arguments: 1...12)
    func overwrittenPages(page: Int) async throws {
        let subject = try await Subject()
        let descriptor = open(subject.index, O_RDWR)
        try #require(descriptor >= 0)
        var random = Seeded(UInt64(page))
        let junk = noise(200, &random)
        let place = off_t(page * 4096 + 8 * (page % 400))
        #expect(pwrite(descriptor, junk, junk.count, place) == junk.count)
        close(descriptor)
        var isDamaged = true
        do {
            try subject.test.open()
            let report = try await subject.test.store.check(.repair)
            isDamaged = report.indexDamage != nil
            if isDamaged { try await subject.test.store.close() }
        } catch StoreError.indexDamaged {
            // A store that does not open says why; the same cure helps.
        }
        if isDamaged {
            try BlockStore.rebuildIndex(at: subject.test.directory.path)
            try subject.test.open()
        }
        try await subject.expectSound()
    }

    @Test("a rebuild keeps the references to files that the damaged index still has")
    func references() async throws {
        let subject = try await Subject()
        try subject.test.open()
        var random = Seeded(3)
        let block = leaf(5000, &random)
        let path = subject.test.directory.path + "/original"
        try write(block.bytes.readableBytesView, path)
        let session = subject.test.store.beginWrite()
        try session.putReference(block.cid, file: path, offset: 0, length: 5000)
        session.pin(block.cid, .recursive)
        try await session.commit()
        try await subject.test.store.close()
        try subject.execute("UPDATE blocks SET length = 1 << 40 WHERE length = 500")
        #expect(try BlockStore.rebuildIndex(at: subject.test.directory.path) == 1)
        try subject.test.open()
        #expect(try await subject.test.store.holds(block))
        #expect(try await subject.test.store.isPinned(block.cid) == .recursive(name: ""))
        #expect(try await subject.test.store.check(.report).isClean)
        try await subject.test.store.close()
    }

    @Test("pins that the journal has lost are written down again")
    func journalLost() async throws {
        let subject = try await Subject()
        try write("", subject.test.directory.path + "/pins.log")
        try subject.test.open()
        #expect(try await subject.test.store.check(.report).forgottenPins == [subject.root.cid])
        #expect(try await subject.test.store.check(.repair).repaired)
        try await subject.test.store.close()
        try BlockStore.rebuildIndex(at: subject.test.directory.path)
        try subject.test.open()
        try await subject.expectSound()
    }
}
