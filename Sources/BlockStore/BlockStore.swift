// Placeholder in memory, until the segments land: it has the final surface.

public import Multiformats
public import NIOCore
import Synchronization

/// Blocks on disk, keyed by multihash.
public final class BlockStore: Sendable {
    /// How thorough a collection is.
    public enum Collection: Sendable {
        /// Content that has outlived its time, and space that nothing uses.
        case expired
        /// Everything that is not pinned or being written.
        case everything
    }
    /// Whether a check mends what it finds.
    public enum Check: Sendable {
        /// Only report.
        case report
        /// Drop rotten blocks, mend the index, count references anew.
        case repair
    }

    /// What the owner should log about how the store was found.
    public let openingEvents: [StoreEvent] = []
    let options: StoreOptions
    private let state = Mutex((blocks: [Multihash: Block](), pins: [CID: Pin]()))

    private init(_ options: StoreOptions) { self.options = options }

    /// Opens a store, or creates one. It may read what was written last, so call it where
    /// blocking is allowed.
    public static func open(
        at directory: String, _ options: StoreOptions = StoreOptions()
    ) throws(StoreError) -> BlockStore {
        BlockStore(options)
    }

    /// Writes what is in memory and releases the directory.
    public func close() async throws(StoreError) {}

    /// The bytes of a block; nil if it is not here. Identity hashes are answered without a store.
    public func block(_ hash: Multihash) async throws(StoreError) -> ByteBuffer? {
        state.withLock { $0.blocks[hash]?.bytes }
    }

    /// How long a block is, in bytes; nil if it is not here.
    public func size(of hash: Multihash) async throws(StoreError) -> Int? {
        state.withLock { $0.blocks[hash]?.bytes.readableBytes }
    }

    /// Keeps a block as cache: until its time or the space runs out.
    public func put(_ block: Block) async throws(StoreError) {
        state.withLock { $0.blocks[block.cid.hash] = block }
    }

    /// Starts a write whose blocks are safe from collection until it ends.
    public func beginWrite() -> WriteSession { WriteSession(self) }

    func insert(_ block: Block) { state.withLock { $0.blocks[block.cid.hash] = block } }

    /// Keeps content. A recursive pin needs all blocks of the content to be here.
    public func pin(
        _ cid: CID, _ kind: Pin.Kind, name: String = ""
    ) async throws(StoreError) {
        state.withLock { $0.pins[cid] = Pin(cid, kind, name: name) }
    }

    /// Stops keeping content; it becomes cache.
    public func unpin(_ cid: CID) async throws(StoreError) {
        guard state.withLock({ $0.pins.removeValue(forKey: cid) }) != nil else {
            throw .notPinned(cid)
        }
    }

    /// All pins, ordered by the bytes of their CIDs.
    public func pins() async throws(StoreError) -> [Pin] {
        state.withLock { Array($0.pins.values) }
    }

    /// Why a block is kept; nil if it is not.
    public func isPinned(_ cid: CID) async throws(StoreError) -> PinReason? {
        state.withLock { $0.pins[cid].map { .recursive(name: $0.name) } }
    }

    /// Frees space, in small steps; reads and writes go on meanwhile.
    @discardableResult
    public func collect(_ what: Collection) async throws(StoreError) -> CollectionReport {
        CollectionReport()
    }

    /// Hashes every block again and compares the index with the segments.
    public func check(_ mode: Check) async throws(StoreError) -> CheckReport { CheckReport() }

    /// The hashes of up to `limit` blocks that come after `after` in the store's own order.
    public func blocks(
        after: Multihash?, limit: Int
    ) async throws(StoreError) -> [Multihash] {
        state.withLock { Array($0.blocks.keys) }
    }

    /// Figures about the store now.
    public func statistics() -> StoreStatistics { StoreStatistics() }
}
