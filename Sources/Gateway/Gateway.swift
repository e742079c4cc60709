// The HTTP gateway: which content a request means, and what stands beside content. Content itself
// is answered by `ContentResponder`. Servers are in Server/.

public import HTTPTypes
import Multiformats
public import NIOCore
public import Weft
import Wire

/// Answers the requests of an HTTP gateway: path, subdomain and DNSLink gateway, and routing.
public final class Gateway: Sendable {
    /// A request as a server read it.
    public struct Incoming: Sendable {
        /// The request line and headers.
        public var head: HTTPRequest
        /// Its body, already read and bounded; empty for content.
        public var body: ByteBuffer
        /// The body of a call of a contract, unread; nil if there is none.
        public var stream: ResponseBody?

        /// A request.
        public init(_ head: HTTPRequest, body: ByteBuffer = ByteBuffer()) {
            self.head = head
            self.body = body
        }
    }

    let backend: GatewayBackend
    let options: GatewayOptions
    let responder: ContentResponder
    let denylist: DenylistFiles
    let domains = DomainCache()
    let cache: ResponseCache

    /// A gateway to what a backend has.
    ///
    /// - Throws: ``DenylistError`` if a deny list cannot be read: nothing is served without it.
    public init(
        _ backend: GatewayBackend, options: GatewayOptions = GatewayOptions()
    ) throws(DenylistError) {
        self.backend = backend
        self.options = options
        responder = ContentResponder()
        cache = ResponseCache(bytes: options.cachedBytes)
        denylist = try DenylistFiles(options.denylistFiles)
    }

    /// Answers a request. It never throws: what goes wrong has a status.
    public func respond(to incoming: Incoming) async -> Response {
        var response: Response
        do {
            // What is a page's is no other page's to read.
            if let page = try await page(incoming) { return page }
            if let health = health(incoming.head) { return health }
            response = try await route(incoming)
        } catch {
            response =
                ErrorAnswer(
                    error, to: incoming.head.method, headers: incoming.head.headerFields
                ).response
            if Self.isCall(incoming.head) { response.headers[.cacheControl] = "no-store" }
        }
        CrossOrigin.append(to: &response.headers, Self.isCall(incoming.head) ? .calls : .content)
        return response
    }

    private func route(_ incoming: Incoming) async throws -> Response {
        let head = incoming.head
        let target = Target(head, scheme: options.certificate == nil ? nil : "https")
        if head.method == .options {
            return Response(
                status: .noContent, headers: Self.isCall(head) ? CrossOrigin.preflight : [:])
        }
        switch HostRoute(target.host, gateways: options.subdomainHosts) {
        case .subdomain(let namespace, let label, let gateway):
            return try await subdomain(namespace, label, gateway, target, head)
        case .gateway(let host):
            if let response = try await subdomainRedirect(to: host, target, head) {
                return response
            }
        case .domain(let host):
            if let name = await domains.site(host, resolve: backend.resolve) {
                return try await site(host, name, target, head)
            }
        case .path: break
        }
        if target.path.hasPrefix("/ipfs/") || target.path.hasPrefix("/ipns/") {
            return try await path(target, head)
        }
        if Self.isCall(head) { return try await call(target, incoming) }
        if target.path.hasPrefix("/routing/v1/") {
            return try await routing(target, incoming)
        }
        if target.path == "/" {
            return LandingPage.response(
                to: head, pages: pagesURL(target.host, scheme: target.scheme))
        }
        throw ContentError(.notFound, "there is nothing at this path; content is below /ipfs/")
    }

    /// A short text, usually one that is never kept.
    static func plain(
        _ text: String, _ type: String, _ head: HTTPRequest, cacheControl: String = "no-store"
    ) -> Response {
        let fields: HTTPFields = [
            .contentType: type, .cacheControl: cacheControl, .contentLength: "\(text.utf8.count)",
        ]
        return Response(
            status: .ok, headers: fields,
            body: head.method == .head ? .empty : ResponseBody(ByteBuffer(string: text)))
    }

    /// A path gateway's request.
    private func path(_ target: Target, _ head: HTTPRequest) async throws -> Response {
        let query = QueryItems(target.query)
        if let response = try Self.protocolHandler(target, query) { return response }
        let path = try ContentPath(encoded: target.path)
        try Self.refuseServiceWorker(path, head)
        if let response = try canonicalName(path, target) { return response }
        return try await content(path, query: query, head: head, site: .path)
    }

