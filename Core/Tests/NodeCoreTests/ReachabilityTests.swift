// Being reached: what servers find out, relays, and holes.

import Multiformats
import NodeCore
import Peering
import Simulation
import Testing

@Suite struct ReachabilityTests {
    private func status(_ network: inout VirtualNetwork, _ host: Int) throws -> ReachabilityStatus {
        let id = network.order(host, .reachability)
        guard case .reachability(let status) = network.answer(host, id) else {
            throw VirtualNetwork.Unanswered()
        }
        return status
    }

    /// A node whose address works is told so by three servers, and only then serves the public DHT.
    @Test("servers confirm an address") func reachable() throws {
        var network = VirtualNetwork(seed: 1)
        let node = try network.add(
            routing: [.wide(.client, storage: .home)], reachability: ReachabilityOptions())
        for _ in 0..<3 { _ = network.connect(node, try network.add()) }
        #expect(!network.hosts[node].node.protocols.contains(PeerProtocols.kad))
        network.run(for: .seconds(60))
        let found = try status(&network, node)
        #expect(found.reachability == .reachable)
        #expect(found.mapping == .none)
        let own = try #require(found.addresses.first)
        #expect(own.reachability == .reachable && own.isAnnounced && own.origin == .listening)
        #expect(Set(own.witnesses) == Set((1...3).map { network.id($0) }))
        #expect(network.hosts[node].node.protocols.contains(PeerProtocols.kad))
        // Who can be reached may relay.
        #expect(found.servesRelay)
        #expect(network.hosts[node].node.protocols.contains(PeerProtocols.relayHop))
    }

    /// An address for browsers, which no server can dial, delays no verdict on the others and makes
    /// none; it is told, because nobody said that it does not work.
    @Test("an address for browsers is told untried", arguments: [false, true])
    func forBrowsers(isBehindNAT: Bool) throws {
        var network = VirtualNetwork(seed: 6)
        let node = try network.add(
            routing: [.wide(.client, storage: .home)], reachability: ReachabilityOptions())
        network.hosts[node].isBehindNAT = isBehindNAT
        let open = network.hosts[node].address
        let hash = "uEiBkLn0Nn8mGxZ9Yd1FZzN8cQjB2v7mC0gq6m5Z8d1eQ3g"
        let ways = try ["/ip4/20.0.0.0", "/ip6/2a00::1"].map {
            try Multiaddr(text: "\($0)/udp/4001/webrtc-direct/certhash/\(hash)")
        }
        network.order(node, .listen([open] + ways, sequence: 2))
        for _ in 0..<3 { _ = network.connect(node, try network.add()) }
        network.run(for: .seconds(60))
        let found = try status(&network, node)
        #expect(found.reachability == (isBehindNAT ? .unreachable : .reachable))
        #expect(found.addresses.map { $0.reachability }.dropFirst() == [.unknown, .unknown])
        let told = network.hosts[node].told
        #expect(told == (isBehindNAT ? ways : [open] + ways))
    }

    /// Behind a router that lets nobody in, the address is not told any more, a place is found at a
    /// relay that is met, and the node is reached through it.
    @Test("an unreachable node is reached through a relay") func relayed() throws {
        var network = VirtualNetwork(seed: 2)
        network.isPunchable = false
        var always = ReachabilityOptions()
        always.relayService = .always
        let relay = try network.add(reachability: always)
        var never = ReachabilityOptions()
        never.relayService = .never
        let servers = try (0..<2).map { _ in try network.add(reachability: never) }
        let hidden = try network.add(
            at: "/ip4/9.1.1.1/tcp/4001", reachability: ReachabilityOptions())
        let other = try network.add(at: "/ip4/9.2.1.1/tcp/4001")
        network.hosts[hidden].isBehindNAT = true
        network.hosts[other].isBehindNAT = true
        for server in servers + [relay] { _ = network.connect(hidden, server) }
        network.run(for: .seconds(90))
        let found = try status(&network, hidden)
        #expect(found.reachability == .unreachable)
        #expect(found.relays == [network.id(relay)])
        let told = network.hosts[hidden].told
        #expect(!told.contains(network.hosts[hidden].address))
        let way = try #require(told.first { $0.isRelayed })
        #expect(way.description.hasSuffix("/p2p/\(network.id(relay))/p2p-circuit"))

        let id = network.order(other, .connect(network.id(hidden), [way]))
        network.run(for: .seconds(20))
        guard case .connected(_, let by) = network.answer(other, id) else {
            Issue.record("\(network.hosts[other].answers[id] ?? [])")
            return
        }
        #expect(by == way)
        #expect(try status(&network, relay).circuits.count == 1)
        let ping = network.order(other, .ping(network.id(hidden)))
        network.run(for: .seconds(5))
        guard case .roundTrip = network.answer(other, ping) else {
            Issue.record("no ping through the relay")
            return
        }
        network.run(for: .seconds(60))
        #expect(try status(&network, hidden).holesFailed == 1)
        // Without the relay the address is not told any more.
        network.cut(hidden, relay)
        network.run(for: .seconds(1))
        #expect(!network.hosts[hidden].told.contains { $0.isRelayed })
    }

