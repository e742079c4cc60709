// A content node as one value: what it owns, how it starts and how it stops. What it can do is in
// extensions beside the things they are about: Import/, Export/, Fetch/, Names/, Repository/.

public import AsyncHTTPClient
public import BlockStore
import Compute
public import Logging
public import Multiformats
import NIOCore
public import NIOPosix
import Synchronization

/// A content node: a repository on disk, opened, with everything that works on it.
///
/// It holds threads, files and connections until ``stop()``. Starting it contacts nobody;
/// ``listen()`` makes it take part in the network.
public final class Node: Sendable {
    /// The directory that holds everything; no other process can open it meanwhile.
    public let repository: Repository
    /// What the node was told. It does not change while the node runs.
    public let configuration: Configuration
    /// The blocks and pins.
    public let store: BlockStore
    /// The threads of all sockets of this process. They outlive the node, because what a reader
    /// lets go of late, such as the body of an answer, ends on them.
    public let eventLoops = MultiThreadedEventLoopGroup.singleton
    /// The one client for outgoing HTTP; it follows no redirects by itself.
    public let client: HTTPClient
    /// Whom the node asks for what it does not have.
    public let retrieval: Retrieval
    /// Who is asked about domains.
    let dns: DNSResolver
    /// What mutable names stand for.
    public let names: NameResolver
    /// The private keys of the repository.
    public let keys: KeyRing
    /// The newest known record of each name.
    public let records: NameRecords
    /// The key that identifies this node.
    public let identity: PrivateKey
    /// Calls of contracts.
    public let computation: Computation
    /// The connections to other peers. There are none before somebody asks for them.
    public let mesh: Mesh
    /// Where the node reports what nobody waits for.
    public let logger: Logger

    let background = Background()

    /// The name that others know this node by.
    public var peer: PeerID { PeerID(identity.publicKey) }

    /// Opens a repository, making a new one where there is none, and starts a node on it.
    ///
    /// - Parameters:
    ///   - directory: the repository; nil for the one that ``Repository/locate(_:)`` finds.
    ///   - configuration: used instead of the repository's own file.
    ///   - logger: nothing is reported without one.
    /// - Throws: ``RepositoryError``, ``ConfigurationError``, ``SystemError``, or an error of the
    ///   store.
    public static func start(
        at directory: String? = nil, configuration: Configuration? = nil, logger: Logger? = nil
    ) async throws -> Node {
        let repository = try Repository(at: Repository.locate(directory))
        do {
            return try await start(on: repository, configuration, logger)
        } catch {
            // At once, so that whoever mends what is wrong can open it.
            repository.close()
            throw error
        }
    }

    private static func start(
        on repository: Repository, _ configuration: Configuration?, _ logger: Logger?
    ) async throws -> Node {
        let file = try ConfigurationFile.open(repository.configurationFile)
        let configuration = configuration ?? file.configuration
        let options = StoreOptions(
            maxBytes: configuration.storage.maxBytes, cacheTTL: configuration.storage.cacheTTL)
        let keys = KeyRing(repository.keysDirectory)
        let identity = try keys.identity()
        let store = try await NIOSingletons.posixBlockingThreadPool.runIfActive {
            try BlockStore.open(at: repository.storeDirectory, options)
        }
        let credit = try CreditFiles(
            repository.creditDirectory, of: PeerID(identity.publicKey))
        // Who has been proven to lie is banned, as long as the proof is there.
        var responders = credit.responders
        for peer in try EvidenceFiles(repository.evidenceDirectory).accused().reversed() {
            responders.ban(peer, until: nil)
        }
        let node = Node(
            repository, configuration, store, keys, identity, credit, responders,
            logger ?? Logger(label: "weft") { _ in SwiftLogNoOpLogHandler() })
        for event in store.openingEvents { node.logger.notice("\(event)") }
        if credit.cutBytes > 0 {
            node.logger.notice(
                "cut off what a crash had left of a change of balances or a receipt",
                metadata: ["bytes": "\(credit.cutBytes)"])
        }
        node.runChores()
        return node
    }

    /// How long a chore waits at most, and the first time.
    private static let choreInterval = Duration.seconds(600)

    /// How late a window of the bandwidth's schedule may begin.
    private static let scheduleInterval = Duration.seconds(20)

