public import NIOCore
public import Weft

/// How a gateway behaves. All limits are ceilings.
public struct GatewayOptions: Sendable {
    /// A certificate and its key, for HTTPS and HTTP/2.
    public struct Certificate: Sendable {
        /// A file with the certificate chain, in PEM.
        public var chainFile: String
        /// A file with the private key, in PEM.
        public var keyFile: String

        /// A certificate in two files.
        public init(chainFile: String, keyFile: String) {
            self.chainFile = chainFile
            self.keyFile = keyFile
        }
    }

    /// Whether it is for this machine's user alone, whom pages of others must not be able to tell
    /// from everybody else.
    public var isPersonal = false
    /// Host names under which every content root has its own origin.
    public var subdomainHosts: [String] = ["localhost"]
    /// Files in the compact denylist format.
    public var denylistFiles: [String] = []
    /// The certificate; nil for plain HTTP.
    public var certificate: Certificate?
    /// The most connections at a time. More wait in the system's queue, unanswered, until one
    /// closes or is closed for idling; those that arrive in the same moment may go over it by 16.
    public var maxConnections = 1_024
    /// How long a connection may lie idle between requests, or a request may take to arrive.
    public var idleTimeout: TimeAmount = .seconds(60)
    /// How long a client may take to accept the next piece of an answer.
    public var stallTimeout: TimeAmount = .seconds(120)
    /// The most bytes that one header field, or all of them, may have.
    public var maxHeaderBytes = 32 << 10
    /// How many bytes of small answers are kept ready.
    public var cachedBytes = 16 << 20

    /// The program's own pages; nil for none.
    public var pages: PageFolder?
    /// Where requests are counted; nil for nowhere.
    public var metrics: Metrics?

    /// The usual limits.
    public init() {}

    /// What a node's configuration says.
    public init(_ configuration: Configuration) {
        isPersonal = LoopbackGuard.isLoopback(authority: configuration.gateway.address)
        subdomainHosts = configuration.gateway.subdomainHosts
        denylistFiles = configuration.gateway.denylist
        let files = (configuration.gateway.certificate, configuration.gateway.certificateKey)
        if !files.0.isEmpty || !files.1.isEmpty {
            certificate = Certificate(
                chainFile: files.0, keyFile: files.1)
        }
    }
}
