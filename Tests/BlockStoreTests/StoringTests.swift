// Putting in and getting out, over both storages.

import Glibc
import IPLD
import Multiformats
import NIOCore
import Testing

@testable import BlockStore

@Suite struct StoringTests {
    @Test("what was put is there, also after opening again", arguments: Backing.allCases)
    func roundTrip(backing: Backing) async throws {
        let test = try StoreUnderTest(backing)
        var random = Seeded(1)
        let small = [0, 1, 100, 1024, 16 << 10].map { leaf($0, &random) }
        let large = [300 << 10, 1 << 20, BlockLimits.maxBytes].map { leaf($0, &random) }
        try await test.store.add(small + large)
        for block in small { try await test.store.put(block) }
        let fetched = leaf(5000, &random)
        try await test.store.put(fetched)
        for _ in 0..<2 {
            for block in small + large + [fetched] {
                #expect(try await test.store.holds(block))
                #expect(try await test.store.size(of: block.cid.hash) == block.bytes.readableBytes)
            }
            #expect(try await test.store.block(leaf(9, &random).cid.hash) == nil)
            #expect(test.store.statistics().blocks == UInt64(small.count + large.count + 1))
            try await test.reopen()
            #expect(test.store.openingEvents.isEmpty)
        }
        try await test.store.close()
    }

    @Test(
        "many are read at once as one by one, from memory, heads and segments, sound ones alone",
        arguments: Backing.allCases)
    func manyAtOnce(backing: Backing) async throws {
        let test = try StoreUnderTest(backing)
        var random = Seeded(4)
        var blocks = [0, 1, 20_000, 300 << 10, BlockLimits.maxBytes].map { leaf($0, &random) }
        blocks += (0..<1500).map { leaf($0, &random) }
        try await test.store.put(blocks)
        try await test.reopen()
        // These are in a head, gathered and not written yet.
        let session = test.store.beginWrite()
        let gathered = (0..<600).map { leaf(100 + $0, &random) }
        for block in gathered { try session.put(block) }
        let inlined = Multihash(code: .identity, digest: [1, 2, 3])
        var known = blocks + gathered.prefix(512)
        known.shuffle(using: &random)
        let hashes = [inlined, leaf(9, &random).cid.hash] + known.map(\.cid.hash)
        let expected: [[UInt8]?] =
            [[1, 2, 3], nil] + known.map { Array($0.bytes.readableBytesView) }
        for _ in 0..<2 {
            let found = try await test.store.blocks(hashes)
            #expect(found.map { $0.map { Array($0) } } == expected)
            _ = try await test.store.sizes(of: hashes)
        }
        try await session.commit()
        try await test.store.close()
    }

