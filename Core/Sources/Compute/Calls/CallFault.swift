/// Why something is no call. The message says what to do about it.
public enum CallFault: Error, Hashable, Sendable {
    /// The URL does not begin with `weft://` and a CID.
    case url
    /// The contract's CID does not name a file.
    case contract
    /// The request's method is not made of 1 to 16 capital letters.
    case method
    /// The path is too long, or its percent encoding is broken or hides no UTF-8.
    case path
    /// The path has a NUL.
    case nul
    /// The query is too long, or has characters that a URL may not have.
    case query
    /// A header's name or value has characters that it may not have.
    case header
    /// There are too many headers, or they are too long together.
    case headers
    /// The body is longer than a call may carry itself.
    case body
    /// The gas limit is zero or more than a call may be given.
    case gas
}

extension CallFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .url: "a call's URL is weft://<CID of the contract>/<method>/…"
        case .contract: "the contract's CID must name a file (codec raw or dag-pb)"
        case .method: "a request's method is 1 to 16 capital letters, such as GET"
        case .path: "the path is over 4 KiB, or its percent encoding gives no UTF-8 text"
        case .nul: "the path has a NUL (%00)"
        case .query: "the query is over 8 KiB, or has characters that must be percent-encoded"
        case .header: "a header has characters that names or values may not have"
        case .headers: "there are more than 32 headers, or more than 8 KiB of them"
        case .body: "a body over 32 KiB must be added as content and named by its CID"
        case .gas: "the gas limit must be from 1 to 2^48"
        }
    }
}
