// The limits of retrieval. All of them are ceilings.

/// Whom to ask for content, and how far.
public struct RetrievalOptions: Sendable {
    /// Whether providers on loopback and private addresses may be asked.
    public enum PrivateAddresses: Sendable {
        /// Only if the configuration names them; a router's word does not suffice.
        case ifConfigured
        /// Whoever names them. For tests and closed networks.
        case always
    }

    /// Whether anybody may be asked at all.
    public var network: Configuration.Network = .online
    /// Routing V1 endpoints that are asked for providers and names.
    public var routers: [String] = []
    /// Trustless gateways that are always asked.
    public var providers: [String] = []
    /// The most providers that one session asks.
    public var maxProviders = 6
    /// The most requests that one session has open at one provider.
    public var requestsPerProvider = 8
    /// How many bytes a session may hold that nobody has asked for yet.
    public var lookAhead = 16 << 20
    /// How long a provider may send nothing, or next to nothing, before it is dropped.
    public var stallTimeout: Duration = .seconds(10)
    /// How long a request to a provider that was never measured may take before another provider
    /// is asked as well.
    public var hedgeDelay: Duration = .milliseconds(800)
    /// How long the look-up of providers may take.
    public var routingTimeout: Duration = .seconds(10)
    /// Which private addresses may be asked.
    public var privateAddresses: PrivateAddresses = .ifConfigured

    /// Nobody to ask, and the usual limits.
    public init() {}

    /// What a node's configuration says.
    public init(_ configuration: Configuration) {
        network = configuration.network
        routers = configuration.routers
        providers = configuration.providers.http
        maxProviders = configuration.fetch.maxProviders
        requestsPerProvider = configuration.fetch.requestsPerProvider
    }
}
