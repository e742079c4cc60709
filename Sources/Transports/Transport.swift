// Listening for peers and dialling them over TCP and WebSockets.

public import Connections
import Cryptography
import Glibc
public import Multiformats
public import NIOCore
import NIOPosix
public import NIOSSL
import Synchronization
import Wire

/// What connections of a node need to know.
public struct TransportOptions: Sendable {
    /// Our key.
    public var identity: PrivateKey
    /// The protocols that peers may open streams with.
    public var protocols: [ProtocolName]
    /// What is proposed to peers, the preferred one first, and accepted from them. TLS comes first
    /// because its ciphers take half of the processor's time (0.45 against 0.8 s a gigabyte and
    /// side, measured).
    public var security: [SecurityProtocol] = [.tls, .noise]
    /// The key of a private network, within which only Noise is spoken; nil for the public one.
    public var presharedKey: PresharedKey?
    /// Limits of each connection's streams.
    public var limits = YamuxLimits()
    /// Who may connect to us.
    public var admission = Admission(limit: 800)
    /// What all connections hold together.
    public var memory = MemoryBudget(limit: 256 << 20)
    /// The certificate for listening at `/tls/ws`; nil if there is none.
    public var webServer: TLSConfiguration?
    /// Whom to believe when dialling `/tls/ws` and `/wss`.
    public var webClient = TLSConfiguration.makeClientConfiguration()
    /// Where WebRTC's certificate comes from when it is needed, whose hash is in the addresses of
    /// this node; nil for one that lasts as long as the transport.
    public var webRTCCertificate: (@Sendable () throws -> DTLSCertificate)?
    /// What all connections count their bytes in, and wait for; nil for a count of their own
    /// without a ceiling.
    public var bandwidth: Bandwidth?
    /// How long making a TCP connection may take.
    public var connectTimeout = TimeAmount.seconds(5)
    /// How long the handshake may take.
    public var handshakeTimeout = Duration.seconds(10)

    /// The usual options.
    public init(identity: PrivateKey, protocols: [ProtocolName]) {
        self.identity = identity
        self.protocols = protocols
    }
}

/// A node's sockets.
public final class Transport: Sendable {
    let options: TransportOptions
    let connectionOptions: ConnectionOptions
    private let certificate: TLSCertificate
    let bandwidth: Bandwidth
    /// What goes over streams of other connections, which have counted and paid for it already.
    private let circuits: Bandwidth
    private let web: WebTLS
    private let group: any EventLoopGroup
    let acceptor: StreamAcceptor
    /// The certificate of WebRTC, made when it is needed.
    private let ownCertificate = Mutex<DTLSCertificate?>(nil)
    /// Where WebRTC is listened for.
    let webRTCListeners = Mutex<[NIOLoopBound<WebRTCListener>]>([])
    /// Where TCP sockets listen.
    private let listening = Mutex<[SocketAddress]>([])

    /// From where a connection is dialled, and who plays which part in securing it.
    public enum Way: Sendable {
        /// From a port that is used for nothing else.
        case freshPort
        /// From the port that is listened on, so that a router has the same outer port for all
        /// peers; from a fresh one where that is not possible.
        case listeningPort
        /// From the port that is listened on, to a peer that dials us at the same moment.
        case simultaneous(listens: Bool)
    }

    /// Who we are to peers.
    public var peer: PeerID { connectionOptions.identity.peer }

    /// Sockets on the event loops of `group`. Streams that peers open go to `acceptor`.
    public init(
        _ options: TransportOptions, group: any EventLoopGroup,
        acceptor: @escaping StreamAcceptor
    ) throws {
        self.options = options
        self.group = group
        self.acceptor = acceptor
        web = try WebTLS(server: options.webServer, client: options.webClient)
        bandwidth = options.bandwidth ?? Bandwidth(timersOn: group.next())
        circuits = Bandwidth(timersOn: group.next())
        let identity = try NoiseIdentity(
            options.identity, staticKey: X25519.makePrivateKey())
        var connections = ConnectionOptions(identity: identity, protocols: options.protocols)
        connections.presharedKey = options.presharedKey
        connections.limits = options.limits
        connections.handshakeTimeout = options.handshakeTimeout
        connections.accepted = options.presharedKey == nil ? options.security : [.noise]
        connectionOptions = connections
        certificate = try TLSCertificate(options.identity)
    }

    // MARK: Dialling

