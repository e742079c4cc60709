// The frames of `/weft/exchange/1` (docs/exchange.md): what both sides say, and how it is read from
// a stranger.

public import IPLD
public import Multiformats
import Wire

/// Ceilings of the stream exchange.
public enum WeftLimits {
    /// The name of the protocol's stream.
    public static let protocolName = ProtocolName("/weft/exchange/1")
    /// The longest frame to a server, in bytes.
    public static let maxRequestFrame = 256 << 10
    /// The longest frame to a reader, in bytes: the largest block and what stands before it.
    public static let maxAnswerFrame = BlockLimits.maxBytes + (64 << 10)
    /// How many blocks a request may name.
    public static let maxListed = 4096
    /// How many requests may be open on a stream.
    public static let maxRequests = 64
    /// How many names a path may have, and how many bytes they may take together.
    public static let maxPathNames = 64
    public static let maxPathBytes = 4096
    /// More credit than this counts as this much.
    public static let maxCredit: UInt64 = 1 << 40
    /// How many runs of missing blocks and blocks a frame may hold.
    static let maxParts = 1 << 15
}

/// A DAG, or a part of one, that is asked for at once.
public struct WeftDAG: Hashable, Sendable {
    /// Where it starts.
    public let root: CID
    /// The names on the way from the root to what is wanted.
    public let path: [String]
    /// How much of what is there.
    public let scope: DAGWalk.Scope

    /// What lies at the end of `path` below `root`, as far as `scope` goes.
    public init(root: CID, path: [String], scope: DAGWalk.Scope) {
        self.root = root
        self.path = path
        self.scope = scope
    }
}

/// What a reader tells a server.
public enum WeftCommand: Hashable, Sendable {
    case list(id: UInt64, credit: UInt64, [CID])
    /// Asks which blocks are there, without the blocks.
    case presence(id: UInt64, [CID])
    case dag(id: UInt64, credit: UInt64, WeftDAG)
    case credit(id: UInt64, bytes: UInt64)
    case cancel(id: UInt64)
    /// Takes back these blocks of a list.
    case cancelItems(id: UInt64, [UInt32])
}

/// Why nothing more comes for a request.
public enum WeftStatus: Hashable, Sendable {
    case complete
    case cancelled
    case missing
    case invalid
    /// Ask again after so many milliseconds.
    case busy(retry: UInt64)
    case tooLarge

    var code: UInt64 {
        switch self {
        case .complete: 0
        case .cancelled: 1
        case .missing: 2
        case .invalid: 3
        case .busy: 4
        case .tooLarge: 5
        }
    }

    /// What is not known counts as a refusal for good.
    init(code: UInt64, retry: UInt64) {
        switch code {
        case 0: self = .complete
        case 1: self = .cancelled
        case 2: self = .missing
        case 4: self = .busy(retry: retry)
        case 5: self = .tooLarge
        default: self = .invalid
        }
    }
}

extension WeftCommand {
    /// The field of this command, to be put into a frame.
    public var encoded: [UInt8] {
        var body: [UInt8] = []
        var out: [UInt8] = []
        switch self {
        case .list(let id, let credit, let cids):
            body.reserveCapacity(cids.count * 33 + 32)
            body.appendField(1, varint: id)
            body.appendField(2, varint: credit)
            Self.append(cids, to: &body)
            out.appendField(1, bytes: body)
        case .presence(let id, let cids):
            body.appendField(1, varint: id)
            Self.append(cids, to: &body)
            body.appendField(5, varint: 1)
            out.appendField(1, bytes: body)
        case .dag(let id, let credit, let dag):
            body.appendField(1, varint: id)
            body.appendField(2, varint: credit)
            body.appendField(4, bytes: Self.encode(dag))
            out.appendField(1, bytes: body)
        case .credit(let id, let bytes):
            body.appendField(1, varint: id)
            body.appendField(2, varint: bytes)
            out.appendField(2, bytes: body)
        case .cancel(let id):
            body.appendField(1, varint: id)
            out.appendField(3, bytes: body)
        case .cancelItems(let id, let items):
            body.appendField(1, varint: id)
            var packed: [UInt8] = []
            for item in items { packed.appendVarint(UInt64(item)) }
            body.appendField(2, bytes: packed)
            out.appendField(3, bytes: body)
        }
        return out
    }

    /// Neighbours of the same kind share their prefix.
    private static func append(_ cids: [CID], to body: inout [UInt8]) {
        var start = 0
        while start < cids.count {
            let prefix = CIDPrefix(cids[start])
            var end = start + 1
            while end < cids.count, CIDPrefix(cids[end]) == prefix { end += 1 }
            var list: [UInt8] = []
            list.reserveCapacity((end - start) * prefix.digestLength + 16)
            list.appendField(1, bytes: prefix.bytes)
            var digests: [UInt8] = []
            digests.reserveCapacity((end - start) * prefix.digestLength)
            for cid in cids[start..<end] { digests.append(contentsOf: cid.hash.digest) }
            list.appendField(2, bytes: digests)
            body.appendField(3, bytes: list)
            start = end
        }
    }

    private static func encode(_ dag: WeftDAG) -> [UInt8] {
        var out: [UInt8] = []
        out.appendField(1, bytes: dag.root.bytes)
        for name in dag.path { out.appendField(2, bytes: Array(name.utf8)) }
        switch dag.scope {
        case .block: break
        case .entity(let bytes):
            out.appendField(3, varint: 1)
            guard let bytes else { break }
            out.appendField(4, varint: zigzag(bytes.from))
            if let to = bytes.to { out.appendField(5, varint: zigzag(to)) }
        case .all: out.appendField(3, varint: 2)
        }
        return out
    }

    private static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: value << 1) ^ UInt64(bitPattern: value >> 63)
    }
}

/// What a server tells a reader, without the blocks, which are pieces of an ``OutgoingMessage``.
enum WeftAnswer {
    /// The head of a `blocks` field whose parts take `byteCount` bytes.
    static func blocksHead(id: UInt64, byteCount: Int) -> [UInt8] {
        var inner: [UInt8] = []
        inner.appendField(1, varint: id)
        var out: [UInt8] = []
        out.appendVarint(4 << 3 | 2)
        out.appendVarint(UInt64(inner.count + byteCount))
        out.append(contentsOf: inner)
        return out
    }

    /// What stands before a block.
    static func blockHead(byteCount: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.appendVarint(2 << 3 | 2)
        out.appendVarint(UInt64(byteCount))
        return out
    }

    /// A run of missing blocks.
    static func missing(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.appendField(3, varint: UInt64(count))
        return out
    }

    /// A run of blocks that are there.
    static func present(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.appendField(4, varint: UInt64(count))
        return out
    }

    static func end(id: UInt64, _ status: WeftStatus) -> [UInt8] {
        var body: [UInt8] = []
        body.appendField(1, varint: id)
        body.appendField(2, varint: status.code)
        if case .busy(let retry) = status { body.appendField(3, varint: retry) }
        var out: [UInt8] = []
        out.appendField(5, bytes: body)
        return out
    }
}
