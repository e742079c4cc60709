// `/weft/<cid>/<method>…` on the gateway: a call of a contract, as a plain web page makes it. What
// is asked of the mesh and what came of it stand in headers; docs/gateway.md has the statuses.

import HTTPTypes
import Multiformats
import Weft

extension Gateway {
    /// Whether a request is for a call.
    static func isCall(_ head: HTTPRequest) -> Bool { head.path?.hasPrefix("/weft/") ?? false }

    /// Answers a call.
    func call(_ target: Target, _ incoming: Incoming) async throws -> Response {
        guard let call = backend.call else {
            throw ContentError(.notImplemented, "this gateway calls no contracts")
        }
        let fields = incoming.head.headerFields
        guard fields[.serviceWorker] != "script" else {
            throw ContentError(.badRequest, "a contract's answer is no service worker")
        }
        let path = target.path.dropFirst("/weft/".count)
        let contract = ContentPath(.ipfs, root: String(path.prefix { $0 != "/" }))
        if let rule = denylist.current.rule(for: contract) { return Self.denied(rule) }
        let query = target.query.isEmpty ? "" : "?\(target.query)"
        var request = Request(
            "weft://\(path)\(query)", method: incoming.head.method, headers: fields,
            body: incoming.stream)
        request.mesh = try Self.terms(fields)
        try Self.refuseHiddenArguments(incoming.head)
        // What is kept here is what the user has read.
        if fields[.cacheControl]?.contains("only-if-cached") ?? false,
            !isOfForeignPage(incoming.head)
        {
            request.cache = .onlyIfCached
        }
        var response: Response
        do {
            response = try await call(request)
        } catch let error as FetchError {
            throw Self.withoutResult(error, request.cache)
        }
        // A page that a contract makes must not be taken for something else than it says, nor act
        // as this gateway: it gets an origin of its own.
        response.headers[.xContentTypeOptions] = "nosniff"
        // Its own policy holds besides: browsers obey each of several.
        response.headers.append(
            HTTPField(name: .contentSecurityPolicy, value: "sandbox allow-scripts allow-forms"))
        return Self.cached(response, incoming.head)
    }

    // MARK: - What is asked

    /// What a request asks of the mesh.
    private static func terms(_ fields: HTTPFields) throws(ContentError) -> MeshOptions {
        var terms = MeshOptions()
        if let text = fields[.weftAudit] {
            guard let audit = Audit(text: text) else {
                throw ContentError(
                    .badRequest,
                    "Weft-Audit must be self, sample, none or quorum:k with k from 2 to 16")
            }
            terms.audit = audit
        }
        if let text = fields[.weftMaxPrice] {
            guard let price = UInt32(text) else {
                throw ContentError(
                    .badRequest,
                    "Weft-Max-Price must be a number: credits for 1,000 units of gas, below 2^32")
            }
            terms.maxPrice = price
        }
        if let text = fields[.weftValue] {
            guard let value = UInt64(text) else {
                throw ContentError(.badRequest, "Weft-Value must be a number of credits")
            }
            terms.value = value
        }
        return terms
    }

    /// Arguments of a GET stand in its URL: caches could not tell such requests apart by headers of
    /// any name.
    private static func refuseHiddenArguments(_ head: HTTPRequest) throws(ContentError) {
        guard head.method == .get || head.method == .head else { return }
        for field in head.headerFields where field.name.canonicalName.hasPrefix("weft-arg-") {
            throw ContentError(
                .badRequest,
                """
                \(field.name.rawName) cannot be sent with \(head.method.rawValue), since caches do \
                not look at it; put it into the query, or use POST
                """)
        }
    }

    // MARK: - What came of it

    /// Why there is no result. It is no word about the contract, so it has no status of one: that
    /// something is missing here does not say that it does not exist.
    private static func withoutResult(
        _ error: FetchError, _ cache: Request.CacheMode
    ) -> FetchError {
        switch error.code {
        case .notFound, .offline:
            cache == .onlyIfCached
                ? error : FetchError(.network, error.message, trace: error.trace)
        case .malformed: FetchError(.network, error.message, trace: error.trace)
        default: error
        }
    }

    /// How long caches may keep what peers answered: should it turn out to be wrong, not for long.
    private static let peersLifetime = 300

    /// The answer with what caches need to know, or 304 if the client has it.
    private static func cached(_ response: Response, _ head: HTTPRequest) -> Response {
        var response = response
        guard head.method == .get || head.method == .head, let call = response.mesh.call,
            response.headers[.weftOutcome] == nil, response.status.code < 400
        else {
            if response.headers[.cacheControl] == nil {
                response.headers[.cacheControl] = "no-store"
            }
            return response
        }
        let tag = "\"\(call.record)\""
        response.headers[.eTag] = tag
        response.headers[.vary] = "Accept, Content-Type, Weft-Audit, Weft-Dir, Weft-Gas"
        if response.headers[.cacheControl] == nil {
            response.headers[.cacheControl] =
                call.restsOnPeers
                ? "public, max-age=\(peersLifetime)" : "public, max-age=29030400, immutable"
        }
        guard response.ok, let known = head.headerFields[.ifNoneMatch],
            EntityTag.matches(known, tag)
        else { return response }
        response.headers[.contentType] = nil
        response.headers[.contentLength] = nil
        response.status = .notModified
        response.body = .empty
        return response
    }
}

extension HTTPField.Name {
    fileprivate static let serviceWorker = HTTPField.Name("Service-Worker")!
    fileprivate static let weftAudit = HTTPField.Name("Weft-Audit")!
    fileprivate static let weftMaxPrice = HTTPField.Name("Weft-Max-Price")!
    fileprivate static let weftOutcome = HTTPField.Name("Weft-Outcome")!
    fileprivate static let weftValue = HTTPField.Name("Weft-Value")!
}
