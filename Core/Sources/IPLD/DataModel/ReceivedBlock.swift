// A block that somebody sent: its bytes as they lie in the message, and the CID that they make.

public import Multiformats
public import Wire

/// A block from elsewhere whose bytes have been hashed.
///
/// There is no way to make one that does not match, so whoever takes it need not hash again. Its
/// bytes are a view of the message that it came in; as long as it lives, so does the message.
public struct ReceivedBlock: Equatable, Sendable {
    /// What the bytes hash to.
    public let cid: CID
    /// The block's content.
    public let bytes: ArraySlice<UInt8>

    /// Compares bytes with the CID that they were asked for by.
    ///
    /// Throws `mismatch` if they are not what was asked for, `unsupported` if the hash cannot vouch
    /// for content here, `overLimit` over ``BlockLimits/maxBytes``.
    /// The bytes' SHA2-256 digest is not computed again if the caller has done so.
    public init(
        verifying bytes: ArraySlice<UInt8>, as cid: CID, sha2_256 known: [UInt8]? = nil
    ) throws(DecodeError) {
        guard bytes.count <= BlockLimits.maxBytes else {
            throw DecodeError(.overLimit, "the block is larger than 2 MiB")
        }
        try cid.hash.verify(bytes.rawSpan, sha2_256: known)
        self.cid = cid
        self.bytes = bytes
    }

    /// Names bytes by hashing them. Nil if the hash cannot be computed here or cannot vouch for
    /// content, or the bytes are over ``BlockLimits/maxBytes``.
    public init?(hashing bytes: ArraySlice<UInt8>, as prefix: CIDPrefix) {
        guard bytes.count <= BlockLimits.maxBytes, let cid = prefix.cid(of: bytes.rawSpan) else {
            return nil
        }
        self.cid = cid
        self.bytes = bytes
    }
}
