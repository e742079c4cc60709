// The addresses under which this node may be reached: where each comes from, who has seen it, and
// which of them others are told.

public import Multiformats
public import Wire

/// How the router in front of this node chooses outer ports, as far as others have seen it.
public enum NATMapping: Hashable, Sendable {
    /// Too few have seen this node.
    case unknown
    /// There is none: others see an address that this node listens on.
    case none
    /// Everybody sees the same outer port, so that hole punching works.
    case endpointIndependent
    /// Each peer sees another outer port ("symmetric"), so that hole punching fails.
    case endpointDependent
}

/// This node's own addresses.
///
/// What one peer says it sees is not enough: an observed address counts when several networks see
/// the same one. Relayed addresses are told while this node has a place at the relay.
public struct OwnAddresses: Sendable {
    /// Where an address comes from.
    public enum Origin: Hashable, Sendable {
        /// A socket of this node listens there.
        case listening
        /// A router forwards it to this node, as it was asked to.
        case mapped
        /// Others see this node there.
        case observed
        /// A relay forwards connections from there.
        case relayed
    }

    /// How many networks have to see the same address.
    public static let observersNeeded = 2
    /// How many observed addresses are remembered, and how many observers of each.
    public static let maxObserved = 16
    public static let maxObservers = 16
    /// How long an observation counts.
    public static let lifetime: Duration = .seconds(2_400)
    /// How many addresses are told to a peer with which a hole is punched.
    public static let maxPunched = 4

    private struct Observation: Sendable {
        let address: Multiaddr
        /// The networks of those who see it, the newest last.
        var networks: [[UInt8]]
        /// Whether this node went out from the port that it listens on.
        var isOutbound: Bool
        var seen: Instant
    }

    /// Where sockets listen.
    public var listening: [Multiaddr] = []
    /// What routers forward.
    public var mapped: [Multiaddr] = []
    /// By which relays this node can be reached.
    public private(set) var relayed: [(relay: PeerID, addresses: [Multiaddr])] = []
    /// The newest last.
    private var observations: [Observation] = []

    /// A node without addresses.
    public init() {}

    /// A peer says where it sees this node: on a connection that this node made from the port that
    /// it listens on (`isOutbound`), or on one that the peer made.
    public mutating func observe(
        _ address: Multiaddr, from observer: Multiaddr, isOutbound: Bool, now: Instant
    ) {
        guard address.scope == .world, !address.isRelayed, address.transport == .tcp,
            observer.scope == .world, !observer.isRelayed, let network = observer.observerNetwork
        else { return }
        observations.removeAll { now.since($0.seen) > Self.lifetime }
        var entry = Observation(address: address, networks: [], isOutbound: isOutbound, seen: now)
        if let index = observations.firstIndex(where: { $0.address == address }) {
            entry = observations.remove(at: index)
            entry.seen = now
            entry.isOutbound = entry.isOutbound || isOutbound
        }
        entry.networks.removeAll { $0 == network }
        entry.networks.append(network)
        if entry.networks.count > Self.maxObservers { entry.networks.removeFirst() }
        observations.append(entry)
        if observations.count > Self.maxObserved { observations.removeFirst() }
    }

    /// This node has a place at a relay, which is reached at these addresses.
    public mutating func reserved(at relay: PeerID, _ addresses: [Multiaddr]) {
        lost(relay)
        relayed.append((relay, addresses))
    }

    /// It has none any more.
    public mutating func lost(_ relay: PeerID) {
        relayed.removeAll { $0.relay == relay }
    }

    /// The observed addresses that enough networks agree on.
    public var observed: [Multiaddr] {
        observations.filter { $0.networks.count >= Self.observersNeeded }.map { $0.address }
            .filter { !listening.contains($0) && !mapped.contains($0) }
    }

    /// Where others see this node: how many networks see each address, and whether of connections
    /// that went out from the port that it listens on.
    public var sightings: [(address: Multiaddr, networks: Int, isOutbound: Bool)] {
        observations.map { ($0.address, $0.networks.count, $0.isOutbound) }
    }

    /// The public addresses that may lead here, for servers to try.
    public var candidates: [Multiaddr] {
        (listening + mapped).filter { $0.scope == .world } + observed
    }

    /// What a peer is told with whom a hole is punched: what others see, the most agreed on first.
    public var punchable: [Multiaddr] {
        let seen = observations.reversed().sorted { $0.networks.count > $1.networks.count }
        var out: [Multiaddr] = []
        for address in mapped + seen.map({ $0.address }) + listening
        where address.scope == .world && !out.contains(address) {
            out.append(address)
        }
        return Array(out.prefix(Self.maxPunched))
    }

    /// What others are told, given what servers found out. A public address that nobody can reach
    /// is of no use to anybody; one that was only observed has to be confirmed before.
    public func announced(_ reachability: (Multiaddr) -> Reachability) -> [Multiaddr] {
        var out = listening.filter { $0.scope != .world || reachability($0) != .unreachable }
        out += mapped.filter { $0.scope == .world && reachability($0) != .unreachable }
        out += observed.filter { reachability($0) == .reachable }
        for place in relayed { out += place.addresses }
        var unique: [Multiaddr] = []
        for address in out where !unique.contains(address) { unique.append(address) }
        return unique
    }

    /// Where an address of ours comes from.
    public func origin(of address: Multiaddr) -> Origin {
        if listening.contains(address) { return .listening }
        if mapped.contains(address) { return .mapped }
        return address.isRelayed ? .relayed : .observed
    }

    /// What the router does, by what was seen of connections that went out from the listening port.
    public var mapping: NATMapping {
        let own = observations.filter { $0.isOutbound }
        if own.contains(where: { listening.contains($0.address) }) { return .none }
        if own.contains(where: { $0.networks.count >= Self.observersNeeded }) {
            return .endpointIndependent
        }
        let ips = own.compactMap { $0.address.ip }
        let isSplit = ips.contains { ip in ips.count { $0 == ip } >= Self.observersNeeded }
        return isSplit ? .endpointDependent : .unknown
    }
}

extension Multiaddr {
    /// Who counts as one observer: an IPv4 address or a /56 of IPv6.
    fileprivate var observerNetwork: [UInt8]? {
        guard let ip else { return nil }
        return ip.count == 4 ? ip : Array(ip.prefix(7))
    }
}
