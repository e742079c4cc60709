// Reading the store for peers: asked for on event loops, done on the store's threads.

import BlockStore
import Logging
import Multiformats
import NIOCore
import Synchronization

/// Reads blocks for peers. It owns the tasks that do it.
final class BlockReads: Sendable {
    /// How many reads may be under way or waiting. Machines ask for less; beyond it, a block
    /// counts as not there.
    static let limit = 4_096

    private typealias Work = @Sendable () async -> Void

    private let store: BlockStore
    private let logger: Logger
    private let queue: AsyncStream<Work>.Continuation
    private let worker: Task<Void, Never>
    private let count = Atomic(0)

    init(_ store: BlockStore, logger: Logger) {
        self.store = store
        self.logger = logger
        let (work, queue) = AsyncStream.makeStream(
            of: Work.self, bufferingPolicy: .bufferingOldest(Self.limit))
        self.queue = queue
        worker = Task {
            await withDiscardingTaskGroup { group in
                for await work in work { group.addTask { await work() } }
            }
        }
    }

    /// Reads a block; nil if it is not here. `completion` is called on any thread, once.
    func block(_ cid: CID, _ completion: @escaping @Sendable (ByteBuffer?) -> Void) {
        run { [self] in
            completion(await read { try await store.block(cid.hash) })
        } refused: {
            completion(nil)
        }
    }

    /// Finds out how long blocks are; nil for one that is not here.
    func sizes(of cids: [CID], _ completion: @escaping @Sendable ([Int?]) -> Void) {
        run { [self] in
            var sizes: [Int?] = []
            for cid in cids { sizes.append(await read { try await store.size(of: cid.hash) }) }
            completion(sizes)
        } refused: {
            completion([Int?](repeating: nil, count: cids.count))
        }
    }

    /// A block that cannot be read is not here for peers.
    private func read<Value>(_ body: () async throws -> Value?) async -> Value? {
        do {
            return try await body()
        } catch {
            logger.debug("reading for a peer failed", metadata: ["error": "\(error)"])
            return nil
        }
    }

    private func run(_ work: @escaping Work, refused: () -> Void) {
        guard count.add(1, ordering: .relaxed).newValue <= Self.limit else {
            count.subtract(1, ordering: .relaxed)
            return refused()
        }
        let result = queue.yield { [self] in
            await work()
            count.subtract(1, ordering: .relaxed)
        }
        guard case .enqueued = result else {
            count.subtract(1, ordering: .relaxed)
            return refused()
        }
    }

    /// Reads no more, and waits for what is being read.
    func stop() async {
        queue.finish()
        worker.cancel()
        await worker.value
    }
}
