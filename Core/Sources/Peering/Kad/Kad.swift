// The DHT: who provides what, where peers are, and small signed values, kept by the peers nearest
// to a key (specs.ipfs.tech/routing/kad-dht).

public import Multiformats
public import Wire

/// One node's part in one DHT.
///
/// Commands return a number that their events repeat. They live until they are finished, cancelled,
/// or out of time. A node that is in several DHTs has one machine for each.
public struct Kad: Sendable {
    /// What it was told.
    public let configuration: KadConfiguration
    /// Who this node is.
    public let own: PeerID
    /// Whether others may ask us. Streams that are open when this becomes `.client` are served to
    /// their end.
    public var mode: KadConfiguration.Mode
    /// Where this node can be reached; said to others as far as this DHT's scope goes.
    public var ownAddresses: [Multiaddr] = []
    /// What time of day it is, by which signed values expire.
    public var clock: WallClock

    let ownID: KadID
    var table: RoutingTable
    var providers: ProviderStore
    var records: RecordStore
    var networkSize = NetworkSize()
    var answerTimes = AnswerTimes()
    /// Peers that could not be reached, and until when nobody's word of them is taken.
    var unreachable = UnreachablePeers()
    var random: SeededGenerator

    var operations: [UInt64: Operation] = [:]
    var requests: [UInt64: Request] = [:]
    /// Which request waits on which stream.
    var waiting: [StreamID: UInt64] = [:]
    /// Streams of ours with nothing on them, for the next question to their peer.
    var idle: [PeerID: Idle] = [:]
    var idlePeers: [StreamID: PeerID] = [:]
    var incoming: [StreamID: Incoming] = [:]
    var incomingCounts: [PeerID: Int] = [:]
    var deadlines = DeadlineQueue<Due>()
    var nextNumber: UInt64 = 1
    var checks = 0
    /// How the last lookups went, the newest last.
    public internal(set) var lastLookups: [KadLookup] = []
    /// Requests that are done with being sent.
    var sent: [UInt64] = []
    /// The buckets that the refresh under way has yet to do, with a key in each.
    var refreshQueue: [[UInt8]] = []
    var nextRefresh: Instant?
    /// By whom this node joined, should it lose everyone.
    var knownSeeds: [PeerID] = []
    var orders = Outbox<StreamOrder>()
    var events = Outbox<KadEvent>()

    enum Due: Sendable {
        case request(UInt64)
        case patience(UInt64)
        case held(UInt64)
        case operation(UInt64)
        case idle(StreamID)
        case incoming(StreamID)
        case refresh
    }

    struct Idle: Sendable {
        let stream: StreamID
        var until: Instant
    }

    struct Incoming: Sendable {
        let peer: PeerID
        var lastUse: Instant
    }

    /// A node that knows nobody yet. The seed makes its random choices.
    public init(
        own: PeerID, configuration: KadConfiguration, clock: WallClock, seed: UInt64
    ) {
        self.own = own
        self.configuration = configuration
        self.clock = clock
        mode = configuration.mode
        ownID = KadID(own)
        table = RoutingTable(own: ownID, diversity: configuration.diversity)
        providers = ProviderStore(own: ownID, limit: configuration.storage.providers)
        records = RecordStore(own: ownID, limit: configuration.storage.records)
        random = SeededGenerator(seed: seed)
    }

    /// How many peers the routing table holds.
    public var peerCount: Int { table.count }

    /// The peers of the routing table, those that have answered last first.
    public var knownPeers: [PeerID] { table.newestFirst }

    /// How many peers of the routing table share so many leading bits with this node.
    public var bucketCounts: [Int] { table.buckets.map { $0.count } }

    /// How many servers the DHT has, estimated; nil while too little is known.
    public var estimatedNetworkSize: Double? { networkSize.estimate }

    /// How many provider records and values are kept for others.
    public var stored: (providers: Int, records: Int) { (providers.count, records.count) }

    /// How many commands are running, of ours and of upkeep.
    public var commandCount: Int { operations.count }

    /// Takes what happened to a stream of this DHT's protocol.
    public mutating func receive(
        _ event: StreamEvent, addresses: inout AddressBook, now: Instant
    ) {
        switch event {
        case .opened(let request, let stream, _):
            opened(request, stream, now: now)
        case .refused(let request, let fault):
            fail(request, fault, addresses: &addresses, now: now)
        case .accepted(let stream, let peer, _): accept(stream, from: peer, now: now)
        case .message(let stream, let bytes):
            if let state = incoming[stream] {
                incoming[stream]?.lastUse = now
                serve(bytes, on: stream, from: state.peer, addresses: &addresses, now: now)
            } else if let number = waiting[stream] {
                take(bytes, for: number, addresses: &addresses, now: now)
            } else if idlePeers[stream] != nil {
                // Nothing was asked.
                dropIdle(stream)
                orders.append(.reset(stream))
            }
        case .finished(let stream):
            if removeIncoming(stream) { orders.append(.finish(stream)) }
            ended(stream, .finish(stream), addresses: &addresses, now: now)
        case .reset(let stream):
            _ = removeIncoming(stream)
            ended(stream, nil, addresses: &addresses, now: now)
        }
        settleSent(addresses: &addresses, now: now)
    }

    /// Does what has come due.
    public mutating func advance(to now: Instant, addresses: inout AddressBook) {
        while let due = deadlines.popDue(at: now) {
            switch due {
            case .held(let number): retry(number, now: now)
            case .request(let number):
                guard let request = requests[number] else { continue }
                guard !request.isHeld else {
                    deadlines.add(due, at: now + Self.answerTimeout)
                    continue
                }
                guard request.deadline <= now else {
                    deadlines.add(due, at: request.deadline)
                    continue
                }
                fail(number, .timedOut, addresses: &addresses, now: now)
            case .patience(let number): late(number, addresses: &addresses, now: now)
            case .operation(let number):
                guard operations[number] != nil else { continue }
                finish(number, .timedOut, addresses: &addresses, now: now)
            case .idle(let stream):
                guard let peer = idlePeers[stream], let state = idle[peer] else { continue }
                guard state.until <= now else {
                    deadlines.add(due, at: state.until)
                    continue
                }
                dropIdle(stream)
                orders.append(.finish(stream))
            case .incoming(let stream):
                guard let state = incoming[stream] else { continue }
                let end = state.lastUse + Self.incomingTimeout
                guard end <= now else {
                    deadlines.add(due, at: end)
                    continue
                }
                _ = removeIncoming(stream)
                orders.append(.reset(stream))
            case .refresh: refresh(addresses: &addresses, now: now)
            }
        }
        settleSent(addresses: &addresses, now: now)
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What was found out.
    public mutating func nextEvent() -> KadEvent? { events.popFirst() }

    /// Whether there is anybody to tell, and an address to tell them.
    public var canAnnounce: Bool {
        table.count > 0 && ownAddresses.contains { $0.scope >= configuration.scope }
    }

    /// The addresses of a peer as this DHT may tell them.
    func told(_ peer: PeerID, _ addresses: borrowing AddressBook, now: Instant) -> KadPeer {
        let known =
            peer == own
            ? ownAddresses.filter { $0.scope >= configuration.scope }
            : addresses.addresses(of: peer, reaching: configuration.scope, now: now)
        return KadPeer(peer, known)
    }
}
