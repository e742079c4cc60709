// Listening for peers and dialling them over TCP and WebSockets.

public import Connections
import Cryptography
public import Multiformats
public import NIOCore
import NIOPosix
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
    /// The most connections that peers may have to us at once.
    public var maxInbound = 800
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
    private let options: TransportOptions
    private let connectionOptions: ConnectionOptions
    private let certificate: TLSCertificate
    private let group: any EventLoopGroup
    private let acceptor: StreamAcceptor

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
    /// names, if there is either.
    public func dial(
        _ address: Multiaddr, peer: PeerID? = nil
    ) async throws -> PeerConnection {
        let endpoint = try Endpoint(address)
        let expected = peer ?? address.peer
        var refusal = TransportError.closed
        for security in connectionOptions.accepted {
            do {
                return try await dial(endpoint, security, expected)
            } catch let error as TransportError {
                // Only a peer that does not know this protocol is worth another try.
                guard error.isSecurityRefused else { throw error }
                refusal = error
            }
        }
        throw refusal
    }

    private func dial(
        _ endpoint: Endpoint, _ security: SecurityProtocol, _ expected: PeerID?
    ) async throws -> PeerConnection {
        let ready = group.next().makePromise(of: PeerConnection.self)
        let bootstrap = ClientBootstrap(group: ready.futureResult.eventLoop)
            .connectTimeout(options.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: Self.receiveAllocator)
            .channelOption(.writeBufferWaterMark, value: Self.waterMark)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let role: Connection.Role =
                        security == .noise ? .dialer(expected) : .tlsDialer(expected)
                    switch endpoint.carrier {
                    case .tcp: try self.prepare(channel, role, ready)
                    case .webSocket:
                        try WebSocket.addClientHandlers(
                            to: channel, host: endpoint.hostField, within: self.requestTimeout
                        ) { try self.prepare($0, role, ready) }
                    }
                }
            }
        do {
            let channel = try await endpoint.connect(bootstrap)
            // While a WebSocket is asked for, nobody else would tell.
            channel.closeFuture.whenComplete { _ in ready.fail(TransportError.closed) }
        } catch {
            ready.fail(TransportError.unreachable("\(error)"))
        }
        return try await ready.futureResult.get()
    }

    // MARK: Listening

    /// Waits for peers at an address; port 0 lets the system choose one. Peers that have proven
    /// who they are go to `onPeer`, on their connection's event loop.
    public func listen(
        on address: Multiaddr, onPeer: @escaping @Sendable (PeerConnection) -> Void
    ) async throws -> Listener {
        let endpoint = try Endpoint(address)
        let count = ConnectionCount(limit: options.maxInbound)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.recvAllocator, value: Self.receiveAllocator)
            .childChannelOption(.writeBufferWaterMark, value: Self.waterMark)
            .childChannelInitializer { channel in
                guard count.enter() else {
                    return channel.eventLoop.makeFailedFuture(TransportError.overLimit)
                }
                channel.closeFuture.whenComplete { _ in count.leave() }
                let ready = channel.eventLoop.makePromise(of: PeerConnection.self)
                ready.futureResult.whenSuccess(onPeer)
                return channel.eventLoop.makeCompletedFuture {
                    channel.closeFuture.whenComplete { _ in ready.fail(TransportError.closed) }
                    switch endpoint.carrier {
                    case .tcp: try self.prepare(channel, .listener, ready)
                    case .webSocket:
                        try WebSocket.addServerHandlers(
                            to: channel, within: self.requestTimeout
                        ) { try self.prepare($0, .listener, ready) }
                    }
                }
            }
        do {
            let channel = try await endpoint.bind(bootstrap)
            return try Listener(channel, endpoint)
        } catch {
            throw TransportError.unreachable("\(error)")
        }
    }

    /// How long a WebSocket's request may take.
    private var requestTimeout: TimeAmount { TimeAmount(options.handshakeTimeout) }

    /// What peers send at once is read at once, up to a megabyte.
    private static let receiveAllocator = AdaptiveRecvByteBufferAllocator(
        minimum: 2048, initial: 16_384, maximum: 1 << 20)
    private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(
        low: 256 << 10, high: 1 << 20)

    private func prepare(
        _ channel: any Channel, _ role: Connection.Role,
        _ ready: EventLoopPromise<PeerConnection>
    ) throws {
        var generator = SystemRandomNumberGenerator()
        var random: [UInt8] = []
        while random.count < ConnectionSecrets.byteCount {
            random.appendLittleEndian(generator.next())
        }
        let secrets = ConnectionSecrets(Array(random.prefix(ConnectionSecrets.byteCount)))
        let now = Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds)
        do {
            let connection = try Connection(
                role, options: connectionOptions, secrets: secrets, now: now)
            let tls = TLSUpgrade(certificate)
            if case .tlsDialer = role { try tls.addClientHandlers(to: channel) }
            let handler = ConnectionHandler(
                connection, tls: tls, acceptor: acceptor, ready: ready)
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            ready.fail(error)
            throw error
        }
    }
}

extension TransportError {
    var isSecurityRefused: Bool {
        if case .failed(.securityRefused) = self { return true }
        return false
    }
}
