// Peer identifiers (github.com/libp2p/specs, peer-ids): the multihash of a public key, or the key
// itself where it is short.

public import Wire

/// Who a peer is, or which key a name belongs to.
public struct PeerID: Hashable, Sendable {
    /// The longest encoded key that is inlined instead of hashed, in bytes.
    public static let maxInlinedLength = 42

    /// The multihash of the encoded public key; the identity where the key is inlined.
    public let hash: Multihash

    /// The identifier of a key's holder.
    public init(_ publicKey: PublicKey) {
        let encoded = publicKey.encoded
        self.hash =
            encoded.count <= Self.maxInlinedLength
            ? Multihash(code: .identity, digest: encoded)
            : Multihash.sha2_256(of: encoded.rawSpan)
    }

    /// The identifier with this multihash: a full SHA2-256 digest, or an inlined key.
    public init(_ hash: Multihash) throws(DecodeError) {
        switch hash.code {
        case .sha2_256 where hash.digest.count == 32: break
        case .identity where 1...Self.maxInlinedLength ~= hash.digest.count: break
        default: throw DecodeError(.malformed, "the multihash is not one of a peer id")
        }
        self.hash = hash
    }

    /// Decodes the binary form, which fills `bytes` exactly.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        try self.init(try Multihash(decoding: bytes))
    }

    /// Reads either text form: bare base58btc (`Qm…`, `1…`), or a version 1 CID of codec
    /// libp2p-key in any multibase (`k51…`, `bafz…`).
    public init(text: String) throws(DecodeError) {
        let utf8 = Array(text.utf8)
        if utf8.starts(with: [0x51, 0x6d]) || utf8.first == UInt8(ascii: "1") {
            let bytes = try Multibase.base58btc.decodeBody(utf8.rawSpan)
            try self.init(decoding: bytes.rawSpan)
            return
        }
        let cid = try CID(utf8: utf8.rawSpan)
        try self.init(cid)
    }

    /// The peer that a CID of codec libp2p-key names.
    public init(_ cid: CID) throws(DecodeError) {
        guard cid.version == .v1, cid.codec == .libp2pKey else {
            throw DecodeError(.malformed, "the CID does not name a key (codec libp2p-key)")
        }
        try self.init(cid.hash)
    }

    /// The binary form.
    public var bytes: [UInt8] { hash.bytes }

    /// The version 1 CID of codec libp2p-key.
    public var cid: CID { CID(.libp2pKey, hash) }

    /// The name of this key under `/ipns/`: the CID in base36, short enough for a DNS label.
    public var ipnsName: String { cid.text(in: .base36) }

    /// The key itself, where it is inlined.
    public var publicKey: PublicKey? {
        guard hash.code == .identity else { return nil }
        // An identifier whose content is no key is legal, and names a key that nobody can have.
        return try? PublicKey(decoding: hash.digest.rawSpan)
    }
}

extension PeerID: CustomStringConvertible {
    /// The usual text form, bare base58btc.
    public var description: String { Multibase.base58btc.encodeBody(bytes) }
}
