// What the host of a request says about its content: a subdomain names the root, a gateway's own
// host sends browsers to subdomains, any other host may be a DNSLink site
// (specs.ipfs.tech/http-gateways/subdomain-gateway, …/dnslink-gateway).

import Weft

/// What the host of a request says about its content.
enum HostRoute: Equatable {
    /// Nothing: the path names the content.
    case path
    /// The host serves each root under its own subdomain; the path must be redirected there.
    case gateway(host: String)
    /// The first labels name the root.
    case subdomain(ContentPath.Namespace, label: String, gateway: String)
    /// A domain that may be a DNSLink site.
    case domain(String)

    /// Reads a host, with or without a port.
    init(_ authority: String, gateways: [String]) {
        let authority = authority.lowercased()
        let host = Self.withoutPort(authority)
        let port = authority.dropFirst(host.count)
        for gateway in gateways {
            if host == gateway || authority == gateway {
                self = .gateway(host: authority)
                return
            }
            for namespace in [ContentPath.Namespace.ipfs, .ipns] {
                let ending = ".\(namespace.rawValue).\(gateway)"
                if host.utf8.count > ending.utf8.count, host.hasSuffix(ending) {
                    let label = String(host.dropLast(ending.count))
                    self = .subdomain(namespace, label: label, gateway: gateway + port)
                    return
                }
            }
        }
        let isAddress =
            host.hasPrefix("[") || host.allSatisfy { $0 == "." || ("0"..."9").contains($0) }
        self = host.contains(".") && !isAddress && host.utf8.count <= 253 ? .domain(host) : .path
    }

    /// The host of an authority; an IPv6 address keeps its brackets.
    static func withoutPort(_ authority: String) -> String {
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return authority }
            return String(authority[...end])
        }
        return String(authority.prefix { $0 != ":" })
    }
}

/// DNSLink names as one label of a host, so that a wildcard certificate covers them.
enum InlinedName {
    /// `en.wiki-pedia.org` as `en-wiki--pedia-org`.
    static func inlined(_ name: String) -> String {
        name.replacing("-", with: "--").replacing(".", with: "-")
    }

    /// The name that a label stands for.
    static func expanded(_ label: String) -> String {
        var out = ""
        var rest = label[...]
        while let character = rest.popFirst() {
            guard character == "-" else {
                out.append(character)
                continue
            }
            if rest.first == "-" {
                rest.removeFirst()
                out.append("-")
            } else {
                out.append(".")
            }
        }
        return out
    }
}
