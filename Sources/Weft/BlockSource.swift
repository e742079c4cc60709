// The seam between what reads content and where its blocks come from: the local store alone, or
// a retrieval session that also asks providers.

public import BlockStore
public import Multiformats
public import NIOCore

/// A place that blocks come from.
///
/// Every block handed out has been verified against its CID. A reader asks for blocks in the
/// order in which it needs them and says early what it will need next.
public protocol BlockSource: Sendable {
    /// The bytes of a block.
    ///
    /// - Throws: ``BlockUnavailable`` when the block is not here, or the error of the retrieval.
    func block(_ cid: CID) async throws -> ByteBuffer

    /// A part of a block that is stored here and has exactly `size` bytes, for readers that need
    /// not hold all of it; nil if the block has to be asked for whole.
    func part(_ range: Range<Int>, of cid: CID, size: Int) async throws -> ByteBuffer?

    /// Says which blocks will be asked for soon, in that order. It returns at once and promises
    /// nothing.
    func prefetch(_ cids: [CID])
}

extension BlockSource {
    /// A source that keeps nothing has no parts to give.
    public func part(_ range: Range<Int>, of cid: CID, size: Int) async throws -> ByteBuffer? {
        nil
    }
}

/// A block that is neither in the store nor, if any was asked, with a provider.
public struct BlockUnavailable: Error, Sendable, CustomStringConvertible {
    /// The block that was asked for.
    public let cid: CID

    /// Creates an error about this block.
    public init(_ cid: CID) { self.cid = cid }

    public var description: String {
        "the block \(cid) is not in this store; fetch it while online, or import it"
    }
}

/// The blocks of the store, and nothing else.
public struct LocalBlocks: BlockSource {
    private let store: BlockStore

    /// A source over this store.
    public init(_ store: BlockStore) { self.store = store }

    /// The bytes of a block that is here.
    ///
    /// - Throws: ``BlockUnavailable`` when it is not, or `StoreError`.
    public func block(_ cid: CID) async throws -> ByteBuffer {
        guard let bytes = try await store.block(cid.hash) else { throw BlockUnavailable(cid) }
        return bytes
    }

    /// A part of a block that is here.
    ///
    /// - Throws: `StoreError`.
    public func part(_ range: Range<Int>, of cid: CID, size: Int) async throws -> ByteBuffer? {
        try await store.part(range, of: cid.hash, size: size)
    }

    /// Does nothing: the system's page cache reads ahead.
    public func prefetch(_ cids: [CID]) {}
}
