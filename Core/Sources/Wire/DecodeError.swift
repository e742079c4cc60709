/// Why a byte sequence was refused by a decoder of `Core`, and where.
///
/// Every decoder of remote bytes throws this one type, so that a caller can report the place of
/// the fault without knowing the format.
public struct DecodeError: Error, Hashable, Sendable {
    /// The kinds of fault that a caller may want to tell apart.
    public enum Kind: Hashable, Sendable {
        /// The input ended before the value did.
        case truncated
        /// The input has a form that the specification forbids although its meaning is clear.
        case notCanonical
        /// The input breaks the grammar of its format.
        case malformed
        /// The input is well formed but uses something that is not supported.
        case unsupported
        /// A length, depth or count exceeds the decoder's limit.
        case overLimit
        /// A checksum, hash or signature does not match.
        case mismatch
    }

    /// What kind of fault it is.
    public let kind: Kind
    /// What was expected or found, as a sentence fragment for a person.
    public let reason: StaticString
    /// Bytes from the start of the decoder's input to the fault.
    public let offset: Int

    /// Creates an error at `offset` bytes into the input.
    public init(_ kind: Kind, _ reason: StaticString, at offset: Int = 0) {
        self.kind = kind
        self.reason = reason
        self.offset = offset
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.kind == right.kind && left.offset == right.offset
            && left.description.utf8.elementsEqual(right.description.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(offset)
    }
}

extension DecodeError: CustomStringConvertible {
    public var description: String {
        "\(reason) (at byte \(offset))"
    }
}
