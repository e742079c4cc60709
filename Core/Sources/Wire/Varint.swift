// Unsigned LEB128 integers as multiformats use them: at most nine bytes (63 bits), shortest form
// only (github.com/multiformats/unsigned-varint). Protobuf allows ten bytes and 64 bits.

/// Lengths of unsigned variable-length integers.
public enum Varint {
    /// The longest encoding that multiformats allow, in bytes.
    public static let maxLength = 9

    /// How many bytes `value` takes.
    public static func length(of value: UInt64) -> Int {
        max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7)
    }
}

extension ByteReader {
    /// Reads a multiformats varint; refuses padded forms and values over 63 bits.
    @_lifetime(self: copy self)
    public mutating func readVarint() throws(DecodeError) -> UInt64 {
        try readVarint(maxLength: Varint.maxLength)
    }

    /// Reads a varint of up to ten bytes, as protobuf has them, in shortest form.
    @_lifetime(self: copy self)
    public mutating func readProtobufVarint() throws(DecodeError) -> UInt64 {
        try readVarint(maxLength: 10)
    }

    /// Reads a varint that counts bytes to come; refuses one that exceeds `limit`.
    @_lifetime(self: copy self)
    public mutating func readLength(limit: Int) throws(DecodeError) -> Int {
        let start = offset
        let value = try readVarint()
        guard value <= UInt64(limit) else {
            throw DecodeError(.overLimit, "the length is over the limit", at: start)
        }
        return Int(value)
    }

    @_lifetime(self: copy self)
    @inline(never)
    private mutating func readVarint(maxLength: Int) throws(DecodeError) -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        for index in 0..<maxLength {
            let byte = try readByte()
            let bits = UInt64(byte & 0x7f)
            if index == 9 && bits > 1 { break }
            value |= bits << (7 * UInt64(index))
            if byte < 0x80 {
                guard byte != 0 || index == 0 else {
                    throw DecodeError(.notCanonical, "the varint is padded", at: start)
                }
                return value
            }
        }
        throw DecodeError(.malformed, "the varint is too long", at: start)
    }
}

extension Array where Element == UInt8 {
    /// Appends `value` as a varint in shortest form.
    @inlinable public mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    /// Appends a fixed-width integer, most significant byte first.
    @inlinable public mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
        for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Appends a fixed-width integer, least significant byte first.
    @inlinable public mutating func appendLittleEndian<T: FixedWidthInteger>(_ value: T) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}
