// What a node can be told, with safe values for everything. The names, texts and types of the
// keys in the file are in ConfigurationKey.swift.

/// How a node behaves.
///
/// All limits are ceilings. A fresh value is what a node uses when its file says nothing.
public struct Configuration: Sendable, Equatable {
    /// Whether the node may talk to others at all.
    public enum Network: String, Sendable, CaseIterable {
        /// Ask routers and providers for what the store does not have.
        case online
        /// Answer from the store alone; no connection is made.
        case offline
    }

    /// What is kept on disk.
    public struct Storage: Sendable, Equatable {
        /// The most that the store may take on disk, in bytes.
        public var maxBytes: UInt64 = 10 << 30
        /// How long fetched content is kept after its last use.
        public var cacheTTL: Duration = .seconds(7 * 86_400)
    }

    /// How providers of content are found.
    public struct Routing: Sendable, Equatable {
        /// Routing V1 endpoints, as URLs that end before `/providers` (`…/routing/v1`).
        public var delegated = Routing.publicRouters
        static let publicRouters = ["https://delegated-ipfs.dev/routing/v1"]
    }

    /// The Routing V1 endpoints that are asked. A private network does not tell those of the public
    /// one what it looks for, unless they are named.
    var routers: [String] {
        let isPrivate = !mesh.privateKeyFile.isEmpty
        return isPrivate && routing.delegated == Routing.publicRouters ? [] : routing.delegated
    }

    /// Providers that are known beforehand.
    public struct Providers: Sendable, Equatable {
        /// Base URLs of trustless gateways that are always asked.
        public var http: [String] = []
    }

    /// The HTTP gateway.
    public struct Gateway: Sendable, Equatable {
        /// Where to listen, as `host:port`; port 0 lets the system choose; empty for no gateway.
        public var address = "127.0.0.1:8080"
        /// Host names under which every content root has its own origin.
        public var subdomainHosts = ["localhost"]
        /// Files in the compact denylist format.
        public var denylist: [String] = []
        /// A PEM file with the certificate chain, for HTTPS and HTTP/2; empty for plain HTTP.
        public var certificate = ""
        /// A PEM file with the certificate's private key.
        public var certificateKey = ""
    }

    /// The local API, besides its socket in the repository.
    public struct API: Sendable, Equatable {
        /// Where to listen on loopback, as `host:port`; empty for the socket alone.
        public var address = ""
    }

    /// Connections to other peers.
    public struct Mesh: Sendable, Equatable {
        /// How far the mesh reaches, in one switch.
        public enum Reach: String, Sendable, CaseIterable {
            /// To the whole network.
            case everywhere
            /// Not beyond this machine and its private networks.
            case local
            /// To the whole network, for this node's own needs: nobody but the allowed peers is
            /// let in or served, nothing of others is announced, and ceilings are small.
            case metered
            /// To nobody.
            case off
        }

        /// Where a node listens unless it is told otherwise, as far as the machine can. If the port
        /// is taken, another one is chosen.
        public static let usualListen = [
            "/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001", "/ip4/0.0.0.0/udp/4001/webrtc-direct",
            "/ip6/::/udp/4001/webrtc-direct",
        ]
        /// The peers by which others join the public network, too.
        public static let publicBootstrap = [
            "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
            "/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
            "/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
            "/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
            "/dnsaddr/va1.bootstrap.libp2p.io/p2p/"
                + "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
            "/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
        ]

        /// The multiaddrs where a running node listens for peers; empty for none.
        public var listen = Mesh.usualListen
        /// The peers by which a running node joins the network; empty for none.
        public var bootstrap = Mesh.publicBootstrap
        /// Whether peers of the local network are looked for.
        public var mdns = Switch.on
        /// Relays through which this node wants to be reached when nobody can reach it directly.
        public var relays: [String] = []
        /// When others may use this node as a relay.
        public var relayService = RelayService.auto
        /// Whether the router is asked to forward the ports where the node listens.
        public var portMapping = PortMapping.auto
        /// When the node takes part in publish-subscribe.
        public var pubSub = PublishSubscribe.auto
        /// Whether peers may measure their connection to this node.
        public var perf = PerfService.off
        /// How far the mesh reaches.
        public var reach = Reach.everywhere
        /// The set of ceilings.
        public var profile = MeshProfile.home
        /// Single ceilings in the place of the profile's, by their keys.
        public var ceilings: [String: Int] = [:]
        /// How many bytes may pass in a second.
        public var bandwidth = Bandwidth()
        /// If there are any, these peers alone are dialled and let in.
        public var allowPeers: [String] = []
        /// Peers that never are.
        public var denyPeers: [String] = []
        /// If there are any, these ranges of IP addresses alone are dialled and let in.
        public var allowAddresses: [String] = []
        /// Ranges that never are.
        public var denyAddresses: [String] = []
        /// The key file of a private network; empty for the public one.
        public var privateKeyFile = ""
        /// A PEM file with the certificate chain for listening at `/tls/ws`; empty for none.
        public var certificate = ""
        /// A PEM file with the certificate's private key.
        public var certificateKey = ""
        /// A PEM file of authorities whose certificates are believed, besides the system's, when
        /// dialling `/tls/ws`; empty for none.
        public var authorities = ""
    }

