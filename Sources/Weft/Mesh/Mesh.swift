// The node as a peer among peers: one event loop owns the machine that knows them all (NodeCore);
// connections live on event loops of their own (where there are more than two cores), and only
// whole messages cross. What can be asked
// of it is in Mesh+Commands.swift.

import BlockStore
import Compute
import Logging
public import Multiformats
import NIOCore
import NIOPosix
import NodeCore
public import Peering
import Synchronization
import Transports
import Wire

/// A node's connections to other peers.
///
/// Nothing is dialled and nothing listens before somebody asks for it. Every call has a deadline.
public final class Mesh: Sendable {
    /// The loop that owns the machine.
    let eventLoop: any EventLoop
    let logger: Logger
    let reads: BlockReads
    /// Who this node is.
    let peer: PeerID
    /// What passes, and how much may.
    public let traffic: MeshTraffic
    /// Who may knock.
    let admission = Admission(limit: 0)
    /// What connections hold.
    let memory = MemoryBudget(limit: 0)
    /// Whether the node may talk to others at all.
    let network: Configuration.Network
    private let current: Mutex<Configuration.Mesh>
    /// How many peers measure their connections now.
    let measurements = Mutex(0)
    /// Where the records are that peers may ask for.
    let nameRecords = Mutex<NameRecords?>(nil)
    /// What has happened, for the metrics.
    public let counts = MeshCounts()

    private let driver: NIOLoopBoundBox<MeshDriver?>
    private let registry = Mutex(Registry())
    private let isStopping = Atomic(false)
    /// Whether a peer may wait for a block that comes later.
    private let isAwaited = Atomic(false)
    /// Whether a peer is connected that runs calls.
    private let responders = Atomic(false)
    private let nextCommand = Atomic<UInt64>(0)
    private let listening = Mutex<[Multiaddr]>([])
    let pageListening = Mutex<Multiaddr?>(nil)
    let joining = Mutex(Joining())
    /// Whom it can ask while it joins.
    let circle = Circle()
    private let announcing = Mutex<Announcer?>(nil)
    private let forwarding = Mutex(PortMappingStatus.idle(.notListening))
    let discoveryState = Mutex(LocalDiscoveryStatus())
    /// Where the certificate is kept that is shown to browsers; nil if it need not last.
    let certificateFile: String?

    /// The connections, by what the transport calls them.
    private struct Registry {
        var byConnection: [ObjectIdentifier: MeshConnection] = [:]
        var lastNumber: UInt64 = 0
    }

    init(
        _ identity: PrivateKey, _ configuration: Configuration, reads: BlockReads,
        calls: (book: CreditBook, responders: Responders)? = nil, certificateFile: String? = nil,
        eventLoops: MultiThreadedEventLoopGroup, logger: Logger
    ) {
        let eventLoop = eventLoops.next()
        self.eventLoop = eventLoop
        self.logger = logger
        network = configuration.network
        self.certificateFile = certificateFile
        current = Mutex(configuration.mesh)
        traffic = MeshTraffic(timersOn: eventLoop)
        self.reads = reads
        driver = .makeEmptyBox(valueType: MeshDriver.self, eventLoop: eventLoop)
        let core = NodeCore(.init(identity, configuration, calls))
        protocols = core.protocols
        peer = core.peer
        eventLoop.execute {
            self.driver.value = MeshDriver(core, identity, mesh: self, eventLoops: eventLoops)
        }
        admit()
        setRates()
    }

    /// What the mesh was last told.
    public internal(set) var settings: Configuration.Mesh {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }

    /// The addresses that peers can reach this node by, each with its peer id.
    public var addresses: [Multiaddr] { listening.withLock { $0 } }

    /// Where pages of this machine reach this node, besides; nil if nowhere. Peers are not told.
    public var pageAddress: Multiaddr? { pageListening.withLock { $0 } }

    /// How joining the network went last.
    public var joiningStatus: Joining { joining.withLock { $0 } }

    /// The protocols that peers may speak to this node.
    public let protocols: [ProtocolName]

    func setAddresses(_ addresses: [Multiaddr]) {
        listening.withLock { $0 = addresses }
    }

    /// How it stands with ports that the router forwards.
    public var portMapping: PortMappingStatus { forwarding.withLock { $0 } }

    func setPortMapping(_ status: PortMappingStatus) {
        forwarding.withLock { $0 = status }
    }

    /// Who announces what is here; nil if nobody does.
    var announcer: Announcer? {
        get { announcing.withLock { $0 } }
        set { announcing.withLock { $0 = newValue } }
    }

    /// What is announced, and how that goes; nil for a node that takes no part in the network.
    public var announcingStatus: AnnouncingStatus? { announcer?.status }

    // MARK: The loop

    /// Does something on the loop that owns the machine; `stopped` if there is none any more.
    func run(
        _ work: @escaping @Sendable (MeshDriver) -> Void,
        stopped: @escaping @Sendable () -> Void = {}
    ) {
        // A loop that has ended would drop the work without a word.
        guard !isStopping.load(ordering: .acquiring) else { return stopped() }
        eventLoop.execute {
            if let driver = self.driver.value { work(driver) } else { stopped() }
        }
    }

