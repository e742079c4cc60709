public import HTTPTypes

/// Why content cannot be answered, as the status a gateway gives and a sentence for a person.
public struct ContentError: Error, Sendable, CustomStringConvertible {
    /// The HTTP status that says it.
    public let status: HTTPResponse.Status
    /// What is wrong and what to do about it. It never holds a local path.
    public let message: String

    /// Creates an error.
    public init(_ status: HTTPResponse.Status, _ message: String) {
        self.status = status
        self.message = message
    }

    public var description: String { message }
}
