// A block: bytes that have been checked against the CID that names them.

public import IPLD
public import Multiformats
public import NIOCore
public import Wire

/// A block whose bytes are known to match its CID.
///
/// There is no way to make one that does not match, so whatever takes a `Block` need not check
/// again. The store takes nothing else.
public struct Block: Sendable, Equatable {
    /// What the bytes hash to, and how they are to be read.
    public let cid: CID
    /// The content.
    public let bytes: ByteBuffer

    /// Checks bytes from elsewhere against the CID that they were asked for by.
    ///
    /// - Throws: `mismatch` if they are not what was asked for, `unsupported` if the hash cannot
    ///   vouch for content here, `overLimit` over ``IPLD/BlockLimits/maxBytes``.
    public init(verifying bytes: ByteBuffer, as cid: CID) throws(DecodeError) {
        try Self.checkSize(bytes)
        try cid.hash.verify(bytes.readableBytesSpan)
        self.cid = cid
        self.bytes = bytes
    }

    /// Names bytes that were made here by hashing them.
    ///
    /// - Throws: `unsupported` if the hash cannot be computed here, `overLimit` over
    ///   ``IPLD/BlockLimits/maxBytes``.
    public init(
        hashing bytes: ByteBuffer, codec: Codec, hash: HashCode = .sha2_256
    ) throws(DecodeError) {
        try Self.checkSize(bytes)
        guard let multihash = Multihash(hashing: bytes.readableBytesSpan, with: hash) else {
            throw DecodeError(.unsupported, "this hash function cannot be computed here")
        }
        self.cid = CID(codec, multihash)
        self.bytes = bytes
    }

    /// Compares bytes with their CID whose SHA2-256 was computed as they came.
    init(_ bytes: ByteBuffer, hashedTo digest: [UInt8], as cid: CID) throws(DecodeError) {
        try cid.hash.checkVerifiable()
        guard digest.starts(with: cid.hash.digest) else {
            throw DecodeError(.mismatch, "the content does not match its hash")
        }
        self.cid = cid
        self.bytes = bytes
    }

    /// Blocks of one message that a peer sent, which were hashed as they came, each under the CID
    /// that it was asked for by: the peer names the codec, so that its own CID tells nothing but
    /// the hash. They share memory, so whoever keeps one of them for long should copy it.
    public static func list(_ blocks: [(ReceivedBlock, askedAs: CID)]) -> [Block] {
        var all = ByteBufferAllocator().buffer(
            capacity: blocks.reduce(0) { $0 + $1.0.bytes.count })
        var made: [Block] = []
        made.reserveCapacity(blocks.count)
        for (block, _) in blocks { all.writeBytes(block.bytes) }
        for (block, cid) in blocks {
            precondition(block.cid.hash == cid.hash, "a block has one hash")
            guard let bytes = all.readSlice(length: block.bytes.count) else { break }
            made.append(Block(bytes, checkedAs: cid))
        }
        return made
    }

    /// A block that was encoded and hashed here.
    public init(_ block: EncodedBlock) {
        self.cid = block.cid
        self.bytes = ByteBuffer(bytes: block.bytes)
    }

    /// Bytes that were a block's a moment ago: they have been checked against `cid` since they came
    /// in, or come from the store. To hash them again would cost as much as all the rest of keeping
    /// them.
    package init(_ bytes: ByteBuffer, checkedAs cid: CID) {
        self.cid = cid
        self.bytes = bytes
    }

    private static func checkSize(_ bytes: ByteBuffer) throws(DecodeError) {
        guard bytes.readableBytes <= BlockLimits.maxBytes else {
            throw DecodeError(.overLimit, "the block is larger than 2 MiB")
        }
    }
}
