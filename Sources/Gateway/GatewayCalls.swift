// `/weft/<cid>/<method>…` on the gateway: a call of a contract, as a plain web page makes it.

import HTTPTypes
import Weft

extension Gateway {
    /// Whether a request is for a call.
    static func isCall(_ head: HTTPRequest) -> Bool { head.path?.hasPrefix("/weft/") ?? false }

    /// Answers a call.
    func call(_ target: Target, _ incoming: Incoming) async throws -> Response {
        guard let call = backend.call else {
            throw ContentError(.notFound, "this gateway calls no contracts")
        }
        let worker = HTTPField.Name("Service-Worker").flatMap { incoming.head.headerFields[$0] }
        guard worker != "script" else {
            throw ContentError(.badRequest, "a contract's answer is no service worker")
        }
        let path = target.path.dropFirst("/weft/".count)
        let contract = ContentPath(.ipfs, root: String(path.prefix { $0 != "/" }))
        if let rule = denylist.current.rule(for: contract) { return Self.denied(rule) }
        let query = target.query.isEmpty ? "" : "?\(target.query)"
        var request = Request(
            "weft://\(path)\(query)", method: incoming.head.method,
            headers: incoming.head.headerFields, body: incoming.stream)
        if incoming.head.headerFields[.cacheControl]?.contains("only-if-cached") ?? false {
            request.cache = .onlyIfCached
        }
        var response = try await call(request)
        // A page that a contract makes must not be taken for something else than it says, nor act
        // as this gateway: it gets an origin of its own.
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[.contentSecurityPolicy] = "sandbox allow-scripts allow-forms"
        return response
    }
}