    /// Tells the machine what happened, in this order.
    func receive(_ inputs: [NodeCore.Input]) {
        run { $0.receive(inputs) }
    }

    /// A block has come into the store; peers may wait for it.
    func stored(_ hash: Multihash, byteCount: Int) {
        guard isAwaited.load(ordering: .sequentiallyConsistent) else { return }
        receive([.stored(hash, byteCount: byteCount)])
    }

    /// Says whether peers may wait for blocks. What came into the store before this was said is
    /// found by the look-ups that follow.
    func setAwaited(_ value: Bool) {
        if isAwaited.load(ordering: .relaxed) != value {
            isAwaited.store(value, ordering: .sequentiallyConsistent)
        }
    }

    /// Whether a peer is connected that runs calls: without one, nobody has to be chosen.
    var hasResponders: Bool { responders.load(ordering: .relaxed) }

    func setResponders(_ value: Bool) {
        guard responders.load(ordering: .relaxed) != value else { return }
        responders.store(value, ordering: .relaxed)
    }

    /// Has blocks kept from peers for which `isWithheld` holds, such as those of a deny list; the
    /// last call counts. `isWithheld` is called on any thread, for each block that is asked for.
    public func withhold(_ isWithheld: @escaping @Sendable (CID) -> Bool) {
        reads.withhold(isWithheld)
    }

    /// Whether peers may have a block, and what is computed of it.
    func mayGive(_ cid: CID) -> Bool { reads.mayGive(cid) }

    /// A number for a command.
    func makeCommand() -> UInt64 { nextCommand.add(1, ordering: .relaxed).newValue }

    // MARK: Connections

    /// What is done with a connection's streams; made when it is first seen, which is when its
    /// peer opens a stream, or when it is ready.
    func connection(of peer: PeerConnection) -> MeshConnection {
        let (connection, isNew) = registry.withLock { registry in
            if let known = registry.byConnection[ObjectIdentifier(peer)] { return (known, false) }
            registry.lastNumber += 1
            let new = MeshConnection(registry.lastNumber, peer, mesh: self)
            registry.byConnection[ObjectIdentifier(peer)] = new
            return (new, true)
        }
        if isNew {
            peer.ended.whenComplete { _ in
                _ = self.registry.withLock {
                    $0.byConnection.removeValue(forKey: ObjectIdentifier(peer))
                }
                connection.end()
            }
        }
        return connection
    }

    /// The connections, by their numbers.
    var connections: [UInt64: MeshConnection] {
        registry.withLock { registry in
            var found: [UInt64: MeshConnection] = [:]
            for (_, connection) in registry.byConnection { found[connection.number] = connection }
            return found
        }
    }

    // MARK: Stopping

    /// How long peers may take to hear that the node goes.
    private static let farewell = TimeAmount.seconds(1)

    /// Closes everything, has the router forward nothing more, and answers everyone who waits. It
    /// takes a second at most.
    func stop() async {
        let stopped = eventLoop.makePromise(of: Void.self)
        isStopping.store(true, ordering: .releasing)
        eventLoop.execute {
            let released =
                self.driver.value?.stop() ?? self.eventLoop.makeSucceededVoidFuture()
            self.driver.value = nil
            let connections = self.registry.withLock { Array($0.byConnection.values) }
            for connection in connections { connection.peer.close() }
            let timeout = self.eventLoop.scheduleTask(in: Self.farewell) { stopped.succeed() }
            let ends = connections.map { $0.peer.ended.map { _ in } } + [released]
            EventLoopFuture.andAllComplete(ends, on: self.eventLoop).whenComplete { _ in
                timeout.cancel()
                stopped.succeed()
            }
        }
        do {
            try await stopped.futureResult.get()
        } catch {
            // The promise is never failed.
            logger.debug("stopping the mesh failed", metadata: ["error": "\(error)"])
        }
        setAddresses([])
        await reads.stop()
    }
}

extension NodeCore.Configuration {
    /// What the machine of a node is told.
    fileprivate init(
        _ identity: PrivateKey, _ configuration: Configuration,
        _ known: (book: CreditBook, responders: Responders)?
    ) {
        self.init(
            identity: identity, agent: Array(WeftVersion.agent.utf8),
            transports: Mesh.transports,
            limits: NodeLimits(configuration.mesh),
            access: AccessRules(configuration.mesh, configuration.network),
            routing: KadConfiguration.all(configuration),
            clock: WallClock(
                NameResolver.systemTime(),
                at: Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds)),
            seed: .random(in: .min ... .max))
        reachability = ReachabilityOptions(configuration)
        pubSub = configuration.mesh.pubSub.participation
        driverProtocols = Mesh.ownProtocols(configuration.mesh)
        guard let known else { return }
        calls = CallParticipation(
            offer: configuration.compute.callOffer(speed: CallLoad.usualSpeed),
            isServing: configuration.compute.isServing, book: known.book,
            responders: known.responders,
            secret: (0..<SecretGenerator.secretBytes).map { _ in .random(in: 0...255) })
    }
}
