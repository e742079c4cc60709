// Text forms of binary values that say their own base in the first character
// (github.com/multiformats/multibase). Decoding is strict: characters outside the alphabet, wrong
// padding and stray bits are refused. Bases whose letters have one case are read in either, as
// the specification's vectors require.

public import Wire

/// A base in which bytes are written as text.
public enum Multibase: Hashable, Sendable, CaseIterable {
    case base2
    case base8
    case base10
    case base16
    case base16Upper
    case base32
    case base32Upper
    case base32Pad
    case base32PadUpper
    case base32Hex
    case base32HexUpper
    case base32HexPad
    case base32HexPadUpper
    case base32Z
    case base36
    case base36Upper
    case base58btc
    case base58flickr
    case base64
    case base64Pad
    case base64URL
    case base64URLPad

    /// The longest text that is read in a base that is not a power of two, whose decoding takes
    /// time in proportion to the square of the length.
    public static let maxRadixLength = 1024

    /// The character that names the base, in ASCII.
    public var prefix: UInt8 {
        switch self {
        case .base2: UInt8(ascii: "0")
        case .base8: UInt8(ascii: "7")
        case .base10: UInt8(ascii: "9")
        case .base16: UInt8(ascii: "f")
        case .base16Upper: UInt8(ascii: "F")
        case .base32: UInt8(ascii: "b")
        case .base32Upper: UInt8(ascii: "B")
        case .base32Pad: UInt8(ascii: "c")
        case .base32PadUpper: UInt8(ascii: "C")
        case .base32Hex: UInt8(ascii: "v")
        case .base32HexUpper: UInt8(ascii: "V")
        case .base32HexPad: UInt8(ascii: "t")
        case .base32HexPadUpper: UInt8(ascii: "T")
        case .base32Z: UInt8(ascii: "h")
        case .base36: UInt8(ascii: "k")
        case .base36Upper: UInt8(ascii: "K")
        case .base58btc: UInt8(ascii: "z")
        case .base58flickr: UInt8(ascii: "Z")
        case .base64: UInt8(ascii: "m")
        case .base64Pad: UInt8(ascii: "M")
        case .base64URL: UInt8(ascii: "u")
        case .base64URLPad: UInt8(ascii: "U")
        }
    }

    /// The base that a prefix names; nil for one that is not supported.
    public init?(prefix: UInt8) {
        guard let base = Self.allCases.first(where: { $0.prefix == prefix }) else { return nil }
        self = base
    }

    /// The text of `bytes`, with the prefix.
    public func encode(_ bytes: [UInt8]) -> String {
        var out = [prefix]
        appendBody(of: bytes, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// The text of `bytes`, without a prefix.
    public func encodeBody(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        appendBody(of: bytes, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Appends the text of `bytes`, without a prefix, as ASCII.
    public func appendBody(of bytes: [UInt8], to out: inout [UInt8]) {
        switch form.grouping {
        case .bits(let width): BitGroups(width).encode(bytes, form, to: &out)
        case .number: RadixNumber(form).encode(bytes, to: &out)
        }
    }

    /// Decodes text that starts with a prefix.
    public static func decode(
        _ text: String
    ) throws(DecodeError) -> (base: Multibase, bytes: [UInt8]) {
        let utf8 = Array(text.utf8)
        return try decode(utf8: utf8.rawSpan)
    }

    /// Decodes UTF-8 text that starts with a prefix.
    public static func decode(
        utf8 text: RawSpan
    ) throws(DecodeError) -> (base: Multibase, bytes: [UInt8]) {
        var reader = ByteReader(text)
        guard !reader.isAtEnd else { throw reader.error(.truncated, "the text is empty") }
        guard let base = Multibase(prefix: try reader.readByte()) else {
            throw DecodeError(.unsupported, "the first character names no supported multibase")
        }
        return (base, try base.decodeBody(try reader.readSpan(reader.remaining)))
    }

    /// Decodes ASCII text that has no prefix.
    public func decodeBody(_ text: RawSpan) throws(DecodeError) -> [UInt8] {
        switch form.grouping {
        case .bits(let width): return try BitGroups(width).decode(text, form)
        case .number:
            guard text.byteCount <= Self.maxRadixLength else {
                throw DecodeError(.overLimit, "the text is too long for its base")
            }
            return try RadixNumber(form).decode(text)
        }
    }

    /// Decodes text that has no prefix.
    public func decodeBody(_ text: String) throws(DecodeError) -> [UInt8] {
        let utf8 = Array(text.utf8)
        return try decodeBody(utf8.rawSpan)
    }
}

extension Multibase {
    private static let digits36: StaticString = "0123456789abcdefghijklmnopqrstuvwxyz"
    private static let upperDigits36: StaticString = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    private static let letters32: StaticString = "abcdefghijklmnopqrstuvwxyz234567"
    private static let upperLetters32: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    private static let letters64: StaticString =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    private static let urlLetters64: StaticString =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    /// How it is written. The bases in which content and peers are named are kept.
    var form: TextForm {
        switch self {
        case .base32: Self.base32Form
        case .base58btc: Self.base58Form
        default: makeForm()
        }
    }

    private static let base32Form = base32.makeForm()
    private static let base58Form = base58btc.makeForm()

    private func makeForm() -> TextForm {
        switch self {
        case .base2: TextForm(Self.digits36, 2, .bits(1), .caseless)
        case .base8: TextForm(Self.digits36, 8, .bits(3), .caseless)
        case .base10: TextForm(Self.digits36, 10, .number, .caseless)
        case .base16: TextForm(Self.digits36, 16, .bits(4), .caseless)
        case .base16Upper: TextForm(Self.upperDigits36, 16, .bits(4), .caseless)
        case .base32: TextForm(Self.letters32, 32, .bits(5), .caseless)
        case .base32Upper: TextForm(Self.upperLetters32, 32, .bits(5), .caseless)
        case .base32Pad: TextForm(Self.letters32, 32, .bits(5), .caseless, pad: 8)
        case .base32PadUpper: TextForm(Self.upperLetters32, 32, .bits(5), .caseless, pad: 8)
        case .base32Hex: TextForm(Self.digits36, 32, .bits(5), .caseless)
        case .base32HexUpper: TextForm(Self.upperDigits36, 32, .bits(5), .caseless)
        case .base32HexPad: TextForm(Self.digits36, 32, .bits(5), .caseless, pad: 8)
        case .base32HexPadUpper: TextForm(Self.upperDigits36, 32, .bits(5), .caseless, pad: 8)
        case .base32Z: TextForm("ybndrfg8ejkmcpqxot1uwisza345h769", 32, .bits(5), .caseless)
        case .base36: TextForm(Self.digits36, 36, .number, .caseless)
        case .base36Upper: TextForm(Self.upperDigits36, 36, .number, .caseless)
        case .base58btc:
            TextForm(
                "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 58, .number,
                .caseful)
        case .base58flickr:
            TextForm(
                "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ", 58, .number,
                .caseful)
        case .base64: TextForm(Self.letters64, 64, .bits(6), .caseful)
        case .base64Pad: TextForm(Self.letters64, 64, .bits(6), .caseful, pad: 4)
        case .base64URL: TextForm(Self.urlLetters64, 64, .bits(6), .caseful)
        case .base64URLPad: TextForm(Self.urlLetters64, 64, .bits(6), .caseful, pad: 4)
        }
    }
}
