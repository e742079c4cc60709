// The signatures of libp2p keys (github.com/libp2p/specs, peer-ids): which schemes there are, and
// what is possible where no cryptographic library is compiled in.

/// How a key signs.
public enum SignatureScheme: Hashable, Sendable {
    /// RSASSA-PKCS1-v1_5 over SHA2-256; public keys in PKIX DER, private ones in PKCS #1 DER.
    case rsa
    /// Ed25519 (RFC 8032); keys are raw, a private key is its seed and then its public key.
    case ed25519
    /// ECDSA over SHA2-256 on secp256k1, signatures in DER; public keys are compressed points.
    case secp256k1
    /// ECDSA over SHA2-256 on a NIST curve, signatures in DER; public keys in PKIX DER, private
    /// ones in SEC 1 DER.
    case ecdsa
}

extension SignatureScheme {
    /// Whether this build can tell valid signatures of the scheme from others.
    public var canBeChecked: Bool {
        #if HostCrypto
            true
        #elseif BrowserCrypto
            self == .ed25519
        #else
            false
        #endif
    }
}

/// Why a private key could not be used.
public enum SigningError: Error, Hashable, Sendable {
    /// The private key's bytes are no key of its scheme.
    case invalidKey
    /// This build has no implementation of the scheme. The browser's module has Ed25519 alone.
    case unsupported
}

extension SigningError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidKey: "the bytes are no private key of this type"
        case .unsupported: "this build cannot sign with keys of this type"
        }
    }
}

/// A private key that is ready to sign: what follows from it alone is worked out once.
public struct SigningKey: Sendable {
    private let scheme: SignatureScheme
    private let secret: [UInt8]
    #if HostCrypto
        private let prepared: SignatureScheme.PreparedKey?
    #endif

    /// The key with these bytes, in the form that the scheme describes.
    public init(_ scheme: SignatureScheme, _ secret: [UInt8]) {
        self.scheme = scheme
        self.secret = secret
        #if HostCrypto
            prepared = scheme.prepare(secret)
        #endif
    }

    /// A signature of `message`.
    public func sign(_ message: [UInt8]) throws(SigningError) -> [UInt8] {
        #if HostCrypto
            if let prepared { return try prepared.sign(message) }
        #endif
        return try scheme.sign(message, privateKey: secret)
    }
}

#if !HostCrypto && !BrowserCrypto
    extension SignatureScheme {
        /// Whether `signature` is one of `message` by the holder of `publicKey`. Without a
        /// cryptographic library nothing can be checked, so nothing is valid.
        public func isValid(
            _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
        ) -> Bool {
            false
        }

        /// A signature of `message`.
        func sign(
            _ message: [UInt8], privateKey: [UInt8]
        ) throws(SigningError) -> [UInt8] {
            throw .unsupported
        }

        /// The public key of a private key.
        public func publicKey(of privateKey: [UInt8]) throws(SigningError) -> [UInt8] {
            guard self == .ed25519 else { throw .unsupported }
            guard privateKey.count == 64 else { throw .invalidKey }
            return Array(privateKey[32...])
        }
    }
#endif
