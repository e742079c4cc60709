// The ceiling, collection, and what each evicts.

import Glibc
import IPLD
import Multiformats
import NIOCore
import Testing

@testable import BlockStore

@Suite struct LimitTests {
    @Test(
        "the ceiling is never passed, and nothing pinned is lost",
        arguments: Backing.allCases, [8 << 20, 24 << 20])
    func ceiling(backing: Backing, limit: UInt64) async throws {
        let test = try StoreUnderTest(backing, StoreOptions(maxBytes: limit))
        var random = Seeded(limit)
        var pinned: [(root: Block, blocks: [Block])] = []
        var highest: UInt64 = 0
        for step in 0..<220 {
            let size = [1000, 20_000, 300_000, 1_500_000].randomElement(using: &random)!
            do {
                switch step % 5 {
                case 0 where pinned.count < 6:
                    let blocks = (0..<3).map { _ in leaf(min(size, 100_000), &random) }
                    let root = try parent(of: blocks.map(\.cid), salt: UInt64(step))
                    try await test.store.add(blocks + [root], pinning: root.cid)
                    pinned.append((root, blocks))
                case 1 where !pinned.isEmpty:
                    let gone = pinned.remove(at: Int.random(in: pinned.indices, using: &random))
                    try await test.store.unpin(gone.root.cid)
                case 2:
                    try await test.store.add((0..<40).map { _ in leaf(1000, &random) })
                default:
                    try await test.store.put(leaf(size, &random))
                }
            } catch StoreError.full {
                Issue.record("full at step \(step): \(test.store.statistics())")
            }
            highest = max(highest, test.bytes)
            #expect(test.bytes <= limit, "step \(step): \(test.store.statistics())")
        }
        #expect(highest > limit / 2)
        for pin in pinned {
            for block in pin.blocks + [pin.root] { #expect(try await test.store.holds(block)) }
        }
        #expect(try await test.store.check(.report).isClean)
        try await test.reopen()
        #expect(test.bytes <= limit)
        try await test.store.close()
    }

    @Test("a store full of pins refuses by name and goes on serving", arguments: Backing.allCases)
    func fullOfPins(backing: Backing) async throws {
        let test = try StoreUnderTest(backing, StoreOptions(maxBytes: 8 << 20))
        var random = Seeded(13)
        var pinned: [Block] = []
        var error: (any Error)?
        while error == nil {
            let block = leaf(400_000, &random)
            do {
                try await test.store.add([block], pinning: block.cid)
                pinned.append(block)
            } catch let failure {
                error = failure
            }
            #expect(test.bytes <= 8 << 20)
        }
        guard case .full(8_388_608, _)? = error as? StoreError else {
            Issue.record("unexpected: \(String(describing: error))")
            return
        }
        #expect(pinned.count > 8)
        for block in pinned { #expect(try await test.store.holds(block)) }
        try await test.store.unpin(pinned[0].cid)
        let block = leaf(300_000, &random)
        try await test.store.add([block], pinning: block.cid)
        try await test.store.close()
    }

    @Test("the least recently used goes first", arguments: Backing.allCases)
    func leastRecentlyUsed(backing: Backing) async throws {
        let test = try StoreUnderTest(backing, StoreOptions(maxBytes: 16 << 20))
        var random = Seeded(14)
        let blocks = (0..<250).map { _ in leaf(100_000, &random) }
        var evicted: [Int] = []
        for (index, block) in blocks.enumerated() {
            try await test.store.put(block)
            // These few are used all the time.
            for hot in 0..<min(5, index) {
                #expect(try await test.store.holds(blocks[hot]), "\(hot) at \(index)")
            }
        }
        for (index, block) in blocks.enumerated() {
            if try await test.store.size(of: block.cid.hash) == nil { evicted.append(index) }
        }
        #expect(evicted.count > 100)
        // What went is older than what stayed, give or take a segment.
        let stayed = Set(0..<250).subtracting(evicted).subtracting(0..<5)
        let oldestStaying = try #require(stayed.min())
        let youngestGone = try #require(evicted.max())
        #expect(youngestGone - oldestStaying <= 2 * 11)
        try await test.store.close()
    }

    @Test("blocks of an open session are safe, also those that were cache before")
    func sessionGuards() async throws {
        let test = try StoreUnderTest(.files, StoreOptions(maxBytes: 16 << 20))
        var random = Seeded(15)
        let cached = (0..<10).map { _ in leaf(50_000, &random) }
        for block in cached { try await test.store.put(block) }
        let session = test.store.beginWrite()
        let new = leaf(600_000, &random)
        for block in cached + [new] { try session.put(block) }
        for _ in 0..<60 { try await test.store.put(leaf(400_000, &random)) }
        try await test.store.collect(.everything)
        let root = try parent(of: (cached + [new]).map(\.cid))
        try session.put(root)
        session.pin(root.cid, .recursive)
        try await session.commit()
        try await test.store.collect(.everything)
        for block in cached + [new, root] { #expect(try await test.store.holds(block)) }
        #expect(test.store.statistics().blocks == 12)
        try await test.store.close()
    }

    @Test("what the index does not have yet is no garbage, however full the store is")
    func unindexedIsNoVictim() async throws {
        let test = try StoreUnderTest(.files, StoreOptions(maxBytes: 16 << 20))
        var random = Seeded(22)
        // Several segments, none of which has been entered into the index.
        for _ in 0..<40 { try await test.store.put(leaf(100_000, &random)) }
        #expect(test.store.state.withLock { $0.segments.count } > 2)
        #expect(test.store.victim() == nil)
        _ = try await test.store.blocks(after: nil, limit: 1)
        #expect(test.store.victim() != nil)
        // The head goes on with its segment: what follows is not in the index again.
        let open = test.store.state.withLock { state in
            state.segments.values.filter(\.isOpen).map(\.row.number)
        }
        #expect(open.count == 1)
        #expect(test.store.victim().map { !open.contains($0.segment) } == true)
        try await test.store.close()
    }

    @Test("collection while reading and writing loses nothing that is kept")
    func concurrentCollection() async throws {
        let test = try StoreUnderTest(.files, StoreOptions(maxBytes: 32 << 20))
        let store = test.store
        var random = Seeded(16)
        let kept = (0..<60).map { _ in leaf(30_000, &random) }
        let root = try parent(of: kept.map(\.cid))
        try await store.add(kept + [root], pinning: root.cid)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { () async throws -> Void in
                for _ in 0..<12 { try await store.collect(.everything) }
            }
            for writer in 0..<2 {
                group.addTask { () async throws -> Void in
                    var random = Seeded(UInt64(200 + writer))
                    for round in 0..<30 {
                        let blocks = (0..<5).map { _ in leaf(20_000, &random) }
                        let root = try parent(of: blocks.map(\.cid), salt: UInt64(round))
                        try await store.add(blocks + [root], pinning: root.cid)
                        for block in blocks { #expect(try await store.holds(block)) }
                        if round % 3 != 0 { try await store.unpin(root.cid) }
                        for _ in 0..<4 { try await store.put(leaf(100_000, &random)) }
                    }
                }
            }
            group.addTask { () async throws -> Void in
                for _ in 0..<30 {
                    for block in kept { #expect(try await store.holds(block)) }
                }
            }
            try await group.waitForAll()
        }
        try await store.collect(.everything)
        #expect(store.statistics().blocks == 61 + 2 * 10 * 6)
        #expect(try await store.check(.report).isClean)
        try await store.close()
    }

    @Test("what has outlived its time goes, what was used stays")
    func timeToLive() async throws {
        let test = try StoreUnderTest(.files, StoreOptions(cacheTTL: .seconds(1000)))
        var random = Seeded(17)
        let blocks = (0..<6).map { _ in leaf(1000, &random) }
        for block in blocks { try await test.store.put(block) }
        let pinned = leaf(1000, &random)
        try await test.store.add([pinned], pinning: pinned.cid)
        try await test.store.collect(.expired)
        for block in blocks { #expect(try await test.store.holds(block)) }
        // Time passes; one block is used.
        func age(_ seconds: Int64) {
            test.store.state.withLock { state in
                for number in state.segments.keys {
                    state.segments[number]?.row.written -= seconds
                    state.segments[number]?.row.used -= seconds
                    state.segments[number]?.used.removeAll()
                }
            }
        }
        age(1500)
        #expect(try await test.store.holds(blocks[2]))
        try await test.store.collect(.expired)
        #expect(try await test.store.holds(blocks[0]) == false)
        #expect(try await test.store.holds(blocks[2]))
        age(1500)
        try await test.store.collect(.expired)
        #expect(try await test.store.holds(blocks[2]) == false)
        #expect(try await test.store.holds(pinned))
        try await test.store.close()
    }

    @Test("a limit that nothing can work within is refused by name")
    func smallLimit() {
        let error = StoreError.limitTooSmall(limit: 1000, minimum: StoreOptions.minimumBytes)
        #expect(throws: error) { try StoreUnderTest(.files, StoreOptions(maxBytes: 1000)) }
    }

    @Test("ten million small blocks fit into fewer than a thousand files")
    func files() throws {
        let directory = try TemporaryDirectory()
        for gibibytes in [11, 100, 1000] as [UInt64] {
            var layout = try StoreLayout(directory.path)
            layout.divide(gibibytes << 30)
            let files = 10_000_000 * UInt64(1034) / layout.segmentSize + 8
            #expect(files < 1000)
            #expect(layout.scratch < (gibibytes << 30) / 50)
        }
    }
}