    /// What a node does from time to time as long as it runs.
    private func runChores() {
        // Often enough that nothing outlives its time by much.
        let collection = min(
            Self.choreInterval, max(.seconds(1), configuration.storage.cacheTTL / 4))
        background.run { [logger, store] in
            while await Self.pause(collection) {
                do {
                    try await store.collect(.expired)
                } catch {
                    logger.error("collecting failed", metadata: ["error": "\(error)"])
                }
            }
        }
        background.run { [computation] in await computation.recallProofs() }
        background.run { [weak self] in
            while await Self.pause(Self.scheduleInterval), let self {
                mesh.setRates()
                await computation.saveAccounts()
                await computation.renewOffer()
            }
        }
        background.run { [weak self, configuration] in
            var interval = min(Self.choreInterval, configuration.ipns.republish)
            while await Self.pause(interval), let self {
                await self.republish()
                interval = configuration.ipns.republish
            }
        }
    }

    /// Takes from a configuration what a running node can take: the ceilings, rules and rates of
    /// the mesh (``ConfigurationKey/isLive``). Everything else waits until it starts again.
    ///
    /// - Throws: ``MeshError/stopped``.
    public func apply(_ configuration: Configuration) async throws {
        try await mesh.apply(configuration.mesh)
    }

    /// Waits; false if the node stops meanwhile.
    private static func pause(_ interval: Duration) async -> Bool {
        // Cancelled is the only way in which sleeping fails.
        (try? await Task.sleep(for: interval)) != nil
    }

    private init(
        _ repository: Repository, _ configuration: Configuration, _ store: BlockStore,
        _ keys: KeyRing, _ identity: PrivateKey, _ credit: CreditFiles,
        _ responders: Responders, _ logger: Logger
    ) {
        self.keys = keys
        records = NameRecords(repository.namesDirectory) {
            Set(try keys.list().map { $0.peer.ipnsName })
        }
        self.identity = identity
        self.repository = repository
        self.store = store
        self.configuration = configuration
        self.logger = logger
        var options = HTTPClient.Configuration()
        options.redirectConfiguration = .disallow
        options.timeout.connect = .seconds(10)
        options.connectionPool.idleTimeout = .seconds(30)
        options.http1_1ConnectionDebugInitializer = HTTPExchange.prepare
        // Whoever refuses a connection is known at once not to serve; there are others to ask.
        options.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .shared(eventLoops), configuration: options)
        mesh = Mesh(
            identity, configuration, reads: BlockReads(store, logger: logger),
            calls: (credit.book, responders), certificateFile: repository.certificateFile,
            eventLoops: eventLoops, logger: logger)
        store.observe { [weak mesh] hash, count in mesh?.stored(hash, byteCount: count) }
        retrieval = Retrieval(
            cache: BlockCache(store), client: client, mesh: mesh,
            options: RetrievalOptions(configuration), logger: logger)
        computation = Computation(
            configuration, repository, store, retrieval, mesh, credit, logger)
        mesh.serveCalls(by: computation)
        dns = DNSResolver(configuration.dns, client: client)
        mesh.serve(records)
        names = NameResolver(
            records: records, dns: dns,
            sources: retrieval.nameSources)
    }

    /// Ends all work, closes everything and lets go of the repository. It takes a few seconds at
    /// most; calling it again does nothing.
    public func stop() async {
        guard await background.stop() else { return }
        await names.stop()
        await computation.saveAccounts(isLast: true)
        computation.saveOffered()
        await mesh.stop()
        mesh.announcer?.stop()
        computation.stop()
        await retrieval.flush()
        do {
            try await client.shutdown()
        } catch {
            logger.debug("closing the HTTP client failed", metadata: ["error": "\(error)"])
        }
        do {
            try await store.close()
        } catch {
            logger.error("closing the store failed", metadata: ["error": "\(error)"])
        }
        repository.close()
    }
}

/// The tasks that run as long as a node does. It owns them: they end when the node stops.
final class Background: Sendable {
    private struct State {
        var tasks: [Task<Void, Never>] = []
        var stopped = false
    }

    private let state = Mutex(State())

    /// Runs `body` until it ends or the node stops; `body` must heed cancellation.
    func run(_ body: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            guard !state.stopped else { return }
            state.tasks.append(Task { await body() })
        }
    }

    /// Cancels all tasks and waits for their end; false if that was done before.
    func stop() async -> Bool {
        let tasks: [Task<Void, Never>]? = state.withLock { state in
            guard !state.stopped else { return nil }
            state.stopped = true
            defer { state.tasks = [] }
            return state.tasks
        }
        guard let tasks else { return false }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        return true
    }
}
