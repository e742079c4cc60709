import HTTPTypes

/// The header fields that let any web page read what a gateway serves (fetch.spec.whatwg.org):
/// content is public, and no answer depends on who asks. Neither does a contract's.
enum CrossOrigin {
    /// What a gateway serves.
    enum Kind {
        case content, calls
    }

    private static let fields: [HTTPField] = [
        HTTPField(name: .accessControlAllowOrigin, value: "*"),
        HTTPField(name: .accessControlAllowMethods, value: "GET, HEAD, OPTIONS"),
        HTTPField(
            name: .accessControlAllowHeaders,
            value: "Content-Type, Range, User-Agent, X-Requested-With"),
        HTTPField(
            name: .accessControlExposeHeaders,
            value: "Content-Length, Content-Range, X-Chunked-Output, X-Ipfs-Path, X-Ipfs-Roots, "
                + "X-Stream-Output"),
    ]

    /// Headers that a contract sees, `Weft-Arg-` and any name after it among them.
    private static let callFields: [HTTPField] = [
        HTTPField(name: .accessControlAllowOrigin, value: "*"),
        HTTPField(name: .accessControlAllowMethods, value: "*"),
        HTTPField(name: .accessControlAllowHeaders, value: "*"),
        HTTPField(name: .accessControlExposeHeaders, value: "*"),
    ]

    /// How long a browser need not ask again, in seconds, so that a call is one request.
    static let preflight: HTTPFields = [.accessControlMaxAge: "86400"]

    static func append(to headers: inout HTTPFields, _ kind: Kind) {
        headers.append(contentsOf: kind == .calls ? callFields : fields)
    }
}
