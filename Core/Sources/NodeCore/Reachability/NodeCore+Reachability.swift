// Which of our addresses lead here: observed by others, tried by servers (AutoNAT), and told when
// they are of use.

import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// How far apart servers are asked while something is unknown, and at most.
    static let probeInterval: Duration = .seconds(5)
    static let longestProbeInterval: Duration = .seconds(120)
    /// How far apart what is known is asked again.
    static let confirmInterval: Duration = .seconds(900)
    /// How long a node that nobody sees from outside counts as neither reachable nor not.
    static let patience: Duration = .seconds(20)

    // MARK: Our addresses

    /// Our sockets listen elsewhere.
    mutating func listen(_ own: [Multiaddr], sequence: UInt64, now: Instant) {
        reaching.own.listening = own.compactMap { $0.bare(of: peer) }
        reaching.sequence = max(reaching.sequence, sequence)
        if reaching.listeningSince == nil, !own.isEmpty { reaching.listeningSince = now }
        announce(now: now)
        look(at: now)
    }

    /// A router forwards these to us.
    mutating func mapped(_ addresses: [Multiaddr], now: Instant) {
        reaching.own.mapped = addresses
        announce(now: now)
        look(at: now)
    }

    /// Tells everyone who listens to news where we are, if that has changed. What is signed are
    /// public addresses alone, because whoever has the record may hand it on.
    mutating func announce(now: Instant) {
        reaching.dcutr.ownAddresses = reaching.own.punchable
        let all = reaching.own.announced { reaching.prober.reachability(of: $0) }
        guard all != reaching.announced else { return }
        reaching.announced = all
        let seconds = UInt64(clamping: reaching.relays.clock.time(at: now).seconds)
        reaching.sequence = max(reaching.sequence + 1, seconds)
        identify.own.listenAddresses = all
        for table in dhts.indices { dhts[table].ownAddresses = all }
        reaching.relay.ownAddresses = all.filter { !$0.isRelayed }
        let open = all.filter { $0.scope == .world }
        let record = PeerRecord(peer: peer, sequence: reaching.sequence, addresses: open)
        // Without a key that signs here, peers are told the same unsigned.
        let envelope = open.isEmpty ? nil : try? record.sealed(with: identity)
        identify.own.signedPeerRecord = envelope?.encoded ?? []
        tellEveryone()
        outputs.append(.reach(.addresses(all)))
    }

    /// A peer says where it sees us.
    mutating func observed(_ address: Multiaddr, by peer: PeerID, now: Instant) {
        guard let facts = connections.best(to: peer, limited: .refused)?.facts,
            // What it sees of a connection from another port says nothing of the one we listen on.
            facts.direction == .inbound || facts.isFromListeningPort
        else { return }
        reaching.own.observe(
            address, from: facts.remoteAddress, isOutbound: facts.direction == .outbound, now: now)
        reaching.dcutr.ownAddresses = reaching.own.punchable
    }

    // MARK: Looking

    /// Has everything looked at that makes this node reachable.
    mutating func look(at time: Instant) {
        if let next = reaching.nextLook, next <= time { return }
        reaching.nextLook = time
        timers.add(.look, at: time)
    }

    mutating func look(now: Instant) {
        // A timer that was overtaken by an earlier one.
        guard let due = reaching.nextLook, due <= now else { return }
        reaching.nextLook = nil
        for hope in reaching.hopes where hope.until <= now { abandonHope(of: hope.peer, now: now) }
        closeReplaced(now: now)
        guard reaching.listeningSince != nil else { return }
        judge(now: now)
        probe(now: now)
        reserve(now: now)
        look(at: now + Self.probeInterval)
    }

    /// Asks a server about one of our addresses, if there is anything to ask.
    private mutating func probe(now: Instant) {
        guard reaching.options.asksServers, reaching.nextProbe <= now,
            reaching.prober.probeCount == 0
        else { return }
        let all = reaching.own.candidates
        let open = all.filter { reaching.prober.isOpen($0) }
        let choices = open.isEmpty ? all : open
        guard !choices.isEmpty, let server = prober(now: now) else { return }
        reaching.probeCount += 1
        reaching.asked[server] = now
        let isPressing = !open.allSatisfy { $0.isForBrowsers }
        reaching.nextProbe = now + (isPressing ? Self.probeInterval : Self.confirmInterval)
        let choice = reaching.probeCount % choices.count
        var asked = [choices[choice]]
        if choices[choice].isForBrowsers {
            // A server that cannot dial it takes the next one that it can (autonat version 2).
            let others = (isPressing ? open : all).filter { !$0.isForBrowsers }
            asked += others.isEmpty ? [] : [others[reaching.probeCount / 2 % others.count]]
        }
        reaching.prober.probe(asked, at: server, now: now)
    }

    /// The server that was asked the longest ago.
    private mutating func prober(now: Instant) -> PeerID? {
        reaching.asked = reaching.asked.filter { connections.isConnected(to: $0.key) }
        var best: (peer: PeerID, asked: Instant)?
        for entry in connections.all
        where !entry.facts.remoteAddress.isRelayed && entry.facts.remoteAddress.scope == .world {
            let peer = entry.facts.peer
            guard peers[peer]?.protocols.contains(PeerProtocols.autoNATv2Request) == true
            else { continue }
            let asked = reaching.asked[peer] ?? Instant(nanoseconds: 0)
            if let best, best.asked <= asked { continue }
            best = (peer, asked)
        }
        return best?.peer
    }

    /// What all that is known comes to.
    private mutating func judge(now: Instant) {
        let verdicts = reaching.own.candidates.filter { !$0.isForBrowsers }
            .map { reaching.prober.reachability(of: $0) }
        let isSeen = connections.all.contains {
            !$0.facts.remoteAddress.isRelayed && $0.facts.remoteAddress.scope == .world
        }
        let isOld = reaching.listeningSince.map { now.since($0) >= Self.patience } ?? false
        let verdict: Reachability =
            if verdicts.contains(.reachable) {
                .reachable
            } else if verdicts.isEmpty
                ? isSeen && isOld : verdicts.allSatisfy({ $0 == .unreachable })
            {
                .unreachable
            } else if isSeen, !verdicts.contains(.unknown) || reaching.status == .unreachable {
                reaching.status
            } else {
                .unknown
            }
        announce(now: now)
        guard verdict != reaching.status else { return }
        reaching.status = verdict
        outputs.append(.note(.reachability(verdict)))
        serve(verdict == .reachable ? .server : .client)
    }

    mutating func take(_ event: AutoNATClient.Event, now: Instant) {
        switch event {
        case .changed:
            reaching.silences = 0
            judge(now: now)
            look(at: now)
        case .failed:
            reaching.silences += 1
            let pause = Self.probeInterval * Int(min(reaching.silences, 24))
            reaching.nextProbe = now + min(pause, Self.longestProbeInterval)
        }
    }

    // MARK: Testing others

    mutating func carryOut(_ order: AutoNATServer.Order, now: Instant) {
        switch order {
        case .stream(let order): carryOut(order, of: .autoNATServer, now: now)
        case .dialBack(let number, let peer, let addresses, let nonce):
            let admitted = access.admits(peer) ? addresses.filter { access.admits($0) } : []
            guard !admitted.isEmpty else {
                reaching.tester.dialed(number, .unreachable)
                return
            }
            outputs.append(.reach(.dialBack(number, peer, admitted, nonce: nonce)))
        }
    }

    // MARK: Showing

    var reachabilityStatus: ReachabilityStatus {
        let own = reaching.own
        var all = own.listening + own.mapped + own.observed
        for place in own.relayed { all += place.addresses }
        let limits = reaching.relay.limits
        return ReachabilityStatus(
            reachability: reaching.status, mapping: own.mapping,
            addresses: all.map {
                ReachabilityStatus.Address(
                    address: $0, origin: own.origin(of: $0),
                    reachability: reaching.prober.reachability(of: $0),
                    witnesses: reaching.prober.witnesses(of: $0),
                    isAnnounced: reaching.announced.contains($0))
            },
            sightings: own.sightings.filter { $0.isOutbound }.map { ($0.address, $0.networks) },
            relays: own.relayed.map { $0.relay }, servesRelay: reaching.servesRelay,
            reservations: Gauge(
                count: reaching.relay.reservationCount, limit: limits.reservations, refused: 0),
            circuits: Gauge(
                count: reaching.relay.circuitCount, limit: limits.circuits, refused: 0),
            relayedConnections: connections.all.count { $0.facts.remoteAddress.isRelayed },
            holesPunched: reaching.holesPunched, holesFailed: reaching.holesFailed)
    }
}
