// What a node knows and does about being reached: its own addresses, AutoNAT, relays, and holes in
// routers. The machines are Peering's; the files beside this one connect them to the node.

public import Exchange
public import Multiformats
public import Peering
import Wire

/// How a node is reached, and helps others to be.
public struct ReachabilityOptions: Sendable {
    /// When others may use this node as a relay.
    public enum RelayService: Hashable, Sendable {
        case never
        /// While the node itself can be reached from everywhere.
        case whenReachable
        case always
    }

    /// Whether servers are asked which addresses of this node they reach.
    public var asksServers = true
    /// The relays that a person named.
    public var relays: [(peer: PeerID, addresses: [Multiaddr])] = []
    /// Whether places are asked for at other relays that are met, when nobody can reach the node.
    public var findsRelays = true
    /// When others may use this node as a relay.
    public var relayService = RelayService.whenReachable
    /// The ceilings of that service.
    public var relayLimits = RelayServer.Limits.usual

    /// The usual options.
    public init() {}
}

/// What reaching and being reached needs of the driver, besides plain dials.
public enum ReachabilityOrder: Sendable {
    /// Dial the peer at one of these addresses, on a connection of its own that is no connection of
    /// the node and uses no listening port. With a nonce, open a stream for
    /// `PeerProtocols.autoNATv2DialBack`, send `AutoNATMessage.dialBack(nonce:)` as one message
    /// and wait for the answer. Then close. Answered by ``NodeCore/Input/dialedBack(_:_:)``.
    case dialBack(UInt64, PeerID, [Multiaddr], nonce: UInt64?)
    /// Make a connection over a stream, which is the connection's from now on. When that
    /// connection is over, the stream is said to be reset. With an attempt, this is a dial.
    case upgrade(CircuitUpgrade)
    /// Dial from the port that is listened on, and play this part in securing the connection.
    /// Answered like a dial.
    case punch(attempt: UInt64, PeerID, Multiaddr, DCUtR.Role, timeout: Duration)
    /// These are the addresses that others are told from now on.
    case addresses([Multiaddr])
    /// Answer a page that offers an association, which is a connection that the peer made when it
    /// is there. Answered by ``NodeCore/Input/association(_:_:)`` with the number.
    case associate(UInt64, AssociationOffer)
    /// One more way to that page, as browsers write it.
    case candidate(UInt64, [UInt8])
    /// Nothing comes of an association, or nothing more has to be done about it.
    case endAssociation(UInt64)
}

/// An association that a page offers over a relayed connection, as no router lets it in otherwise.
public struct AssociationOffer: Sendable {
    /// Who offers it, as the connection has proven.
    public let peer: PeerID
    /// Its session description.
    public let description: [UInt8]
    /// Where this node listens for it.
    public let addresses: [Multiaddr]
    /// Who can tell where this node is seen from outside.
    public let servers: [Multiaddr]
    /// The page is not looked for at addresses with a lesser scope: it may have named any.
    public let narrowest: AddressScope
}

/// What is told of an association that is being made.
public enum AssociationStep: Sendable {
    /// The session description that answers the page's.
    case answer([UInt8])
    /// One more way to this node, as browsers write it.
    case candidate([UInt8])
    /// Nothing comes of it.
    case failed
}

/// A stream that is to become a connection.
public struct CircuitUpgrade: Sendable {
    /// The stream to the relay.
    public let stream: StreamID
    /// Who has to be at the other end; of one who dialled, only what the relay says.
    public let peer: PeerID
    /// The way there, through the relay.
    public let address: Multiaddr
    /// The attempt, if this node dialled; otherwise it listens.
    public let attempt: UInt64?
    /// The first bytes that came.
    public let received: [UInt8]
    /// Whether the relay limits it.
    public let route: BlockExchange.Route
}

/// What is known of how the node can be reached.
public struct ReachabilityStatus: Sendable {
    /// One address of the node.
    public struct Address: Sendable {
        /// The address without the peer.
        public let address: Multiaddr
        /// Where it comes from.
        public let origin: OwnAddresses.Origin
        /// What servers found out.
        public let reachability: Reachability
        /// Which servers.
        public let witnesses: [PeerID]
        /// Whether others are told of it.
        public let isAnnounced: Bool
    }

