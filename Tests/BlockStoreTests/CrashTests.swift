// What survives: a kill at any instant, a torn tail, a lost index transaction, a full disk.

import Glibc
import IPLD
import Multiformats
import NIOCore
import Testing

@testable import BlockStore

@Suite struct CrashTests {
    /// The block that a writer acknowledges as number `index` of round `round`.
    private static func promised(_ round: UInt64, _ index: UInt64) -> Block {
        var random = Seeded(round << 32 | index)
        return leaf(Int(random.next() % 3000) + 1, &random)
    }

    /// Writes and acknowledges until it is killed.
    private static func writeUntilKilled(_ path: String, _ round: UInt64) async throws {
        let store = try BlockStore.open(at: path)
        let log = open(path + "/acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var index: UInt64 = 0
        while index < 100_000 {
            let session = store.beginWrite()
            var children: [CID] = []
            for _ in 0..<8 {
                let block = promised(round, index)
                children.append(block.cid)
                try session.put(block)
                index += 1
            }
            let root = try parent(of: children, salt: round << 32 | index)
            try session.put(root)
            session.pin(root.cid, .recursive)
            try await session.commit()
            let fetched = promised(round, index)
            index += 1
            try await store.put(fetched)
            // One short write to a file that is appended to is whole or not there at all.
            var line = [round, index]
            _ = Glibc.write(log, &line, 16)
        }
    }

    @Test(
        "everything acknowledged is there after kill -9 at random instants",
        .timeLimit(.minutes(10)))
    func kill() async throws {
        let directory = try TemporaryDirectory()
        var random = Seeded(UInt64.random(in: 0..<1000))
        let seed = random.state
        for round in 0..<30 {
            let delay = Int(random.next() % 60_000) + 500
            await #expect(processExitsWith: .signal(SIGKILL), "seed \(seed)") {
                [
                    path = directory.path as String, round = UInt64(round) as UInt64,
                    delay = delay as Int
                ] in
                Thread.killThisProcess(afterMicroseconds: delay)
                try await CrashTests.writeUntilKilled(path, round)
            }
            let store = try BlockStore.open(at: directory.path)
            if access(directory.path + "/acknowledged", F_OK) == 0 {
                let words = try read(directory.path + "/acknowledged")
                try await Self.verify(store, words, round, seed)
            }
            try await store.close()
        }
        let store = try BlockStore.open(at: directory.path)
        try await store.collect(.everything)
        let report = try await store.check(.report)
        #expect(report.isClean, "seed \(seed): \(report)")
        try await store.close()
    }

    /// Everything that this round acknowledged is there, and pinned if it was.
    private static func verify(
        _ store: BlockStore, _ log: [UInt8], _ round: Int, _ seed: UInt64
    ) async throws {
        var acknowledged: UInt64 = 0
        for start in stride(from: 0, to: log.count, by: 16) {
            let words = log[start..<start + 16].withUnsafeBytes {
                Array($0.bindMemory(to: UInt64.self))
            }
            if words[0] == UInt64(round) { acknowledged = max(acknowledged, words[1]) }
        }
        for index in 0..<acknowledged {
            let block = promised(UInt64(round), index)
            #expect(try await store.holds(block), "seed \(seed), round \(round), block \(index)")
            guard index % 9 != 8 else { continue }
            #expect(try await store.isPinned(block.cid) == .indirect, "seed \(seed)")
        }
    }

    @Test("a record torn at any byte is cut off, said so, and costs nothing else")
    func tornTail() async throws {
        let test = try StoreUnderTest(.memory)
        let memory = try #require(test.memory)
        var random = Seeded(11)
        let sound = leaf(60, &random)
        let torn = leaf(40, &random)
        try await test.store.put(sound)
        let start = memory.size(1)
        // The record is written, and the program dies before the index has it.
        try await test.store.put(torn)
        let end = memory.size(1)
        let layout = try StoreLayout(test.directory.path)
        for size in start..<end {
            let copy = MemorySegments()
            try copy.create(1)
            guard case .bytes(let bytes) = try memory.read(1, at: 0, count: size, .blocking) else {
                Issue.record("no segment")
                return
            }
            try copy.append(1, at: 0, [bytes])
            let directory = try TemporaryDirectory()
            let fresh = try StoreLayout(directory.path)
            let store = try BlockStore.open(fresh, DirectoryLock(fresh), copy, StoreOptions())
            #expect(try await store.holds(sound))
            #expect(try await store.holds(torn) == false)
            let cut = StoreEvent.tornTail(segment: 1, bytes: UInt64(size - start))
            #expect(store.openingEvents.contains(cut) == (size > start))
            #expect(copy.size(1) == start)
            try await store.put(torn)
            #expect(try await store.holds(torn))
            try await store.close()
        }
        #expect(layout.hasIndex)
        try await test.store.close()
    }

