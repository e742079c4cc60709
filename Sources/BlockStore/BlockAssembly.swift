// A block that comes in pieces: they are put together and hashed as they come, so that little is
// left to do when the last one is there.

import Cryptography
import IPLD
public import Multiformats
public import NIOCore
public import Wire

/// The bytes so far of a block whose CID and size were announced.
public struct BlockAssembly: Sendable {
    /// What the bytes must hash to.
    public let cid: CID
    private var missing: Int
    private var bytes: ByteBuffer
    /// The hash so far; nil if this function is computed over the whole block alone.
    private var hash: SHA256?

    /// Expects a block of `size` bytes.
    ///
    /// - Throws: `overLimit` over ``IPLD/BlockLimits/maxBytes``.
    public init(_ cid: CID, size: Int) throws(DecodeError) {
        guard size <= BlockLimits.maxBytes else {
            throw DecodeError(.overLimit, "the block is larger than 2 MiB")
        }
        self.cid = cid
        missing = size
        bytes = ByteBufferAllocator().buffer(capacity: size)
        hash = cid.hash.code == .sha2_256 ? SHA256() : nil
    }

    /// Whether all bytes have come.
    public var isComplete: Bool { missing == 0 }

    /// Takes what belongs to the block from the beginning of `part`.
    public mutating func take(from part: inout ByteBuffer) {
        guard let own = part.readSlice(length: min(missing, part.readableBytes)) else { return }
        missing -= own.readableBytes
        bytes.writeImmutableBuffer(own)
        // The piece that was received is in the processor's cache.
        hash?.update(own.readableBytesSpan)
    }

    /// The block.
    ///
    /// - Throws: `truncated` if it is not complete, `mismatch` if it is not what was asked for,
    ///   `unsupported` if its hash cannot vouch for content here.
    public consuming func finish() throws(DecodeError) -> Block {
        guard missing == 0 else { throw DecodeError(.truncated, "a part of the block is missing") }
        guard let hash else { return try Block(verifying: bytes, as: cid) }
        return try Block(bytes, hashedTo: hash.finalize(), as: cid)
    }
}
