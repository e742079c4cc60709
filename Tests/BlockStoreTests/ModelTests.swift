// The store against a simple model in memory, and what a check finds.

import Glibc
import IPLD
import Multiformats
import NIOCore
import Testing

@testable import BlockStore

@Suite struct ModelTests {
    /// What the store should do, in the simplest way.
    private struct Model {
        var blocks: [Multihash: Block] = [:]
        var links: [Multihash: [CID]] = [:]
        var pins: [CID: Pin.Kind] = [:]

        var retained: Set<Multihash> {
            var found: Set<Multihash> = []
            for (cid, kind) in pins {
                guard kind == .recursive else {
                    found.insert(cid.hash)
                    continue
                }
                found.formUnion(reachable(cid).reached)
            }
            return found
        }

        func reachable(_ cid: CID) -> (reached: Set<Multihash>, isComplete: Bool) {
            var reached: Set<Multihash> = []
            var stack = [cid.hash]
            var isComplete = true
            while let next = stack.popLast() {
                guard reached.insert(next).inserted else { continue }
                if blocks[next] == nil { isComplete = false }
                stack += (links[next] ?? []).map(\.hash)
            }
            return (reached, isComplete)
        }
    }

    @Test(
        "random puts, pins, unpins, collections and restarts agree with a model",
        arguments: Backing.allCases, 0..<6)
    func model(backing: Backing, seed: UInt64) async throws {
        let test = try StoreUnderTest(backing)
        var random = Seeded(seed + 1000)
        var model = Model()
        // A universe of blocks, of which each links to earlier ones.
        var universe: [Block] = (0..<15).map { _ in leaf(Int(random.next() % 900), &random) }
        for salt in 0..<25 {
            let count = Int(random.next() % 5)
            let children = (0..<count).map { _ in universe.randomElement(using: &random)!.cid }
            let node = try parent(of: children, salt: UInt64(salt))
            model.links[node.cid.hash] = children
            universe.append(node)
        }
        for step in 0..<250 {
            let block = universe.randomElement(using: &random)!
            try await Self.act(Int(random.next() % 20), block, test, &model)
            guard step % 10 == 0 else { continue }
            let retained = model.retained
            for block in universe {
                let isHere = try await test.store.block(block.cid.hash) != nil
                #expect(isHere == (model.blocks[block.cid.hash] != nil), "step \(step)")
                let isPinned = try await test.store.isPinned(block.cid) != nil
                #expect(isPinned == retained.contains(block.cid.hash), "step \(step)")
            }
        }
        #expect(try await test.store.check(.repair).isClean)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == UInt64(model.retained.count))
        try await test.store.close()
    }

    /// Puts a block, pins content, or both; false if the content is not complete.
    private static func store(_ block: Block?, _ pin: CID?, _ test: StoreUnderTest) async -> Bool {
        do {
            if let block {
                let session = test.store.beginWrite()
                try session.put(block)
                if let pin { session.pin(pin, .recursive) }
                try await session.commit()
            } else if let pin {
                try await test.store.pin(pin, .recursive)
            }
            return true
        } catch {
            guard case .incomplete = error else {
                Issue.record(error)
                return true
            }
            return false
        }
    }

    private static func act(
        _ action: Int, _ block: Block, _ test: StoreUnderTest, _ model: inout Model
    ) async throws {
        let cid = block.cid
        switch action {
        case 0..<5:
            try await test.store.put(block)
            model.blocks[cid.hash] = block
        case 5..<13:
            if action < 10 { model.blocks[cid.hash] = block }
            let isComplete = model.reachable(cid).isComplete
            let isPinned = action > 7
            let isDone = await Self.store(action < 10 ? block : nil, isPinned ? cid : nil, test)
            #expect(isDone == (isComplete || !isPinned))
            if isPinned, isDone { model.pins[cid] = .recursive }
        case 13:
            guard model.blocks[cid.hash] != nil else { return }
            try await test.store.pin(cid, .direct)
            if model.pins[cid] == nil { model.pins[cid] = .direct }
        case 14..<17:
            guard let pin = model.pins.keys.sorted(by: { $0.description < $1.description }).first
            else { return }
            try await test.store.unpin(pin)
            model.pins[pin] = nil
        case 17:
            try await test.store.collect(.everything)
            let retained = model.retained
            model.blocks = model.blocks.filter { retained.contains($0.key) }
        case 18: try await test.reopen()
        default: #expect(try await test.store.check(.report).isClean)
        }
    }

