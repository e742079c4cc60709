// Domain names as DNS messages carry them (RFC 1035, section 3.1 and 4.1.4).

/// Writes and reads domain names. Compressed names may only point backwards, so that they end.
public enum DNSName {
    /// The longest name, in bytes on the wire.
    public static let maxBytes = 255
    /// The longest part of a name.
    public static let maxLabelBytes = 63

    /// The wire form of a name; nil if it has none.
    public static func encode(_ name: String) -> [UInt8]? {
        var out: [UInt8] = []
        var text = Array(name.utf8)
        if text.last == UInt8(ascii: ".") { text.removeLast() }
        for label in text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard 1...maxLabelBytes ~= label.count, label.allSatisfy({ 0x21...0x7e ~= $0 })
            else { return nil }
            out.append(UInt8(label.count))
            out += label
        }
        out.append(0)
        return out.count <= maxBytes ? out : nil
    }

    /// Reads a name in its uncompressed wire form, in lower case.
    public static func read(_ reader: inout ByteReader) throws(DecodeError) -> [UInt8] {
        var out: [UInt8] = []
        let bytes = reader.bytes
        var position = reader.offset
        // Where the name ends in the message, once a pointer has been followed.
        var end: Int?
        // A pointer must lead to before where the part that holds it began.
        var limit = position
        while true {
            guard position < bytes.byteCount else {
                throw reader.error(.truncated, "dns: a name ends too late")
            }
            let length = byte(bytes, position)
            switch length {
            case 0:
                out.append(0)
                guard out.count <= maxBytes else {
                    throw reader.error(.overLimit, "dns: a name is too long")
                }
                try reader.skip((end ?? position + 1) - reader.offset)
                return out
            case 1...63:
                let next = position + 1 + Int(length)
                guard next <= bytes.byteCount else {
                    throw reader.error(.truncated, "dns: a name ends too late")
                }
                out += lowercased([UInt8](bytes.extracting(position..<next)))
                guard out.count <= maxBytes else {
                    throw reader.error(.overLimit, "dns: a name is too long")
                }
                position = next
            case 0xc0...:
                guard position + 1 < bytes.byteCount else {
                    throw reader.error(.truncated, "dns: a name ends too late")
                }
                let target = Int(length & 0x3f) << 8 | Int(byte(bytes, position + 1))
                guard target < limit else {
                    throw reader.error(.malformed, "dns: a name points forwards")
                }
                end = end ?? position + 2
                limit = target
                position = target
            default: throw reader.error(.malformed, "dns: an unknown kind of label")
            }
        }
    }

    /// A name in lower case; lengths are below the letters.
    public static func lowercased(_ name: [UInt8]) -> [UInt8] {
        name.map { 0x41...0x5a ~= $0 ? $0 | 0x20 : $0 }
    }

    private static func byte(_ bytes: RawSpan, _ index: Int) -> UInt8 {
        var reader = ByteReader(bytes.extracting(index..<(index + 1)))
        // The caller has checked that the byte is there.
        return (try? reader.readByte()) ?? 0
    }
}
