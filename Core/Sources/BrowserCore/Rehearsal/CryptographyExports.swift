// What browser/cryptography.test.mjs asks: the cryptography of the page's module. No page loads it.

#if BrowserCrypto
    import CMonocypher
    import Cryptography
    import Wire

    /// Something of the module's cryptography, by its number, for parts that are byte strings.
    @c(weft_cryptography)
    public func cryptography(
        _ what: UInt32, _ argument: UnsafeRawPointer?, _ count: UInt32
    ) -> UnsafeMutableRawPointer? {
        unsafe reply(to: argument, count) { argument throws(DecodeError) in
            let parts = try parts(of: argument)
            do throws(CipherError) {
                return try answer(what, parts)
            } catch {
                throw DecodeError(.mismatch, "refused")
            }
        }
    }

    private func answer(_ what: UInt32, _ parts: [[UInt8]]) throws(CipherError) -> [UInt8] {
        switch what {
        case 0: return try X25519.secret(privateKey: parts[0], publicKey: parts[1])
        case 1: return try X25519.publicKey(of: parts[0])
        // Key, nonce, the number of the first block, text.
        case 2:
            var out = parts[3]
            _ = unsafe crypto_chacha20_ietf(
                &out, parts[3], out.count, parts[0], parts[1], UInt32(parts[2][0]))
            return out
        // Key, message.
        case 3:
            var (context, tag) = (crypto_poly1305_ctx(), [UInt8](repeating: 0, count: 16))
            unsafe crypto_poly1305_init(&context, parts[0])
            unsafe crypto_poly1305_update(&context, parts[1], parts[1].count)
            unsafe crypto_poly1305_final(&context, &tag)
            return tag
        // Key, data, messages: sealed, or opened, one after the other.
        case 4, 5:
            let channel = try ChaChaPoly(key: parts[0])
            let data = parts[1]
            var out: [[UInt8]] = []
            for part in parts[2...] {
                if what == 4 {
                    out.append(try channel.seal(part.rawSpan, authenticating: data.rawSpan))
                } else {
                    out.append(try channel.open(part.rawSpan, authenticating: data.rawSpan))
                }
            }
            return joined(out)
        // Public key, message, signature.
        case 6:
            let isValid = SignatureScheme.ed25519.isValid(
                parts[2], of: parts[1], publicKey: parts[0])
            return [isValid ? 1 : 0]
        // Private key with the public one after it, message.
        case 7:
            guard let signature = try? SigningKey(.ed25519, parts[0]).sign(parts[1]) else {
                throw .invalidKey
            }
            return signature
        default:
            guard let key = try? SignatureScheme.ed25519.publicKey(of: parts[0]) else {
                throw .invalidKey
            }
            return key
        }
    }
#endif
