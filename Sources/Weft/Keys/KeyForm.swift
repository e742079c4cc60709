// The forms in which private keys travel: libp2p's protobuf, and PKCS #8 in PEM for Ed25519
// (RFC 5958, RFC 8410, RFC 7468).

import Cryptography
public import Multiformats
import Wire

/// A form in which a private key travels.
public enum KeyForm: String, Sendable, CaseIterable {
    /// The protobuf of libp2p, in binary.
    case protobuf = "libp2p-protobuf-cleartext"
    /// PKCS #8 in PEM, for Ed25519 alone.
    case pem = "pem-pkcs8-cleartext"

    /// What comes before the 32 bytes of the seed: version 0, the algorithm, an octet string.
    private static let pkcs8Head: [UInt8] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ]
    private static let begin = "-----BEGIN PRIVATE KEY-----"
    private static let end = "-----END PRIVATE KEY-----"

    /// The bytes of a key in this form. They hold the secret.
    public func encode(_ key: PrivateKey) throws(KeyError) -> [UInt8] {
        switch self {
        case .protobuf: return key.encoded
        case .pem:
            guard key.type == .ed25519 else { throw .noSuchForm(key.type.name) }
            // The protobuf ends with the 64 bytes of seed and public key.
            let seed = key.encoded.suffix(64).prefix(32)
            let base64 = Multibase.base64Pad.encodeBody(Self.pkcs8Head + seed)
            return Array("\(Self.begin)\n\(base64)\n\(Self.end)\n".utf8)
        }
    }

    /// Reads a key in either form.
    public static func decode(_ bytes: [UInt8]) throws(KeyError) -> PrivateKey {
        let text = String(decoding: bytes, as: UTF8.self)
        guard bytes.count <= PrivateKey.maxLength, let body = text.between(begin, end) else {
            return try decodeProtobuf(bytes)
        }
        let base64 = String(body.filter { !$0.isWhitespace })
        let decoded: [UInt8]
        do {
            decoded = try Multibase.base64Pad.decodeBody(base64)
        } catch {
            throw .unreadable("the PEM text is not base64")
        }
        guard decoded.count == pkcs8Head.count + 32, decoded.starts(with: pkcs8Head) else {
            throw .unreadable("only Ed25519 keys are read from PEM")
        }
        let seed = Array(decoded.suffix(32))
        do {
            // The protobuf holds the public key too: type Ed25519, 64 bytes.
            let publicKey = try SignatureScheme.ed25519.publicKey(of: seed)
            return try decodeProtobuf([0x08, 0x01, 0x12, 0x40] + seed + publicKey)
        } catch let error as KeyError {
            throw error
        } catch {
            throw .unreadable("\(error)")
        }
    }

    private static func decodeProtobuf(_ bytes: [UInt8]) throws(KeyError) -> PrivateKey {
        do {
            return try PrivateKey(decoding: bytes.span.bytes)
        } catch {
            throw .unreadable(error.description)
        }
    }
}

extension String {
    /// What stands between two texts; nil if it does not hold both in this order.
    fileprivate func between(_ begin: String, _ end: String) -> Substring? {
        var rest = self[...]
        while !rest.hasPrefix(begin) {
            guard rest.popFirst() != nil else { return nil }
        }
        let body = rest.dropFirst(begin.count)
        rest = body
        while !rest.hasPrefix(end) {
            guard rest.popFirst() != nil else { return nil }
        }
        return body[..<rest.startIndex]
    }
}
