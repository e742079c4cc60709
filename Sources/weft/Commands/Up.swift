// weft up: a node with its servers, in the foreground

import ArgumentParser
import BlockStore
import Gateway
import Glibc
import Hummingbird
import IPLD
import Logging
import Multiformats
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals
import Weft

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a node in the foreground.",
        discussion: """
            The node joins the public network, where it finds content and others find its own, \
            serves its content over an HTTP gateway and does the work of the other commands. \
            Ctrl-C or SIGTERM stops it. With --json the first line is an object with peer, listen, \
            gateway (a URL), pages and api (URLs or null), socket and repository.


            """
                + Examples.text(
                    ("weft up", "join the network, and serve on http://127.0.0.1:8080"),
                    ("weft up --gateway 127.0.0.1:0 --json", "let the system choose the port"),
                    ("weft up --api 127.0.0.1:5001", "also serve clients of Kubo's RPC"),
                    ("weft up --bootstrap /ip4/192.0.2.7/tcp/4001/p2p/PEER", "join by a friend"),
                    ("weft up --private swarm.key", "join a private network"),
                    ("weft up --offline", "serve what is stored and contact nobody")))

    @OptionGroup var common: CommonOptions

    @Option(
        help: ArgumentHelp(
            "Where the HTTP gateway listens; port 0 means any, '' none (default: the"
                + " configuration's, 127.0.0.1:8080).",
            valueName: "host:port"))
    var gateway: HostAndPort?

    @Option(
        help: ArgumentHelp(
            "A loopback address for the local API, besides the socket in the repository.",
            valueName: "host:port"))
    var api: HostAndPort?

    @Option(
        help: ArgumentHelp(
            "A multiaddr where peers may connect, such as /ip4/0.0.0.0/tcp/4001; may occur again"
                + " (default: the configuration's, TCP port 4001).",
            valueName: "multiaddr"))
    var listen: [MultiaddrArgument] = []

    @Option(
        help: ArgumentHelp(
            "A peer to join the network by, ending in /p2p/PEER; may occur again (default: the"
                + " configuration's, those of the public network).",
            valueName: "multiaddr"))
    var bootstrap: [PeerAddressArgument] = []

    @Flag(help: "Join no network; know the peers that connect alone.")
    var noBootstrap = false

    @Flag(name: .customLong("no-mdns"), help: "Do not look for peers of the local network.")
    var noMDNS = false

    @Option(
        name: .customLong("private"),
        help: ArgumentHelp(
            "The key file of a private network; the node speaks to nobody without the key"
                + " (default: the configuration's, none).",
            valueName: "keyfile"),
        completion: .file())
    var privateKey: String?

    @Flag(help: "Do not ask the router to let others in, as mesh.port-mapping = \"off\" does.")
    var noPortMapping = false

    @Flag(help: "Contact nobody; serve what is stored.")
    var offline = false

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: LogLevelArgument = .notice

    @Flag(help: "Write logs as JSON, one object a line.")
    var logJSON = false

    func validate() throws {
        if let api, !api.isLoopback {
            throw ValidationError("--api must be a loopback address, such as 127.0.0.1:5001")
        }
        if noBootstrap, !bootstrap.isEmpty {
            throw ValidationError("--bootstrap and --no-bootstrap contradict each other")
        }
    }

    func run() async throws {
        do {
            try await serve()
        } catch {
            throw CommandFailure(error)
        }
    }

    private func serve() async throws {
        let logger = Log.logger(logLevel.level, logJSON ? .json : .text)
        let directory = try Repository.locate(common.repository)
        let node = try await start(directory, logger)
        do {
            try await serve(node, logger)
            await node.stop()
        } catch {
            await node.stop()
            throw error
        }
    }

    /// Starts the node, when no other command works on the repository any more.
    private func start(_ directory: String, _ logger: Logger) async throws -> Node {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            do {
                return try await Node.start(
                    at: directory, configuration: try configuration(directory), logger: logger)
            } catch let error as RepositoryError {
                guard case .inUse = error, ContinuousClock.now < deadline,
                    APISocket.reachable(in: directory) == nil
                else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// The repository's configuration with what the command line says instead.
    private func configuration(_ directory: String) throws -> Configuration {
        // Opened and let go at once: the node opens it again in a moment.
        let repository = try Repository(at: directory)
        var configuration = try ConfigurationFile.open(repository.configurationFile).configuration
        if offline { configuration.network = .offline }
        if let gateway { configuration.gateway.address = gateway.text }
        if let api { configuration.api.address = api.text }
        if let privateKey { configuration.mesh.privateKeyFile = privateKey }
        if noPortMapping { configuration.mesh.portMapping = .off }
        if !listen.isEmpty { configuration.mesh.listen = listen.map(\.text) }
        if noMDNS { configuration.mesh.mdns = .off }
        if noBootstrap || !bootstrap.isEmpty {
            configuration.mesh.bootstrap = bootstrap.map(\.text)
        }
        return configuration
    }
}

// The servers.
extension Up {
    /// How long answers under way may take after the signal to stop; then they are cut off.
    private static let grace = Duration.seconds(3)
    /// How long a command that has the repository open is waited for.
    private static let patience = Duration.seconds(5)

    private func serve(_ node: Node, _ logger: Logger) async throws {
        let metrics = Metrics()
        let addresses = ServedAddresses()
        // The signal is how everything stops, however it is asked for.
        let pages = Result { () throws(PagesMissing) in try PageFolder() }
        let dashboard = (try? pages.get()).map { Dashboard($0) }
        let api = LocalAPI(
            node, metrics: metrics, logger: logger, addresses: addresses, dashboard: dashboard,
            stop: { kill(getpid(), SIGTERM) })
        let loopback = try HostAndPort.configured(node.configuration.api.address, "api.address")
        let gateway = try HostAndPort.configured(
            node.configuration.gateway.address, "gateway.address")
        try await loopback?.check("--api")
        try await gateway?.check("--gateway")
        var options = GatewayOptions(node.configuration)
        options.metrics = metrics
        options.pages = try? pages.get()
        let scheme = options.certificate == nil ? "http" : "https"
        var backend = GatewayBackend(node, url: { addresses.gateway })
        backend.exposition = { metrics.exposition(of: node) }
        let server = try Gateway(backend, options: options)
        server.withholdFromPeers(of: node)
        try await node.listen()
        if options.pages != nil, gateway != nil { try await node.listenForPages() }
        let announcement = Announcement(
            waitingFor: 1 + (loopback == nil ? 0 : 1) + (gateway == nil ? 0 : 1),
            Self.describe(node, addresses, pages, json: common.json))
        var services: [any Service] = [
            LocalServer(
                api, at: .socket(path: APISocket.usable(node.repository.socket)), logger: logger
            ) { _ in await announcement.ready() }
        ]
        if let dashboard { services.append(DashboardServer(dashboard, api, logger: logger)) }
        if let loopback {
            let place = LocalServer.Place.loopback(host: loopback.host, port: loopback.port)
            services.append(
                LocalServer(api, at: place, logger: logger) { port in
                    addresses.api = loopback.url(port: port)
                    await announcement.ready()
                })
        }
        if let gateway {
            let address = Gateway.Address(host: gateway.host, port: gateway.port)
            services.append(
                try server.server(at: address, eventLoops: node.eventLoops, logger: logger) {
                    port in
                    let url = gateway.url(port: port, scheme: scheme)
                    addresses.gateway = url
                    addresses.pages = server.pagesURL(of: url)
                    await announcement.ready()
                })
        }
        // What the group reports below warnings is about itself.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        // The last resort is told first, because the group stops its services from the last on.
        var configuration = ServiceGroupConfiguration(
            services: [Servers(all: services), LastResort(logger: logger)],
            gracefulShutdownSignals: [.sigint, .sigterm], logger: quiet)
        configuration.maximumGracefulShutdownDuration = Self.grace
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch is CancellationError {
            // Answers were cut off at the end of the grace, as the signal wanted.
        }
    }

    /// What is printed when everything listens.
    private static func describe(
        _ node: Node, _ addresses: ServedAddresses, _ pages: Result<PageFolder, PagesMissing>,
        json: Bool
    ) -> @Sendable () throws -> Void {
        {
            let peer = node.peer.description
            if json {
                let entry = Value.object([
                    "peer": .string(peer),
                    "listen": .list(node.mesh.addresses.map { .string($0.description) }),
                    "gateway": addresses.gateway.map { .string($0) } ?? .null,
                    "pages": addresses.pages.map { .string($0) } ?? .null,
                    "api": addresses.api.map { .string($0) } ?? .null,
                    "socket": .string(node.repository.socket),
                    "repository": .string(node.repository.directory),
                ])
                try StandardOutput.line(JSONText.text(of: entry))
            } else {
                let rows =
                    [
                        ("peer", peer), ("gateway", addresses.gateway ?? "none"),
                        ("pages", addresses.pages ?? pages.fault ?? "none"),
                        ("dashboard", pages.fault ?? "`weft dashboard` prints its address"),
                        ("api", addresses.api ?? node.repository.socket),
                        ("repository", node.repository.directory),
                    ] + node.mesh.addresses.map { ("peers", $0.description) }
                for (name, text) in rows {
                    try StandardOutput.line("\(StandardOutput.dim(name.padded(to: 12))) \(text)")
                }
            }
            try StandardOutput.flush()
        }
    }
}

extension Result where Success == PageFolder, Failure == PagesMissing {
    /// Why there are no pages.
    fileprivate var fault: String? {
        if case .failure(let fault) = self { "\(fault)" } else { nil }
    }
}

/// The servers of a node, which stop together: none takes new requests while another still answers.
private struct Servers: Service {
    let all: [any Service]

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for server in all { group.addTask { try await server.run() } }
            // The error of one ends the others.
            for try await _ in group {}
        }
    }
}

