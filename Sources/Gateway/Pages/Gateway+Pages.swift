// The program's own pages on the gateway. They are served where no content is: on a host of this
// machine under which each root has an origin of its own. On 127.0.0.1, where content lies at
// /ipfs/ of the same origin, a page of somebody else could act as them, and take the place of
// their service worker.

import HTTPTypes
import IPLD
import NIOCore
import Weft

extension Gateway {
    /// Answers a request for a page; nil if it is none, or not on a host that has them.
    func page(_ incoming: Incoming) async throws -> Response? {
        let head = incoming.head
        guard let pages = options.pages, head.method == .get || head.method == .head,
            let path = head.path?.prefix(while: { $0 != "?" && $0 != "#" }),
            path == Self.factsPath || pages.has(path, in: .site), isForPages(head)
        else { return nil }
        if path == Self.factsPath {
            guard let facts = backend.facts?(), !LoopbackGuard.isOfOtherOrigin(head) else {
                return nil
            }
            var bytes = JSONText.bytes(of: facts)
            bytes.writeString("\n")
            return Self.answer(bytes, [.contentType: "application/json"], head)
        }
        guard let page = try await pages.page(path, in: .site) else { return nil }
        let fields: HTTPFields = [.contentType: page.type, .eTag: page.tag]
        if let known = head.headerFields[.ifNoneMatch], EntityTag.matches(known, page.tag) {
            return Response(
                status: .notModified,
                headers: PageHeaders.fields(of: .site).merging(fields), body: .empty)
        }
        return Self.answer(page.bytes, fields, head)
    }

    /// Where pages ask about the node.
    private static let factsPath = "/node.json"

    /// Whether a request is for the host of the pages. What a proxy says of it does not count:
    /// any page could say so to its own origin.
    private func isForPages(_ head: HTTPRequest) -> Bool {
        guard let host = head.authority, LoopbackGuard.isLoopback(authority: host),
            case .gateway = HostRoute(host, gateways: options.subdomainHosts)
        else { return false }
        return HTTPField.Name("X-Forwarded-Host").map { head.headerFields[$0] == nil } ?? false
    }

    private static func answer(
        _ bytes: ByteBuffer, _ fields: HTTPFields, _ head: HTTPRequest
    ) -> Response {
        var fields = PageHeaders.fields(of: .site).merging(fields)
        fields[.contentLength] = "\(bytes.readableBytes)"
        return Response(
            status: .ok, headers: fields, body: head.method == .head ? .empty : ResponseBody(bytes))
    }
}

extension HTTPFields {
    /// These fields and others.
    fileprivate func merging(_ others: HTTPFields) -> HTTPFields {
        var merged = self
        merged.append(contentsOf: others)
        return merged
    }
}

extension Gateway {
    /// The URL of the program's own pages on a gateway that was reached at a URL; nil if it has
    /// none, or they are not on this machine.
    public func pagesURL(of gateway: String) -> String? {
        guard options.pages != nil, let colon = gateway.firstRange(of: "://") else { return nil }
        let authority = gateway[colon.upperBound...].prefix { $0 != "/" }
        return pagesURL(String(authority), scheme: String(gateway[..<colon.lowerBound]))
    }

    func pagesURL(_ authority: String, scheme: String) -> String? {
        let host = HostRoute.withoutPort(authority)
        let isHere =
            ["127.0.0.1", "[::1]", "localhost", "0.0.0.0", "[::]"].contains(host)
        guard options.pages != nil, isHere,
            let name = options.subdomainHosts.first(where: {
                LoopbackGuard.isLoopback(authority: $0)
            })
        else { return nil }
        let port = authority.dropFirst(host.count)
        return "\(scheme)://\(HostRoute.withoutPort(name))\(port)/"
    }
}
