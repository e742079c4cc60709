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
    fileprivate static let batchCount = 1_024
    fileprivate static let batchBytes = 1 << 20
    /// How long they wait at most.
    static let patience: Duration = .seconds(2)

    /// How long the first of a few small ones wait for more, unless somebody waits for them: a
    /// batch costs threads that wake up.
    private static let gathering: Duration = .milliseconds(10)

    /// Blocks that are stored together.
    private struct Batch {
        private(set) var blocks: [Block] = []
        private(set) var bytes = 0
        private var places: [Multihash: Int] = [:]

        subscript(hash: Multihash) -> ByteBuffer? { places[hash].map { blocks[$0].bytes } }

        /// Whether a block finds place beside those that are here.
        func hasRoom(for size: Int) -> Bool {
            blocks.count < CacheWriter.batchCount
                && (blocks.isEmpty || bytes + size <= CacheWriter.batchBytes)
        }

        mutating func append(_ block: Block) {
            places[block.cid.hash] = blocks.count
            blocks.append(block)
            bytes += block.bytes.readableBytes
        }
    }

    private struct State {
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
        /// The disk let somebody wait in vain, and has taken nothing since.
        var isStuck = false
        var batches: Deque<Batch> = []
        /// What is on its way to the disk.
        var storing = Batch()
        /// Of all of them.
        var bytes = 0
        var task: Task<Void, Never>?
        /// Ends when the first of a few have waited long enough for more.
        var pause: Task<Void, Never>?
        /// How many wait until all are stored.
        var flushing = 0
        var skipped = 0

        /// Whether it pays to wait for more.
        var isWorthWaiting: Bool {
            guard batches.count == 1, let only = batches.first, flushing == 0 else { return false }
            return only.blocks.count < CacheWriter.batchCount / 2
                && only.bytes < CacheWriter.batchBytes / 2
        }

        func waiting(_ hash: Multihash) -> ByteBuffer? {
            for batch in batches {
                if let bytes = batch[hash] { return bytes }
            }
            return storing[hash]
        }

        /// Whether a block has just been queued. The store leaves alone what it has; looking
        /// through everything that waits would take longer.
        func isRecent(_ hash: Multihash) -> Bool {
            batches.last?[hash] != nil || storing[hash] != nil
        }

        mutating func append(_ block: Block) {
            if batches.last?.hasRoom(for: block.bytes.readableBytes) != true {
                batches.append(Batch())
            }
            batches[batches.count - 1].append(block)
            bytes += block.bytes.readableBytes
        }
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
            for block in blocks where !state.isRecent(block.cid.hash) {
                guard state.bytes + block.bytes.readableBytes <= Self.maxPending else {
                    state.skipped += 1
                    continue
                }
                state.append(block)
            }
            if state.task == nil, !state.batches.isEmpty {
                state.task = Task { await self.drain() }
            }
        }
    }

    /// A block that waits to be stored.
    func pending(_ hash: Multihash) -> ByteBuffer? {
        state.withLock { $0.waiting(hash) }
    }

    /// Waits until everything queued so far is stored or given up.
    func flush() async {
        state.withLock { state in
            state.flushing += 1
            state.pause?.cancel()
        }
        while let task = state.withLock({ $0.task }) { await task.value }
        state.withLock { $0.flushing -= 1 }
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
        while let blocks = await takeNext() {
            do {
                try await cache.put(blocks)
            } catch {
                // The fetch goes on without; the content is only not cached.
                logger.debug("fetched blocks were not stored", metadata: ["error": "\(error)"])
                state.withLock { $0.skipped += blocks.count }
            }
            var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
            var stored = Batch()
            state.withLock { state in
                swap(&stored, &state.storing)
                state.bytes -= stored.bytes
                state.isStuck = false
                if state.bytes <= Self.comfort { swap(&waiters, &state.waiters) }
            }
            for waiter in waiters.values { waiter.resume() }
        }
    }

    /// The blocks that are stored next; nil if none wait.
    private func takeNext() async -> [Block]? {
        let pause = state.withLock { state in
            // It ends early if it is cancelled.
            state.pause =
                state.isWorthWaiting
                ? Task { @concurrent in try? await Task.sleep(for: Self.gathering) } : nil
            return state.pause
        }
        await pause?.value
        return state.withLock { state in
            state.pause = nil
            guard let next = state.batches.popFirst() else {
                state.task = nil
                return nil
            }
            state.storing = next
            return next.blocks
        }
    }
}
