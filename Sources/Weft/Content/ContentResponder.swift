// Answers requests for content with all the semantics of the path and trustless gateway
// specifications (specs.ipfs.tech/http-gateways). `Node.fetch` and the HTTP gateway both use it.

import HTTPTypes

/// Answers requests for content.
public struct ContentResponder: Sendable {
    /// Creates a responder.
    public init() {}

    /// Answers a request from a source of blocks.
    ///
    /// It does not throw for what a client can cause: those answers have a status of 400 and
    /// above, and a body that says what is wrong.
    public func respond(to request: ContentRequest, from source: any BlockSource) async -> Response
    {
        Response(status: .notImplemented)
    }
}
