// ECDSA on the curve secp256k1 by the system's libsecp256k1. All use of that C library is here.

#if HostCrypto
    import CSecp256k1
    import Wire

    enum Secp256k1 {
        static func isValid(
            _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]
        ) -> Bool {
            guard let context = unsafe makeContext() else { return false }
            defer { unsafe secp256k1_context_destroy(context) }
            var key = secp256k1_pubkey()
            var form = secp256k1_ecdsa_signature()
            guard
                unsafe secp256k1_ec_pubkey_parse(context, &key, publicKey, publicKey.count) == 1,
                unsafe secp256k1_ecdsa_signature_parse_der(
                    context, &form, signature, signature.count) == 1
            else { return false }
            // Signers differ in which of the two equivalent signatures they write.
            var lower = secp256k1_ecdsa_signature()
            unsafe secp256k1_ecdsa_signature_normalize(context, &lower, &form)
            let digest = SHA256.hash(message.rawSpan)
            return unsafe secp256k1_ecdsa_verify(context, &lower, digest, &key) == 1
        }

        static func sign(
            _ message: [UInt8], privateKey: [UInt8]
        ) throws(SigningError) -> [UInt8] {
            guard privateKey.count == 32, let context = unsafe makeContext() else {
                throw .invalidKey
            }
            defer { unsafe secp256k1_context_destroy(context) }
            let digest = SHA256.hash(message.rawSpan)
            var form = secp256k1_ecdsa_signature()
            guard
                unsafe secp256k1_ecdsa_sign(context, &form, digest, privateKey, nil, nil) == 1
            else { throw .invalidKey }
            // The longest DER form of a signature has 72 bytes.
            var der = [UInt8](repeating: 0, count: 72)
            var length = der.count
            guard
                unsafe secp256k1_ecdsa_signature_serialize_der(context, &der, &length, &form) == 1
            else { throw .invalidKey }
            return Array(der[..<length])
        }

        static func publicKey(of privateKey: [UInt8]) throws(SigningError) -> [UInt8] {
            guard privateKey.count == 32, let context = unsafe makeContext() else {
                throw .invalidKey
            }
            defer { unsafe secp256k1_context_destroy(context) }
            var key = secp256k1_pubkey()
            guard unsafe secp256k1_ec_pubkey_create(context, &key, privateKey) == 1 else {
                throw .invalidKey
            }
            var point = [UInt8](repeating: 0, count: 33)
            var length = point.count
            unsafe secp256k1_ec_pubkey_serialize(
                context, &point, &length, &key, UInt32(SECP256K1_EC_COMPRESSED))
            return Array(point[..<length])
        }

        private static func makeContext() -> OpaquePointer? {
            unsafe secp256k1_context_create(UInt32(SECP256K1_CONTEXT_NONE))
        }
    }
#endif
