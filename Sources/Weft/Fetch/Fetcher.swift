// How a fetch is done: the URL is taken apart, names are resolved, a retrieval is begun for as
// much as the answer needs, and the content responder answers from it.

import AsyncHTTPClient
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Wire

/// Fetches URLs with the parts of a node.
struct Fetcher: Sendable {
    let retrieval: Retrieval
    let computation: Computation
    let names: NameResolver
    let client: HTTPClient
    /// Where content that an origin brings is kept.
    let store: OriginContent.Place

    /// How long content of an http URL is looked for elsewhere before its origin is asked.
    static let patience = Duration.seconds(5)

    /// Fetches what a request asks for.
    func fetch(_ request: Request) async throws -> Response {
        let trace = Trace()
        do {
            return try await follow(request, trace: trace)
        } catch var error as FetchError {
            error.trace = trace.entries
            throw error
        }
    }

    private func follow(_ request: Request, trace: Trace) async throws -> Response {
        var url = try FetchURL(request.url)
        if case .call(let text) = url {
            var response = try await computation.respond(to: request, url: text, trace: trace)
            response.url = text
            response.mesh.trace = trace
            return response
        }
        guard request.method == .get || request.method == .head, request.body == nil else {
            throw FetchError(
                .badRequest, "content can be fetched with GET and HEAD, without a body")
        }
        // The origin that redirects is asked because nobody else has the content.
        var sources = Sources.all
        for count in 0...Request.maxRedirects {
            var response = try await answer(url, request, sources, trace: trace)
            if case .web = url { sources = .origin }
            response.url = url.text
            response.redirected = count > 0
            response.mesh.trace = trace
            guard [301, 302, 303, 307, 308].contains(response.status.code),
                let location = response.headers[.location], request.redirect != .manual
            else { return response }
            guard request.redirect == .follow else {
                throw FetchError(.redirect, "\(url.text) redirects to \(location.prefix(200))")
            }
            let next = try url.redirected(to: location)
            if case .web = url, case .content = next {
                throw FetchError(
                    .redirect, "\(url.text) redirects to \(next.text), which has another hash")
            }
            trace.note(.decision, url.text, "redirect to \(next.text)", succeeded: true)
            url = next
        }
        throw FetchError(.redirect, "there were more than \(Request.maxRedirects) redirects")
    }

    /// Whom the content of an http URL may come from.
    private enum Sources {
        case all, origin
    }

    private func answer(
        _ url: FetchURL, _ request: Request, _ sources: Sources, trace: Trace
    ) async throws -> Response {
        switch url {
        case .call: throw FetchError(.redirect, "\(request.url) redirects to a call")
        case .content(let path, let query):
            guard request.integrity == nil else {
                throw FetchError(
                    .badRequest, "integrity is for http URLs; \(url.text) is verified in any case")
            }
            return try await content(path, query: query, request, trace: trace)
        case .web(let url):
            guard let text = request.integrity else {
                throw FetchError(
                    .badRequest,
                    "an http URL needs integrity: the CID or the sha256 hash of its content")
            }
            switch try Integrity(text) {
            case .content(let cid):
                if sources == .all,
                    let response = try await elsewhere(cid, than: url, request, trace: trace)
                {
                    return response
                }
                return try await origin(of: cid, url, request, trace: trace)
            case .hashes(let hashes):
                return try await origin(of: url, request).fetch(
                    url, request, hashes: hashes, trace: trace)
            }
        }
    }

    // MARK: Content of http URLs

    /// What is stored here or what providers have of a CID, whatever the URL is that was asked
    /// for; nil if that is nothing, or not in time.
    private func elsewhere(
        _ cid: CID, than url: String, _ request: Request, trace: Trace
    ) async throws -> Response? {
        let path = ContentPath(.ipfs, root: cid.description)
        let outcome: String
        do {
            return try await Patience.run(Self.patience) { patience in
                try await patience.wait {
                    try await content(path, query: "", request, trace: trace)
                }
            }
        } catch is Patience.Exhausted {
            outcome = "nobody answered for \(Self.patience)"
        } catch let error as FetchError
            where [.notFound, .network, .unverifiable, .deadline].contains(error.code)
        {
            if let deadline = request.mesh.deadline, trace.elapsed >= deadline { throw error }
            outcome = error.message
        }
        trace.note(.decision, url, "its origin is asked for \(cid): \(outcome)", succeeded: true)
        return nil
    }

