// The HTTP server of a gateway. Hummingbird brings connections, parsing and shutdown; there is no
// router, because what a path means is the gateway's own business.

import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
public import Logging
import NIOCore
public import NIOPosix
public import ServiceLifecycle
import Weft

extension Gateway {
    /// Where a server listens.
    public struct Address: Sendable {
        /// An address or a name of this machine.
        public var host: String
        /// A port; 0 lets the system choose.
        public var port: Int

        /// An address in two parts.
        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// A server of this gateway, to be run in a service group.
    ///
    /// With a certificate it speaks HTTP/2 and HTTP/1.1 over TLS; without one, HTTP/1.1 and, with
    /// clients that begin with it, HTTP/2.
    ///
    /// - Parameters:
    ///   - address: Where to listen.
    ///   - eventLoops: The threads of its sockets.
    ///   - logger: Where it reports what nobody waits for.
    ///   - onRunning: Called with the port once connections are accepted.
    public func server(
        at address: Address, eventLoops: MultiThreadedEventLoopGroup, logger: Logger,
        onRunning: @escaping @Sendable (Int) async -> Void = { _ in }
    ) throws -> any Service {
        var quiet = logger
        if quiet.logLevel < .notice { quiet.logLevel = .notice }
        let server = try builder().buildServer(
            configuration: ServerConfiguration(
                address: .hostname(address.host, port: address.port),
                availableConnectionsDelegate: MaximumAvailableConnections(
                    options.maxConnections, logger: quiet)),
            eventLoopGroup: eventLoops,
            logger: quiet,
            responder: { [self] request, writer, channel in
                try await answer(request, writer, channel)
            },
            onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? 0) })
        return GatewayService(server: server, gateway: self, logger: logger)
    }

    private func builder() throws -> HTTPServerBuilder {
        let options = options
        let cache = cache
        let http1 = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionHandler(options, cache: cache)],
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: options.maxHeaderBytes,
                maxHeaderListSize: options.maxHeaderBytes, maxHeaderFieldCount: 200))
        let http2 = HTTP2ChannelConfiguration(
            idleTimeout: .nanoseconds(options.idleTimeout.nanoseconds),
            gracefulCloseTimeout: .seconds(3),
            streamConfiguration: HTTP1Channel.Configuration())
        guard let certificate = options.certificate else {
            return HTTPServerBuilder { responder in
                PlainChannel(
                    http1: HTTP1Channel(responder: responder, configuration: http1),
                    http2: HTTP2Channel(responder: responder, configuration: http2))
            }
        }
        let chain = try NIOSSLCertificate.fromPEMFile(certificate.chainFile)
        let key = try NIOSSLPrivateKey(file: certificate.keyFile, format: .pem)
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        return try .http2Upgrade(tlsConfiguration: tls, configuration: http2)
    }
}

/// A gateway's server together with what it does from time to time.
private struct GatewayService: Service {
    let server: any Service
    let gateway: Gateway
    let logger: Logger

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            group.addTask { [gateway, logger] in
                while !Task.isCancelled {
                    try await Task.sleep(for: .seconds(1))
                    try await gateway.refresh(logger)
                }
            }
            // The server ends first, by a graceful shutdown or an error.
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}

extension Gateway {
    /// Reads deny lists again if they have changed. A server does so every second.
    func refresh(_ logger: Logger?) async throws {
        let hasChanged = try await NIOThreadPool.singleton.runIfActive { [denylist] in
            denylist.reloadIfChanged(logger)
        }
        if hasChanged { cache.clear() }
    }
}
