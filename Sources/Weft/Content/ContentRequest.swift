// What the responder is asked: a path whose root is already resolved, and the parts of the HTTP
// request that bear on the answer.

public import HTTPTypes
public import Multiformats

/// A request for content whose root is known.
public struct ContentRequest: Sendable {
    /// How long the path may keep its meaning.
    public enum Lifetime: Sendable, Hashable {
        /// For ever: the root is a CID.
        case immutable
        /// As long as a name's record says; nil if it does not say.
        case mutable(ttl: Duration?)
    }

    /// Where the content is seen from. It decides links, and whether the content has an origin
    /// of its own, which is what `_redirects` needs.
    public enum Site: Sendable, Hashable {
        /// Under `/ipfs/` or `/ipns/`, beside all other content.
        case path
        /// At the root of `<root>.ipfs.<gateway>` or `<root>.ipns.<gateway>`.
        case subdomain(gateway: String)
        /// At the root of its own domain.
        case dnslink(host: String)
    }

    /// The path as it was asked for.
    public var path: ContentPath
    /// The CID that the path's root is or points to.
    public var root: CID
    /// What a name's value has after its root; it comes before the path's own segments.
    public var rootSegments: [String]
    /// `GET` or `HEAD`.
    public var method: HTTPRequest.Method
    /// The headers of the request.
    public var headers: HTTPFields
    /// The parameters of the URL.
    public var query: QueryItems
    /// How long the path may keep its meaning.
    public var lifetime: Lifetime
    /// Where the content is seen from.
    public var site: Site

    /// A request; what is left out is what `fetch` of an immutable path needs.
    public init(
        _ path: ContentPath, root: CID, rootSegments: [String] = [],
        method: HTTPRequest.Method = .get, headers: HTTPFields = [:],
        query: QueryItems = QueryItems(""), lifetime: Lifetime = .immutable, site: Site = .path
    ) {
        self.path = path
        self.root = root
        self.rootSegments = rootSegments
        self.method = method
        self.headers = headers
        self.query = query
        self.lifetime = lifetime
        self.site = site
    }

    /// All segments below ``root``.
    var segments: [String] { rootSegments + path.segments }

    /// Whether the content has a web origin of its own.
    var hasOwnOrigin: Bool { site != .path }

    /// The path of a URL that leads to a path below the root, as seen from the site.
    func link(to segments: some Sequence<String>) -> String {
        var out = ""
        if site == .path {
            out = "/\(path.namespace.rawValue)/"
            PercentCoding.append(path.root, for: .pathSegment, to: &out)
        }
        for segment in segments {
            out += "/"
            PercentCoding.append(segment, for: .pathSegment, to: &out)
        }
        return out
    }
}
