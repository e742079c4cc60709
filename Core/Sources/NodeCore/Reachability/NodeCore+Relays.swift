// Being reached through relays, reaching others through them, and relaying.

import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// At how many relays a node that nobody can reach wants a place.
    static let relaysWanted = 2
    /// How long a relay that has no place is not asked again, and one that was not reached.
    static let refusedPause: Duration = .seconds(600)
    static let lostPause: Duration = .seconds(15)
    /// How many addresses of a relay are told.
    static let addressesPerRelay = 4

    // MARK: Places

    /// Asks relays for places while nobody can reach us: those that a person named at once, others
    /// that are met when it is sure that we need them.
    mutating func reserve(now: Instant) {
        guard reaching.status != .reachable else {
            for relay in reaching.own.relayed.map({ $0.relay }) {
                reaching.relays.release(relay)
                reaching.own.lost(relay)
            }
            announce(now: now)
            return
        }
        reaching.relayPauses = reaching.relayPauses.filter { $0.value > now }
        for named in reaching.options.relays where mayReserve(at: named.peer) {
            addresses.add(
                named.addresses, of: named.peer, from: .person, over: .host,
                for: AddressBook.Lifetime.provider, now: now)
            reaching.relays.reserve(at: named.peer, now: now)
        }
        guard reaching.status == .unreachable, reaching.options.findsRelays else { return }
        for entry in connections.all
        where !entry.facts.remoteAddress.isRelayed && entry.facts.remoteAddress.scope == .world {
            guard reaching.relays.placeCount < Self.relaysWanted else { return }
            let peer = entry.facts.peer
            guard mayReserve(at: peer),
                peers[peer]?.protocols.contains(PeerProtocols.relayHop) == true
            else { continue }
            reaching.relays.reserve(at: peer, now: now)
        }
    }

    private func mayReserve(at relay: PeerID) -> Bool {
        relay != peer && access.admits(relay) && !reaching.relays.hasPlace(at: relay)
            && reaching.relayPauses[relay] == nil
    }

    mutating func take(_ event: RelayClient.Event, now: Instant) {
        switch event {
        case .reserved(let relay, let reservation, _):
            reaching.own.reserved(at: relay, circuitAddresses(of: relay, reservation))
            outputs.append(.note(.reserved(relay)))
            announce(now: now)
        case .lost(let relay, let failure):
            reaching.own.lost(relay)
            let isRefusal =
                switch failure {
                case .refused, .malformed, .stream(.unsupported): true
                // A peer that is there and takes no such stream is no relay.
                case .stream(.disconnected): connections.isConnected(to: relay)
                case .stream: false
                }
            if reaching.relayPauses.count < 4 * limits.connections.ceiling {
                reaching.relayPauses[relay] = now + (isRefusal ? Self.refusedPause : Self.lostPause)
            }
            outputs.append(.note(.unreserved(relay, failure)))
            announce(now: now)
        case .connected(let number, let circuit):
            guard let attempt = reaching.circuits.removeValue(forKey: number),
                let target = attempts[attempt]
            else {
                reset(circuit.stream, now: now)
                return
            }
            upgrade(circuit, at: target.address, attempt: attempt)
        case .failed(let number, let failure):
            guard let attempt = reaching.circuits.removeValue(forKey: number) else { return }
            dialFailed(attempt, Self.dialFailure(of: failure), now: now)
        case .incoming(let circuit):
            guard access.admits(circuit.peer), circuit.peer != peer,
                let address = circuitAddress(through: circuit.relay, on: circuit.stream.connection)
            else {
                reset(circuit.stream, now: now)
                return
            }
            upgrade(circuit, at: address, attempt: nil)
        }
    }

    private static func dialFailure(of failure: RelayFailure) -> DialFailure {
        switch failure {
        case .stream(.timedOut): .timedOut
        case .malformed: .handshake
        default: .refused
        }
    }

    /// The stream is a connection's from now on.
    private mutating func upgrade(_ circuit: Circuit, at address: Multiaddr, attempt: UInt64?) {
        streams.handOver(circuit.stream, to: .circuit)
        let isLimited = circuit.limit?.duration != nil || circuit.limit?.data != nil
        outputs.append(
            .reach(
                .upgrade(
                    CircuitUpgrade(
                        stream: circuit.stream, peer: circuit.peer, address: address,
                        attempt: attempt, received: circuit.received,
                        route: isLimited ? .limited : .direct))))
    }

    // MARK: Serving

    /// Whether a peer may use this node as a relay: pages that meet here always may, because they
    /// reach this node and no other page without it.
    func relays(for peer: PeerID) -> Bool {
        reaching.servesRelay
            || (reaching.options.relayService != .never && meeting.isGuest(peer))
    }

    // MARK: Addresses

    /// How we are reached through a relay: what it says of itself, as far as that is of use to
    /// those who are where we are.
    private func circuitAddresses(
        of relay: PeerID, _ reservation: RelayReservation
    ) -> [Multiaddr] {
        guard let facts = connections.best(to: relay, limited: .refused)?.facts else { return [] }
        let scope = facts.remoteAddress.scope
        var known = reservation.addresses.filter {
            $0.scope >= scope && !$0.isRelayed && $0.peer == relay
        }.compactMap { $0.bare(of: relay) }
        if known.isEmpty, facts.direction == .outbound { known = [facts.remoteAddress] }
        let circuits = known.prefix(Self.addressesPerRelay).compactMap {
            $0.circuit(through: relay)
        }
        guard reaching.own.listening.contains(where: \.isForBrowsers),
            let agreed = try? Multiaddr.Component(.webrtc)
        else { return circuits }
        // Browsers agree on a connection of their own over it (github.com/libp2p/specs, webrtc).
        let browsers: TransportSet = [.webRTCDirect, .webSocket, .secureWebSocket]
        let forPages = known.filter { browsers.contains($0.transport) }
            .prefix(Self.addressesPerRelay).compactMap { $0.circuit(through: relay) }
            .compactMap { try? Multiaddr($0.components + [agreed]) }
        return circuits + forPages
    }

    private func circuitAddress(through relay: PeerID, on connection: UInt64) -> Multiaddr? {
        connections[connection]?.facts.remoteAddress.circuit(through: relay)
    }

    // MARK: Dialling

    /// Dials an address that leads through a relay.
    mutating func dialRelayed(_ attempt: UInt64, _ peer: PeerID, _ address: Multiaddr, now: Instant)
    {
        guard let (relay, place) = address.relayed, relay != self.peer, relay != peer,
            access.admits(relay)
        else {
            dialFailed(attempt, .refused, now: now)
            return
        }
        if let place {
            addresses.add(
                [place], of: relay, from: .told, over: address.scope,
                for: AddressBook.Lifetime.told, now: now)
        }
        let number = reaching.relays.connect(to: peer, via: relay, now: now)
        reaching.circuits[number] = attempt
    }

    /// A dial through a relay is not wanted any more.
    mutating func abandonRelayed(_ attempt: UInt64) {
        guard let number = reaching.circuits.first(where: { $0.value == attempt })?.key else {
            return
        }
        reaching.circuits[number] = nil
    }
}

extension Multiaddr {
    /// The way through a peer that is reached by this address.
    func circuit(through relay: PeerID) -> Multiaddr? {
        // Nothing here can be refused: the parts are whole.
        guard let id = try? Component(.p2p, relay.bytes),
            let circuit = try? Component(.p2pCircuit)
        else { return nil }
        return try? Multiaddr(components + [id, circuit])
    }

    /// The relay that the address leads through and where that is; nil if it is not one relay.
    var relayed: (relay: PeerID, address: Multiaddr?)? {
        guard let index = components.firstIndex(where: { $0.protocol == .p2pCircuit }),
            !components[(index + 1)...].contains(where: { $0.protocol == .p2pCircuit }), index > 0,
            components[index - 1].protocol == .p2p
        else { return nil }
        let id = components[index - 1].value
        // The value was checked when the component was made.
        guard let relay = try? PeerID(decoding: id.rawSpan) else { return nil }
        return (relay, try? Multiaddr(Array(components[..<(index - 1)])))
    }
}
