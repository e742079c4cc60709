// Keyed hashes (HMAC, RFC 2104) and keys made from them (HKDF, RFC 5869) over SHA2-256. Handshakes
// alone use them, so one plain implementation serves every build.

import Wire

/// HMAC over SHA2-256.
public enum HMACSHA256 {
    /// The code of a message that comes in two parts, 32 bytes.
    public static func code(
        of first: RawSpan, and second: RawSpan, key: RawSpan
    ) -> [UInt8] {
        var padded = [UInt8](repeating: 0, count: 64)
        if key.byteCount > padded.count {
            padded.replaceSubrange(0..<32, with: SHA256.hash(key))
        } else {
            padded.copy(key, at: 0)
        }
        let (innerKey, outerKey) = (padded.map { $0 ^ 0x36 }, padded.map { $0 ^ 0x5c })
        var inner = SHA256()
        inner.update(innerKey.rawSpan)
        inner.update(first)
        inner.update(second)
        let digest = inner.finalize()
        var outer = SHA256()
        outer.update(outerKey.rawSpan)
        outer.update(digest.rawSpan)
        return outer.finalize()
    }

    /// The code of a message, 32 bytes.
    public static func code(of message: RawSpan, key: RawSpan) -> [UInt8] {
        code(of: message, and: RawSpan(), key: key)
    }
}

/// HKDF over SHA2-256.
public enum HKDFSHA256 {
    /// The longest output, in bytes.
    public static let maxLength = 255 * 32

    /// A key of `length` bytes from secret `input`, told apart by `salt` and `info`.
    public static func key(
        from input: RawSpan, salt: RawSpan, info: RawSpan, length: Int
    ) -> [UInt8] {
        precondition(length <= maxLength, "HKDF gives at most 255 blocks")
        let secret = HMACSHA256.code(of: input, key: salt)
        var output: [UInt8] = []
        var block: [UInt8] = []
        var index: UInt8 = 0
        while output.count < length {
            index += 1
            block.append(info)
            block.append(index)
            block = HMACSHA256.code(of: block.rawSpan, key: secret.rawSpan)
            output.append(contentsOf: block)
        }
        output.removeLast(output.count - length)
        return output
    }
}
