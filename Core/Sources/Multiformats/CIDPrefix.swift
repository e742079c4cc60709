// A CID without its digest, as bitswap sends it with a block (bitswap 1.1.0): the receiver hashes
// the block and puts the CID together itself, so that nobody can claim a wrong one.

public import Wire

/// A CID without its digest: version, codec, hash function and digest length.
public struct CIDPrefix: Hashable, Sendable {
    /// The version of the CID.
    public let version: CID.Version
    /// How the block's bytes are to be read.
    public let codec: Codec
    /// The hash function.
    public let hashCode: HashCode
    /// How many bytes of the digest the CID holds.
    public let digestLength: Int

    /// The prefix of bitswap 1.0.0, which has no other CIDs.
    public static let v0 = CIDPrefix(
        version: .v0, codec: .dagPB, hashCode: .sha2_256, digestLength: 32)

    private init(version: CID.Version, codec: Codec, hashCode: HashCode, digestLength: Int) {
        self.version = version
        self.codec = codec
        self.hashCode = hashCode
        self.digestLength = digestLength
    }

    /// The prefix of a CID.
    public init(_ cid: CID) {
        self.init(
            version: cid.version, codec: cid.codec, hashCode: cid.hash.code,
            digestLength: cid.hash.digest.count)
    }

    /// Decodes a prefix that fills `bytes` exactly.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        guard let version = CID.Version(rawValue: UInt8(clamping: try reader.readVarint())) else {
            throw reader.error(.unsupported, "not a CID of version 0 or 1")
        }
        let codec = Codec(rawValue: try reader.readVarint())
        let hashCode = HashCode(rawValue: try reader.readVarint())
        let length = try reader.readLength(limit: Multihash.maxDigestLength)
        guard reader.isAtEnd else {
            throw reader.error(.malformed, "there are bytes after the CID prefix")
        }
        self.init(version: version, codec: codec, hashCode: hashCode, digestLength: length)
        guard version == .v1 || self == .v0 else {
            throw reader.error(.malformed, "a version 0 CID needs a 32-byte sha2-256 digest")
        }
    }

    /// The binary form.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(8)
        out.appendVarint(UInt64(version.rawValue))
        out.appendVarint(codec.rawValue)
        out.appendVarint(hashCode.rawValue)
        out.appendVarint(UInt64(digestLength))
        return out
    }

    /// The CID with this digest; nil if it is not as long as it has to be.
    public func cid(digest: [UInt8]) -> CID? {
        guard digest.count == digestLength else { return nil }
        let hash = Multihash(code: hashCode, digest: digest)
        return version == .v0 ? CID(v0: hash) : CID(codec, hash)
    }

    /// The CID of a block's bytes; nil if this hash cannot be computed here or cannot vouch for
    /// content.
    public func cid(of content: RawSpan) -> CID? {
        // An inlined block is in its CID; nobody has to send it.
        guard hashCode != .identity, digestLength >= Multihash.minDigestLength,
            let hash = Multihash(hashing: content, with: hashCode, digestLength: digestLength)
        else { return nil }
        return version == .v0 ? CID(v0: hash) : CID(codec, hash)
    }
}
