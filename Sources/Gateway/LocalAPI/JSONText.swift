// The JSON of the local API, as values of the IPLD data model.

public import IPLD
public import NIOCore

/// Writes and reads the JSON of the local API.
public enum JSONText {
    /// A value as JSON in one line, without a line break. Values that JSON cannot carry, which the
    /// API never makes, become `null`.
    public static func bytes(of value: Value) -> ByteBuffer {
        // The API makes text, numbers, lists and maps only.
        let bytes = (try? JSON.encode(value)) ?? Array("null".utf8)
        return ByteBuffer(bytes: bytes)
    }

    /// A value as JSON text.
    public static func text(of value: Value) -> String { String(buffer: bytes(of: value)) }

    /// The value of a JSON text.
    public static func value(of bytes: ByteBuffer) throws -> Value {
        try JSON.decode(bytes.readableBytesSpan)
    }
}

extension Value {
    /// A map of these entries, without those that are nil.
    public static func object(_ entries: KeyValuePairs<String, Value?>) -> Value {
        .map(entries.compactMap { key, value in value.map { Entry(key, $0) } })
    }

    /// A number.
    public static func number(_ value: some BinaryInteger) -> Value { .integer(Int128(value)) }

    /// The text of a string.
    public var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// The value of a whole number that is not negative.
    public var count: UInt64? {
        guard case .integer(let number) = self else { return nil }
        return UInt64(exactly: number)
    }

    /// The value of a boolean.
    public var flag: Bool? {
        guard case .bool(let flag) = self else { return nil }
        return flag
    }

    /// The elements of a list; none if it is something else.
    public var elements: [Value] {
        guard case .list(let elements) = self else { return [] }
        return elements
    }
}
