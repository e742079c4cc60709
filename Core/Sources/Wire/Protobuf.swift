// The protobuf wire format, field by field. There is no schema compiler: each message type reads
// and writes its own few fields (protobuf.dev/programming-guides/encoding).

/// A protobuf field's number and how its value is laid out.
public struct ProtobufTag: Equatable, Sendable {
    /// How the value that follows a tag is laid out.
    public enum WireType: UInt8, Sendable {
        case varint = 0
        case fixed64 = 1
        case bytes = 2
        case fixed32 = 5
    }

    /// The field number of the message's schema.
    public let field: UInt64
    /// How the value is laid out.
    public let wireType: WireType

    /// Creates the tag of a field.
    public init(_ field: UInt64, _ wireType: WireType) {
        self.field = field
        self.wireType = wireType
    }
}

extension ByteReader {
    /// Reads the tag of the next field; nil at the end of the message.
    @_lifetime(self: copy self)
    @inline(never)
    public mutating func readTag() throws(DecodeError) -> ProtobufTag? {
        guard !isAtEnd else { return nil }
        let start = offset
        let value = try readProtobufVarint()
        guard let wireType = ProtobufTag.WireType(rawValue: UInt8(value & 7)), value >> 3 != 0
        else { throw DecodeError(.malformed, "not a protobuf field", at: start) }
        return ProtobufTag(value >> 3, wireType)
    }

    /// Reads the value of a length-delimited field as a view of the input.
    @_lifetime(copy self)
    @_lifetime(self: copy self)
    @inline(never)
    public mutating func readDelimited() throws(DecodeError) -> RawSpan {
        let length = try readLength(limit: remaining)
        return try readSpan(length)
    }

    /// Passes over the value of a field of this wire type.
    @_lifetime(self: copy self)
    @inline(never)
    public mutating func skipValue(of wireType: ProtobufTag.WireType) throws(DecodeError) {
        switch wireType {
        case .varint: _ = try readProtobufVarint()
        case .fixed64: try skip(8)
        case .bytes: _ = try readDelimited()
        case .fixed32: try skip(4)
        }
    }
}

extension Array where Element == UInt8 {
    /// Appends a varint field.
    public mutating func appendField(_ field: UInt64, varint value: UInt64) {
        appendVarint(field << 3 | UInt64(ProtobufTag.WireType.varint.rawValue))
        appendVarint(value)
    }

    /// Appends a length-delimited field.
    public mutating func appendField(_ field: UInt64, bytes: some Collection<UInt8>) {
        appendVarint(field << 3 | UInt64(ProtobufTag.WireType.bytes.rawValue))
        appendVarint(UInt64(bytes.count))
        append(contentsOf: bytes)
    }

    /// Appends a four-byte field.
    public mutating func appendField(_ field: UInt64, fixed32 value: UInt32) {
        appendVarint(field << 3 | UInt64(ProtobufTag.WireType.fixed32.rawValue))
        appendLittleEndian(value)
    }

    /// Appends an eight-byte field.
    public mutating func appendField(_ field: UInt64, fixed64 value: UInt64) {
        appendVarint(field << 3 | UInt64(ProtobufTag.WireType.fixed64.rawValue))
        appendLittleEndian(value)
    }
}
