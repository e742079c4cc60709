import HTTPTypes

/// The header fields that let any web page read what a gateway serves (fetch.spec.whatwg.org):
/// content is public, and no answer depends on who asks.
enum CrossOrigin {
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

    static func append(to headers: inout HTTPFields) {
        headers.append(contentsOf: fields)
    }
}
