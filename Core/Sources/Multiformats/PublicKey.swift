// The keys that peers and names are identified by (github.com/libp2p/specs, peer-ids): a protobuf
// of a type and the bytes that this type prescribes.

import Cryptography
public import Wire

/// The kinds of keys that libp2p knows, by their number in the protobuf.
public enum KeyType: UInt64, Hashable, Sendable, CaseIterable {
    case rsa = 0
    case ed25519 = 1
    case secp256k1 = 2
    case ecdsa = 3

    /// The name that command lines use.
    public var name: String {
        switch self {
        case .rsa: "rsa"
        case .ed25519: "ed25519"
        case .secp256k1: "secp256k1"
        case .ecdsa: "ecdsa"
        }
    }

    var scheme: SignatureScheme {
        switch self {
        case .rsa: .rsa
        case .ed25519: .ed25519
        case .secp256k1: .secp256k1
        case .ecdsa: .ecdsa
        }
    }
}

/// A public key of one of the libp2p kinds.
public struct PublicKey: Hashable, Sendable {
    /// The longest key data that is accepted, in bytes: enough for RSA with 8,192 bits.
    public static let maxLength = 1_200

    /// Which kind of key it is.
    public let type: KeyType
    /// The key as its kind writes it: raw for Ed25519, a compressed point for secp256k1, PKIX DER
    /// for the others.
    public let data: [UInt8]

    /// A key of this kind. Ed25519 and secp256k1 keys must have their fixed length; whether DER is
    /// well formed shows when a signature is checked.
    public init(_ type: KeyType, _ data: [UInt8]) throws(DecodeError) {
        switch type {
        case .ed25519 where data.count != 32:
            throw DecodeError(.malformed, "an Ed25519 public key has 32 bytes")
        case .secp256k1 where data.count != 33 || (data[0] != 2 && data[0] != 3):
            throw DecodeError(.malformed, "a secp256k1 public key is a compressed point")
        default:
            guard data.count <= Self.maxLength else {
                throw DecodeError(.overLimit, "the public key is too long")
            }
        }
        self.type = type
        self.data = data
    }

    /// Decodes the protobuf. Its form is unique, because peers are identified by its hash: type
    /// first, then data, and nothing else.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        let (type, data) = try decodeKey(bytes, limit: Self.maxLength)
        try self.init(type, data)
    }

    /// The protobuf.
    public var encoded: [UInt8] { encodeKey(type, data) }

    /// Whether this build can tell this key's signatures from others.
    public var canVerify: Bool { type.scheme.canBeChecked }

    /// Whether `signature` is one of `message` by the holder of this key. Always false in builds
    /// without a cryptographic library.
    public func verify(signature: [UInt8], of message: [UInt8]) -> Bool {
        type.scheme.isValid(signature, of: message, publicKey: data)
    }
}

/// Reads the protobuf that public and private keys share.
func decodeKey(
    _ bytes: RawSpan, limit: Int
) throws(DecodeError) -> (type: KeyType, data: [UInt8]) {
    var reader = ByteReader(bytes)
    guard try reader.readTag() == ProtobufTag(1, .varint) else {
        throw DecodeError(.notCanonical, "a key starts with its type")
    }
    guard let type = KeyType(rawValue: try reader.readProtobufVarint()) else {
        throw DecodeError(.unsupported, "the key is of an unknown type", at: 1)
    }
    guard try reader.readTag() == ProtobufTag(2, .bytes) else {
        throw reader.error(.notCanonical, "a key's data comes after its type")
    }
    let length = try reader.readLength(limit: limit)
    let data = try reader.readBytes(length)
    guard reader.isAtEnd else {
        throw reader.error(.notCanonical, "there are bytes after the key")
    }
    return (type, data)
}

func encodeKey(_ type: KeyType, _ data: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(data.count + 8)
    out.appendField(1, varint: type.rawValue)
    out.appendField(2, bytes: data)
    return out
}
