// Ed25519 (RFC 8032) for the browser's module: the curve from Monocypher, SHA2-512 from here.

#if BrowserCrypto
    import CMonocypher
    import Wire

    extension SignatureScheme {
        /// Whether `signature` is one of `message` by the holder of `publicKey`. Of schemes other
        /// than Ed25519 nothing is valid here.
        public func isValid(
            _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
        ) -> Bool {
            guard self == .ed25519, signature.count == 64, publicKey.count == 32 else {
                return false
            }
            let challenge = reduce(Array(signature[..<32]) + publicKey + message)
            return unsafe crypto_eddsa_check_equation(signature, publicKey, challenge) == 0
        }

        /// A signature of `message` by the holder of an Ed25519 key.
        func sign(
            _ message: [UInt8], privateKey: [UInt8]
        ) throws(SigningError) -> [UInt8] {
            guard self == .ed25519 else { throw .unsupported }
            guard privateKey.count == 64 else { throw .invalidKey }
            let (scalar, prefix) = expand(privateKey)
            let nonce = reduce(prefix + message)
            let point = multiply(nonce)
            let challenge = reduce(point + privateKey[32...] + message)
            var proof = [UInt8](repeating: 0, count: 32)
            unsafe crypto_eddsa_mul_add(&proof, challenge, scalar, nonce)
            return point + proof
        }

        /// The public key of a private key, which begins with its seed.
        public func publicKey(of privateKey: [UInt8]) throws(SigningError) -> [UInt8] {
            guard self == .ed25519 else { throw .unsupported }
            guard privateKey.count >= 32 else { throw .invalidKey }
            return multiply(expand(privateKey).scalar)
        }

        private func expand(_ privateKey: [UInt8]) -> (scalar: [UInt8], prefix: [UInt8]) {
            let seed = Array(privateKey[..<32])
            let hash = SHA512.hash(seed.rawSpan)
            var scalar = [UInt8](repeating: 0, count: 32)
            unsafe crypto_eddsa_trim_scalar(&scalar, hash)
            return (scalar, Array(hash[32...]))
        }

        private func reduce(_ message: [UInt8]) -> [UInt8] {
            var scalar = [UInt8](repeating: 0, count: 32)
            unsafe crypto_eddsa_reduce(&scalar, SHA512.hash(message.rawSpan))
            return scalar
        }

        private func multiply(_ scalar: [UInt8]) -> [UInt8] {
            var point = [UInt8](repeating: 0, count: 32)
            unsafe crypto_eddsa_scalarbase(&point, scalar)
            return point
        }
    }
#endif
