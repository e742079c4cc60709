import Multiformats

/// Blocks that a page keeps in memory, the least recently used ones going first.
struct BlockCache {
    private struct Entry {
        let bytes: [UInt8]
        /// When it was last used, in uses of the cache.
        var use: UInt64
    }

    /// How many bytes are kept at the most.
    let limit: Int
    private(set) var byteCount = 0
    private var entries: [Multihash: Entry] = [:]
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

    /// Keeps a block, which must have been checked against its CID.
    mutating func insert(_ hash: Multihash, _ bytes: ArraySlice<UInt8>) {
        guard entries[hash] == nil, bytes.count <= limit else { return }
        entries[hash] = Entry(bytes: Array(bytes), use: 0)
        byteCount += bytes.count
        use(hash)
        while byteCount > limit { evict() }
    }

    private mutating func use(_ hash: Multihash) {
        useCount += 1
        entries[hash]?.use = useCount
        uses.append((hash, useCount))
        guard uses.count > 2 * entries.count + 64 else { return }
        uses = uses[oldest...].filter { entries[$0.hash]?.use == $0.use }
        oldest = 0
    }

    private mutating func evict() {
        let (hash, use) = uses[oldest]
        oldest += 1
        guard let entry = entries[hash], entry.use == use else { return }
        entries[hash] = nil
        byteCount -= entry.bytes.count
    }
}
