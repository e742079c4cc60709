public import Multiformats
public import NIOCore

/// What a path leads to.
public struct ResolvedContent: Sendable {
    /// What kind of thing it is.
    public enum Kind: Sendable, Hashable {
        /// A UnixFS file, or a raw block.
        case file
        /// A UnixFS directory, sharded or not.
        case directory
        /// A UnixFS symbolic link.
        case symlink
        /// A block of another codec.
        case data
    }

    /// The block at the end of the path.
    public let cid: CID
    /// Its bytes.
    public let block: ByteBuffer
    /// What kind of thing it is.
    public let kind: Kind
    /// The CID of the root and of each segment that leads to another CID.
    public let roots: [CID]
    /// All blocks on the way, interior blocks of sharded directories too, in order.
    public let pathBlocks: [CID]
    /// Segments that lead to a value inside the last block rather than to a block.
    public let remainder: [String]
}

/// One entry of a directory.
public struct DirectoryEntry: Sendable, Hashable {
    /// The name, as text; bytes that are not UTF-8 are shown as replacement characters.
    public let name: String
    /// Where it leads.
    public let cid: CID
    /// The size of the blocks below it as the directory says, in bytes; nil if it does not.
    public let size: UInt64?

    /// An entry.
    public init(name: String, cid: CID, size: UInt64?) {
        self.name = name
        self.cid = cid
        self.size = size
    }
}

/// Which blocks a CAR has, and how (specs.ipfs.tech/http-gateways/trustless-gateway).
public struct CARSelection: Sendable, Hashable {
    /// How much of the graph below the end of the path.
    public enum Scope: Sendable, Hashable {
        /// The last block of the path.
        case block
        /// What is needed to read the file or to list the directory.
        case entity(ByteSelection?)
        /// Everything.
        case all
    }

    /// Whether a block that occurs again is written again.
    public enum Duplicates: String, Sendable, Hashable {
        case kept = "y"
        case dropped = "n"
    }

    /// Which bytes of a file, inclusive; a negative offset counts from the end, nil is the end.
    public struct ByteSelection: Sendable, Hashable {
        public var from: Int64
        public var to: Int64?

        /// The bytes from one offset to another, both inclusive.
        public init(from: Int64, to: Int64?) {
            self.from = from
            self.to = to
        }
    }

    public var scope: Scope
    public var duplicates: Duplicates

    /// A selection; the whole graph without duplicates unless said otherwise.
    public init(scope: Scope = .all, duplicates: Duplicates = .dropped) {
        self.scope = scope
        self.duplicates = duplicates
    }
}