    @Test("a rotten byte is never given out; a check names its block, a repair drops it")
    func rot() async throws {
        let test = try StoreUnderTest(.memory, StoreOptions(memoryBytes: 0))
        let memory = try #require(test.memory)
        var random = Seeded(20)
        let leaves = (0..<10).map { _ in leaf(1000, &random) }
        let root = try parent(of: leaves.map(\.cid))
        try await test.store.add(leaves + [root], pinning: root.cid)
        try await test.reopen()
        var places: [(block: Block, offset: UInt64)] = []
        for block in leaves {
            let row = try test.store.index.read {
                try IndexTransaction.row($0, BlockKey(block.cid.hash))
            }
            places.append((block, try #require(row).place.offset))
        }
        memory.rot(1, at: Int(places[3].offset) + 200)
        // This one loses its header, so that what follows must be found by the index.
        memory.rot(1, at: Int(places[6].offset) + 2)
        let report = try await test.store.check(.report)
        #expect(Set(report.rotten) == [leaves[3].cid, leaves[6].cid])
        #expect(report.verified == 9)
        #expect(try await test.store.block(leaves[3].cid.hash) == nil)
        let repaired = try await test.store.check(.repair)
        #expect(repaired.rotten == [leaves[6].cid])
        #expect(Set(repaired.missing) == [leaves[3].cid, leaves[6].cid])
        for block in leaves where block != leaves[3] && block != leaves[6] {
            #expect(try await test.store.holds(block))
        }
        for block in [leaves[3], leaves[6]] {
            #expect(try await test.store.holds(block) == false)
            try await test.store.put(block)
            #expect(try await test.store.holds(block))
        }
        #expect(try await test.store.isPinned(leaves[3].cid) == .indirect)
        #expect(try await test.store.check(.report).missing.isEmpty)
        try await test.store.unpin(root.cid)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().pinnedBytes == 0)
        try await test.store.close()
    }

    @Test("content added in place is read from the file, and a change is noticed")
    func references() async throws {
        let test = try StoreUnderTest()
        let folder = try TemporaryDirectory()
        let path = folder.path + "/film"
        var random = Seeded(21)
        let content = noise(10_000, &random)
        try write(content, path)
        let blocks = [block(Array(content[..<6000])), block(Array(content[6000...]))]
        let root = try parent(of: blocks.map(\.cid))
        let session = test.store.beginWrite()
        try session.putReference(blocks[0].cid, file: path, offset: 0, length: 6000)
        try session.putReference(blocks[1].cid, file: path, offset: 6000, length: 4000)
        try session.put(root)
        session.pin(root.cid, .recursive)
        try await session.commit()
        #expect(test.store.statistics().liveBytes < 1000)
        try await test.reopen()
        for block in blocks {
            #expect(try await test.store.holds(block))
            #expect(try await test.store.size(of: block.cid.hash) == block.bytes.readableBytes)
        }
        try await test.store.collect(.everything)
        #expect(try await test.store.check(.report).isClean)
        var changed = content
        changed[9000] ^= 1
        try write(changed, path)
        let error = StoreError.fileChanged(path: path)
        await #expect(throws: error) { try await test.store.block(blocks[1].cid.hash) }
        #expect(try await test.store.check(.report).changedFiles == [path])
        // The bytes come from elsewhere and are kept.
        for block in blocks { try await test.store.put(block) }
        for block in blocks { #expect(try await test.store.holds(block)) }
        try await test.store.collect(.everything)
        for block in blocks { #expect(try await test.store.holds(block)) }
        #expect(throws: StoreError.fileChanged(path: path + "?")) {
            try test.store.beginWrite().putReference(
                blocks[0].cid, file: path + "?", offset: 0, length: 1)
        }
        try await test.store.close()
    }
}
