// The scalars of JSON: literals, numbers and strings (RFC 8259, sections 3, 6 and 7).

import Wire

/// Reads one scalar at a time.
struct JSONScanner: ~Escapable, ~Copyable {
    var reader: ByteReader

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) {
        reader = ByteReader(bytes)
    }

    @_lifetime(self: copy self)
    mutating func skipWhitespace() {
        while let next = reader.peek,
            next == 0x20 || next == 0x0a || next == 0x0d || next == 0x09,
            advance()
        {}
    }

    @_lifetime(self: copy self)
    mutating func expect(_ byte: UInt8) throws(DecodeError) {
        guard reader.peek == byte else {
            throw reader.error(.malformed, "json: a quote or colon is missing")
        }
        try reader.skip(1)
    }

    @_lifetime(self: copy self)
    mutating func readScalar() throws(DecodeError) -> Value {
        switch reader.peek {
        case UInt8(ascii: "\""): return .string(try readString())
        case UInt8(ascii: "t"): return try readLiteral("true", .bool(true))
        case UInt8(ascii: "f"): return try readLiteral("false", .bool(false))
        case UInt8(ascii: "n"): return try readLiteral("null", .null)
        default: return try readNumber()
        }
    }

    @_lifetime(self: copy self)
    private mutating func readLiteral(
        _ text: StaticString, _ value: Value
    ) throws(DecodeError) -> Value {
        let start = reader.offset
        let expected = "\(text)"
        for byte in expected.utf8 {
            guard try reader.readByte() == byte else {
                throw DecodeError(.malformed, "json: not a value", at: start)
            }
        }
        return value
    }
}

extension JSONScanner {
    @_lifetime(self: copy self)
    private mutating func readNumber() throws(DecodeError) -> Value {
        let start = reader.offset
        let isNegative = take(UInt8(ascii: "-"))
        var decimal = DecimalNumber()
        var whole: Int128 = 0
        let leadingZero = reader.peek == UInt8(ascii: "0")
        var count = 0
        while let digit = takeDigit() {
            decimal.append(digit: digit, isFraction: false)
            if whole <= Value.integerRange.upperBound { whole = whole * 10 + Int128(digit) }
            count += 1
        }
        guard count > 0, !leadingZero || count == 1 else {
            throw DecodeError(.malformed, "json: not a value", at: start)
        }
        var isFloat = false
        if take(UInt8(ascii: ".")) {
            isFloat = true
            let point = reader.offset
            while let digit = takeDigit() { decimal.append(digit: digit, isFraction: true) }
            guard reader.offset > point else {
                throw reader.error(.malformed, "json: no digit after the point")
            }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isFloat = true
            decimal.scale(by: try readExponent())
        }
        guard isFloat else {
            let number = isNegative ? -whole : whole
            guard Value.integerRange.contains(number) else {
                throw DecodeError(.unsupported, "json: an integer is out of range", at: start)
            }
            return .integer(number)
        }
        guard let number = decimal.value else {
            throw DecodeError(.unsupported, "json: a float is out of range", at: start)
        }
        return .float(isNegative ? -number : number)
    }

    /// Reads what stands after the `e`. Beyond a billion it makes no difference any more.
    @_lifetime(self: copy self)
    private mutating func readExponent() throws(DecodeError) -> Int {
        let isNegative = take(UInt8(ascii: "-"))
        if !isNegative { _ = take(UInt8(ascii: "+")) }
        let start = reader.offset
        var exponent = 0
        while let digit = takeDigit() {
            exponent = min(exponent * 10 + Int(digit), 100_000_000)
        }
        guard reader.offset > start else {
            throw reader.error(.malformed, "json: no digit in the exponent")
        }
        return isNegative ? -exponent : exponent
    }

    /// Passes over one byte that has been peeked at.
    @_lifetime(self: copy self)
    private mutating func advance() -> Bool {
        (try? reader.skip(1)) != nil
    }

    @_lifetime(self: copy self)
    private mutating func take(_ byte: UInt8) -> Bool {
        reader.peek == byte && advance()
    }

    @_lifetime(self: copy self)
    private mutating func takeDigit() -> UInt8? {
        guard let byte = reader.peek, byte &- UInt8(ascii: "0") < 10, advance() else { return nil }
        return byte - UInt8(ascii: "0")
    }
}

extension JSONScanner {
    /// Reads a string with its quotes.
    @_lifetime(self: copy self)
    mutating func readString() throws(DecodeError) -> String {
        try expect(UInt8(ascii: "\""))
        let start = reader.offset
        var runStart = start
        var unescaped: [UInt8] = []
        while true {
            switch try reader.readByte() {
            case UInt8(ascii: "\""):
                let run = reader.bytes.extracting(runStart..<(reader.offset - 1))
                let text: String?
                if unescaped.isEmpty {
                    text = String(utf8: run)
                } else {
                    unescaped.append(contentsOf: [UInt8](run))
                    text = String(validating: unescaped, as: UTF8.self)
                }
                guard let text else {
                    throw DecodeError(.malformed, "json: a string is not UTF-8", at: start)
                }
                return text
            case UInt8(ascii: "\\"):
                let run = reader.bytes.extracting(runStart..<(reader.offset - 1))
                unescaped.append(contentsOf: [UInt8](run))
                try readEscape(into: &unescaped)
                runStart = reader.offset
            case 0..<0x20:
                throw reader.error(.malformed, "json: a control character stands unescaped")
            default: break
            }
        }
    }

    /// Reads what follows a backslash.
    @_lifetime(self: copy self)
    private mutating func readEscape(into text: inout [UInt8]) throws(DecodeError) {
        switch try reader.readByte() {
        case UInt8(ascii: "\""): text.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): text.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): text.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            guard let scalar = Unicode.Scalar(try readCodePoint()) else {
                throw reader.error(.malformed, "json: half of a surrogate pair")
            }
            text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default: throw reader.error(.malformed, "json: no such escape")
        }
    }

    /// Reads four hexadecimal digits, and the second half if they are the first of a pair.
    @_lifetime(self: copy self)
    private mutating func readCodePoint() throws(DecodeError) -> UInt32 {
        let high = try readHex()
        guard 0xd800..<0xdc00 ~= high else { return high }
        guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { return high }
        let low = try readHex()
        guard 0xdc00..<0xe000 ~= low else { return high }
        return 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
    }

    @_lifetime(self: copy self)
    private mutating func readHex() throws(DecodeError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            let byte = try reader.readByte()
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw reader.error(.malformed, "json: not a hexadecimal digit")
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }
}
