// Blocks on disk: append-only segments, an index in SQLite, pins with exact reference counts, a
// hard limit. docs/block-store.md explains the design and what was rejected.
//
// Where things are. A block is a *record* in a *segment*. New records go to one of two *heads*:
// kept blocks and cache apart, so that cache dies in whole segments. A block that was written a
// moment ago is *fresh*: memory knows it, the index does not yet. A *flush* syncs the segments and
// enters what is fresh into the index. What was appended and not indexed when the program died is
// found again at start, by reading the segments from where the index left off.
//
// What is kept. A block is *retained* while it has references: links from retained blocks and
// recursive pins, counted exactly, or while it is pinned directly. All else is cache. *Collection*
// cleans one segment at a time, the oldest first: it moves what is retained, what an open write
// session relies on and, once, what has been used since, and then removes the file.
//
// Threads. All that changes the index runs on one thread (`indexer`), one small transaction after
// the other: flushing, counting, cleaning. Pins, collections and checks are sequences of such
// steps, driven by a second thread (`maintenance`), so that writes go on between the steps. Reads
// that need the disk run on a few more (`readers`). Appending happens on the caller's thread.
// Locks, in this order: a head's, then the state's; none is held while waiting for a thread.

public import Multiformats
import NIOCore
import Synchronization

/// Blocks on disk, keyed by multihash.
///
/// All members may be called from any thread or task. The asynchronous ones never block the
/// caller's thread.
public final class BlockStore: Sendable {
    /// What the owner should log about how the store was found.
    public var openingEvents: [StoreEvent] { events.withLock { $0 } }

    let options: StoreOptions
    let layout: StoreLayout
    let storage: any SegmentStorage
    let index: Index
    let journal: PinJournal
    let lock: DirectoryLock
    let state: StateLock
    let heads: [HeadKind: Head]
    let indexer: Worker
    let maintenance: Worker
    let readers: Worker
    private let events: Mutex<[StoreEvent]>
    private let observation = Mutex(Observation())

    init(_ opened: OpenedStore) {
        options = opened.options
        layout = opened.layout
        storage = opened.storage
        index = opened.index
        journal = opened.journal
        lock = opened.lock
        state = opened.state
        heads = opened.heads
        events = Mutex(opened.events)
        indexer = Worker(threads: 1)
        maintenance = Worker(threads: 1)
        readers = Worker(threads: max(1, opened.options.readThreads))
    }

    /// Opens the store in `directory`, or creates one. Call it where blocking is allowed: after a
    /// crash it reads what was written last, and without an index it reads everything.
    public static func open(
        at directory: String, _ options: StoreOptions = StoreOptions()
    ) throws(StoreError) -> BlockStore {
        let layout = try StoreLayout(directory)
        let lock = try DirectoryLock(layout)
        let storage = try FileSegments(layout.segments)
        return try open(layout, lock, storage, options)
    }

    /// Opens a store whose segments are held by any storage.
    static func open(
        _ layout: StoreLayout, _ lock: DirectoryLock, _ storage: any SegmentStorage,
        _ options: StoreOptions
    ) throws(StoreError) -> BlockStore {
        guard options.maxBytes >= StoreOptions.minimumBytes else {
            throw .limitTooSmall(limit: options.maxBytes, minimum: StoreOptions.minimumBytes)
        }
        let opened = try OpenedStore(layout, lock, storage, options)
        let store = BlockStore(opened)
        let lines = opened.lines
        do throws(StoreError) {
            let found = try store.indexer.runAndWait { () throws(StoreError) in
                try store.restorePins(lines)
            }
            store.events.withLock { $0 += found }
            return store
        } catch {
            store.abandon()
            throw error
        }
    }

    /// Lets go of everything after a failure to open.
    private func abandon() {
        state.withLock { $0.isClosed = true }
        for worker in [indexer, maintenance, readers] { worker.abandon() }
        // Why opening failed is known; that closing fails as well would add nothing.
        try? index.close()
        lock.release()
    }

    /// Writes what is in memory to the index and releases the directory. Later calls fail as
    /// closed.
    public func close() async throws(StoreError) {
        let wasOpen = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard wasOpen else { return }
        await maintenance.stop()
        await readers.stop()
        var failure: StoreError?
        do throws(StoreError) {
            try await indexer.run { () throws(StoreError) in
                try self.flush()
                try self.index.emptyLog()
            }
        } catch {
            failure = error
        }
        await indexer.stop()
        try index.close()
        lock.release()
        if let failure { throw failure }
    }

    /// Told of a block that has come in: its hash and its length in bytes.
    public typealias Observer = @Sendable (Multihash, Int) -> Void

    /// Has `observer` told of each block that comes in from now on, when it can be read. It is
    /// called on the thread that wrote the block, and must return soon.
    public func observe(_ observer: @escaping Observer) {
        observation.withLock { $0.observer = observer }
    }

    /// Holds the observer. A function that is in a lock by itself is wrapped once more each time
    /// that it is taken out.
    private struct Observation {
        var observer: Observer?
    }

    func tell(_ blocks: [PreparedBlock]) {
        guard let observer = observation.withLock({ $0.observer }) else { return }
        for block in blocks { observer(block.hash, block.bytes.readableBytes) }
    }

    func checkOpen() throws(StoreError) {
        if state.withLock({ $0.isClosed }) { throw .closed }
    }

    /// Figures about the store now.
    public func statistics() -> StoreStatistics {
        let logBytes = layout.logBytes
        return state.withLock { state in
            var figures = state.statistics
            for segment in state.segments.values {
                figures.blocks += UInt64(max(0, segment.row.blocks))
                figures.liveBytes += UInt64(max(0, segment.row.live))
                figures.pinnedBytes += UInt64(max(0, segment.row.retained))
                figures.usedBytes += segment.size
            }
            for block in state.fresh.values where block.place.segment > 0 {
                figures.blocks += 1
                figures.liveBytes += UInt64(block.length)
            }
            figures.indexBytes = state.indexBytes + logBytes
            figures.usedBytes += figures.indexBytes
            figures.maxBytes = options.maxBytes
            figures.segments = state.segments.count
            figures.pins = state.pinCount
            return figures
        }
    }
}