    /// A request for `<label>.ipfs.<gateway>` or `<label>.ipns.<gateway>`.
    private func subdomain(
        _ namespace: ContentPath.Namespace, _ label: String, _ gateway: String, _ target: Target,
        _ head: HTTPRequest
    ) async throws -> Response {
        try RootLabel.check(label)
        var root = label
        switch namespace {
        case .ipfs: break
        case .ipns:
            if let key = RootLabel.key(label) {
                let canonical = key.ipnsName
                let isKey = (try? CID(text: label))?.codec == .libp2pKey
                guard isKey else {
                    let link = "\(target.scheme)://\(canonical).ipns.\(gateway)\(target.full)"
                    return Self.redirect(.movedPermanently, to: link)
                }
            } else if !label.contains(".") {
                root = InlinedName.expanded(label)
            }
        }
        let path = try ContentPath(namespace, root: root, encodedRest: target.path)
        return try await content(
            path, query: QueryItems(target.query), head: head, site: .subdomain(gateway: gateway))
    }

    /// Sends a path on a gateway with subdomains to the subdomain of its root.
    ///
    /// What a client verifies itself needs no origin of its own and is answered in place.
    private func subdomainRedirect(
        to host: String, _ target: Target, _ head: HTTPRequest
    ) async throws -> Response? {
        guard target.path.hasPrefix("/ipfs/") || target.path.hasPrefix("/ipns/") else {
            return nil
        }
        let query = QueryItems(target.query)
        if let response = try Self.protocolHandler(target, query) { return response }
        if ContentResponder.isVerifiable(query: query, accept: head.headerFields[.accept]) {
            return nil
        }
        let path = try ContentPath(encoded: target.path)
        let label =
            switch path.namespace {
            case .ipfs: try RootLabel.label(of: try Self.cid(path))
            case .ipns: try RootLabel.label(ofName: path.root)
            }
        let rest = path.encodedRest.isEmpty ? "/" : path.encodedRest
        var link = "\(target.scheme)://\(label).\(path.namespace.rawValue).\(host)\(rest)"
        if !target.query.isEmpty { link += "?\(target.query)" }
        return Self.redirect(.movedPermanently, to: link)
    }

    /// A request for a domain that has a DNSLink.
    private func site(
        _ host: String, _ name: ResolvedName, _ target: Target, _ head: HTTPRequest
    ) async throws -> Response {
        let path = try ContentPath(.ipns, root: host, encodedRest: target.path)
        return try await content(
            path, query: QueryItems(target.query), head: head, site: .dnslink(host: host),
            resolved: name)
    }
}

extension Gateway {
    /// Answers content, once it is known which.
    func content(
        _ path: ContentPath, query: QueryItems, head: HTTPRequest, site: ContentRequest.Site,
        resolved known: ResolvedName? = nil
    ) async throws -> Response {
        let list = denylist.current
        if let rule = list.rule(for: path) { return Self.denied(rule) }
        let isOnlyIfCached =
            head.headerFields[.cacheControl]?.contains("only-if-cached") ?? false
        let trace = Trace()
        var request: ContentRequest
        switch path.namespace {
        case .ipfs:
            request = ContentRequest(
                path, root: try Self.cid(path), method: head.method, headers: head.headerFields,
                query: query, lifetime: .immutable, site: site)
        case .ipns:
            if query["format"] == "ipns-record" || Self.wantsRecord(query, head) {
                return try await record(path, query, head)
            }
            let name: ResolvedName
            if let known {
                name = known
            } else {
                name = try await resolve(
                    path.root, isOnlyIfCached ? .onlyIfCached : .standard, trace)
            }
            let value = try ContentPath(encoded: name.path)
            if let rule = list.rule(for: value.appending(path.segments)) {
                return Self.denied(rule)
            }
            request = ContentRequest(
                path, root: try Self.cid(value), rootSegments: value.segments,
                method: head.method, headers: head.headerFields, query: query,
                lifetime: .mutable(ttl: name.ttl), site: site)
        }
        var source = backend.source(
            responder.scope(of: request), isOnlyIfCached ? .localOnly : .network, trace)
        if !list.isEmpty { source = DeniedBlocks(source, list) }
        return await responder.respond(to: request, from: source)
    }

    private func resolve(
        _ name: String, _ cache: Request.CacheMode, _ trace: Trace
    ) async throws -> ResolvedName {
        let canonical = RootLabel.key(name)?.ipnsName ?? name
        do {
            return try await backend.resolve("/ipns/\(canonical)", cache, trace)
        } catch let error as FetchError where error.code == .notFound && cache != .onlyIfCached {
            // The name may exist; this gateway could not find out what it stands for.
            throw FetchError(
                .network, "could not resolve name: \(error.message)", trace: error.trace)
        }
    }

    private static func wantsRecord(_ query: QueryItems, _ head: HTTPRequest) -> Bool {
        query["format"] == nil
            && (head.headerFields[.accept]?.contains("application/vnd.ipfs.ipns-record") ?? false)
    }