    /// Connects to a peer. The peer that answers must be `peer`, or the one that the address
    /// names, if there is either. A TCP connection has to be there within `connecting`, or within
    /// the time of the options.
    public func dial(
        _ address: Multiaddr, peer: PeerID? = nil, way: Way = .freshPort,
        connecting limit: TimeAmount? = nil
    ) async throws -> PeerConnection {
        var endpoint = try Endpoint(address)
        endpoint.patience = limit ?? options.connectTimeout
        let expected = peer ?? address.peer
        if case .simultaneous(let listens) = way {
            // Both sides know what comes, and there is one chance alone: Noise is what all speak.
            let role: Connection.Role = listens ? .listener : .dialer(expected)
            let made = try await dial(endpoint, role, from: try source(for: endpoint))
            guard let expected, made.peer != expected else { return made }
            made.close()
            throw TransportError.failed(.wrongPeer(expected: expected, found: made.peer))
        }
        var local: SocketAddress?
        // Without such a port a fresh one serves.
        if case .listeningPort = way { local = try? source(for: endpoint) }
        var refusal = TransportError.closed
        for security in connectionOptions.accepted {
            let role: Connection.Role =
                security == .noise ? .dialer(expected) : .tlsDialer(expected)
            do {
                return try await dial(endpoint, role, orFrom: local)
            } catch let error as TransportError {
                // Only a peer that does not know this protocol is worth another try.
                guard error.isSecurityRefused else { throw error }
                refusal = error
            }
        }
        throw refusal
    }

    /// Whether a connection came from a port that is listened on.
    public func isListening(at address: SocketAddress?) -> Bool {
        guard let address, let port = address.port else { return false }
        return listening.withLock {
            $0.contains { $0.port == port && $0.protocol == address.protocol }
        }
    }

    /// The socket address that is listened on and from which an endpoint can be dialled.
    private func source(for endpoint: Endpoint) throws -> SocketAddress {
        guard case .ip(let kind, _) = endpoint.host else { throw TransportError.notListening }
        let family: NIOBSDSocket.ProtocolFamily = kind == .ip6 ? .inet6 : .inet
        let found = listening.withLock {
            $0.first { $0.protocol == family && !$0.isLoopback }
        }
        guard let found else { throw TransportError.notListening }
        return found
    }

    /// Dials from a port, or from any other if the system does not allow that one, as when there
    /// was a connection between the same two ports not long ago.
    private func dial(
        _ endpoint: Endpoint, _ role: Connection.Role, orFrom local: SocketAddress?
    ) async throws -> PeerConnection {
        guard let local else { return try await dial(endpoint, role, from: nil) }
        do {
            return try await dial(endpoint, role, from: local)
        } catch TransportError.portTaken {
            return try await dial(endpoint, role, from: nil)
        }
    }

