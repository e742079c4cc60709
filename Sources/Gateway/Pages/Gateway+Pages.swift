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
        guard let pages = options.pages, head.method == .get || head.method == .head else {
            return nil
        }
        let target = Target(head, scheme: options.certificate == nil ? nil : "https")
        guard case .gateway(let host) = HostRoute(target.host, gateways: options.subdomainHosts),
            LoopbackGuard.isLoopback(authority: host)
        else { return nil }
        if target.path == "/node.json", let facts = backend.facts?() {
            var bytes = JSONText.bytes(of: facts)
            bytes.writeString("\n")
            return Self.answer(bytes, "application/json", head)
        }
        guard let file = pages.file(target.path, in: .site),
            let bytes = try await PageFolder.bytes(of: file)
        else { return nil }
        return Self.answer(bytes, file.type, head)
    }

    private static func answer(
        _ bytes: ByteBuffer, _ type: String, _ head: HTTPRequest
    ) -> Response {
        var fields = PageHeaders.fields(of: .site)
        fields[.contentType] = type
        fields[.contentLength] = "\(bytes.readableBytes)"
        return Response(
            status: .ok, headers: fields, body: head.method == .head ? .empty : ResponseBody(bytes))
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
        let (host, port) = Self.parts(authority)
        let isHere =
            LoopbackGuard.isLoopback(authority: host) || ["0.0.0.0", "[::]"].contains(host)
        guard options.pages != nil, isHere,
            let name = options.subdomainHosts.first(where: {
                LoopbackGuard.isLoopback(authority: $0)
            })
        else { return nil }
        return "\(scheme)://\(Self.parts(name).host)\(port)/"
    }

    /// A host, and the port with its colon, if there is one.
    private static func parts(_ authority: String) -> (host: String, port: String) {
        guard let colon = authority.lastIndex(of: ":"), authority.last != "]" else {
            return (authority, "")
        }
        return (String(authority[..<colon]), String(authority[colon...]))
    }
}
