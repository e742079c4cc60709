import Multiformats
import Wire

/// Blocks that a page keeps in memory. Of those that it has fetched, the least recently used ones
/// go first; those that it has added stay.
struct BlockCache {
    private struct Entry {
        let bytes: [UInt8]
        /// When it was last used, in uses of the cache.
        var use: UInt64
        /// By how much that was added it is kept for good.
        var pins: Int
    }

    /// How many bytes are kept at the most.
    let limit: Int
    private(set) var byteCount = 0
    private var pinnedBytes = 0
    private var entries = [Multihash: Entry]()
    /// Uses in their order; one that is not the last of its block counts for nothing.
    private var uses: [(hash: Multihash, use: UInt64)] = []
    private var oldest = 0
    private var useCount: UInt64 = 0

    init(limit: Int) {
        self.limit = limit
    }

    /// How many blocks are kept.
    var count: Int { entries.count }

    /// How long a block is; nil if it is not here.
    func byteCount(of hash: Multihash) -> Int? { entries[hash]?.bytes.count }

    /// A block that is here, which counts as a use.
    mutating func bytes(of hash: Multihash) -> [UInt8]? {
        guard let entry = entries[hash] else { return nil }
        use(hash)
        return entry.bytes
    }

    /// Keeps a block, which must have been checked against its CID, as long as there is room.
    mutating func insert(_ hash: Multihash, _ bytes: ArraySlice<UInt8>) {
        guard entries[hash] == nil, bytes.count <= limit - pinnedBytes else { return }
        // In memory of its own, as a message may be far longer, but not by `Array(bytes)`, which
        // copies byte by byte here.
        entries[hash] = Entry(bytes: [UInt8](bytes.rawSpan), use: 0, pins: 0)
        byteCount += bytes.count
        use(hash)
        makeRoom()
    }

    /// Keeps a block for good. Returns false if there is no room for it.
    mutating func pin(_ hash: Multihash, _ bytes: [UInt8]) -> Bool {
        if let pins = entries[hash]?.pins, pins > 0 {
            entries[hash]?.pins = pins + 1
            return true
        }
        guard bytes.count <= limit - pinnedBytes else { return false }
        if entries[hash] == nil { byteCount += bytes.count }
        entries[hash] = Entry(bytes: bytes, use: 0, pins: 1)
        pinnedBytes += bytes.count
        makeRoom()
        return true
    }

    /// Takes back one pin of a block, which stays until its room is needed.
    mutating func unpin(_ hash: Multihash) {
        guard let entry = entries[hash], entry.pins > 0 else { return }
        entries[hash]?.pins = entry.pins - 1
        guard entry.pins == 1 else { return }
        pinnedBytes -= entry.bytes.count
        use(hash)
    }

    private mutating func use(_ hash: Multihash) {
        guard entries[hash]?.pins == 0 else { return }
        useCount += 1
        entries[hash]?.use = useCount
        uses.append((hash, useCount))
        guard uses.count > 2 * entries.count + 64 else { return }
        uses = uses[oldest...].filter { entries[$0.hash]?.use == $0.use }
        oldest = 0
    }

    private mutating func makeRoom() {
        while byteCount > limit, oldest < uses.count {
            let (hash, use) = uses[oldest]
            oldest += 1
            guard let entry = entries[hash], entry.use == use, entry.pins == 0 else { continue }
            entries[hash] = nil
            byteCount -= entry.bytes.count
        }
    }
}
