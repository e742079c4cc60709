// What web pages of others may not learn from the gateway of somebody's own machine. Content is
// public and every page may ask for it; who this node is, what it keeps and what it does would make
// its user known again everywhere (DESIGN invariant 7).

import HTTPTypes
import Weft

extension Gateway {
    /// Whether a request comes from a page that is not this machine's: it says so itself, as every
    /// current browser does, or it asks for a host that some name server points here. A gateway for
    /// others has no such secrets.
    func isOfForeignPage(_ head: HTTPRequest) -> Bool {
        guard options.isPersonal else { return false }
        let host = HostRoute.withoutPort(head.authority ?? "").lowercased()
        let isNamed = options.subdomainHosts.contains { HostRoute.withoutPort($0) == host }
        // A proxy that makes it a gateway for others asks for the name that it was told of.
        guard LoopbackGuard.isLoopback(authority: host) else { return !isNamed }
        if let origin = head.headerFields[.origin], !LoopbackGuard.isLoopback(origin: origin) {
            return true
        }
        // Elsewhere content is shown by its path: whoever made it is of the gateway's own origin.
        return isNamed ? LoopbackGuard.isOfOtherOrigin(head) : LoopbackGuard.isOfPage(head)
    }

    /// How the node is, for whoever looks after it; nil for another path. No page may read it.
    func health(_ head: HTTPRequest) -> Response? {
        guard head.method == .get || head.method == .head,
            let path = head.path?.prefix(while: { $0 != "?" && $0 != "#" })
        else { return nil }
        switch path {
        case "/healthz": return Self.plain("ok\n", "text/plain; charset=utf-8", head)
        case "/metrics":
            guard let text = backend.exposition?(), !isOfForeignPage(head) else { return nil }
            return Self.plain(text, Metrics.mediaType, head)
        default: return nil
        }
    }
}