    /// Whether the node can be reached from everywhere without a relay.
    public let reachability: Reachability
    /// What the router does.
    public let mapping: NATMapping
    /// The addresses of the node.
    public let addresses: [Address]
    /// Where others see the node when it calls from the port that it listens on, with how many
    /// networks see it there.
    public let sightings: [(address: Multiaddr, networks: Int)]
    /// The relays at which the node has a place.
    public let relays: [PeerID]
    /// Whether others may use the node as a relay.
    public let servesRelay: Bool
    /// How many peers have a place at it, and how many there may be.
    public let reservations: Gauge
    /// How many circuits there are through it.
    public let circuits: Gauge
    /// How many connections of this node lead through relays.
    public let relayedConnections: Int
    /// How many relayed connections were followed by direct ones.
    public let holesPunched: UInt64
    /// How many were not.
    public let holesFailed: UInt64
}

/// The state behind it.
struct Reaching: Sendable {
    let options: ReachabilityOptions
    var own = OwnAddresses()
    var prober: AutoNATClient
    var tester: AutoNATServer
    var relays: RelayClient
    var relay: RelayServer
    var dcutr = DCUtR()
    /// The associations that pages offer.
    var signaling = Signaling()
    /// With whom and through whom, by their numbers.
    var associations: [UInt64: (page: PeerID, relay: PeerID)] = [:]

    /// What others were told last, and under which number.
    var announced: [Multiaddr] = []
    var sequence: UInt64 = 0
    var status = Reachability.unknown
    /// Since when somebody could dial this node, if it could be reached.
    var listeningSince: Instant?
    /// When the next look is due.
    var nextLook: Instant?

    /// Whom was asked when, among connected peers.
    var asked: [PeerID: Instant] = [:]
    /// How many servers in a row did not say.
    var silences = 0
    var nextProbe = Instant(nanoseconds: 0)
    var probeCount = 0

    /// When a relay may be asked for a place again.
    var relayPauses: [PeerID: Instant] = [:]
    /// The dials through relays, by the number of the request at the relay.
    var circuits: [UInt64: UInt64] = [:]
    /// The dials that punch holes.
    var punches: [UInt64: PeerID] = [:]
    /// Peers that reached us through a relay and are dialled directly before a hole is punched.
    var reversing: Set<PeerID> = []
    /// Peers with which that has been tried since they connected.
    var tried: Set<PeerID> = []
    /// Until when a relayed connection may still become a direct one.
    var hopes: [(peer: PeerID, until: Instant)] = []
    var holesPunched: UInt64 = 0
    var holesFailed: UInt64 = 0

    init(_ configuration: NodeCore.Configuration) {
        options = configuration.reachability
        let seed = configuration.seed
        prober = AutoNATClient(seed: seed &+ 0x61)
        tester = AutoNATServer(transports: [.tcp, .webSocket], seed: seed &+ 0x62)
        relays = RelayClient(clock: configuration.clock)
        relay = RelayServer(
            key: configuration.identity, limits: options.relayLimits, clock: configuration.clock)
    }

    /// Whether others may use this node as a relay now.
    var servesRelay: Bool {
        switch options.relayService {
        case .never: false
        case .whenReachable: status == .reachable
        case .always: true
        }
    }

    /// The relays that this node has, or wants, places at.
    var relayPeers: Set<PeerID> { Set(own.relayed.map { $0.relay }) }

    /// When one of the machines has something to do.
    var deadline: Instant? {
        prober.deadline.earlier(tester.deadline).earlier(relays.deadline)
            .earlier(relay.deadline).earlier(dcutr.deadline).earlier(signaling.deadline)
    }

    /// The last connection to a peer ended.
    mutating func disconnected(from peer: PeerID) {
        relays.disconnected(from: peer)
        relay.disconnected(from: peer)
        dcutr.disconnected(from: peer)
        tried.remove(peer)
        hopes.removeAll { $0.peer == peer }
    }

    mutating func advance(to now: Instant) {
        prober.advance(to: now)
        tester.advance(to: now)
        relays.advance(to: now)
        relay.advance(to: now)
        dcutr.advance(to: now)
        signaling.advance(to: now)
    }
}
