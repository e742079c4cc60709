// The node's part in its DHTs: by whom it joins, whom it takes for a server, and whether it is one.

public import Multiformats
import Peering
import Wire

extension NodeCore {
    /// Whether a DHT is the one for peers that are met at an address of this scope. The public one
    /// takes those that are met on the internet, the local one those that are met at home.
    private func isPlace(of scope: AddressScope, in table: Int) -> Bool {
        let configuration = dhts[table].configuration
        return scope >= configuration.scope
            && (configuration.name != PeerProtocols.lanKad || scope < .world)
    }

    /// A peer says which protocols it speaks: whether it is a server of a DHT.
    mutating func noteServers(_ peer: PeerID, now: Instant) {
        guard let known = peers[peer],
            // Through a relay nobody is asked.
            let scope = connections.best(to: peer, limited: .refused)?.facts.remoteAddress.scope
        else { return }
        for table in dhts.indices {
            if isPlace(of: scope, in: table),
                known.protocols.contains(dhts[table].configuration.name)
            {
                dhts[table].noteServer(peer, addresses: &addresses, now: now)
            } else {
                dhts[table].noteClient(peer)
            }
        }
    }

    /// Joins each DHT by those of the peers that are where it is.
    mutating func join(_ named: [(peer: PeerID, addresses: [Multiaddr])], now: Instant) {
        for entry in named {
            addresses.add(
                entry.addresses, of: entry.peer, from: .person, over: .host,
                for: AddressBook.Lifetime.provider, now: now)
        }
        for table in dhts.indices {
            let seeds = named.filter { entry in
                entry.addresses.contains { isPlace(of: $0.scope, in: table) }
            }
            dhts[table].join(by: seeds.map { $0.peer }, addresses: &addresses, now: now)
        }
    }

    /// Whether others may ask this node in the public DHT. They are told of the change.
    mutating func serve(_ mode: KadConfiguration.Mode) {
        for table in dhts.indices where dhts[table].configuration.scope == .world {
            dhts[table].mode = mode
        }
        announceProtocols()
    }

    /// Tells peers which protocols they may speak, if that has changed.
    mutating func announceProtocols() {
        let protocols =
            Self.protocols(with: dhts, relays: reaching.servesRelay) + driverProtocols
            + pubSub.protocols + calls.protocols
        guard protocols != identify.own.protocols else { return }
        identify.own.protocols = protocols
        tellEveryone()
    }

    static func protocols(with dhts: [Kad], relays: Bool) -> [ProtocolName] {
        Service.protocols + (relays ? [PeerProtocols.relayHop] : [])
            + dhts.filter { $0.mode == .server }.map { $0.configuration.name }
    }

    /// The protocols that peers may open streams with now, or later without a new start: a DHT or
    /// relay that does not serve refuses its streams itself.
    public var acceptedProtocols: [ProtocolName] {
        Service.protocols + [PeerProtocols.relayHop] + dhts.map { $0.configuration.name }
            + driverProtocols + PubSub.protocols + calls.protocols
    }

    /// Whether a name is one of ``acceptedProtocols``.
    public func accepts(_ name: ProtocolName) -> Bool {
        service(of: name) != nil || driverProtocols.contains(name)
    }

    /// Whose protocol a name is here.
    func service(of name: ProtocolName) -> Service? {
        if let table = dhts.firstIndex(where: { $0.configuration.name == name }) {
            return .kad(table)
        }
        return Service(name)
    }

    /// How it stands with each DHT.
    func dhtStatus(now: Instant) -> [DHTStatus] {
        dhts.map { kad in
            DHTStatus(
                name: kad.configuration.name, isServer: kad.mode == .server,
                peers: kad.peerCount, estimatedSize: kad.estimatedNetworkSize,
                providerRecords: kad.stored.providers, valueRecords: kad.stored.records,
                lookups: kad.lastLookups,
                lastLookupAge: kad.lastLookups.last.map { now.since($0.at) })
        }
    }

    /// The servers of the DHTs that this node knows best, with their addresses, so that a restart
    /// finds them again.
    func servers(limit: Int, now: Instant) -> [(peer: PeerID, addresses: [Multiaddr])] {
        var found: [(peer: PeerID, addresses: [Multiaddr])] = []
        var seen: Set<PeerID> = []
        for kad in dhts {
            for peer in kad.knownPeers where found.count < limit && seen.insert(peer).inserted {
                let known = addresses.addresses(of: peer, now: now)
                if !known.isEmpty { found.append((peer, known)) }
            }
        }
        return found
    }
}