    /// A relayed connection becomes a direct one, and the relayed one is closed.
    @Test("two nodes behind routers punch a hole") func punched() throws {
        var network = VirtualNetwork(seed: 3)
        var always = ReachabilityOptions()
        always.relayService = .always
        let relay = try network.add(reachability: always)
        var named = ReachabilityOptions()
        named.relays = [(network.id(relay), [network.hosts[relay].address])]
        let hidden = try network.add(at: "/ip4/9.1.1.1/tcp/4001", reachability: named)
        let other = try network.add(at: "/ip4/9.2.1.1/tcp/4001")
        network.hosts[hidden].isBehindNAT = true
        network.hosts[other].isBehindNAT = true
        _ = network.connect(other, relay)
        network.run(for: .seconds(30))
        let way = try #require(network.hosts[hidden].told.first { $0.isRelayed })
        let id = network.order(other, .connect(network.id(hidden), [way]))
        network.run(for: .seconds(40))
        guard case .connected = network.answer(other, id) else {
            Issue.record("\(network.hosts[other].answers[id] ?? [])")
            return
        }
        for (here, there) in [(other, hidden), (hidden, other)] {
            let seen = try network.peers(here).first { $0.peer == network.id(there) }
            let lines = try #require(seen).connections
            #expect(lines.map { $0.facts.remoteAddress } == [network.hosts[there].address])
        }
        #expect(try status(&network, hidden).holesPunched == 1)
        #expect(try status(&network, relay).circuits.count == 0)
    }

    /// Whom nobody knows to be reachable relays for nobody but the pages that meet at it.
    @Test(
        "pages that meet at a node may use it as a relay, and where nobody may, none meet",
        arguments: [true, false])
    func pages(isAllowed: Bool) throws {
        var network = VirtualNetwork(seed: 5)
        var options = ReachabilityOptions()
        if !isAllowed { options.relayService = .never }
        let host = try network.add(reachability: options)
        let page = try PeerID(Multihash(code: .sha2_256, digest: Array(repeating: 7, count: 32)))
        let number = network.knock(
            host, as: page, from: try Multiaddr(text: "/ip4/9.9.9.9/tcp/1/ws"))
        var streams = UInt32(0)
        func accepted(_ name: ProtocolName) throws -> Int {
            streams += 1
            let id = StreamID(connection: number, stream: streams)
            network.inject(host, .stream(.accepted(id, page, name)))
            return try network.status(host).acceptedStreams.count
        }
        #expect(try accepted(PeerProtocols.relayHop) == 0)
        #expect(try accepted(PeerProtocols.meeting) == (isAllowed ? 1 : 0))
        #expect(try accepted(PeerProtocols.relayHop) == (isAllowed ? 2 : 0))
        // As long as it is there.
        network.inject(host, .stream(.reset(StreamID(connection: number, stream: 2))))
        #expect(try accepted(PeerProtocols.relayHop) == (isAllowed ? 1 : 0))
        #expect(!network.hosts[host].node.protocols.contains(PeerProtocols.relayHop))
    }

    /// A node that others may not use as a relay turns away who tries.
    @Test("no relay service unasked") func noService() throws {
        var network = VirtualNetwork(seed: 4)
        var never = ReachabilityOptions()
        never.relayService = .never
        let relay = try network.add(reachability: never)
        var named = ReachabilityOptions()
        named.relays = [(network.id(relay), [network.hosts[relay].address])]
        let hidden = try network.add(reachability: named)
        network.hosts[hidden].isBehindNAT = true
        network.run(for: .seconds(30))
        let found = try status(&network, hidden)
        #expect(found.relays.isEmpty)
        let refusals = network.hosts[hidden].notes.filter {
            $0 == .unreserved(network.id(relay), .stream(.disconnected))
        }
        #expect(refusals.count == 1)
    }

    /// Addresses of one peer's say-so are not told, nor tried; the router's habit shows in them.
    @Test("observed addresses need several observers") func observed() throws {
        var own = OwnAddresses()
        let seen = try Multiaddr(text: "/ip4/9.9.9.9/tcp/4001")
        func observer(_ last: Int) throws -> Multiaddr {
            try Multiaddr(text: "/ip4/8.8.8.\(last)/tcp/1")
        }
        let now = network0
        own.observe(seen, from: try observer(1), isOutbound: true, now: now)
        own.observe(seen, from: try observer(1), isOutbound: true, now: now)
        #expect(own.candidates.isEmpty && own.mapping == .unknown)
        #expect(own.punchable == [seen])
        own.observe(seen, from: try observer(2), isOutbound: true, now: now)
        #expect(own.candidates == [seen] && own.mapping == .endpointIndependent)
        #expect(own.announced { _ in .unknown }.isEmpty)
        #expect(own.announced { _ in .reachable } == [seen])

        var symmetric = OwnAddresses()
        for port in 1...3 {
            symmetric.observe(
                try Multiaddr(text: "/ip4/9.9.9.9/tcp/\(port)"), from: try observer(port),
                isOutbound: true, now: now)
        }
        #expect(symmetric.mapping == .endpointDependent && symmetric.candidates.isEmpty)
        // Private networks say nothing of what the internet sees.
        symmetric.observe(
            try Multiaddr(text: "/ip4/192.168.1.2/tcp/1"), from: try observer(9), isOutbound: true,
            now: now)
        #expect(symmetric.punchable.count == 3)
    }

    private let network0 = VirtualNetwork(seed: 0).now
}
