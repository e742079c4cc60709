// The balanced layout of a file's DAG: leaves are grouped by the profile's width, then the groups,
// until one root is left (IPIP-499).

/// Builds the inner nodes of a file from its leaves, in order.
///
/// An inner node leaves as soon as it is full and not the root, so the memory in use is that of
/// the links on one path from root to leaf: depth times width. Call ``nextBlock()`` until nil
/// after every call of ``add(_:)`` and ``finish()``.
public struct FileBuilder: Sendable {
    private let profile: Profile
    private let metadata: FileMetadata
    /// The children that wait for a parent, by height; each level holds at most a width of them.
    private var levels: [[DAGEntry]] = []
    private var ready: [EncodedBlock] = []

    /// Starts a file. Metadata makes the root a dag-pb node in any case, since a raw leaf cannot
    /// carry it.
    public init(_ profile: Profile, metadata: FileMetadata = FileMetadata()) {
        self.profile = profile
        self.metadata = metadata
    }

    /// Adds the next leaf; its block is the caller's to store.
    public mutating func add(_ leaf: DAGEntry) {
        add(leaf, height: 0)
    }

    /// The next block that was finished; children come before their parents.
    public mutating func nextBlock() -> EncodedBlock? {
        ready.popLast()
    }

    /// Finishes the file and answers its root. Nothing may be added afterwards.
    public mutating func finish() -> DAGEntry {
        if levels.isEmpty {
            levels = [[]]
            if metadata.isEmpty {
                let empty = profile.leaf(of: [])
                emit(empty.block)
                return empty.entry
            }
        }
        if levels.count == 1, levels[0].count == 1, metadata.isEmpty { return levels[0][0] }
        var height = 0
        while height < levels.count - 1 {
            add(close(height, metadata: FileMetadata()), height: height + 1)
            height += 1
        }
        return close(height, metadata: metadata)
    }

    private mutating func add(_ entry: DAGEntry, height: Int) {
        var entry = entry
        var height = height
        while height < levels.count, levels[height].count == profile.width {
            let parent = close(height, metadata: FileMetadata())
            levels[height].append(entry)
            entry = parent
            height += 1
        }
        if height == levels.count { levels.append([]) }
        levels[height].append(entry)
    }

    /// Makes one node of all that waits at a height.
    private mutating func close(_ height: Int, metadata: FileMetadata) -> DAGEntry {
        let children = levels[height]
        levels[height].removeAll(keepingCapacity: true)
        var node = UnixFSNode(.file)
        node.metadata = metadata
        var content: UInt64 = 0
        var tsize: UInt64 = 0
        for child in children {
            content += child.contentSize
            tsize += child.tsize
            node.blockSizes.append(child.contentSize)
        }
        node.fileSize = content
        let links = children.map { PBLink($0.cid, tsize: $0.tsize) }
        let block = profile.block(PBNode(links: links, data: node.encoded()).encoded())
        emit(block)
        return DAGEntry(
            cid: block.cid, tsize: tsize + UInt64(block.bytes.count), contentSize: content)
    }

    private mutating func emit(_ block: EncodedBlock) {
        ready.insert(block, at: 0)
    }
}
