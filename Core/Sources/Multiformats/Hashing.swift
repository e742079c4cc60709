// Computing multihashes of content, and checking content against them. What counts as a hash that
// may vouch for content follows IPIP-512 and the rules of deployed peers.

import Cryptography
public import Wire

extension Multihash {
    /// The shortest digest that may vouch for content, in bytes: 160 bits.
    public static let minDigestLength = 20

    /// Hashes `content`; nil if the function cannot be computed here or, for the identity, if the
    /// content is longer than ``maxDigestLength``.
    public init?(hashing content: RawSpan, with code: HashCode) {
        guard let digest = Self.digest(of: content, code, length: nil) else { return nil }
        self.init(code: code, digest: digest)
    }

    /// Hashes `content` and keeps `digestLength` bytes of the digest; nil if the function cannot be
    /// computed here or makes no digest of that length.
    public init?(hashing content: RawSpan, with code: HashCode, digestLength: Int) {
        guard digestLength <= code.digestLength ?? Self.maxDigestLength,
            code.blake2bLength.map({ $0 == digestLength }) ?? true,
            let digest = Self.digest(of: content, code, length: digestLength),
            digest.count >= digestLength, code != .identity || digest.count == digestLength
        else { return nil }
        self.init(
            code: code,
            digest: digest.count == digestLength ? digest : [UInt8](digest[..<digestLength]))
    }

    /// The SHA2-256 multihash of `content`.
    public static func sha2_256(of content: RawSpan) -> Multihash {
        Multihash(code: .sha2_256, digest: SHA256.hash(content))
    }

    /// Refuses a multihash that no content could be checked against: an unknown function, a
    /// digest under ``minDigestLength``, or one longer than its function makes.
    public func checkVerifiable() throws(DecodeError) {
        if code == .identity { return }
        guard let longest = code.digestLength else {
            throw DecodeError(.unsupported, "the hash function is not one that can be verified")
        }
        guard digest.count >= Self.minDigestLength else {
            throw DecodeError(.unsupported, "the digest is too short to vouch for content")
        }
        guard digest.count <= longest else {
            throw DecodeError(.malformed, "the digest is longer than its hash function makes")
        }
        if let exact = code.blake2bLength, digest.count != exact {
            throw DecodeError(.malformed, "the digest is not as long as its blake2b code says")
        }
    }

    /// Refuses content that does not hash to this digest. A truncated digest is compared as far
    /// as it goes.
    public func verify(_ content: RawSpan) throws(DecodeError) {
        try checkVerifiable()
        let actual = Self.digest(of: content, code, length: digest.count)
        guard let actual, actual.starts(with: digest), code != .identity || actual == digest else {
            throw DecodeError(.mismatch, "the content does not match its hash")
        }
    }

    /// Refuses content whose SHA2-256 digest is known, if it is not what hashes to this. Another
    /// hash function is computed here.
    public func verify(_ content: RawSpan, sha2_256 known: [UInt8]?) throws(DecodeError) {
        guard code == .sha2_256, let known else { return try verify(content) }
        try checkVerifiable()
        guard known.starts(with: digest) else {
            throw DecodeError(.mismatch, "the content does not match its hash")
        }
    }

    /// The digest of `content`, at least `length` bytes of it where its function lets one choose.
    private static func digest(
        of content: RawSpan, _ code: HashCode, length: Int?
    ) -> [UInt8]? {
        switch code {
        case .identity: content.byteCount <= maxDigestLength ? [UInt8](content) : nil
        case .sha1: SHA1.hash(content)
        case .sha2_256: SHA256.hash(content)
        case .sha2_512: SHA512.hash(content)
        case .dbl_sha2_256: SHA256.hash(SHA256.hash(content).rawSpan)
        case .sha3_224: Keccak.hash(content, .sha3_224)
        case .sha3_256: Keccak.hash(content, .sha3_256)
        case .sha3_384: Keccak.hash(content, .sha3_384)
        case .sha3_512: Keccak.hash(content, .sha3_512)
        case .keccak_224: Keccak.hash(content, .keccak_224)
        case .keccak_256: Keccak.hash(content, .keccak_256)
        case .keccak_384: Keccak.hash(content, .keccak_384)
        case .keccak_512: Keccak.hash(content, .keccak_512)
        case .blake3: BLAKE3.hash(content, length: length ?? 32)
        default: code.blake2bLength.map { BLAKE2b.hash(content, digestLength: $0) }
        }
    }
}
