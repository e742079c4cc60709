// The values of multiaddr protocols: their text forms, and which binary values are legal.

import Wire

enum AddressValue {
    /// Reads the text of a value. What it makes is checked again when a component is made of it.
    static func parse(
        _ text: ArraySlice<UInt8>, _ form: MultiaddrProtocol.Form
    ) throws(DecodeError) -> [UInt8] {
        switch form {
        case .none: return []
        case .ip4: return try IPText.parse4(text)
        case .ip6: return try IPText.parse6(text)
        case .prefixLength: return [UInt8(try number(text, limit: 255))]
        case .port: return bigEndian(UInt16(try number(text, limit: 65_535)))
        case .number: return bigEndian(try number(text, limit: .max))
        case .name, .path: return Array(text)
        case .urlPath: return try percentDecoded(text)
        case .peer: return try PeerID(text: String(decoding: text, as: UTF8.self)).bytes
        case .multihash:
            return try Multibase.decode(String(decoding: text, as: UTF8.self)).bytes
        case .onion: return try onion(text)
        }
    }

    /// The text of a value that has been checked.
    static func text(of value: [UInt8], _ form: MultiaddrProtocol.Form) -> String {
        switch form {
        case .none: ""
        case .ip4: IPText.format4(value[...])
        case .ip6: IPText.format6(value)
        case .prefixLength, .port, .number:
            String(value.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        case .name, .path: String(decoding: value, as: UTF8.self)
        case .urlPath: percentEncoded(value)
        case .peer: Multibase.base58btc.encodeBody(value)
        case .multihash: Multibase.base64URL.encode(value)
        case .onion:
            "\(Multibase.base32.encodeBody(Array(value[..<35]))):"
                + "\(UInt16(value[35]) << 8 | UInt16(value[36]))"
        }
    }

    /// Refuses a binary value that is not one of its protocol, or that has no text.
    static func check(
        _ value: [UInt8], _ form: MultiaddrProtocol.Form
    ) throws(DecodeError) {
        if let length = form.length, value.count != length {
            throw DecodeError(.malformed, "the value has the wrong length for its protocol")
        }
        switch form {
        case .none, .ip4, .ip6, .prefixLength, .port, .number: break
        case .name:
            guard !value.isEmpty, !value.contains(UInt8(ascii: "/")), isUTF8(value) else {
                throw DecodeError(.malformed, "a name is UTF-8 text without slashes")
            }
        case .path:
            guard value.count > 1, value[0] == UInt8(ascii: "/"),
                value[value.count - 1] != UInt8(ascii: "/"), isUTF8(value)
            else { throw DecodeError(.malformed, "a file path is UTF-8 text between slashes") }
        case .urlPath:
            guard !value.isEmpty else { throw DecodeError(.malformed, "a URL's path is empty") }
        case .peer: _ = try PeerID(decoding: value.rawSpan)
        case .multihash: _ = try Multihash(decoding: value.rawSpan)
        case .onion:
            guard value[35] != 0 || value[36] != 0 else {
                throw DecodeError(.malformed, "an onion service's port cannot be zero")
            }
        }
    }

    /// A decimal number without sign or leading zeros.
    static func number(
        _ text: ArraySlice<UInt8>, limit: UInt64
    ) throws(DecodeError) -> UInt64 {
        guard let first = text.first, text.count == 1 || first != UInt8(ascii: "0") else {
            throw DecodeError(.malformed, "not a decimal number", at: text.startIndex)
        }
        var value: UInt64 = 0
        for digit in text {
            guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= digit else {
                throw DecodeError(.malformed, "not a decimal number", at: text.startIndex)
            }
            let (tens, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (next, carried) = tens.addingReportingOverflow(UInt64(digit & 15))
            guard !overflowed, !carried, next <= limit else {
                throw DecodeError(.overLimit, "the number is too large", at: text.startIndex)
            }
            value = next
        }
        return value
    }

    private static func bigEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        var out: [UInt8] = []
        out.appendBigEndian(value)
        return out
    }

    private static func isUTF8(_ bytes: [UInt8]) -> Bool {
        String(decoding: bytes, as: UTF8.self).utf8.elementsEqual(bytes)
    }

    private static func onion(_ text: ArraySlice<UInt8>) throws(DecodeError) -> [UInt8] {
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), colon - text.startIndex == 56
        else {
            throw DecodeError(
                .malformed, "an onion address is 56 characters, a colon and a port",
                at: text.startIndex)
        }
        let key = Array(text[..<colon])
        let port = try number(text[(colon + 1)...], limit: 65_535)
        return try Multibase.base32.decodeBody(key.rawSpan) + bigEndian(UInt16(port))
    }

    private static func percentDecoded(_ text: ArraySlice<UInt8>) throws(DecodeError) -> [UInt8] {
        guard let bytes = PercentDecoding.bytes(of: text) else {
            throw DecodeError(.malformed, "a percent sign needs two hexadecimal digits")
        }
        return bytes
    }

    /// Everything but the characters that RFC 3986 leaves unreserved is encoded.
    private static func percentEncoded(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                out.append(byte)
            default:
                out.append(UInt8(ascii: "%"))
                Multibase.base16Upper.appendBody(of: [byte], to: &out)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
