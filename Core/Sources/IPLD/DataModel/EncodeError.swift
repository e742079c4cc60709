/// Why a value cannot be written in the codec that was asked for.
public struct EncodeError: Error, Sendable {
    /// The kinds of fault that a caller may want to tell apart.
    public enum Kind: Hashable, Sendable {
        /// A number that the codec has no form for: not finite, or out of range.
        case number
        /// A map holds the same key twice, or one that the codec reserves.
        case key
        /// The value does not have the shape that the codec's schema demands.
        case shape
        /// Lists and maps lie deeper in each other than ``Value/maxDepth``.
        case tooDeep
        /// The codec cannot be encoded here.
        case unsupported
    }

    /// What kind of fault it is.
    public let kind: Kind
    /// What was expected or found, as a sentence fragment for a person.
    public let reason: StaticString

    /// Creates an error.
    public init(_ kind: Kind, _ reason: StaticString) {
        self.kind = kind
        self.reason = reason
    }
}

extension EncodeError: CustomStringConvertible {
    public var description: String { "\(reason)" }
}
