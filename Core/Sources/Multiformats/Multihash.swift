public import Wire

/// A self-describing hash: function, length and digest (github.com/multiformats/multihash).
///
/// The block store keys blocks by it. A value may name a function that this node cannot compute;
/// it then identifies content that can be named, but never verified or stored.
public struct Multihash: Hashable, Sendable {
    /// The longest digest that is accepted, in bytes (IPIP-512); it also bounds inlined content.
    public static let maxDigestLength = 128

    /// Which function made the digest.
    public let code: HashCode
    /// The digest, as long as its function (or its truncation) makes it.
    public let digest: [UInt8]

    /// Creates a multihash of a digest that is already known.
    public init(code: HashCode, digest: [UInt8]) {
        precondition(digest.count <= Self.maxDigestLength, "the digest is too long")
        self.code = code
        self.digest = digest
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(contentsOf: digest)
    }

    /// The binary form: function and length as varints, then the digest.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(digest.count + 4)
        append(to: &out)
        return out
    }

    /// Appends the binary form.
    public func append(to out: inout [UInt8]) {
        out.appendVarint(code.rawValue)
        out.appendVarint(UInt64(digest.count))
        out.append(contentsOf: digest)
    }

    /// Decodes a multihash that fills `bytes` exactly.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        self = try reader.readMultihash()
        guard reader.isAtEnd else {
            throw reader.error(.malformed, "there are bytes after the multihash")
        }
    }
}

extension ByteReader {
    /// Reads a multihash; refuses a digest over ``Multihash/maxDigestLength``.
    @_lifetime(self: copy self)
    public mutating func readMultihash() throws(DecodeError) -> Multihash {
        let code = HashCode(rawValue: try readVarint())
        let length = try readLength(limit: Multihash.maxDigestLength)
        return Multihash(code: code, digest: try readBytes(length))
    }
}