    /// When a router is asked to forward ports.
    public enum PortMapping: String, Sendable, CaseIterable {
        /// When the node listens in a private network and reaches everywhere.
        case auto
        case off
    }

    /// Whether something is done.
    public enum Switch: String, Sendable, CaseIterable {
        case on
        case off
    }

    /// When others may use a node as a relay.
    public enum RelayService: String, Sendable, CaseIterable {
        /// While it can be reached from everywhere.
        case auto
        case on
        case off
    }

    /// How many bytes the mesh may receive and send in a second; nil for any number.
    public struct Bandwidth: Sendable, Equatable {
        /// Both ways of one kind of traffic.
        public struct Rates: Sendable, Equatable {
            /// What is received.
            public var inbound: UInt64?
            /// What is sent.
            public var outbound: UInt64?
        }

        /// Everything on the wire.
        public var total = Rates()
        /// Of that, what the exchange of blocks takes.
        public var exchange = Rates()
        /// Of that, what everything else takes.
        public var other = Rates()
        /// Other totals at times of the day, such as `mon-fri 08:00-18:00 in=1MiB out=100KiB`.
        public var schedule: [String] = []
    }

    /// How DNSLink names are looked up.
    public struct DNS: Sendable, Equatable {
        /// A file of TXT records that are used instead of asking; empty for none.
        public var staticFile = ""
        /// A DNS-over-HTTPS endpoint, the address of a DNS server as `host[:port]`, or `system`.
        public var resolver = "system"
    }

    /// What the DHTs are told of what is here.
    public struct Reprovide: Sendable, Equatable {
        /// What is announced.
        public enum Strategy: String, Sendable, CaseIterable {
            /// Every block.
            case all
            /// Every block that pins keep, and the roots of what was fetched.
            case pinned
            /// The roots of pins and of what was fetched.
            case roots
            /// Nothing.
            case none
        }

        /// What is announced.
        public var strategy = Strategy.roots
        /// How often all of it is announced again. Others forget it after 48 hours.
        public var interval: Duration = .seconds(22 * 3600)
    }

    /// Limits of fetching.
    public struct Fetch: Sendable, Equatable {
        /// How long a fetch may make no progress, unless the request says otherwise.
        public var deadline: Duration = .seconds(30)
        /// The most providers that one fetch talks to at a time.
        public var maxProviders = 6
        /// The most requests that are open at one provider.
        public var requestsPerProvider = 8
    }

    /// What contracts may use here. Going beyond is no result of a call, but for the gas.
    public struct Compute: Sendable, Equatable {
        /// Whether contracts run here at all.
        public var contracts = Switch.on
        /// Whether they run for peers, too.
        public var serve = Switch.on
        /// What peers owe for a thousand units of gas, in credits.
        public var price = 1_000
        /// How many calls of peers run at a time; 0 for one on each core.
        public var slots = 0
        /// The contracts that run for peers, by their CIDs; empty for whichever peers ask for.
        public var offer: [String] = []
        /// The gas of a call that does not say how much it may use.
        public var gas = 10_000_000_000
        /// How long a call may take.
        public var time: Duration = .seconds(60)
        /// The memory of all running contracts together, in bytes.
        public var memory: UInt64 = 1 << 30
        /// The bytes of one response.
        public var output: UInt64 = 64 << 20
        /// The bytes of content that one call may read, and of a request's body.
        public var input: UInt64 = 1 << 30
        /// The bytes that one call may write into the store, with all that it calls: answers and
        /// bodies that are too long for a record.
        public var written: UInt64 = 256 << 20
        /// How many activations one call may have.
        public var calls = 10_000
    }

    /// Published names.
    public struct IPNS: Sendable, Equatable {
        /// How long a published record is valid.
        public var lifetime: Duration = .seconds(48 * 3600)
        /// How long others may use a record before they look for a newer one.
        public var ttl: Duration = .seconds(300)
        /// How often published records are renewed.
        public var republish: Duration = .seconds(4 * 3600)
    }

    /// Whether the node may talk to others at all.
    public var network = Network.online
    /// What is kept on disk.
    public var storage = Storage()
    /// How providers of content are found.
    public var routing = Routing()
    /// Providers that are known beforehand.
    public var providers = Providers()
    /// The HTTP gateway.
    public var gateway = Gateway()
    /// The local API.
    public var api = API()
    /// Connections to other peers.
    public var mesh = Mesh()
    /// How DNSLink names are looked up.
    public var dns = DNS()
    /// What the DHTs are told of what is here.
    public var reprovide = Reprovide()
    /// Limits of fetching.
    public var fetch = Fetch()
    /// What contracts may use here.
    public var compute = Compute()
    /// Published names.
    public var ipns = IPNS()

    /// The values that are used when nothing is said.
    public init() {}
}
