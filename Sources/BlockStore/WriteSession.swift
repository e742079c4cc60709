// A group of writes that belong together, such as one `add`.

public import Multiformats
import NIOCore
import Synchronization

/// A write in progress: its blocks, also those that were already here, are safe from collection
/// until it ends.
///
/// All members may be called from several threads. `put` may block on the disk, so call it where
/// blocking is allowed. Small blocks are gathered, so they can be read once ``commit()`` has
/// returned, and not always before. A session that is dropped without ``commit()`` leaves its
/// blocks behind as cache.
public final class WriteSession: Sendable {
    private struct Gathered {
        var blocks: [Block] = []
        var bytes = 0
        var pins: [Pin] = []
        var isEnded = false
    }

    /// Blocks are looked up in the index this many at a time, in the order of its keys.
    private static let gatherCount = 512
    private static let gatherBytes = 512 << 10

    private let store: BlockStore
    private let number: UInt64
    private let gathered = Mutex(Gathered())

    init(_ store: BlockStore, _ number: UInt64) {
        self.store = store
        self.number = number
    }

    deinit { end() }

    /// Stores a block; one that is already here is not stored twice.
    public func put(_ block: Block) throws(StoreError) {
        let isEnded: Bool
        let ready: [Block]
        (isEnded, ready) = gathered.withLock { gathered in
            guard !gathered.isEnded else { return (true, []) }
            gathered.blocks.append(block)
            gathered.bytes += block.bytes.readableBytes
            guard gathered.blocks.count >= Self.gatherCount || gathered.bytes >= Self.gatherBytes
            else { return (false, []) }
            return (false, Self.take(&gathered))
        }
        if isEnded { throw .closed }
        if !ready.isEmpty { try store.write(ready, to: .kept, session: number) }
    }

    /// Stores where a block's bytes are in a file of the user's: `length` bytes from `offset`.
    /// They are verified each time that they are read; the file must not change.
    ///
    /// - Throws: ``StoreError/fileChanged(path:)`` if there is no such file.
    public func putReference(
        _ cid: CID, file: String, offset: UInt64, length: Int
    ) throws(StoreError) {
        try store.writeReference(
            cid, ReferencedFileRange(path: file, offset: offset, length: length), session: number)
    }

    /// Asks for content to be pinned by ``commit()``. This is much cheaper than pinning it
    /// afterwards.
    public func pin(_ cid: CID, _ kind: Pin.Kind, name: String = "") {
        gathered.withLock { $0.pins.append(Pin(cid, kind, name: name)) }
    }

    /// Makes all blocks and pins of this session durable, and ends it.
    ///
    /// - Throws: Among others ``StoreError/incomplete(root:missing:)`` if content that is to be
    ///   pinned is not all here, and ``StoreError/writeFailed(_:)`` if a block could not be
    ///   written. The blocks that were written are then cache.
    public func commit() async throws(StoreError) {
        defer { end() }
        let (blocks, pins, isEnded) = gathered.withLock { gathered in
            defer { gathered.isEnded = true }
            return (Self.take(&gathered), gathered.pins, gathered.isEnded)
        }
        if isEnded { throw .closed }
        if !blocks.isEmpty {
            try await store.readers.run { [store, number] () throws(StoreError) in
                try store.write(blocks, to: .kept, session: number)
            }
        }
        try store.checkSession(number)
        try await store.commit(pins)
        try store.checkSession(number)
    }

    private static func take(_ gathered: inout Gathered) -> [Block] {
        let blocks = gathered.blocks
        gathered.blocks = []
        gathered.bytes = 0
        return blocks
    }

    private func end() { store.endSession(number) }
}

/// Where in a user's file a block is.
struct ReferencedFileRange: Sendable {
    let path: String
    let offset: UInt64
    let length: Int
}
