// Verified blocks that wait for the reader. What was read already stays while there is room, for
// files that repeat a block.

import DequeModule
import Multiformats
import NIOCore

/// Verified blocks in memory, bounded in bytes. What was read goes first, and most of it soon, so
/// that what comes next takes memory that is still in the processor's cache; then what came first.
struct Shelf {
    private struct Entry {
        let bytes: ByteBuffer
        var isRead: Bool
    }

    /// How many bytes of what was read are kept at most.
    private static let readCapacity = 4 << 20

    /// How many bytes are kept at most.
    let capacity: Int
    /// How many bytes nobody has read yet.
    private(set) var unreadBytes = 0
    private var totalBytes = 0
    private var entries: [Multihash: Entry] = [:]
    /// The hashes in the order in which they came and were read; some may be gone.
    private var came: Deque<Multihash> = []
    private var wasRead: Deque<Multihash> = []

    /// An empty shelf.
    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Whether a block is here.
    func contains(_ hash: Multihash) -> Bool { entries[hash] != nil }

    /// Takes in a block; it makes room for it.
    mutating func put(_ hash: Multihash, _ bytes: ByteBuffer) {
        guard entries[hash] == nil else { return }
        makeRoom(for: bytes.readableBytes)
        entries[hash] = Entry(bytes: bytes, isRead: false)
        came.append(hash)
        unreadBytes += bytes.readableBytes
        totalBytes += bytes.readableBytes
    }

    /// Reads a block.
    mutating func read(_ hash: Multihash) -> ByteBuffer? {
        guard let index = entries.index(forKey: hash) else { return nil }
        let entry = entries.values[index]
        if !entry.isRead {
            entries.values[index].isRead = true
            wasRead.append(hash)
            unreadBytes -= entry.bytes.readableBytes
            while totalBytes - unreadBytes > Self.readCapacity, let old = wasRead.popFirst() {
                remove(old)
            }
        }
        return entry.bytes
    }

    private mutating func remove(_ hash: Multihash) {
        guard let entry = entries.removeValue(forKey: hash) else { return }
        totalBytes -= entry.bytes.readableBytes
        if !entry.isRead { unreadBytes -= entry.bytes.readableBytes }
    }

    private mutating func makeRoom(for count: Int) {
        while totalBytes + count > capacity, let hash = wasRead.popFirst() ?? came.popFirst() {
            remove(hash)
        }
        if came.count > 64, came.count > 2 * entries.count {
            came.removeAll { entries[$0] == nil }
        }
    }
}
