// The sockets of the local API.

import Glibc
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle
import Weft

/// One server of the local API.
public struct LocalServer: Service {
    /// Where it listens.
    public enum Place: Sendable {
        /// The socket of a repository, for its owner alone.
        case socket(path: String)
        /// A loopback address; port 0 lets the system choose.
        case loopback(host: String, port: Int)
        /// A port of 127.0.0.1 that the system chooses, for a dashboard.
        case dashboard(Dashboard)
    }

    /// The most connections at a time.
    private static let maxConnections = 512

    private let api: LocalAPI
    private let place: Place
    private let logger: Logger
    private let running: @Sendable (_ port: Int?) async -> Void

    /// A server; `running` is called when it listens, with the port if it has one.
    public init(
        _ api: LocalAPI, at place: Place, logger: Logger,
        running: @escaping @Sendable (_ port: Int?) async -> Void
    ) {
        self.api = api
        self.place = place
        self.logger = logger
        self.running = running
    }

    /// Serves until it is cancelled or asked to shut down.
    @concurrent
    public func run() async throws {
        let address: BindAddress
        let access: LocalAPI.Access
        switch place {
        case .socket(let path):
            address = .unixDomainSocket(path: path)
            access = .owner
        case .loopback(let host, let port):
            guard LoopbackGuard.isLoopback(authority: host.contains(":") ? "[\(host)]" : host)
            else {
                throw APIError(
                    "the local API listens on loopback alone, such as 127.0.0.1, and not on "
                        + "'\(host)' (api.address)", status: .forbidden)
            }
            address = .hostname(host, port: port)
            access = .loopback
        case .dashboard(let dashboard):
            address = .hostname("127.0.0.1", port: 0)
            access = .dashboard(dashboard)
        }
        // What the server reports of itself when it is cancelled is no news.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .critical)
        let connections = OpenConnections()
        let configuration = HTTP1Channel.Configuration(
            additionalChannelHandlers: [
                OpenConnection(connections), HTTP1Rules.Place(), ClientPresence(),
                ContinueHandler(),
            ],
            idleTimeout: .seconds(120))
        let application = Application(
            responder: api.responder(for: access),
            server: .http1(configuration: configuration),
            configuration: ApplicationConfiguration(
                address: address, serverName: WeftVersion.agent,
                availableConnectionsDelegate: MaximumAvailableConnections(Self.maxConnections)),
            onServerRunning: { channel in
                // The directory is its owner's alone, and so is the socket, should the directory
                // be opened up later.
                if case .socket(let path) = place, chmod(path, 0o600) != 0 {
                    logger.error("the socket's mode cannot be set", metadata: ["path": "\(path)"])
                }
                await channel.acceptSingly()
                await running(channel.localAddress?.port)
            },
            logger: quiet)
        defer { if case .socket(let path) = place { unlink(path) } }
        try await connections.serve(application)
    }
}