    @Test("an index that lags behind the segments catches up", arguments: 0..<10)
    func laggingIndex(seed: UInt64) async throws {
        let test = try StoreUnderTest(.memory)
        let memory = try #require(test.memory)
        var random = Seeded(seed)
        let early = (0..<20).map { _ in leaf(500, &random) }
        let root = try parent(of: early.map(\.cid))
        try await test.store.add(early + [root], pinning: root.cid)
        try await test.reopen()
        // The index as it is now is all that the power failure leaves.
        let index = try read(test.directory.path + "/index.sqlite")
        let late = (0..<20).map { _ in leaf(500, &random) }
        let second = try parent(of: late.map(\.cid) + [root.cid])
        try await test.store.add(late + [second], pinning: second.cid, name: "late")
        for _ in 0..<10 { try await test.store.put(leaf(800, &random)) }
        memory.crash(&random)
        // Closing writes the index, which the copy then replaces.
        try await test.store.close()
        try write(index, test.directory.path + "/index.sqlite")
        unlink(test.directory.path + "/index.sqlite-wal")
        unlink(test.directory.path + "/index.sqlite-shm")
        try test.open()
        for block in early + late + [root, second] {
            #expect(try await test.store.holds(block))
        }
        #expect(try await test.store.isPinned(second.cid) == .recursive(name: "late"))
        #expect(try await test.store.isPinned(late[3].cid) == .indirect)
        try await test.store.collect(.everything)
        #expect(test.store.statistics().blocks == 42)
        #expect(try await test.store.check(.report).isClean)
        try await test.store.close()
    }

    @Test("a full disk fails the write by name and harms nothing", arguments: 0..<40)
    func fullDisk(seed: UInt64) async throws {
        let test = try StoreUnderTest(.memory)
        let memory = try #require(test.memory)
        var random = Seeded(seed)
        let before = (0..<10).map { _ in leaf(2000, &random) }
        let root = try parent(of: before.map(\.cid))
        try await test.store.add(before + [root], pinning: root.cid)
        memory.leaveRoom(Int(random.next() % 50_000))
        let blocks = (0..<30).map { _ in leaf(Int(random.next() % 60_000), &random) }
        let second = try parent(of: blocks.map(\.cid))
        await #expect(throws: StoreError.self) {
            try await test.store.add(blocks + [second], pinning: second.cid)
        }
        for block in before + [root] { #expect(try await test.store.holds(block)) }
        #expect(try await test.store.isPinned(second.cid) == nil)
        memory.leaveRoom(nil)
        try await test.store.add(blocks + [second], pinning: second.cid)
        for _ in 0..<2 {
            for block in before + [root] + blocks + [second] {
                #expect(try await test.store.holds(block))
            }
            #expect(try await test.store.check(.report).isClean)
            try await test.reopen()
            #expect(test.store.openingEvents.isEmpty)
        }
        try await test.store.close()
    }

    @Test("a real full file system fails the write by name and harms nothing")
    func fullFileSystem() async throws {
        let directory = try TemporaryDirectory()
        let mountPoint = directory.path + "/small"
        mkdir(mountPoint, 0o700)
        // Mounting takes rights that not every run has; the injected failure covers the rest.
        guard mount("tmpfs", mountPoint, "tmpfs", 0, "size=4m") == 0 else {
            rmdir(mountPoint)
            return
        }
        defer {
            umount(mountPoint)
            rmdir(mountPoint)
        }
        var random = Seeded(12)
        let store = try BlockStore.open(at: mountPoint)
        let first = leaf(500_000, &random)
        try await store.add([first])
        var failures = 0
        for _ in 0..<12 {
            do {
                try await store.add([leaf(500_000, &random)])
            } catch {
                failures += 1
            }
        }
        #expect(failures > 3)
        #expect(try await store.holds(first))
        // Closing may find no room for the index either; what it lacks is found at the next start.
        try? await store.close()
        #expect(mount("tmpfs", mountPoint, "tmpfs", UInt(MS_REMOUNT), "size=8m") == 0)
        let again = try BlockStore.open(at: mountPoint)
        #expect(try await again.holds(first))
        #expect(try await again.check(.report).isClean)
        try? await again.close()
    }
}

/// A thread that ends the process.
enum Thread {
    static func killThisProcess(afterMicroseconds delay: Int) {
        var thread = pthread_t()
        let argument = UnsafeMutableRawPointer(bitPattern: delay)
        pthread_create(
            &thread, nil,
            { argument in
                let delay = Int(bitPattern: argument)
                var time = timespec(tv_sec: 0, tv_nsec: delay * 1000)
                nanosleep(&time, nil)
                Glibc.kill(getpid(), SIGKILL)
                return nil
            }, argument)
    }
}
