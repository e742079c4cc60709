public import IPLD
public import Multiformats
public import NIOCore

/// What a path leads to.
public struct ResolvedContent: Sendable {
    /// The block at the end of the path.
    public let cid: CID
    /// Its bytes.
    public let block: ByteBuffer
    /// What it is.
    public let entity: Entity
    /// The CID of the root and of each segment that leads to another CID.
    public let roots: [CID]
    /// All blocks on the way, interior blocks of sharded directories too, in order.
    public let pathBlocks: [CID]
    /// Segments that lead to a value inside the last block rather than to a block.
    public let remainder: [String]
    /// What is wrong with the block if it breaks its format; only its bytes are of use then.
    public let fault: ContentError?

    init(
        cid: CID, block: ByteBuffer, entity: Entity, roots: [CID], pathBlocks: [CID],
        remainder: [String], fault: ContentError? = nil
    ) {
        self.fault = fault
        self.cid = cid
        self.block = block
        self.entity = entity
        self.roots = roots
        self.pathBlocks = pathBlocks
        self.remainder = remainder
    }

    /// The same content seen under the roots of another path.
    init(_ content: ResolvedContent, roots: [CID]) {
        self.init(
            cid: content.cid, block: content.block, entity: content.entity, roots: roots,
            pathBlocks: content.pathBlocks, remainder: content.remainder, fault: content.fault)
    }
}

/// Which blocks a CAR has, and how (specs.ipfs.tech/http-gateways/trustless-gateway).
public struct CARSelection: Sendable, Hashable {
    /// Whether a block that occurs again is written again.
    public enum Duplicates: String, Sendable, Hashable {
        case kept = "y"
        case dropped = "n"
    }

    /// How much of the graph below the end of the path.
    public var scope: RetrievalScope.Extent
    /// Whether a block that occurs again is written again.
    public var duplicates: Duplicates

    /// A selection; the whole graph without duplicates unless said otherwise.
    public init(scope: RetrievalScope.Extent = .all, duplicates: Duplicates = .dropped) {
        self.scope = scope
        self.duplicates = duplicates
    }
}
