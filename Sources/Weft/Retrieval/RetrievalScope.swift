// What a retrieval is for: a root, a path below it, and how much of what is there. In the terms
// of the trustless gateway specification (IPIP-402): dag-scope and entity-bytes.

public import Multiformats

/// What a retrieval is for; it lets a provider be asked once for all of it.
public struct RetrievalScope: Sendable, Hashable {
    /// How much is wanted of what the path leads to.
    public enum Extent: Sendable, Hashable {
        /// The one block.
        case block
        /// A file, or the listing of a directory; of a file only these bytes, if given.
        case entity(Bytes?)
        /// Everything below it.
        case all
    }

    /// A part of a file, as in `entity-bytes`.
    public struct Bytes: Sendable, Hashable {
        /// The first byte; counted from the end if negative.
        public var from: Int64
        /// The last byte; counted from the end if negative; nil for the last of the file.
        public var through: Int64?

        /// The bytes from one place through another, both included.
        public init(from: Int64, through: Int64? = nil) {
            self.from = from
            self.through = through
        }
    }

    /// Where the path begins.
    public var root: CID
    /// The names on the way, not percent-encoded.
    public var path: [String]
    /// How much is wanted of what is there.
    public var extent: Extent

    /// A scope.
    public init(root: CID, path: [String] = [], extent: Extent) {
        self.root = root
        self.path = path
        self.extent = extent
    }
}
