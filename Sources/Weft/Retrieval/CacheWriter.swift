// Storing what was fetched, beside the stream: blocks queue up and one task stores them. When the
// disk is slower than the network the streams wait for it; when it takes nothing they do not, and
// what comes then is not stored.

import BlockStore
import DequeModule
import Logging
import Multiformats
import NIOCore
import Synchronization

/// Where verified blocks go and come from: the store, or something like it in a test.
struct BlockCache: Sendable {
    /// The bytes of a block, if it is there.
    let block: @Sendable (Multihash) async throws -> ByteBuffer?
    /// A part of a block of this size, if it is there.
    let part: @Sendable (Range<Int>, Multihash, Int) async throws -> ByteBuffer?
    /// Which of these blocks are there.
    let present: @Sendable ([Multihash]) async throws -> Set<Multihash>
    /// Keeps blocks until their time or the space runs out.
    let put: @Sendable ([Block]) async throws -> Void

    init(
        block: @escaping @Sendable (Multihash) async throws -> ByteBuffer?,
        put: @escaping @Sendable ([Block]) async throws -> Void
    ) {
        self.block = block
        part = { _, _, _ in nil }
        present = { hashes in
            var found: Set<Multihash> = []
            for hash in hashes where try await block(hash) != nil { found.insert(hash) }
            return found
        }
        self.put = put
    }

    /// The store of a node.
    init(_ store: BlockStore) {
        block = { try await store.block($0) }
        part = { try await store.part($0, of: $1, size: $2) }
        present = { hashes in
            let sizes = try await store.sizes(of: hashes)
            return Set(zip(hashes, sizes).lazy.filter { $1 != nil }.map(\.0))
        }
        put = { try await store.put($0) }
    }
}

/// Stores blocks beside the stream that brings them.
final class CacheWriter: Sendable {
    /// How many bytes may wait to be stored; what comes on top is not stored.
    static let maxPending = 64 << 20
    /// How many bytes may wait before those who bring more wait for ``room()``. Blocks that are
    /// stored soon after they came are still in the processor's cache.
    static let comfort = 8 << 20
    /// How many blocks are stored at a time at most, and how many bytes: small ones together, so
    /// that a thousand cost little more than one, and large ones as they come.
    private static let batchCount = 1_024
    private static let batchBytes = 1 << 20
    /// How long they wait at most.
    static let patience: Duration = .seconds(2)

    private struct State {
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
        /// The disk let somebody wait in vain, and has taken nothing since.
        var isStuck = false
        var queue: Deque<Block> = []
        var waiting: [Multihash: ByteBuffer] = [:]
        var bytes = 0
        var task: Task<Void, Never>?
        var skipped = 0
    }

    private let cache: BlockCache
    private let logger: Logger
    private let state = Mutex(State())

    init(_ cache: BlockCache, logger: Logger) {
        self.cache = cache
        self.logger = logger
    }

    /// How many blocks were not stored because too many waited or the store refused them.
    var skipped: Int { state.withLock { $0.skipped } }

    /// Queues blocks; it returns at once.
    func put(_ blocks: [Block]) {
        state.withLock { state in
            for block in blocks where state.waiting[block.cid.hash] == nil {
                guard state.bytes + block.bytes.readableBytes <= Self.maxPending else {
                    state.skipped += 1
                    continue
                }
                state.queue.append(block)
                state.waiting[block.cid.hash] = block.bytes
                state.bytes += block.bytes.readableBytes
            }
            if state.task == nil, !state.queue.isEmpty {
                state.task = Task { await self.drain() }
            }
        }
    }

    /// A block that waits to be stored.
    func pending(_ hash: Multihash) -> ByteBuffer? {
        state.withLock { $0.waiting[hash] }
    }

    /// Waits until everything queued so far is stored or given up.
    func flush() async {
        while let task = state.withLock({ $0.task }) { await task.value }
    }

    /// Waits until there is room for more, unless the disk takes nothing.
    func room() async {
        guard state.withLock({ $0.bytes > Self.comfort && !$0.isStuck }) else { return }
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await self.waitForRoom()
                return true
            }
            group.addTask {
                // Cancelled when there is room.
                (try? await Task.sleep(for: Self.patience)) == nil
            }
            if await group.next() == false { state.withLock { $0.isStuck = true } }
            group.cancelAll()
        }
    }

    private func waitForRoom() async {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    guard state.bytes > Self.comfort, !Task.isCancelled else { return false }
                    state.waiters[number] = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
        }
    }

    private func drain() async {
        while let blocks = takeNext() {
            do {
                try await cache.put(blocks)
            } catch {
                // The fetch goes on without; the content is only not cached.
                logger.debug("fetched blocks were not stored", metadata: ["error": "\(error)"])
                state.withLock { $0.skipped += blocks.count }
            }
            var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
            state.withLock { state in
                for block in blocks {
                    state.waiting[block.cid.hash] = nil
                    state.bytes -= block.bytes.readableBytes
                }
                state.isStuck = false
                if state.bytes <= Self.comfort { swap(&waiters, &state.waiters) }
            }
            for waiter in waiters.values { waiter.resume() }
        }
    }

    /// The blocks that are stored next; nil if none wait.
    private func takeNext() -> [Block]? {
        state.withLock { state in
            var blocks: [Block] = []
            var bytes = 0
            while let next = state.queue.first, blocks.count < Self.batchCount,
                blocks.isEmpty || bytes + next.bytes.readableBytes <= Self.batchBytes
            {
                blocks.append(next)
                bytes += next.bytes.readableBytes
                state.queue.removeFirst()
            }
            guard blocks.isEmpty else { return blocks }
            state.task = nil
            return nil
        }
    }
}
