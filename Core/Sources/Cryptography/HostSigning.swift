// Signatures by swift-crypto and libsecp256k1, which keep secrets out of timings.

#if HostCrypto
    import Crypto
    import CryptoExtras

    extension SignatureScheme {
        /// Whether `signature` is one of `message` by the holder of `publicKey`. Keys and
        /// signatures that are malformed are not valid.
        public func isValid(
            _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
        ) -> Bool {
            switch self {
            case .rsa: Self.rsaIsValid(signature, of: message, publicKey: publicKey)
            case .ed25519: Self.ed25519IsValid(signature, of: message, publicKey: publicKey)
            case .secp256k1: Secp256k1.isValid(signature, of: message, publicKey: publicKey)
            case .ecdsa: Self.ecdsaIsValid(signature, of: message, publicKey: publicKey)
            }
        }

        /// A signature of `message`.
        func sign(
            _ message: [UInt8], privateKey: [UInt8]
        ) throws(SigningError) -> [UInt8] {
            do {
                switch self {
                case .rsa:
                    let key = try _RSA.Signing.PrivateKey(derRepresentation: privateKey)
                    let digest = Crypto.SHA256.hash(data: message)
                    return Array(
                        try key.signature(for: digest, padding: .insecurePKCS1v1_5)
                            .rawRepresentation)
                case .ed25519:
                    guard let key = prepare(privateKey) else { throw SigningError.invalidKey }
                    return try key.sign(message)
                case .secp256k1:
                    return try Secp256k1.sign(message, privateKey: privateKey)
                case .ecdsa:
                    return try NISTPrivateKey(privateKey).sign(message)
                }
            } catch {
                throw .invalidKey
            }
        }

        /// An Ed25519 key whose public half is worked out, which takes as long as to sign.
        struct PreparedKey: Sendable {
            fileprivate let key: Curve25519.Signing.PrivateKey

            func sign(_ message: [UInt8]) throws(SigningError) -> [UInt8] {
                guard let signature = try? key.signature(for: message) else { throw .invalidKey }
                return Array(signature)
            }
        }

        /// Keys of other schemes need no preparing, or are too seldom used for it.
        func prepare(_ privateKey: [UInt8]) -> PreparedKey? {
            guard self == .ed25519 else { return nil }
            let seed = privateKey.prefix(32)
            return (try? Curve25519.Signing.PrivateKey(rawRepresentation: seed)).map(
                PreparedKey.init(key:))
        }

        /// The public key of a private key, in the form that the scheme describes.
        public func publicKey(of privateKey: [UInt8]) throws(SigningError) -> [UInt8] {
            do {
                switch self {
                case .rsa:
                    let key = try _RSA.Signing.PrivateKey(derRepresentation: privateKey)
                    return Array(key.publicKey.derRepresentation)
                case .ed25519:
                    let key = try Curve25519.Signing.PrivateKey(
                        rawRepresentation: privateKey.prefix(32))
                    return Array(key.publicKey.rawRepresentation)
                case .secp256k1:
                    return try Secp256k1.publicKey(of: privateKey)
                case .ecdsa:
                    return try NISTPrivateKey(privateKey).publicKey
                }
            } catch {
                throw .invalidKey
            }
        }

        /// A new Ed25519 private key from the system's source of randomness.
        public static func makeEd25519PrivateKey() -> [UInt8] {
            let key = Curve25519.Signing.PrivateKey()
            return Array(key.rawRepresentation) + Array(key.publicKey.rawRepresentation)
        }

        private static func rsaIsValid(
            _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
        ) -> Bool {
            // A key that does not parse has no valid signatures.
            guard let key = try? _RSA.Signing.PublicKey(derRepresentation: publicKey) else {
                return false
            }
            return key.isValidSignature(
                _RSA.Signing.RSASignature(rawRepresentation: signature),
                for: Crypto.SHA256.hash(data: message), padding: .insecurePKCS1v1_5)
        }

        private static func ed25519IsValid(
            _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
        ) -> Bool {
            // A key that does not parse has no valid signatures.
            guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else {
                return false
            }
            return key.isValidSignature(signature, for: message)
        }

        private static func ecdsaIsValid(
            _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
        ) -> Bool {
            let digest = Crypto.SHA256.hash(data: message)
            // The curve is named inside the key; of the three readers one or none accepts it.
            if let key = try? P256.Signing.PublicKey(derRepresentation: publicKey) {
                guard let form = try? P256.Signing.ECDSASignature(derRepresentation: signature)
                else { return false }
                return key.isValidSignature(form, for: digest)
            }
            if let key = try? P384.Signing.PublicKey(derRepresentation: publicKey) {
                guard let form = try? P384.Signing.ECDSASignature(derRepresentation: signature)
                else { return false }
                return key.isValidSignature(form, for: digest)
            }
            if let key = try? P521.Signing.PublicKey(derRepresentation: publicKey) {
                guard let form = try? P521.Signing.ECDSASignature(derRepresentation: signature)
                else { return false }
                return key.isValidSignature(form, for: digest)
            }
            return false
        }
    }

    /// A private key on one of the NIST curves.
    private enum NISTPrivateKey {
        case p256(P256.Signing.PrivateKey)
        case p384(P384.Signing.PrivateKey)
        case p521(P521.Signing.PrivateKey)

        /// Reads SEC 1 DER or PKCS #8, which name the curve.
        init(_ der: [UInt8]) throws {
            // The curve is named inside the key; of the three readers one or none accepts it.
            if let key = try? P256.Signing.PrivateKey(derRepresentation: der) {
                self = .p256(key)
            } else if let key = try? P384.Signing.PrivateKey(derRepresentation: der) {
                self = .p384(key)
            } else {
                self = .p521(try P521.Signing.PrivateKey(derRepresentation: der))
            }
        }

        var publicKey: [UInt8] {
            switch self {
            case .p256(let key): Array(key.publicKey.derRepresentation)
            case .p384(let key): Array(key.publicKey.derRepresentation)
            case .p521(let key): Array(key.publicKey.derRepresentation)
            }
        }

        func sign(_ message: [UInt8]) throws -> [UInt8] {
            let digest = Crypto.SHA256.hash(data: message)
            switch self {
            case .p256(let key): return Array(try key.signature(for: digest).derRepresentation)
            case .p384(let key): return Array(try key.signature(for: digest).derRepresentation)
            case .p521(let key): return Array(try key.signature(for: digest).derRepresentation)
            }
        }
    }
#endif