/// Ends the process when stopping takes too long. That loses nothing: what was acknowledged
/// survives the end of the process at any instant.
private struct LastResort: Service {
    /// How long stopping may take.
    static let patience = TimeAmount.milliseconds(4_400)
    let logger: Logger

    func run() async throws {
        try await gracefulShutdown()
        // On an event loop, because tasks may be what does not end.
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        loop.scheduleTask(in: Self.patience) { [logger] in
            logger.notice("what was under way did not end in time and was cut off")
            _exit(0)
        }
    }
}

/// Prints once when the last server listens.
private actor Announcement {
    private var remaining: Int
    private let announce: @Sendable () throws -> Void

    init(waitingFor servers: Int, _ announce: @escaping @Sendable () throws -> Void) {
        remaining = servers
        self.announce = announce
    }

    func ready() {
        remaining -= 1
        guard remaining == 0 else { return }
        do {
            try announce()
        } catch {
            CommandFailure(error).print()
        }
        releaseStartingCode()
    }
}

extension HostAndPort: ExpressibleByArgument {
    init?(argument: String) { self.init(argument) }

    /// The place of a configuration value; nil for none.
    static func configured(_ text: String, _ key: String) throws -> HostAndPort? {
        guard let place = HostAndPort(text) else {
            throw CommandFailure("'\(key)' must be host:port, not '\(text)'")
        }
        return place.host.isEmpty ? nil : place
    }

