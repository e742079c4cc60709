// The entries of a directory, whether it is one block or spread over shards.

public import Multiformats
import Wire

/// Lists a UnixFS directory.
///
/// A directory in one block is listed in the order of its links, a sharded one in the order of its
/// buckets; shards are asked for when their turn comes. Everything that can be checked is: names
/// that cannot be reached or come twice, and shards that lie about their buckets.
public struct DirectoryReader: Sendable {
    /// What is to be done next.
    public enum Step: Hashable, Sendable {
        /// Supply this block.
        case block(CID)
        /// The next entry.
        case entry(DirectoryEntry)
        /// All entries were handed out.
        case done
    }

    private enum Pending: Sendable {
        case root(CID)
        case shard(CID, HAMTShard.Place)
        case entry(DirectoryEntry)
    }

    /// Which names of entries are handed out.
    public enum Names: Sendable {
        /// Those of one thing in this directory; a name with a slash is an error.
        case plain
        /// Also those with slashes, as in `../name`, for a caller that resolves them itself.
        case relative
    }

    /// What is still to come, the next one last.
    private var pending: [Pending]
    private let names: Names

    /// Permissions and time of modification, once the root was supplied.
    public private(set) var metadata = FileMetadata()

    /// Starts at the root of a directory.
    public init(root: CID, names: Names = .plain) {
        pending = [.root(root)]
        self.names = names
    }

    /// What is to be done next. Asks for the same block until it is supplied; an entry comes once.
    public mutating func next() -> Step {
        switch pending.last {
        case nil: return .done
        case .root(let cid), .shard(let cid, _): return .block(cid)
        case .entry(let entry):
            pending.removeLast()
            return .entry(entry)
        }
    }

    /// Takes the block that ``next()`` asked for. The bytes must have been checked against the CID.
    public mutating func supply(_ block: RawSpan) throws(DAGError) {
        let found: [Pending]
        switch pending.last {
        case .root(let cid):
            guard cid.codec == .dagPB else { throw DAGError(cid, .notADirectory(nil)) }
            let decoded = try DAGError.at(cid) { () throws(DecodeError) in
                try UnixFSBlock(decoding: block)
            }
            switch decoded.node.kind {
            case .directory: found = try entries(decoded, of: cid)
            case .hamtShard: found = try items(decoded, of: cid, block, at: .root)
            default: throw DAGError(cid, .notADirectory(decoded.node.kind))
            }
            metadata = decoded.node.metadata
        case .shard(let cid, let place):
            let decoded = try HAMTShard.decode(block, of: cid)
            found = try items(decoded, of: cid, block, at: place)
        default: preconditionFailure("no block was asked for")
        }
        pending.removeLast()
        pending.append(contentsOf: found.reversed())
    }

    /// The next blocks that will be asked for, as far as they are known, at most `count`.
    public func upcoming(_ count: Int) -> [CID] {
        var cids: [CID] = []
        for item in pending.reversed() {
            guard cids.count < count else { break }
            switch item {
            case .root(let cid), .shard(let cid, _): cids.append(cid)
            case .entry: continue
            }
        }
        return cids
    }

    private func entries(
        _ block: UnixFSBlock, of cid: CID
    ) throws(DAGError) -> [Pending] {
        var found: [Pending] = []
        found.reserveCapacity(block.links.count)
        var names: [[UInt8]] = []
        names.reserveCapacity(block.links.count)
        for link in block.links {
            let entry = DirectoryEntry(name: link.name ?? [], cid: link.hash, tsize: link.tsize)
            try check(entry.name, in: cid)
            names.append(entry.name)
            found.append(.entry(entry))
        }
        if !names.isStrictlyAscending {
            names.sort { $0.lexicographicallyPrecedes($1) }
            guard names.isStrictlyAscending else {
                throw DAGError(cid, .malformed, "the directory has a name twice")
            }
        }
        return found
    }

    private func items(
        _ block: UnixFSBlock, of cid: CID, _ bytes: RawSpan, at place: HAMTShard.Place
    ) throws(DAGError) -> [Pending] {
        let shard = try HAMTShard.read(block, of: bytes, cid: cid, at: place)
        var found: [Pending] = []
        found.reserveCapacity(shard.buckets.count)
        for (bucket, item) in shard.buckets {
            switch item {
            case .shard(let cid): found.append(.shard(cid, shard.place(below: bucket)))
            case .entry(let entry):
                try check(entry.name, in: cid)
                found.append(.entry(entry))
            }
        }
        return found
    }

    private func check(_ name: [UInt8], in cid: CID) throws(DAGError) {
        switch NameError(checking: name) {
        case .empty: throw DAGError(cid, .malformed, "the directory has an entry without a name")
        case .dots: throw DAGError(cid, .malformed, "the directory has an entry '.' or '..'")
        case .slashOrNUL:
            if case .relative = names, !name.contains(0) { return }
            throw DAGError(cid, .malformed, "the directory has a name with '/' or NUL in it")
        case .tooLong, .duplicate, .collision, nil: return
        }
    }
}

extension HAMTShard {
    /// Decodes a block that must be a shard.
    static func decode(_ block: RawSpan, of cid: CID) throws(DAGError) -> UnixFSBlock {
        guard cid.codec == .dagPB else {
            throw DAGError(cid, .malformed, "HAMT: a shard links to what is not a shard")
        }
        let decoded = try DAGError.at(cid) { () throws(DecodeError) in
            try UnixFSBlock(decoding: block)
        }
        guard decoded.node.kind == .hamtShard else {
            throw DAGError(cid, .malformed, "HAMT: a shard links to what is not a shard")
        }
        return decoded
    }

    /// Checks a shard and says which block an error is about.
    static func read(
        _ block: UnixFSBlock, of bytes: RawSpan, cid: CID, at place: Place
    ) throws(DAGError) -> HAMTShard {
        do throws(DecodeError) {
            return try HAMTShard(block, of: bytes, at: place)
        } catch {
            throw DAGError(cid, .invalid(error))
        }
    }
}

extension [[UInt8]] {
    /// Whether each is byte by byte greater than the one before.
    fileprivate var isStrictlyAscending: Bool {
        zip(self, dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) }
    }
}