    private func dial(
        _ endpoint: Endpoint, _ role: Connection.Role, from local: SocketAddress?
    ) async throws -> PeerConnection {
        let ready = group.next().makePromise(of: PeerConnection.self)
        let dialled = Mutex((channel: (any Channel)?.none, isCancelled: false))
        var bootstrap = ClientBootstrap(group: ready.futureResult.eventLoop)
            .connectTimeout(endpoint.patience)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: Self.waterMark)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let isCancelled = dialled.withLock {
                        $0.channel = channel
                        return $0.isCancelled
                    }
                    if isCancelled { throw TransportError.closed }
                    let traffic = try self.addTraffic(to: channel)
                    guard endpoint.carrier != .tcp else {
                        return try self.prepare(channel, role, traffic, ready)
                    }
                    if case .secureWebSocket = endpoint.carrier {
                        try self.web.addClient(to: channel, name: endpoint.certificateName)
                    }
                    try WebSocket.addClientHandlers(
                        to: channel, host: endpoint.hostField, within: self.requestTimeout
                    ) { try self.prepare($0, role, traffic, ready) }
                }
            }
        if let local {
            bootstrap =
                bootstrap
                .channelOption(.socketOption(.so_reuseaddr), value: 1)
                .channelOption(.socketOption(.reusePort), value: 1)
                .bind(to: local)
        }
        let prepared = bootstrap
        return try await withTaskCancellationHandler {
            do {
                let channel = try await endpoint.connect(prepared)
                // While a WebSocket is asked for, nobody else would tell.
                channel.closeFuture.whenComplete { _ in ready.fail(TransportError.closed) }
            } catch {
                ready.fail(TransportError.connecting(error))
            }
            return try await ready.futureResult.get()
        } onCancel: {
            let channel = dialled.withLock {
                $0.isCancelled = true
                return $0.channel
            }
            channel?.close(promise: nil)
        }
    }

    /// Makes a connection over a stream of another one, whose notices go to the receiver from now
    /// on. On the event loop of that connection only. The connection speaks Noise if this side
    /// dials, and what the peer chooses otherwise.
    public func connect(
        over stream: PeerStream, of carrier: PeerConnection, dialling peer: PeerID?
    ) -> (
        receiver: StreamReceiver, ready: EventLoopFuture<PeerConnection>,
        over: EventLoopFuture<Void>
    ) {
        let ready = carrier.eventLoop.makePromise(of: PeerConnection.self)
        let channel = CircuitChannel(stream, on: carrier.eventLoop)
        do {
            let traffic = try addTraffic(to: channel, counted: circuits)
            try prepare(channel, peer.map { .dialer($0) } ?? .listener, traffic, ready)
        } catch {
            channel.close(promise: nil)
        }
        return ({ channel.receive($0) }, ready.futureResult, channel.closeFuture)
    }

    // MARK: Listening

    /// Waits for peers at an address; port 0 lets the system choose one. Peers that have proven
    /// who they are go to `onPeer`, on their connection's event loop.
    ///
    /// - Parameter origins: which pages may connect over WebSockets.
    public func listen(
        on address: Multiaddr, for origins: PageOrigins = .all,
        onPeer: @escaping @Sendable (PeerConnection) -> Void
    ) async throws -> Listener {
        if WebRTCEndpoint.isMeant(by: address) {
            return try await listenForWebRTC(on: address, onPeer: onPeer)
        }
        let endpoint = try Endpoint(address)
        if case .secureWebSocket = endpoint.carrier, options.webServer == nil {
            throw TransportError.noCertificate(address)
        }
        let admission = options.admission
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: Self.waterMark)
            .childChannelInitializer { channel in
                let visit = admission.enter(from: channel.remoteAddress) {
                    channel.close(promise: nil)
                }
                guard let visit else {
                    return channel.eventLoop.makeFailedFuture(TransportError.overLimit)
                }
                channel.closeFuture.whenComplete { _ in admission.leave(visit) }
                let ready = channel.eventLoop.makePromise(of: PeerConnection.self)
                ready.futureResult.whenSuccess { peer in
                    admission.proved(visit)
                    onPeer(peer)
                }
                return channel.eventLoop.makeCompletedFuture {
                    channel.closeFuture.whenComplete { _ in ready.fail(TransportError.closed) }
                    let traffic = try self.addTraffic(to: channel)
                    guard endpoint.carrier != .tcp else {
                        return try self.prepare(channel, .listener, traffic, ready)
                    }
                    if case .secureWebSocket = endpoint.carrier {
                        try self.web.addServer(to: channel)
                    }
                    try WebSocket.addServerHandlers(
                        to: channel, of: origins, within: self.requestTimeout
                    ) { try self.prepare($0, .listener, traffic, ready) }
                }
            }
        do {
            let channel = try await endpoint.bind(bootstrap)
            if endpoint.carrier == .tcp { try await share(channel) }
            let bound = try endpoint.bound(at: channel.localAddress?.port)
            return Listener(bound) { channel.close() }
        } catch {
            throw TransportError.unreachable("\(error)")
        }
    }

    /// Lets connections go out from the port of a listening socket. Only now, so that nobody else
    /// listened on the port before and another process could not have joined unnoticed.
    private func share(_ channel: any Channel) async throws {
        try await channel.setOption(.socketOption(.reusePort), value: 1).get()
        guard let address = channel.localAddress else { return }
        listening.withLock { $0.append(address) }
        channel.closeFuture.whenComplete { _ in
            self.listening.withLock { $0.removeAll { $0 == address } }
        }
    }

    /// The certificate that WebRTC connections show.
    func webRTCCertificate() throws -> DTLSCertificate {
        try ownCertificate.withLock { own in
            let certificate = try own ?? options.webRTCCertificate?() ?? DTLSCertificate()
            own = certificate
            return certificate
        }
    }

    /// How long a WebSocket's request may take.
    private var requestTimeout: TimeAmount { TimeAmount(options.handshakeTimeout) }

    private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(
        low: 256 << 10, high: 1 << 20)

    /// Counts the bytes of a channel from the first one on.
    private func addTraffic(
        to channel: any Channel, counted place: Bandwidth? = nil
    ) throws -> NIOLoopBound<TrafficHandler> {
        let traffic = TrafficHandler(place ?? bandwidth)
        try channel.pipeline.syncOperations.addHandler(traffic, position: .first)
        return NIOLoopBound(traffic, eventLoop: channel.eventLoop)
    }

    private func prepare(
        _ channel: any Channel, _ role: Connection.Role, _ traffic: NIOLoopBound<TrafficHandler>,
        _ ready: EventLoopPromise<PeerConnection>
    ) throws {
        let now = Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds)
        do {
            let connection = try Connection(
                role, options: connectionOptions, secrets: .random(), now: now)
            let tls = TLSUpgrade(certificate)
            if case .tlsDialer = role { try tls.addClientHandlers(to: channel) }
            let handler = ConnectionHandler(
                connection, tls: tls, traffic: traffic.value, memory: options.memory,
                acceptor: acceptor, ready: ready)
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            ready.fail(error)
            throw error
        }
    }
}

extension NIOBSDSocket.Option {
    fileprivate static let reusePort = NIOBSDSocket.Option(rawValue: SO_REUSEPORT)
}

extension SocketAddress {
    var isLoopback: Bool {
        ipAddress.map { $0.hasPrefix("127.") || $0 == "::1" } ?? false
    }
}

extension TransportError {
    /// What the system said when a connection was to be made.
    static func connecting(_ error: any Error) -> TransportError {
        let codes = [EADDRINUSE, EADDRNOTAVAIL]
        if let error = error as? IOError, codes.contains(error.errnoCode) { return .portTaken }
        return .unreachable("\(error)")
    }

    var isSecurityRefused: Bool {
        if case .failed(.securityRefused) = self { return true }
        return false
    }
}
