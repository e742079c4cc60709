// What a caller asks of `Node.fetch`: the browser's request (fetch.spec.whatwg.org), plus what
// the mesh needs to know.

public import HTTPTypes

/// A request for a URL: `ipfs://`, `ipns://`, `weft://`, or `http(s)://` with ``integrity``.
public struct Request: Sendable {
    /// The URL, as text. It is parsed, and refused with ``FetchError``, when it is fetched.
    public var url: String
    /// `GET` or `HEAD` for content; for calls what the contract understands. `HEAD` is the call
    /// that `GET` is, answered without its body.
    public var method: HTTPRequest.Method
    /// Passed to the answering side: `Range`, `If-None-Match`, `Accept` and so on. A contract sees
    /// `Content-Type`, `Accept`, `Weft-Dir`, `Weft-Gas` and names that begin with `Weft-Arg-`.
    public var headers: HTTPFields
    /// What is sent along with a call; nil for content.
    public var body: ResponseBody?
    /// How far stored content and stored names may be used.
    public var cache: CacheMode
    /// What happens when the answer is a redirect.
    public var redirect: RedirectMode
    /// What the bytes of an `http(s)` URL must hash to: Subresource Integrity metadata such as
    /// `sha256-…` (the origin brings the bytes), or the CID of a file (the mesh brings them, or the
    /// origin if nobody else has them; see docs/fetching.md).
    public var integrity: String?
    /// Limits of the retrieval.
    public var mesh: MeshOptions

    /// How far stored content and stored names may be used (the browser's request cache modes).
    ///
    /// Content named by its hash cannot go stale, so the modes differ for it only in whether the
    /// network or the store is used. For names they also say how old a record may be.
    public enum CacheMode: String, Sendable, CaseIterable {
        /// Stored blocks are used; a stored name record is used while valid, and refreshed.
        case standard = "default"
        /// As `reload`, and what is fetched is not stored.
        case noStore = "no-store"
        /// Everything is fetched again, as if nothing were stored, and then stored.
        case reload = "reload"
        /// Stored blocks are used; a name is looked up again before it is used.
        case noCache = "no-cache"
        /// Whatever is stored is used, however old, without a refresh.
        case forceCache = "force-cache"
        /// As `force-cache`, and the network is not asked at all.
        case onlyIfCached = "only-if-cached"
    }

    /// What happens when the answer is a redirect (the browser's redirect modes).
    public enum RedirectMode: String, Sendable, CaseIterable {
        /// It is followed, up to ``Request/maxRedirects`` times.
        case follow
        /// It is an error.
        case error
        /// It is handed to the caller as it is.
        case manual
    }

    /// How many redirects are followed before the request fails.
    public static let maxRedirects = 20

    /// A request; all but the URL have the browser's defaults.
    public init(
        _ url: String, method: HTTPRequest.Method = .get, headers: HTTPFields = [:],
        body: ResponseBody? = nil, cache: CacheMode = .standard,
        redirect: RedirectMode = .follow, integrity: String? = nil,
        mesh: MeshOptions = MeshOptions()
    ) {
        self.url = url
        self.method = method
        self.headers = headers
        self.body = body
        self.cache = cache
        self.redirect = redirect
        self.integrity = integrity
        self.mesh = mesh
    }
}

/// Limits of one retrieval.
public struct MeshOptions: Sendable {
    /// How long the whole may take, from the call to the last byte of the body; nil for no limit.
    public var deadline: Duration?
    /// How long the body may make no progress while the caller waits for it.
    public var idleDeadline: Duration
    /// How the answers of peers to a call are checked; nil for the node's usual way.
    public var audit: Audit?
    /// The most that gas may cost, in credits for 1,000 units; nil for the usual cap, 2,000, which
    /// is twice the usual price.
    public var maxPrice: UInt32?
    /// What a wrong answer would cost, in credits; peers with a short history are then avoided.
    public var value: UInt64 = 0

    /// Limits; 30 s without progress unless told otherwise.
    public init(deadline: Duration? = nil, idleDeadline: Duration = .seconds(30)) {
        self.deadline = deadline
        self.idleDeadline = idleDeadline
    }
}
