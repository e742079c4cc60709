// Why a fetch failed: a code to act on, a sentence for a person, and the trace of what was tried.

/// Why a fetch failed.
public struct FetchError: Error, Sendable {
    /// The kinds of failure that a caller may want to tell apart.
    public enum Code: String, Sendable, CaseIterable {
        /// Nobody who was asked has it.
        case notFound = "not-found"
        /// The time that was given ran out.
        case deadline
        /// A deny list or a setting forbids it.
        case blocked
        /// The URL, the method or an option cannot be understood or is not supported.
        case badRequest = "bad-request"
        /// The bytes that were found do not match the hash, or the hash cannot be computed here.
        case unverifiable
        /// It is not stored here and the network must not be asked.
        case offline
        /// It is larger than a limit allows.
        case tooLarge = "too-large"
        /// There were more redirects than allowed, or one that must not be followed.
        case redirect
        /// Those who have it could not be reached, or failed while answering.
        case network
        /// The content is not what the request needs (for example a path through a file).
        case malformed
        /// This node lacks the memory or other means for a computation now.
        case resource
        /// A computation takes more than this node grants, which it would do again.
        case overLimit = "over-limit"
        /// It cannot be done here.
        case notSupported = "not-supported"
    }

    /// The kind of failure.
    public let code: Code
    /// What went wrong and what can be done, as a sentence without a full stop.
    public let message: String
    /// What was tried until then.
    public var trace: [Trace.Entry]

    /// A failure with what was tried until then.
    public init(_ code: Code, _ message: String, trace: [Trace.Entry] = []) {
        self.code = code
        self.message = message
        self.trace = trace
    }
}

extension FetchError: CustomStringConvertible {
    /// The message, then one line for each thing that was tried.
    public var description: String {
        trace.isEmpty ? message : message + "\n" + Trace.text(of: trace)
    }
}
