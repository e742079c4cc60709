// Where an HTTP provider is: from a configured URL, or from a multiaddr that a router gave
// (`/dns/host/tcp/443/tls/http`, `/ip4/…/tcp/…/https`, github.com/multiformats/multiaddr).

import Glibc

/// The base URL of an HTTP provider.
struct ProviderAddress: Hashable, Sendable {
    /// `https://host[:port]`, without a slash at the end.
    let base: String
    /// The host alone, without brackets.
    let host: String

    /// Longest text that is looked at, in bytes.
    static let maxLength = 512

    /// An `http` or `https` URL; a path is kept, query and fragment are refused.
    init?(url: String) {
        guard url.utf8.count <= Self.maxLength, let colon = url.range(of: "://") else {
            return nil
        }
        let scheme = url[..<colon.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        let rest = url[colon.upperBound...]
        // Bytes: a line break of two is one character.
        guard rest.utf8.allSatisfy({ (0x21..<0x7f).contains($0) && !"?#@\\".utf8.contains($0) })
        else { return nil }
        let end = rest.firstIndex(of: "/") ?? rest.endIndex
        let authority = rest[..<end].lowercased()[...]
        var path = rest[end...]
        while path.last == "/" { path = path.dropLast() }
        guard let host = Self.host(of: authority) else { return nil }
        self.host = host
        base = "\(scheme)://\(authority)\(path)"
    }

    /// A multiaddr that leads to an HTTP server; nil for any other.
    init?(multiaddr: String) {
        guard multiaddr.utf8.count <= Self.maxLength, multiaddr.first == "/" else { return nil }
        var parts = multiaddr.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
            .makeIterator()
        guard let kind = parts.next(), let host = parts.next(), !host.isEmpty,
            ["dns", "dns4", "dns6", "ip4", "ip6"].contains(kind),
            parts.next() == "tcp", let port = parts.next().flatMap({ UInt16($0) }), port > 0
        else { return nil }
        var isSecure = false
        var isHTTP = false
        while let part = parts.next() {
            switch part {
            case "tls": isSecure = true
            case "sni": _ = parts.next()
            case "http": isHTTP = true
            case "https":
                isSecure = true
                isHTTP = true
            // The peer id, where one is given, is of no use over HTTP.
            case "p2p": _ = parts.next()
            default: return nil
            }
        }
        guard isHTTP else { return nil }
        let name = kind == "ip6" ? "[\(host)]" : String(host)
        let usual: UInt16 = isSecure ? 443 : 80
        let suffix = port == usual ? "" : ":\(port)"
        self.init(url: (isSecure ? "https://" : "http://") + name + suffix)
    }

    /// Whether the host is plainly on this machine or in a private network.
    ///
    /// A name that only resolves to such an address is not noticed; what is sent there is a GET
    /// for a CID and nothing else.
    var isPrivate: Bool {
        let name = host.lowercased()
        if name == "localhost" || name.hasSuffix(".localhost") || name.hasSuffix(".local")
            || name.hasSuffix(".internal") || !name.contains(where: { $0 == "." || $0 == ":" })
        {
            return true
        }
        if let bytes = Self.parse(name, family: AF_INET, count: 4) {
            return Self.isPrivate(v4: bytes)
        }
        if let bytes = Self.parse(name, family: AF_INET6, count: 16) {
            return Self.isPrivate(v6: bytes)
        }
        // No public name ends in a number; odd spellings of addresses do.
        return name.split(separator: ".").last?.allSatisfy(\.isNumber) ?? true
    }

    /// The bytes of a numeric address; nil if the text is none.
    private static func parse(_ text: String, family: Int32, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return inet_pton(family, text, &bytes) == 1 ? bytes : nil
    }

    /// IANA's special-purpose ranges that do not lead to the public Internet.
    private static func isPrivate(v4 bytes: [UInt8]) -> Bool {
        switch (bytes[0], bytes[1]) {
        case (0, _), (10, _), (127, _), (169, 254), (192, 168), (224..., _): true
        case (100, 64...127), (172, 16...31), (198, 18...19): true
        case (192, 0): bytes[2] == 0 || bytes[2] == 2
        default: false
        }
    }

    private static func isPrivate(v6 bytes: [UInt8]) -> Bool {
        if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == bytes[11],
            bytes[10] == 0 || bytes[10] == 0xff
        {
            return isPrivate(v4: Array(bytes[12...]))
        }
        // 64:ff9b::/96 carries an IPv4 address, too; anything outside 2000::/3 is not public.
        if bytes[..<4].elementsEqual([0, 0x64, 0xff, 0x9b]) { return true }
        return bytes[0] & 0xe0 != 0x20
    }

    private static func host(of authority: Substring) -> String? {
        var host = authority
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            let after = authority[authority.index(after: end)...]
            guard after.isEmpty || isPort(after) else { return nil }
            host = authority[authority.index(after: authority.startIndex)..<end]
        } else if let colon = authority.firstIndex(of: ":") {
            guard isPort(authority[colon...]) else { return nil }
            host = authority[..<colon]
        }
        return host.isEmpty ? nil : String(host)
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.first == ":" && UInt16(text.dropFirst()) != nil
    }
}

extension String {
    /// Where `text` first occurs; byte by byte.
    func range(of text: String) -> Range<Index>? {
        let bytes = Array(text.utf8)
        var start = startIndex
        while start < endIndex {
            if utf8[start...].starts(with: bytes) {
                return start..<utf8.index(start, offsetBy: bytes.count)
            }
            start = utf8.index(after: start)
        }
        return nil
    }
}
