// Blocks: the unit that is hashed, named by a CID, stored and sent.

public import Multiformats
import Wire

/// A block that was made here: its bytes and the CID that they were hashed to.
public struct EncodedBlock: Equatable, Sendable {
    /// What the bytes hash to.
    public let cid: CID
    /// The block's content.
    public let bytes: [UInt8]

    /// Names `bytes` by their sha2-256 hash. Version 0 names dag-pb alone; blocks of other codecs
    /// get version 1 all the same, as in every DAG of version 0 with raw leaves.
    public init(_ bytes: [UInt8], codec: Codec, version: CID.Version = .v1) {
        self.init(bytes, codec, Multihash.sha2_256(of: bytes.rawSpan), version)
    }

    /// Names `bytes` by a hash of choice. Version 0 holds for dag-pb with sha2-256 alone; other
    /// blocks get version 1. Throws `unsupported` if the hash cannot be computed here.
    public init(
        _ bytes: [UInt8], codec: Codec, hash: HashCode, version: CID.Version = .v1
    ) throws(EncodeError) {
        guard let multihash = Multihash(hashing: bytes.rawSpan, with: hash) else {
            throw EncodeError(.unsupported, "this hash function cannot be computed here")
        }
        self.init(bytes, codec, multihash, version)
    }

    private init(
        _ bytes: [UInt8], _ codec: Codec, _ multihash: Multihash, _ version: CID.Version
    ) {
        self.bytes = bytes
        if version == .v0, codec == .dagPB, let cid = CID(v0: multihash) {
            self.cid = cid
        } else {
            cid = CID(codec, multihash)
        }
    }
}
