// The URLs that can be fetched, taken apart.

/// A URL that can be fetched.
enum FetchURL: Hashable, Sendable {
    /// `ipfs://` or `ipns://`, also written as a path; the query without its question mark.
    case content(ContentPath, query: String)
    /// `http://` or `https://`, without its fragment.
    case web(String)
    /// `weft://`: a call of a contract, without its fragment.
    case call(String)

    /// Reads a URL.
    ///
    /// - Throws: ``FetchError`` with the code `badRequest` or `notSupported`.
    init(_ text: String) throws(FetchError) {
        guard text.utf8.count <= ContentPath.maxLength else {
            throw FetchError(.badRequest, "the URL is longer than \(ContentPath.maxLength) bytes")
        }
        let bare = text[..<(text.utf8.firstIndex(of: UInt8(ascii: "#")) ?? text.endIndex)]
        if bare.utf8.starts(with: "weft://".utf8) {
            self = .call(Self.encodingQuery(of: bare))
            return
        }
        guard let separator = String(bare).range(of: "://") else {
            guard bare.hasPrefix("/ipfs/") || bare.hasPrefix("/ipns/") else {
                throw FetchError(
                    .badRequest, "'\(text)' is no URL; use ipfs://<CID>, ipns://<name> or https://")
            }
            self = try Self.content(bare)
            return
        }
        let scheme = bare[..<separator.lowerBound].lowercased()
        let rest = bare[separator.upperBound...]
        switch scheme {
        case "ipfs", "ipns": self = try Self.content("/\(scheme)/\(rest)"[...])
        case "http", "https": self = .web(scheme + "://" + rest)
        case "weft": self = .call(Self.encodingQuery(of: "weft://\(rest)"))
        default:
            throw FetchError(
                .badRequest,
                "'\(scheme)' URLs cannot be fetched; use ipfs, ipns, weft, http or https")
        }
    }

    /// A URL in whose query that is percent-encoded which a browser would encode there (WHATWG URL,
    /// section 1.3), so that the same text is the same call for both.
    private static func encodingQuery(of url: Substring) -> String {
        let start = url.utf8.firstIndex(of: UInt8(ascii: "?")) ?? url.endIndex
        var query: [UInt8] = []
        for byte in url.utf8[start...] {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), ...0x20, 0x7f...:
                let digits = String(byte, radix: 16, uppercase: true)
                query += Array((byte < 16 ? "%0" : "%").utf8) + Array(digits.utf8)
            default: query.append(byte)
            }
        }
        return url[..<start] + String(decoding: query, as: UTF8.self)
    }

    private static func content(_ text: Substring) throws(FetchError) -> FetchURL {
        let mark = text.utf8.firstIndex(of: UInt8(ascii: "?")) ?? text.endIndex
        do {
            return .content(
                try ContentPath(encoded: text[..<mark]),
                query: String(Substring(text.utf8[mark...].dropFirst())))
        } catch {
            throw FetchError(.badRequest, error.message)
        }
    }

    /// Where a redirect leads that an answer to this URL gave.
    func redirected(to location: String) throws(FetchError) -> FetchURL {
        if location.range(of: "://") != nil || location.hasPrefix("/ipfs/")
            || location.hasPrefix("/ipns/")
        {
            return try FetchURL(location)
        }
        switch self {
        case .call(let url): throw FetchError(.redirect, "\(url) redirects, which calls do not")
        case .web(let url):
            let start = url.hasPrefix("https") ? 8 : 7
            let authority = url.dropFirst(start).prefix { !"/?".contains($0) }
            guard location.hasPrefix("/"), !location.hasPrefix("//") else {
                throw FetchError(.redirect, "\(url) redirects to '\(location.prefix(200))'")
            }
            return .web(String(url.prefix(start)) + authority + location)
        case .content(let path, _):
            guard location.hasPrefix("/") else {
                throw FetchError(
                    .redirect, "\(path.encoded) redirects to '\(location.prefix(200))'")
            }
            // A site's own path, as its `_redirects` file gives it.
            let root = ContentPath(path.namespace, root: path.root).encoded
            return try FetchURL(root + location)
        }
    }

    /// The URL as text.
    var text: String {
        switch self {
        case .web(let url), .call(let url): return url
        case .content(let path, let query):
            let encoded = path.encoded.dropFirst(6)
            return "\(path.namespace.rawValue)://\(encoded)" + (query.isEmpty ? "" : "?" + query)
        }
    }
}