    @Test("many are put and looked up at once, wherever they are", arguments: Backing.allCases)
    func batches(backing: Backing) async throws {
        let test = try StoreUnderTest(backing)
        var random = Seeded(3)
        let first = [0, 1, 1000, 300 << 10].map { leaf($0, &random) }
        try await test.store.put(first + first)
        try await test.reopen()
        let second = (0..<2000).map { leaf($0, &random) }
        try await test.store.put(second)
        let absent = leaf(7, &random).cid.hash
        let inlined = Multihash(code: .identity, digest: [1, 2, 3])
        let blocks = (second + first).map(\.cid.hash)
        let lengths: [Int?] = (second + first).map(\.bytes.readableBytes)
        for _ in 0..<2 {
            let sizes = try await test.store.sizes(of: [absent] + blocks + [inlined])
            #expect(sizes == [nil] + lengths + [3])
            for block in first + second { #expect(try await test.store.holds(block)) }
            #expect(test.store.statistics().blocks == UInt64(first.count + second.count - 1))
            try await test.reopen()
        }
        try await test.store.close()
    }

    @Test("a block is stored once, by whichever way it comes", arguments: Backing.allCases)
    func duplicates(backing: Backing) async throws {
        let test = try StoreUnderTest(backing)
        let empty = test.store.statistics().usedBytes
        var random = Seeded(2)
        let blocks = (0..<50).map { _ in leaf(1000, &random) }
        try await test.store.add(blocks + blocks)
        let size = test.store.statistics().liveBytes
        #expect(size == 50 * 1010)
        try await test.store.add(blocks)
        for block in blocks { try await test.store.put(block) }
        try await test.reopen()
        try await test.store.add(blocks)
        #expect(test.store.statistics().liveBytes == size)
        #expect(test.store.statistics().usedBytes < empty + 200_000)
        try await test.store.close()
    }

    @Test("every hash function that can be verified can be stored and found again")
    func hashes() async throws {
        let test = try StoreUnderTest()
        let codes: [HashCode] = [
            .sha1, .sha2_256, .sha2_512, .sha3_256, .blake3, .blake2b_256, .dbl_sha2_256,
        ]
        var blocks: [Block] = []
        for code in codes {
            let bytes = ByteBuffer(string: "content hashed by \(code.rawValue)")
            blocks.append(try Block(hashing: bytes, codec: .raw, hash: code))
        }
        // A multihash of 32 bytes in all must not be taken for a bare digest.
        let bytes = ByteBuffer(string: "truncated")
        let full = Multihash(hashing: bytes.readableBytesSpan, with: .blake3)!
        let short = Multihash(code: .blake3, digest: Array(full.digest.prefix(30)))
        blocks.append(try Block(verifying: bytes, as: CID(.raw, short)))
        try await test.store.add(blocks)
        for _ in 0..<2 {
            for block in blocks { #expect(try await test.store.holds(block)) }
            let listed = try await test.store.blocks(after: nil, limit: 100)
            #expect(Set(listed) == Set(blocks.map(\.cid.hash)))
            // The index is rebuilt from the records, which do not hold the digests.
            try await test.store.close()
            try BlockStore.rebuildIndex(at: test.directory.path)
            try test.open()
        }
        try await test.store.close()
    }

    @Test("identity CIDs are answered without being stored")
    func identity() async throws {
        let test = try StoreUnderTest()
        let block = try Block(
            hashing: ByteBuffer(string: "inline"), codec: .raw, hash: .identity)
        try await test.store.put(block)
        #expect(try await test.store.holds(block))
        #expect(test.store.statistics().blocks == 0)
        try await test.store.close()
    }

    @Test("a listing in pages has every block once", arguments: Backing.allCases)
    func listing(backing: Backing) async throws {
        let test = try StoreUnderTest(backing)
        var random = Seeded(3)
        let blocks = (0..<100).map { _ in leaf(50, &random) }
        try await test.store.add(blocks)
        var listed: [Multihash] = []
        while true {
            let page = try await test.store.blocks(after: listed.last, limit: 7)
            if page.isEmpty { break }
            listed += page
        }
        #expect(listed.count == 100)
        #expect(Set(listed) == Set(blocks.map(\.cid.hash)))
        try await test.store.close()
    }

    @Test("a closed store and an ended session refuse by name")
    func closed() async throws {
        let test = try StoreUnderTest()
        let session = test.store.beginWrite()
        try await session.commit()
        #expect(throws: StoreError.closed) { try session.put(block([1])) }
        try await test.store.close()
        await #expect(throws: StoreError.closed) { try await test.store.put(block([1])) }
        await #expect(throws: StoreError.closed) {
            try await test.store.block(block([1]).cid.hash)
        }
    }

    @Test("a second opening is refused and names the process that has the store")
    func inUse() async throws {
        let test = try StoreUnderTest()
        #expect(
            throws: StoreError.inUse(directory: test.directory.path, process: getpid())
        ) {
            try BlockStore.open(at: test.directory.path)
        }
        try await test.store.close()
        try await BlockStore.open(at: test.directory.path).close()
    }

    @Test("a store of a later version is refused by name, and so is another directory")
    func formats() async throws {
        let test = try StoreUnderTest()
        try await test.store.close()
        try write("weft block store 2\n", test.directory.path + "/format")
        #expect(throws: StoreError.newerFormat(found: 2, supported: 1)) { try test.open() }
        try write("something else\n", test.directory.path + "/format")
        #expect(throws: StoreError.notAStore(directory: test.directory.path)) { try test.open() }
    }

    @Test("parallel writers and readers lose nothing")
    func parallel() async throws {
        let test = try StoreUnderTest()
        let store = test.store
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    var random = Seeded(UInt64(100 + writer))
                    for _ in 0..<5 {
                        let blocks = (0..<40).map { _ in leaf(2000, &random) }
                        try await store.add(blocks)
                        for block in blocks { #expect(try await store.holds(block)) }
                        let fetched = leaf(40_000, &random)
                        try await store.put(fetched)
                        #expect(try await store.holds(fetched))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(store.statistics().blocks == 4 * 5 * 41)
        try await store.close()
    }
}
