// From a root and a path to what they name: through UnixFS directories, sharded or not, through
// the links of other dag-pb nodes, and through the maps and lists of dag-cbor and dag-json
// (specs.ipfs.tech/http-gateways/path-gateway, ipld.io/docs/data-model/pathing).

public import Multiformats
import Wire

/// Finds what a path below a root names, by reading only the blocks on the way.
public struct PathResolver: Sendable {
    /// What is to be done next.
    public enum Step: Sendable {
        /// Supply this block.
        case block(CID)
        /// The path was followed to its end.
        case resolved(Resolved)
    }

    /// What a path names.
    public struct Resolved: Hashable, Sendable {
        /// The block that is, or holds, what is named.
        public let cid: CID
        /// The last segments of the path, which lead to a place in that block; empty unless it is
        /// dag-cbor, dag-json, cbor or json.
        public let remaining: [String]
        /// The blocks that were read on the way, in order. The block at the end is among them only
        /// if it had to be read, that is if `remaining` is not empty.
        public let blocks: [CID]
        /// The root, then what each segment led to as far as they led to other blocks: the logical
        /// roots that gateways tell their clients.
        public let roots: [CID]
    }

    private let path: [String]
    /// How many segments have been followed.
    private var followed = 0
    private var cid: CID
    /// Where in a directory the next block stands, if it is a shard below another.
    private var place: HAMTShard.Place?
    private var blocks: [CID] = []
    private var roots: [CID]
    private var end: Resolved?

    /// Starts at a root. The path is split and decoded already, and `.` and `..` are taken out of
    /// it; here they would only be names.
    public init(root: CID, path: [String]) {
        cid = root
        roots = [root]
        self.path = path
        if path.isEmpty { end = Resolved(cid: root, remaining: [], blocks: [], roots: roots) }
    }

    /// What is to be done next. Stays the same until a block is supplied.
    public func next() -> Step {
        if let end { return .resolved(end) }
        return .block(cid)
    }

    /// The next blocks that will be asked for, as far as they are known, at most `count`.
    public func upcoming(_ count: Int) -> [CID] {
        end == nil && count > 0 ? [cid] : []
    }

    /// Takes the block that ``next()`` asked for. The bytes must have been checked against the CID.
    public mutating func supply(_ block: RawSpan) throws(DAGError) {
        precondition(end == nil, "no block was asked for")
        // In a shard, an empty name would look like the name of a bucket.
        guard !path[followed].utf8.isEmpty else {
            throw DAGError(cid, .notFound(segment: followed))
        }
        switch cid.codec {
        case .dagPB: try followNode(block)
        case .dagCBOR, .dagJSON, .cbor, .json: try followValue(block)
        case .raw: throw DAGError(cid, .notADirectory(.file))
        default: throw DAGError(cid, .unsupported, "paths cannot lead through this codec")
        }
    }

    /// Looks a name up in a dag-pb node, without decoding the links that are not asked for.
    private mutating func followNode(_ block: RawSpan) throws(DAGError) {
        guard block.byteCount <= BlockLimits.maxBytes else {
            throw DAGError(cid, .overLimit, "the block is larger than 2 MiB")
        }
        let (target, data) = try find([UInt8](path[followed].utf8), in: block)
        let node = data.flatMap { try? UnixFSNode(decoding: block.extracting($0)) }
        if let node, node.kind == .hamtShard {
            return try follow(node, in: block, at: place ?? .root)
        }
        guard place == nil else {
            throw DAGError(cid, .malformed, "HAMT: a shard links to what is not a shard")
        }
        switch node?.kind {
        // Nodes that are not UnixFS lead on by the names of their links, too.
        case .directory, nil:
            guard let target else {
                throw DAGError(cid, .notFound(segment: followed))
            }
            advance(to: target)
        case .symlink:
            let whole = try DAGError.at(cid) { () throws(DecodeError) in
                try UnixFSBlock(decoding: block)
            }
            let target = [UInt8](block.extracting(whole.contentRange ?? 0..<0))
            throw DAGError(cid, .symlink(target: target, segment: followed))
        case .file, .raw, .metadata, .hamtShard:
            throw DAGError(cid, .notADirectory(node?.kind))
        }
    }

    /// Looks the current segment up in a shard: its bucket holds the entry or the next shard.
    private mutating func follow(
        _ node: UnixFSNode, in block: RawSpan, at place: HAMTShard.Place
    ) throws(DAGError) {
        let name = [UInt8](path[followed].utf8)
        let fanout = try DAGError.at(cid) { () throws(DecodeError) in
            try HAMTShard.fanout(of: node, at: place)
        }
        let bucket = fanout.bucket(of: HAMT.hash(name), level: place.level)
        let prefix = fanout.prefix(of: bucket)
        if let target = try find(prefix + name, in: block).target {
            advance(to: target)
        } else if let below = try find(prefix, in: block).target {
            blocks.append(cid)
            cid = below
            self.place = place.below(bucket, fanout)
        } else {
            throw DAGError(cid, .notFound(segment: followed))
        }
    }

    private func find(
        _ name: [UInt8], in block: RawSpan
    ) throws(DAGError) -> (target: CID?, data: Range<Int>?) {
        do throws(DecodeError) {
            return try PBLayout.lookUp(name, in: block)
        } catch {
            throw DAGError(cid, .invalid(error))
        }
    }

    private mutating func followValue(_ block: RawSpan) throws(DAGError) {
        let cid = cid
        guard block.byteCount <= BlockLimits.maxBytes else {
            throw DAGError(cid, .overLimit, "the block is larger than 2 MiB")
        }
        var value = try DAGError.at(cid) { () throws(DecodeError) in
            try IPLDCodec.decode(block, codec: cid.codec)
        }
        let first = followed
        for index in first..<path.count {
            guard let below = value.child(path[index]) else {
                throw DAGError(cid, .notFound(segment: index))
            }
            if case .link(let target) = below {
                followed = index
                return advance(to: target)
            }
            value = below
        }
        blocks.append(cid)
        end = Resolved(
            cid: cid, remaining: [String](path[first...]), blocks: blocks, roots: roots)
    }

    /// Leaves the current block by the current segment.
    private mutating func advance(to target: CID) {
        blocks.append(cid)
        cid = target
        roots.append(target)
        place = nil
        followed += 1
        if followed == path.count {
            end = Resolved(cid: target, remaining: [], blocks: blocks, roots: roots)
        }
    }
}

extension Value {
    /// What a path's segment leads to in a map or list.
    fileprivate func child(_ segment: String) -> Value? {
        switch self {
        case .map: return self[segment]
        case .list:
            let digits = segment.utf8
            guard let first = digits.first, digits.count <= 9,
                digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
                first != UInt8(ascii: "0") || digits.count == 1, let index = Int(segment)
            else { return nil }
            return self[index]
        default: return nil
        }
    }
}