    /// The signed record of a name.
    private func record(
        _ path: ContentPath, _ query: QueryItems, _ head: HTTPRequest
    ) async throws -> Response {
        guard path.segments.isEmpty, let key = RootLabel.key(path.root) else {
            throw ContentError(
                .badRequest, "an ipns-record can be asked for under /ipns/<key> without a path")
        }
        guard let record = try await backend.record(key, .standard) else {
            throw ContentError(.notFound, "no valid record of \(key.ipnsName) is known here")
        }
        return responder.respond(
            withRecord: record.bytes, of: key, ttl: record.ttl, path: path, query: query,
            method: head.method, headers: head.headerFields)
    }

    /// `/ipfs/?uri=ipfs://…`, which browsers call when a page opened such a link.
    private static func protocolHandler(
        _ target: Target, _ query: QueryItems
    ) throws(ContentError) -> Response? {
        guard target.path == "/ipfs/" || target.path == "/ipns/", let uri = query["uri"] else {
            return nil
        }
        for namespace in ["ipfs", "ipns"] where uri.hasPrefix("\(namespace)://") {
            let rest = uri.dropFirst(namespace.count + 3)
            let end = rest.firstIndex { $0 == "?" || $0 == "#" } ?? rest.endIndex
            // Reading and writing the path again encodes whatever a header must not hold.
            let path = try ContentPath(encoded: "/\(namespace)/\(rest[..<end])")
            let query = rest[end...].first == "?" ? rest[end...].prefix { $0 != "#" } : ""
            return redirect(.movedPermanently, to: path.encoded + query)
        }
        throw ContentError(.badRequest, "uri must begin with ipfs:// or ipns://")
    }

    /// Other forms of a key lead to the one that fits everywhere.
    private func canonicalName(
        _ path: ContentPath, _ target: Target
    ) throws(ContentError) -> Response? {
        guard path.namespace == .ipns, let key = RootLabel.key(path.root) else { return nil }
        let canonical = key.ipnsName
        guard canonical != path.root else { return nil }
        var link = "/ipns/\(canonical)\(path.encodedRest)"
        if !target.query.isEmpty { link += "?\(target.query)" }
        return Self.redirect(.found, to: link)
    }

    /// A script must not be able to take over other content of a path gateway.
    private static func refuseServiceWorker(
        _ path: ContentPath, _ head: HTTPRequest
    ) throws(ContentError) {
        let field = HTTPField.Name("Service-Worker").flatMap { head.headerFields[$0] }
        guard field == "script", path.segments.isEmpty, !path.hasTrailingSlash else { return }
        throw ContentError(
            .badRequest,
            "navigator.serviceWorker: registration is not allowed for this scope")
    }

    static func cid(_ path: ContentPath) throws(ContentError) -> CID {
        do throws(DecodeError) {
            return try CID(text: path.root)
        } catch {
            throw ContentError(.badRequest, "invalid path \"\(path.text)\": \(error)")
        }
    }

    static func redirect(_ status: HTTPResponse.Status, to link: String) -> Response {
        var fields = HTTPFields()
        fields[.location] = link
        fields[.contentLength] = "0"
        return Response(status: status, headers: fields)
    }
}

/// Where a request goes: host, path and query, wherever the protocol version has them.
struct Target {
    /// The host that the client asked, with a port if it is not the usual one.
    let host: String
    /// How the client reached it.
    let scheme: String
    /// The percent-encoded path.
    let path: Substring
    /// The query without its question mark.
    let query: Substring

    /// The path with its query.
    var full: String { query.isEmpty ? String(path) : "\(path)?\(query)" }

    /// - Parameter scheme: How all clients reach the server, if it knows better than the request:
    ///   HTTP/1.1 does not say in a request whether there was TLS.
    init(_ head: HTTPRequest, scheme known: String?) {
        var target = (head.path ?? "/")[...]
        var host = head.authority ?? ""
        // A client that takes the gateway for its proxy sends a whole URL.
        if target.first != "/", let colon = target.firstIndex(of: ":"),
            target[colon...].hasPrefix("://")
        {
            let rest = target[colon...].dropFirst(3)
            let slash = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            host = String(rest[..<slash])
            target = rest[slash...]
        }
        // A proxy in front says what it was asked.
        if let name = HTTPField.Name("X-Forwarded-Host"), let field = head.headerFields[name] {
            host = String(field.prefix { $0 != "," }.filter { $0 != " " })
        }
        var scheme = known ?? head.scheme ?? "http"
        if let name = HTTPField.Name("X-Forwarded-Proto"), let field = head.headerFields[name],
            field == "http" || field == "https"
        {
            scheme = field
        }
        self.host = host
        self.scheme = scheme
        let end = target.firstIndex { $0 == "?" || $0 == "#" } ?? target.endIndex
        path = end == target.startIndex ? "/" : target[..<end]
        let rest = target[end...]
        query = rest.first == "?" ? rest.dropFirst().prefix { $0 != "#" } : ""
    }
}
