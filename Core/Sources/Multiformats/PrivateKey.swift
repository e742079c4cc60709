// Private keys as libp2p stores them (github.com/libp2p/specs, peer-ids).

public import Cryptography
public import Wire

/// A private key of one of the libp2p kinds. Its text form does not show the secret.
public struct PrivateKey: Sendable {
    /// The longest key data that is accepted, in bytes: enough for RSA with 8,192 bits.
    public static let maxLength = 5_000

    /// The key that belongs to it.
    public let publicKey: PublicKey
    /// The secret as its kind writes it: seed and public key for Ed25519, a number for secp256k1,
    /// PKCS #1 DER for RSA, SEC 1 DER for ECDSA.
    private let secret: [UInt8]
    /// The same, made ready to sign.
    private let signer: SigningKey

    /// Which kind of key it is.
    public var type: KeyType { publicKey.type }

    /// Decodes the protobuf, and works out the public key. A stored Ed25519 key whose public half
    /// does not belong to its seed is refused.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        let (type, data) = try decodeKey(bytes, limit: Self.maxLength)
        var secret = data
        if type == .ed25519 {
            // Old versions wrote the public key twice.
            if data.count == 96, data[32..<64] == data[64...] { secret = Array(data[..<64]) }
            guard secret.count == 64 else {
                throw DecodeError(.malformed, "an Ed25519 private key has 64 bytes")
            }
        }
        let derived: [UInt8]
        do {
            derived = try type.scheme.publicKey(of: secret)
        } catch {
            switch error {
            case .invalidKey:
                throw DecodeError(.malformed, "the bytes are no private key of their type")
            case .unsupported:
                throw DecodeError(.unsupported, "this build has no private keys of this type")
            }
        }
        if type == .ed25519, !secret[32...].elementsEqual(derived) {
            throw DecodeError(.mismatch, "the public half of the key is not its own")
        }
        self.publicKey = try PublicKey(type, derived)
        self.secret = secret
        self.signer = SigningKey(type.scheme, secret)
    }

    /// The Ed25519 key that follows from a seed of 32 random bytes.
    public init(ed25519Seed seed: [UInt8]) throws(SigningError) {
        guard seed.count == 32 else { throw .invalidKey }
        let data = try SignatureScheme.ed25519.publicKey(of: seed)
        self.publicKey = PublicKey(ed25519: data)
        self.secret = seed + data
        self.signer = SigningKey(.ed25519, secret)
    }

    /// The protobuf. It holds the secret.
    public var encoded: [UInt8] { encodeKey(type, secret) }

    /// Signs `message` in the way of the key's kind. Fails only where no cryptographic library is
    /// compiled in.
    public func sign(_ message: [UInt8]) throws(SigningError) -> [UInt8] {
        try signer.sign(message)
    }
}

extension PrivateKey: CustomStringConvertible {
    public var description: String { "private \(type.name) key" }
}

#if HostCrypto
    extension PrivateKey {
        /// A new Ed25519 key from the system's source of randomness.
        public static func generateEd25519() -> PrivateKey {
            let secret = SignatureScheme.makeEd25519PrivateKey()
            return PrivateKey(ed25519: secret)
        }

        private init(ed25519 secret: [UInt8]) {
            self.publicKey = PublicKey(ed25519: Array(secret[32...]))
            self.secret = secret
            self.signer = SigningKey(.ed25519, secret)
        }
    }
#endif

extension PublicKey {
    /// An Ed25519 key of 32 bytes that is known to be one.
    init(ed25519 data: [UInt8]) {
        precondition(data.count == 32)
        self.type = .ed25519
        self.data = data
    }
}