    private func origin(
        of cid: CID, _ url: String, _ request: Request, trace: Trace
    ) async throws -> Response {
        let content = OriginContent(cid: cid, place: request.cache == .noStore ? .memory : store)
        let asked = ContentRequest(
            ContentPath(.ipfs, root: cid.description), root: cid, method: request.method,
            headers: request.headers)
        return try await origin(of: url, request).fetch(url, request, trace: trace) { _, body in
            var response = await ContentResponder().respond(
                to: asked, from: try await content.blocks(from: body))
            response.mesh.root = cid
            response.body = Self.typed(response.body, trace: trace)
            return response
        }
    }

    /// The origin, if it may be asked.
    private func origin(of url: String, _ request: Request) throws -> Origin {
        guard request.cache != .onlyIfCached, retrieval.options.network == .online else {
            throw FetchError(.offline, "\(url) would have to be asked for at its origin")
        }
        return Origin(client: client)
    }

    // MARK: Content

    private func content(
        _ path: ContentPath, query: String, _ request: Request, trace: Trace
    ) async throws -> Response {
        let items = QueryItems(query)
        if path.namespace == .ipns, path.segments.isEmpty, items["format"] == "ipns-record" {
            return try await record(path, query: items, request, trace: trace)
        }
        let asked = try await resolved(path, query: items, request, trace: trace)
        let responder = ContentResponder()
        let session = retrieval.session(
            for: responder.scope(of: asked), policy: Self.policy(for: request.cache),
            limits: request.mesh, trace: trace)
        var response = await responder.respond(to: asked, from: session)
        try Task.checkCancellation()
        // A page that says why something is missing is for browsers; callers get the error.
        if response.status.code >= 400, let failure = session.failure { throw failure }
        response.mesh.root = asked.root
        response.body = Self.typed(response.body, trace: trace)
        return response
    }

    /// The request with its name resolved.
    private func resolved(
        _ path: ContentPath, query: QueryItems, _ request: Request, trace: Trace
    ) async throws -> ContentRequest {
        var value = path
        var lifetime = ContentRequest.Lifetime.immutable
        if path.namespace == .ipns {
            let name = try await names.resolve(
                "/ipns/\(path.root)", cache: request.cache, limits: request.mesh, trace: trace)
            lifetime = .mutable(ttl: name.ttl)
            do {
                value = try ContentPath(encoded: name.path)
            } catch {
                throw FetchError(.malformed, "\(path.root) stands for \(name.path): \(error)")
            }
        }
        let root: CID
        do {
            root = try CID(text: value.root)
        } catch {
            throw FetchError(.badRequest, "'\(value.root)' is no CID: \(error)")
        }
        return ContentRequest(
            path, root: root, rootSegments: path.namespace == .ipns ? value.segments : [],
            method: request.method, headers: request.headers, query: query, lifetime: lifetime)
    }

    /// The signed record of a name.
    private func record(
        _ path: ContentPath, query: QueryItems, _ request: Request, trace: Trace
    ) async throws -> Response {
        let key: PeerID
        do {
            key = try PeerID(text: path.root)
        } catch {
            throw FetchError(.badRequest, "'\(path.root)' is no key's name: \(error)")
        }
        guard let record = try await names.record(of: key, cache: request.cache, trace: trace)
        else { throw FetchError(.notFound, "no valid record of \(path.root) was found") }
        return ContentResponder().respond(
            withRecord: ByteBuffer(bytes: record.bytes), of: key, ttl: record.ttl, path: path,
            query: query, method: request.method, headers: request.headers)
    }

    static func policy(for cache: Request.CacheMode) -> Retrieval.Policy {
        switch cache {
        case .standard, .noCache, .forceCache: .network
        case .noStore: .noStore
        case .reload: .reload
        case .onlyIfCached: .localOnly
        }
    }

    /// The body with errors of one kind that carry the whole trace.
    private static func typed(_ body: ResponseBody, trace: Trace) -> ResponseBody {
        ResponseBody(state: { body.makeAsyncIterator() }) { iterator in
            do {
                return try await iterator.next()
            } catch var error as FetchError {
                error.trace = trace.entries
                throw error
            } catch let error as ContentError {
                throw FetchError(.malformed, error.message, trace: trace.entries)
            } catch let error as DAGError {
                throw FetchError(.malformed, "\(error)", trace: trace.entries)
            }
        }
    }
}
