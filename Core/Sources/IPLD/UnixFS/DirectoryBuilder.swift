// A directory from its entries: one block, or a tree of shards where the profile says that one
// block would be too large (IPIP-499).

import Multiformats
import Wire

/// Builds a directory from entries in any order.
///
/// Costs one sort; memory is that of the entries, and of the blocks when it is finished.
public struct DirectoryBuilder: Sendable {
    /// The longest name in bytes. It keeps a full shard under the limit of a block.
    public static let maxNameLength = 1024

    private struct Item: Sendable {
        let name: [UInt8]
        let entry: DAGEntry
        /// Chosen when it is known that shards are needed.
        var hash: UInt64 = 0

        var link: PBLink { PBLink(entry.cid, name: name, tsize: entry.tsize) }
    }

    private let profile: Profile
    private let metadata: FileMetadata
    private var items: [Item] = []
    private var estimate: UInt64
    private var contentSize: UInt64 = 0
    private var ready: [EncodedBlock] = []

    /// Starts an empty directory.
    public init(_ profile: Profile, metadata: FileMetadata = FileMetadata()) {
        self.profile = profile
        self.metadata = metadata
        var node = UnixFSNode(.directory)
        node.metadata = metadata
        switch profile.sharding.estimate {
        case .linkBytes: estimate = 0
        case .blockBytes: estimate = UInt64(PBNode(data: node.encoded()).encoded().count)
        }
    }

    /// Adds an entry; refuses a name that no directory can hold. That the name is not there yet
    /// is found out by ``finish()``.
    public mutating func add(_ name: [UInt8], _ entry: DAGEntry) throws(NameError) {
        if let error = NameError(checking: name) { throw error }
        let cidSize = entry.cid.encodedSize
        switch profile.sharding.estimate {
        case .linkBytes: estimate += UInt64(name.count + cidSize)
        case .blockBytes:
            let hash = 1 + Varint.length(of: UInt64(cidSize)) + cidSize
            let text = 1 + Varint.length(of: UInt64(name.count)) + name.count
            let link = hash + text + 1 + Varint.length(of: entry.tsize)
            estimate += UInt64(1 + Varint.length(of: UInt64(link)) + link)
        }
        contentSize += entry.contentSize
        items.append(Item(name: name, entry: entry))
    }

    /// The next block that was finished; children come before their parents.
    public mutating func nextBlock() -> EncodedBlock? {
        ready.popLast()
    }

    /// Finishes the directory and answers its root; drain ``nextBlock()`` then. Nothing may be
    /// added afterwards.
    public mutating func finish() throws(NameError) -> DAGEntry {
        let sharded = estimate > profile.sharding.threshold
        let root = try sharded ? finishSharded() : finishFlat()
        items = []
        ready.reverse()
        return DAGEntry(cid: root.cid, tsize: root.tsize, contentSize: contentSize)
    }

    private mutating func finishFlat() throws(NameError) -> DAGEntry {
        items.sort { $0.name.lexicographicallyPrecedes($1.name) }
        for index in items.indices.dropFirst() where items[index].name == items[index - 1].name {
            throw .duplicate
        }
        var node = UnixFSNode(.directory)
        node.metadata = metadata
        return emit(items.map { $0.link }, data: node.encoded())
    }

    private mutating func finishSharded() throws(NameError) -> DAGEntry {
        for index in items.indices { items[index].hash = HAMT.hash(items[index].name) }
        items.sort { $0.hash < $1.hash }
        for index in items.indices.dropFirst() where items[index].hash == items[index - 1].hash {
            throw items[index].name == items[index - 1].name ? .duplicate : .collision
        }
        return try shard(items[...], level: 0)
    }

    /// Makes the shard of entries whose hashes agree above `level`, and all the shards below. The
    /// entries are sorted by hash, so those of one bucket stand together; the recursion is as deep
    /// as a hash has bits.
    private mutating func shard(
        _ items: ArraySlice<Item>, level: Int
    ) throws(NameError) -> DAGEntry {
        let fanout = profile.sharding.fanout
        guard level < fanout.levels else { throw .collision }
        var links: [PBLink] = []
        var bitfield = [UInt8](repeating: 0, count: fanout.buckets / 8)
        var start = items.startIndex
        while start < items.endIndex {
            let bucket = fanout.bucket(of: items[start].hash, level: level)
            var end = start + 1
            while end < items.endIndex,
                fanout.bucket(of: items[end].hash, level: level) == bucket
            {
                end += 1
            }
            bitfield[bitfield.count - 1 - bucket / 8] |= 1 << UInt8(bucket % 8)
            let prefix = fanout.prefix(of: bucket)
            if end == start + 1 {
                let item = items[start]
                links.append(
                    PBLink(item.entry.cid, name: prefix + item.name, tsize: item.entry.tsize))
            } else {
                let child = try shard(items[start..<end], level: level + 1)
                links.append(PBLink(child.cid, name: prefix, tsize: child.tsize))
            }
            start = end
        }
        var node = UnixFSNode(.hamtShard)
        node.hashType = HAMT.hashType
        node.fanout = UInt64(fanout.buckets)
        if level == 0 { node.metadata = metadata }
        return emit(links, data: node.encoded(data: [UInt8](bitfield.drop { $0 == 0 })))
    }

    private mutating func emit(_ links: [PBLink], data: [UInt8]) -> DAGEntry {
        let block = profile.block(PBNode(links: links, data: data).encoded())
        ready.append(block)
        var tsize = UInt64(block.bytes.count)
        for link in links { tsize += link.tsize ?? 0 }
        return DAGEntry(cid: block.cid, tsize: tsize, contentSize: 0)
    }
}
