public import Wire

/// A content identifier: what a block hashes to, and how its bytes are to be read
/// (github.com/multiformats/cid).
///
/// Version 0 is a bare sha2-256 multihash and always dag-pb; version 1 names its codec.
public struct CID: Hashable, Sendable {
    /// The version of the binary and text form.
    public enum Version: UInt8, Sendable {
        case v0 = 0
        case v1 = 1
    }

    /// The version of the binary and text form.
    public let version: Version
    /// How the block's bytes are to be read.
    public let codec: Codec
    /// What the block's bytes hash to.
    public let hash: Multihash

    /// A version 1 identifier.
    public init(_ codec: Codec, _ hash: Multihash) {
        self.version = .v1
        self.codec = codec
        self.hash = hash
    }

    /// A version 0 identifier of a dag-pb block; nil unless `hash` is a full sha2-256 digest.
    public init?(v0 hash: Multihash) {
        guard hash.code == .sha2_256, hash.digest.count == 32 else { return nil }
        self.version = .v0
        self.codec = .dagPB
        self.hash = hash
    }

    /// The same content named in version 1.
    public var v1: CID { CID(codec, hash) }

    /// The binary form.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(hash.digest.count + 8)
        append(to: &out)
        return out
    }

    /// Appends the binary form.
    public func append(to out: inout [UInt8]) {
        if version == .v1 {
            out.appendVarint(1)
            out.appendVarint(codec.rawValue)
        }
        hash.append(to: &out)
    }

    /// Decodes an identifier that fills `bytes` exactly.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        self = try reader.readCID()
        guard reader.isAtEnd else {
            throw reader.error(.malformed, "there are bytes after the CID")
        }
    }
}

extension ByteReader {
    /// Reads a CID of either version, for example at the start of a CAR section.
    @_lifetime(self: copy self)
    public mutating func readCID() throws(DecodeError) -> CID {
        if peek == 0x12 {
            guard let cid = CID(v0: try readMultihash()) else {
                throw error(.malformed, "a version 0 CID needs a 32-byte sha2-256 digest")
            }
            return cid
        }
        guard try readVarint() == 1 else {
            throw error(.unsupported, "not a CID of version 0 or 1")
        }
        let codec = Codec(rawValue: try readVarint())
        return CID(codec, try readMultihash())
    }
}
