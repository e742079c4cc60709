// The HTTP server of a gateway. Hummingbird brings connections, parsing and shutdown; there is no
// router, because what a path means is the gateway's own business.

import Glibc
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
    /// - Throws: ``CertificateError``.
    public func server(
        at address: Address, eventLoops: MultiThreadedEventLoopGroup, logger: Logger,
        onRunning: @escaping @Sendable (Int) async -> Void = { _ in }
    ) throws -> any Service {
        var quiet = logger
        if quiet.logLevel < .notice { quiet.logLevel = .notice }
        let connections = OpenConnections()
        let server = try builder(connections, logger).buildServer(
            configuration: ServerConfiguration(
                address: .hostname(address.host, port: address.port),
                availableConnectionsDelegate: MaximumAvailableConnections(
                    options.maxConnections, logger: quiet)),
            eventLoopGroup: eventLoops,
            logger: quiet,
            responder: { [self] request, writer, channel in
                try await answer(request, writer, channel)
            },
            onServerRunning: { channel in
                await channel.acceptSingly()
                await onRunning(channel.localAddress?.port ?? 0)
            })
        return GatewayService(
            server: server, connections: connections, gateway: self, logger: logger)
    }

    private func builder(
        _ connections: OpenConnections, _ logger: Logger
    ) throws -> HTTPServerBuilder {
        let options = options
        let cache = cache
        let limits = HTTP1Channel.Configuration.DecoderConfiguration(
            maxHeaderFieldSize: options.maxHeaderBytes,
            maxHeaderListSize: options.maxHeaderBytes, maxHeaderFieldCount: 200)
        let http1 = HTTP1Channel.Configuration(
            additionalChannelHandlers: [
                HTTP1Rules.Place(), ClientPresence(), ConnectionHandler(options, cache: cache),
                ContinueHandler(),
            ],
            httpDecoderConfiguration: limits)
        // Streams of HTTP/2, and HTTP/1.1 over TLS: answers are not bytes of the socket there.
        let streams = HTTP1Channel.Configuration(
            additionalChannelHandlers: [
                HTTP1Rules.Place(), ClientPresence(), ConnectionHandler(options, cache: nil),
                ContinueHandler(),
            ],
            httpDecoderConfiguration: limits)
        let http2 = HTTP2ChannelConfiguration(
            idleTimeout: .nanoseconds(options.idleTimeout.nanoseconds),
            gracefulCloseTimeout: .seconds(3), streamConfiguration: streams)
        let patience = min(options.idleTimeout, .seconds(20))
        let quiet = options.idleTimeout + options.stallTimeout
        guard let certificate = options.certificate else {
            return HTTPServerBuilder { responder in
                PlainChannel(
                    http1: HTTP1Channel(responder: responder, configuration: http1),
                    http2: HTTP2Channel(responder: responder, configuration: http2),
                    limits: .init(patience: patience, headerBytes: options.maxHeaderBytes),
                    quiet: quiet, connections: connections)
            }
        }
        let tls = try certificate.configuration(logger)
        return HTTPServerBuilder { responder in
            SecureChannel(
                negotiated: try HTTP2UpgradeChannel(
                    tlsConfiguration: tls, configuration: http2, responder: responder),
                patience: patience, quiet: quiet, connections: connections)
        }
    }
}

extension Channel {
    /// Has a server look at its limit before each connection that it takes. Otherwise all that wait
    /// at one moment, up to 16, would be taken where there is room for one.
    func acceptSingly() async {
        // A channel that has been closed meanwhile takes no connection either.
        try? await setOption(.maxMessagesPerRead, value: 1).get()
    }
}

extension GatewayOptions.Certificate {
    /// What TLS needs of the two files.
    fileprivate func configuration(_ logger: Logger) throws(CertificateError) -> TLSConfiguration {
        let names = ("gateway.certificate", "gateway.certificate-key")
        try Self.check(chainFile, names.0, other: names.1)
        try Self.check(keyFile, names.1, other: names.0)
        let files: CertificateFiles
        do {
            files = try CertificateFiles(chainFile: chainFile, keyFile: keyFile)
        } catch {
            switch error {
            case .noCertificate: throw .noCertificate(path: chainFile)
            case .noKey: throw .noKey(path: keyFile)
            case .mismatch: throw .mismatch(certificate: chainFile, key: keyFile)
            }
        }
        if let own = files.renewedChain.first, time(nil) > own.notValidAfter {
            logger.warning("the certificate has expired", metadata: ["file": "\(chainFile)"])
        }
        return files.configuration
    }

    private static func check(
        _ path: String, _ key: String, other: String
    ) throws(CertificateError) {
        if path.isEmpty { throw .missing(key: key, although: other) }
        if access(path, R_OK) != 0 {
            throw .unreadable(key: key, path: path, reason: String(cString: strerror(errno)))
        }
    }
}

/// A gateway's server together with what it does from time to time.
private struct GatewayService: Service {
    let server: any Service
    let connections: OpenConnections
    let gateway: Gateway
    let logger: Logger

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await connections.serve(server) }
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
