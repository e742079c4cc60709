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

    /// Holds the rule. A function that is in a lock by itself is wrapped once more each time that
    /// it is taken out.
    private struct Withholding {
        var isWithheld: (@Sendable (CID) -> Bool)?
    }

    /// The bytes of blocks that are there.
    private let bytes: @Sendable ([Multihash]) async throws -> [ArraySlice<UInt8>?]
    /// How long blocks are that are there.
    private let sizes: @Sendable ([Multihash]) async throws -> [Int?]
    private let logger: Logger
    private let queue: AsyncStream<Work>.Continuation
    private let worker: Task<Void, Never>
    private let count = Atomic(0)
    private let withholding = Mutex(Withholding())

    /// Reads of the store of a node.
    convenience init(_ store: BlockStore, logger: Logger) {
        self.init(
            bytes: { try await store.blocks($0) }, sizes: { try await store.sizes(of: $0) },
            logger: logger)
    }

    /// Reads of something like it, in a test.
    init(
        bytes: @escaping @Sendable ([Multihash]) async throws -> [ArraySlice<UInt8>?],
        sizes: @escaping @Sendable ([Multihash]) async throws -> [Int?], logger: Logger
    ) {
        self.bytes = bytes
        self.sizes = sizes
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

    /// Has blocks kept from peers for which `isWithheld` holds; to them they are not here. It is
    /// called on any thread.
    func withhold(_ isWithheld: @escaping @Sendable (CID) -> Bool) {
        withholding.withLock { $0.isWithheld = isWithheld }
    }

    /// Whether others may have a block, or be told of it.
    func mayGive(_ cid: CID) -> Bool {
        withholding.withLock { $0.isWithheld }.map { !$0(cid) } ?? true
    }

    /// The places of those that others may have.
    private func given(of cids: [CID]) -> [Int] {
        guard let isWithheld = withholding.withLock({ $0.isWithheld }) else {
            return Array(cids.indices)
        }
        return cids.indices.filter { !isWithheld(cids[$0]) }
    }

    /// Reads blocks; nil for one that is not here. `completion` is called on any thread, once.
    func blocks(_ cids: [CID], _ completion: @escaping @Sendable ([ArraySlice<UInt8>?]) -> Void) {
        run { [self] in
            let given = self.given(of: cids)
            let hashes = given.map { cids[$0].hash }
            var found = await read { try await bytes(hashes) }
            if found == nil, hashes.count > 1 {
                // One of them cannot be read; the others can.
                found = []
                for hash in hashes {
                    found?.append(await read { try await bytes([hash]).first } ?? nil)
                }
            }
            var blocks = [ArraySlice<UInt8>?](repeating: nil, count: cids.count)
            for (index, bytes) in zip(given, found ?? []) { blocks[index] = bytes }
            completion(blocks)
        } refused: {
            completion([ArraySlice<UInt8>?](repeating: nil, count: cids.count))
        }
    }

    /// Finds out how long blocks are; nil for one that is not here.
    func sizes(of cids: [CID], _ completion: @escaping @Sendable ([Int?]) -> Void) {
        run { [self] in
            let given = self.given(of: cids)
            let found = await read { try await sizes(given.map { cids[$0].hash }) }
            var result = [Int?](repeating: nil, count: cids.count)
            for (index, size) in zip(given, found ?? []) { result[index] = size }
            completion(result)
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
