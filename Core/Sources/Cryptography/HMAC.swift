// Keyed hashes (HMAC, RFC 2104) and keys made from them (HKDF, RFC 5869) over SHA2-256, and over
// SHA-1 where a protocol has no other. Handshakes alone use them, so one plain implementation
// serves every build.

import Wire

/// A hash that codes can be made with.
protocol KeyedHash {
    init()
    mutating func update(_ bytes: RawSpan)
    consuming func finalize() -> [UInt8]
}

extension SHA256: KeyedHash {}
extension SHA1: KeyedHash {}

/// HMAC over a hash whose blocks have 64 bytes.
private enum HMAC<Hash: KeyedHash> {
    /// The code of a message that comes in two parts.
    static func code(of first: RawSpan, and second: RawSpan, key: RawSpan) -> [UInt8] {
        var padded = [UInt8](repeating: 0, count: 64)
        if key.byteCount > padded.count {
            let short = digest(of: key, and: RawSpan(), after: [])
            padded.replaceSubrange(0..<short.count, with: short)
        } else {
            padded.copy(key, at: 0)
        }
        let inner = digest(of: first, and: second, after: padded.map { $0 ^ 0x36 })
        return digest(of: inner.rawSpan, and: RawSpan(), after: padded.map { $0 ^ 0x5c })
    }

    private static func digest(
        of first: RawSpan, and second: RawSpan, after start: [UInt8]
    ) -> [UInt8] {
        var hash = Hash()
        hash.update(start.rawSpan)
        hash.update(first)
        hash.update(second)
        return hash.finalize()
    }
}

/// HMAC over SHA-1, as STUN uses it.
public enum HMACSHA1 {
    /// The code of a message that comes in two parts, 20 bytes.
    public static func code(
        of first: RawSpan, and second: RawSpan, key: RawSpan
    ) -> [UInt8] {
        HMAC<SHA1>.code(of: first, and: second, key: key)
    }
}

/// HMAC over SHA2-256.
public enum HMACSHA256 {
    /// The code of a message that comes in two parts, 32 bytes.
    public static func code(
        of first: RawSpan, and second: RawSpan, key: RawSpan
    ) -> [UInt8] {
        HMAC<SHA256>.code(of: first, and: second, key: key)
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
