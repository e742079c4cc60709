// Key agreement on Curve25519 (RFC 7748).

/// Diffie and Hellman's key agreement on Curve25519. Keys are raw, 32 bytes.
public enum X25519 {
    /// How many bytes keys and secrets have.
    public static let keyLength = 32
}

#if HostCrypto
    import Crypto

    extension X25519 {
        /// A new private key from the system's source of randomness.
        public static func makePrivateKey() -> [UInt8] {
            Array(Curve25519.KeyAgreement.PrivateKey().rawRepresentation)
        }

        /// The public key of a private key.
        public static func publicKey(of privateKey: [UInt8]) throws(CipherError) -> [UInt8] {
            do {
                let key = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: privateKey)
                return Array(key.publicKey.rawRepresentation)
            } catch {
                throw .invalidKey
            }
        }

        /// The secret that both holders get. Public keys that force a secret are refused.
        public static func secret(
            privateKey: [UInt8], publicKey: [UInt8]
        ) throws(CipherError) -> [UInt8] {
            let bytes: [UInt8]
            do {
                let own = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: privateKey)
                let other = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: publicKey)
                let secret = try own.sharedSecretFromKeyAgreement(with: other)
                bytes = unsafe secret.withUnsafeBytes { unsafe Array($0) }
            } catch {
                throw .invalidKey
            }
            // Points of small order give zero, whatever the private key is.
            guard bytes.contains(where: { $0 != 0 }) else { throw .invalidKey }
            return bytes
        }
    }
#elseif BrowserCrypto
    import CMonocypher

    extension X25519 {
        /// The public key of a private key.
        public static func publicKey(of privateKey: [UInt8]) throws(CipherError) -> [UInt8] {
            guard privateKey.count == keyLength else { throw .invalidKey }
            var key = [UInt8](repeating: 0, count: keyLength)
            unsafe crypto_x25519_public_key(&key, privateKey)
            return key
        }

        /// The secret that both holders get. Public keys that force a secret are refused.
        public static func secret(
            privateKey: [UInt8], publicKey: [UInt8]
        ) throws(CipherError) -> [UInt8] {
            guard privateKey.count == keyLength, publicKey.count == keyLength else {
                throw .invalidKey
            }
            var secret = [UInt8](repeating: 0, count: keyLength)
            unsafe crypto_x25519(&secret, privateKey, publicKey)
            // Points of small order give zero, whatever the private key is.
            guard secret.contains(where: { $0 != 0 }) else { throw .invalidKey }
            return secret
        }
    }
#else
    extension X25519 {
        /// The public key of a private key.
        public static func publicKey(of privateKey: [UInt8]) throws(CipherError) -> [UInt8] {
            throw .unsupported
        }

        /// The secret that both holders get.
        public static func secret(
            privateKey: [UInt8], publicKey: [UInt8]
        ) throws(CipherError) -> [UInt8] {
            throw .unsupported
        }
    }
#endif
