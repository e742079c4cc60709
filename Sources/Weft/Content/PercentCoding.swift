// Percent encoding of URL paths and header parameters (RFC 3986, section 2; RFC 8187).

import Wire

/// Percent encoding, over UTF-8 bytes.
public enum PercentCoding {
    /// Which bytes are left as they are.
    public enum Context: Sendable {
        /// One segment of a URL path: everything RFC 3986 allows in a segment.
        case pathSegment
        /// One name or value of a query, or a parameter of a header field (RFC 8187).
        case parameter
    }

    /// Decodes `%XX` sequences; nil if one is broken or the result is not UTF-8 or has a NUL.
    public static func decode(_ text: some StringProtocol) -> String? {
        guard let bytes = PercentDecoding.bytes(of: text.utf8) else { return nil }
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// Encodes what may not stand as it is.
    public static func encode(_ text: some StringProtocol, for context: Context) -> String {
        var out = ""
        append(text, for: context, to: &out)
        return out
    }

    /// Appends the encoded form.
    public static func append(
        _ text: some StringProtocol, for context: Context, to out: inout String
    ) {
        for byte in text.utf8 {
            if isPlain(byte, in: context) {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                out.append("%")
                out.append(hexDigit(byte >> 4))
                out.append(hexDigit(byte & 15))
            }
        }
    }

    private static func isPlain(_ byte: UInt8, in context: Context) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"),
            UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"),
            UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="), UInt8(ascii: ":"),
            UInt8(ascii: "@"):
            context == .pathSegment
        default: false
        }
    }

    private static func hexDigit(_ nibble: UInt8) -> Character {
        Character(Unicode.Scalar(nibble < 10 ? 48 + nibble : 55 + nibble))
    }
}