    /// Finds out whether a server can listen here, to say clearly why not.
    func check(_ option: String) async throws {
        let reason: String
        do {
            let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: host, port: port).get()
            try await channel.close()
            return
        } catch let error as IOError {
            reason = String(cString: strerror(error.errnoCode))
        } catch {
            reason = "there is no such host here"
        }
        throw CommandFailure(
            "cannot listen on \(text): \(reason); choose another place with \(option)")
    }

    /// The base URL of a server that listens here, on the port that it got.
    func url(port: Int?, scheme: String = "http") -> String {
        let shown = host == "0.0.0.0" || host == "::" ? "127.0.0.1" : host
        return "\(scheme)://\(shown.contains(":") ? "[\(shown)]" : shown):\(port ?? self.port)"
    }
}

/// A log level on the command line.
enum LogLevelArgument: String, ExpressibleByArgument, CaseIterable {
    case trace, debug, info, notice, warning, error, critical

    var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .notice }
}

/// A multiaddr that ends in a peer id on the command line, checked.
struct PeerAddressArgument: ExpressibleByArgument, Sendable {
    let text: String

    init?(argument: String) {
        // Why it is wrong is said by the parser of arguments, which shows the text.
        guard let address = Mesh.peerAddress(argument) else { return nil }
        text = address.description
    }
}

/// A multiaddr on the command line, checked.
struct MultiaddrArgument: ExpressibleByArgument, Sendable {
    let text: String

    init?(argument: String) {
        // Why it is wrong is said by the parser of arguments, which shows the text.
        guard let address = try? Multiaddr(text: argument) else { return nil }
        text = address.description
    }
}
