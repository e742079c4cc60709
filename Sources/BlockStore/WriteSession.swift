// A group of writes that belong together, such as one `add`.

public import Multiformats

/// A write in progress: its blocks, also those that were already here, are safe from collection
/// until it ends.
///
/// All members may be called from several threads. `put` may block on the disk, so call it where
/// blocking is allowed. A session that is dropped without ``commit()`` leaves its blocks behind
/// as cache.
public final class WriteSession: Sendable {
    private let store: BlockStore

    init(_ store: BlockStore) { self.store = store }

    /// Stores a block.
    public func put(_ block: Block) throws(StoreError) { store.insert(block) }

    /// Stores where a block's bytes are in a file of the user's: `length` bytes from `offset`.
    /// They are verified each time that they are read.
    public func putReference(
        _ cid: CID, file: String, offset: UInt64, length: Int
    ) throws(StoreError) {}

    /// Asks for content to be pinned by ``commit()``. This is much cheaper than pinning it
    /// afterwards.
    public func pin(_ cid: CID, _ kind: Pin.Kind, name: String = "") {}

    /// Makes all blocks and pins of this session durable, and ends it.
    public func commit() async throws(StoreError) {}
}
