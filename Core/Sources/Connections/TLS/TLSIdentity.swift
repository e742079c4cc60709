// Who a TLS certificate speaks for (github.com/libp2p/specs, tls): an X.509 extension holds the
// peer's identity key and its signature of the certificate's key. Certificates themselves are read
// and made by whoever runs TLS.

public import Cryptography
public import Multiformats
public import Wire

/// The content of the certificate extension 1.3.6.1.4.1.53594.1.1: a sequence of two octet strings
/// in DER.
public struct TLSIdentity: Hashable, Sendable {
    /// The protocol's name in the negotiation of a connection's security, and as the last of the
    /// names in TLS's own negotiation (ALPN) that of libp2p.
    public static let alpn = "libp2p"
    /// The longest content that is read, in bytes: an RSA key and signature.
    public static let maxLength = 4096

    /// The peer's key.
    public let publicKey: PublicKey
    /// Its signature of the certificate's key.
    public let signature: [UInt8]

    private static let signedPrefix = Array("libp2p-tls-handshake:".utf8)

    /// The statement of the holder of `identity` that a certificate with this key, as DER of its
    /// SubjectPublicKeyInfo, is its own.
    public init(
        _ identity: PrivateKey, certificateKey: [UInt8]
    ) throws(SigningError) {
        publicKey = identity.publicKey
        signature = try identity.sign(Self.signedPrefix + certificateKey)
    }

    /// Decodes the extension's content.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxLength else {
            throw DecodeError(.overLimit, "tls: the identity is too long")
        }
        var outer = ByteReader(bytes)
        var reader = ByteReader(try outer.readDER(tag: 0x30))
        let key = try reader.readDER(tag: 0x04)
        signature = [UInt8](try reader.readDER(tag: 0x04))
        guard outer.isAtEnd, reader.isAtEnd else {
            throw reader.error(.malformed, "tls: bytes after the identity")
        }
        publicKey = try PublicKey(decoding: key)
    }

    /// The extension's content.
    public var encoded: [UInt8] {
        var content: [UInt8] = []
        content.appendDER(tag: 0x04, publicKey.encoded)
        content.appendDER(tag: 0x04, signature)
        var out: [UInt8] = []
        out.appendDER(tag: 0x30, content)
        return out
    }

    /// The peer that a certificate with this key, as DER of its SubjectPublicKeyInfo, belongs to;
    /// nil if the peer did not sign it. The certificate's own signature and dates are for the
    /// caller to check.
    public func peer(certificateKey: [UInt8]) -> PeerID? {
        let signed = Self.signedPrefix + certificateKey
        return publicKey.verify(signature: signature, of: signed) ? PeerID(publicKey) : nil
    }
}

extension ByteReader {
    /// Reads a value of DER with this tag, and a length of up to two bytes in shortest form.
    @_lifetime(copy self)
    @_lifetime(self: copy self)
    fileprivate mutating func readDER(tag: UInt8) throws(DecodeError) -> RawSpan {
        guard try readByte() == tag else { throw error(.malformed, "tls: not an identity") }
        var length = Int(try readByte())
        switch length {
        case 0x81:
            length = Int(try readByte())
            guard length >= 0x80 else { throw error(.notCanonical, "tls: a padded length") }
        case 0x82:
            length = Int(try readBigEndian(UInt16.self))
            guard length >= 0x100 else { throw error(.notCanonical, "tls: a padded length") }
        case 0x80...: throw error(.unsupported, "tls: a length of another form")
        default: break
        }
        return try readSpan(length)
    }
}

extension [UInt8] {
    fileprivate mutating func appendDER(tag: UInt8, _ value: [UInt8]) {
        append(tag)
        switch value.count {
        case ..<0x80: append(UInt8(value.count))
        case ..<0x100: append(contentsOf: [0x81, UInt8(value.count)])
        default:
            append(0x82)
            appendBigEndian(UInt16(value.count))
        }
        append(contentsOf: value)
    }
}
