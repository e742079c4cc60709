// How content becomes blocks: the choices that decide a CID, bundled so that two nodes agree on
// them (IPIP-499, specs.ipfs.tech/ipips/ipip-0499).

public import Multiformats

/// All the choices that decide which CID a file or directory gets.
public struct Profile: Hashable, Sendable {
    /// How the pieces of a file's content are stored.
    public enum Leaves: Hashable, Sendable {
        /// The content is the block.
        case raw
        /// The content is wrapped in a dag-pb node.
        case dagPB
    }

    /// When a directory is spread over many blocks, and how.
    public struct Sharding: Hashable, Sendable {
        /// What is compared with the threshold.
        public enum Estimate: Hashable, Sendable {
            /// The size of the directory as one block.
            case blockBytes
            /// The sum of all names and CIDs.
            case linkBytes
        }

        /// What is compared with the threshold.
        public var estimate: Estimate
        /// In bytes; a directory is spread when its estimate is strictly greater.
        public var threshold: UInt64
        /// How many buckets a shard has: a power of two, 8 to 1024.
        public var fanout: Fanout

        /// Creates a rule.
        public init(estimate: Estimate, threshold: UInt64, fanout: Fanout) {
            self.estimate = estimate
            self.threshold = threshold
            self.fanout = fanout
        }
    }

    /// The version of the CIDs. Raw leaves have version 1 in any case.
    public var cidVersion: CID.Version
    /// How content is cut.
    public var chunker: Chunker
    /// How many links an inner node of a file has at most, 2 to ``maxWidth``.
    public var width: Int
    /// How the pieces of a file's content are stored.
    public var leaves: Leaves
    /// When a directory is spread over many blocks.
    public var sharding: Sharding

    /// Blocks of up to this many bytes are held by their CIDs, with the identity hash; 0 for none,
    /// at most ``maxInlineBytes``.
    public var inlineBytes = 0

    /// The largest block that a CID may hold (IPIP-512).
    public static let maxInlineBytes = 128

    /// The largest width whose nodes stay well under the limit of a block.
    public static let maxWidth = 8192

    /// Creates a profile.
    public init(
        cidVersion: CID.Version, chunker: Chunker, width: Int, leaves: Leaves, sharding: Sharding
    ) {
        precondition((2...Self.maxWidth).contains(width), "the width is out of range")
        self.cidVersion = cidVersion
        self.chunker = chunker
        self.width = width
        self.leaves = leaves
        self.sharding = sharding
    }

    /// `unixfs-v1-2025`, the default of Weft.
    public static let v1_2025 = Profile(
        cidVersion: .v1, chunker: .size(1 << 20), width: 1024, leaves: .raw,
        sharding: Sharding(estimate: .blockBytes, threshold: 262_144, fanout: .default))

    /// `unixfs-v0-2015`, what Kubo did from its beginning.
    public static let v0_2015 = Profile(
        cidVersion: .v0, chunker: .size(1 << 18), width: 174, leaves: .dagPB,
        sharding: Sharding(estimate: .linkBytes, threshold: 262_144, fanout: .default))

    /// A profile of IPIP-499 by its name, such as `unixfs-v1-2025`.
    public init?(name: String) {
        if name.utf8.elementsEqual("unixfs-v1-2025".utf8) {
            self = .v1_2025
        } else if name.utf8.elementsEqual("unixfs-v0-2015".utf8) {
            self = .v0_2015
        } else {
            return nil
        }
    }

    /// A dag-pb block with this profile's kind of CID.
    func block(_ bytes: [UInt8]) -> EncodedBlock {
        block(bytes, codec: .dagPB, version: cidVersion)
    }

    /// A block, held by its CID if it is small enough.
    func block(_ bytes: [UInt8], codec: Codec, version: CID.Version) -> EncodedBlock {
        if hash(ofSize: bytes.count) == .identity {
            // The identity of so few bytes can always be computed.
            if let block = try? EncodedBlock(bytes, codec: codec, hash: .identity) { return block }
        }
        return EncodedBlock(bytes, codec: codec, version: version)
    }

    /// What a block of a size is hashed with.
    func hash(ofSize count: Int) -> HashCode {
        count <= min(inlineBytes, Self.maxInlineBytes) && inlineBytes > 0 ? .identity : .sha2_256
    }
}

/// What a directory's or a file's link needs to know of a DAG.
public struct DAGEntry: Hashable, Sendable {
    /// The root.
    public let cid: CID
    /// How many bytes all its blocks have, counting repeated ones each time.
    public let tsize: UInt64
    /// How many bytes of content it stands for; for a directory those of all its files.
    public let contentSize: UInt64

    /// Creates an entry. For one leaf, `tsize` is the size of its block.
    public init(cid: CID, tsize: UInt64, contentSize: UInt64) {
        self.cid = cid
        self.tsize = tsize
        self.contentSize = contentSize
    }
}
