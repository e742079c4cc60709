// Ceilings hold under a flood, the right connections are trimmed, and the rules are kept.

import Exchange
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

struct LimitTests {
    static func stranger(_ number: Int) throws -> PeerID {
        try PeerID(
            Multihash(
                code: .identity, digest: [8, 1, 0x12, 32, UInt8(number >> 8), UInt8(number & 255)]))
    }

    static func far(_ number: Int) throws -> Multiaddr {
        try Multiaddr(text: "/ip4/11.\(number / 250).\(number % 250).9/tcp/40000")
    }

    static var small: NodeLimits {
        var limits = NodeLimits.home
        limits.connections = NodeLimits.Connections(
            low: 4, high: 8, ceiling: 12, inbound: 10, outbound: 6, perPeer: 2, perNetwork: 3,
            grace: .seconds(20), pause: .seconds(10))
        return limits
    }

    @Test("However many come, there are never more than the ceiling")
    func flood() throws {
        var network = VirtualNetwork(seed: 21)
        let host = try network.add(limits: Self.small)
        for number in 0..<400 {
            _ = network.knock(
                host, as: try Self.stranger(number), from: try Self.far(number))
            #expect(network.hosts[host].open.count <= 10)
            network.run(for: .milliseconds(50))
        }
        let status = try network.status(host)
        #expect(status.inbound.count <= 10)
        #expect(status.inbound.limit == 10)
        #expect(status.inbound.refused > 300)
        // One more than the ceiling is there while it is being refused.
        #expect(network.hosts[host].mostOpen <= 11)
    }

    @Test("A flood of strangers does not drive out those who are known")
    func floodAndFriends() throws {
        var network = VirtualNetwork(seed: 22)
        let host = try network.add(limits: Self.small)
        var friends: [Int] = []
        for _ in 0..<3 {
            let friend = try network.add()
            friends.append(friend)
            _ = network.connect(friend, host)
        }
        network.run(for: .seconds(30))
        for number in 0..<300 {
            _ = network.knock(
                host, as: try Self.stranger(number), from: try Self.far(number))
            network.run(for: .milliseconds(500))
        }
        let there = Set(try network.peers(host).map { $0.peer })
        #expect(friends.allSatisfy { there.contains(network.id($0)) })
    }

    private static func fromSchool(_ number: Int) throws -> Multiaddr {
        try Multiaddr(text: "/ip4/11.0.0.9/tcp/\(40000 + number)")
    }

    /// A school has one address, and so has a flood: of what is free either may have all.
    @Test("One address gets what nobody else wants, and makes room for others; a peer gets a few")
    func crowding() throws {
        var network = VirtualNetwork(seed: 23)
        let host = try network.add(limits: Self.small)
        for number in 0..<12 {
            _ = network.knock(
                host, as: try Self.stranger(number), from: try Self.fromSchool(number))
        }
        #expect(network.hosts[host].open.count == 10)
        #expect(try network.status(host).crowded == 2)
        // They are as young as can be, and may be busy.
        for number in 100..<107 {
            _ = network.knock(host, as: try Self.stranger(number), from: try Self.far(number))
        }
        let there = network.hosts[host].open.values
        for number in 100..<107 {
            let guest = try Self.stranger(number)
            #expect(there.contains(guest), "\(number)")
        }
        #expect(there.count == 10)
        // What is its share the address keeps.
        _ = network.knock(host, as: try Self.stranger(108), from: try Self.far(108))
        #expect(try network.status(host).inbound.refused == 1)
        let left = try network.peers(host).flatMap { $0.connections }.count {
            $0.facts.remoteAddress.description.hasPrefix("/ip4/11.0.0.9/")
        }
        #expect(left == 3)
    }

    @Test("64 pages behind one address have places; a flood from there keeps nobody out")
    func school() throws {
        var network = VirtualNetwork(seed: 26)
        let host = try network.add(limits: .home)
        for number in 0..<64 {
            _ = network.knock(
                host, as: try Self.stranger(number), from: try Self.fromSchool(number))
        }
        #expect(network.hosts[host].open.count == 64)
        // A flood of the same address keeps nobody out, and does not last.
        for number in 64..<200 {
            _ = network.knock(
                host, as: try Self.stranger(number), from: try Self.fromSchool(number))
        }
        for number in 300..<340 {
            _ = network.knock(host, as: try Self.stranger(number), from: try Self.far(number))
        }
        let guests = Set(try (300..<340).map { try Self.stranger($0) })
        #expect(guests.isSubset(of: Set(network.hosts[host].open.values)))
        network.run(for: .seconds(60))
        #expect(guests.isSubset(of: Set(network.hosts[host].open.values)))
    }

    @Test("One peer gets few places, and its newest connections stay")
    func spares() throws {
        var network = VirtualNetwork(seed: 27)
        let host = try network.add(limits: Self.small)
        for number in 0..<3 {
            _ = network.knock(host, as: try Self.stranger(99), from: try Self.far(number))
        }
        #expect(
            network.hosts[host].open.values.filter { $0 == (try? Self.stranger(99)) }.count == 2)
    }

    @Test("Strangers and spares are trimmed first, partners and protected peers stay")
    func trimming() throws {
        var network = VirtualNetwork(seed: 24)
        let host = try network.add(limits: Self.small)
        let blocks = BlockTests.blocks(5, seed: 9)
        let partner = try network.add()
        for block in blocks { network.hosts[partner].store[block.cid.hash] = block.bytes }
        let favourite = try Self.stranger(500)
        network.order(host, .protect(favourite))
        _ = network.knock(host, as: favourite, from: try Self.far(500))
        _ = network.connect(partner, host)
        let known = try network.add()
        _ = network.connect(known, host)
        network.run(for: .seconds(25))
        let session = try network.session(host)
        network.order(host, .want(session, BlockTests.want(blocks)))
        network.run(for: .seconds(2))
        #expect(network.hosts[host].blocks.count == 5)
        for number in 0..<6 {
            _ = network.knock(
                host, as: try Self.stranger(number), from: try Self.far(number))
        }
        #expect(try network.status(host).connections.count == 9)
        // Nobody leaves within the grace period.
        network.run(for: .seconds(15))
        #expect(try network.status(host).connections.count == 9)
        network.run(for: .seconds(15))
        let left = Set(try network.peers(host).map { $0.peer })
        #expect(left.count == 4)
        #expect(left.contains(favourite))
        #expect(left.contains(network.id(partner)))
        #expect(left.contains(network.id(known)))
        #expect(try network.status(host).trimmed == 5)
    }

    @Test("Who is denied is neither let in nor dialled, from the moment it is denied")
    func denied() throws {
        var network = VirtualNetwork(seed: 25)
        let one = try network.add()
        let two = try network.add()
        _ = network.connect(one, two)
        var rules = AccessRules()
        rules.deniedPeers = [network.id(two)]
        network.order(one, .setAccess(rules))
        #expect(network.hosts[one].open.isEmpty)
        #expect(network.hosts[one].closings.last?.reason == .denied)
        let out = network.order(one, .connect(network.id(two), [network.hosts[two].address]))
        #expect(network.failure(one, out) == .denied)
        network.run(for: .seconds(1))
        _ = network.connect(two, one)
        #expect(network.hosts[one].open.isEmpty)
        #expect(network.hosts[two].open.isEmpty)
        let refused = try network.status(one).denied
        #expect(refused == 2)
        var ranges = AccessRules()
        ranges.allowedAddresses = [
            try #require(AddressRange(Multiaddr(text: "/ip4/9.0.0.0/ipcidr/8")))
        ]
        network.order(one, .setAccess(ranges))
        let away = network.order(one, .connect(network.id(two), [network.hosts[two].address]))
        #expect(network.failure(one, away) == .noAddress)
        network.order(one, .setAccess(AccessRules()))
        let again = network.connect(one, two)
        #expect(network.failure(one, again) == nil)
        #expect(network.hosts[one].open.count == 1)
    }

    @Test("Dials take the places of connections, and a held one is said so")
    func outboundCeiling() throws {
        var network = VirtualNetwork(seed: 26)
        let host = try network.add(limits: Self.small)
        var orders: [UInt64] = []
        for _ in 0..<12 {
            let far = try network.add()
            orders.append(
                network.order(
                    host, .connect(network.id(far), [network.hosts[far].address])))
        }
        network.run(for: .seconds(10))
        #expect(network.hosts[host].open.count == 6)
        #expect(network.hosts[host].mostOpen == 6)
        #expect(orders.filter { network.failure(host, $0) == .overLimit }.count == 6)
        #expect(try network.status(host).dials.refused == 6)
    }

    @Test("Lower limits take effect at once")
    func lowering() throws {
        var network = VirtualNetwork(seed: 27)
        let host = try network.add()
        for number in 0..<30 {
            _ = network.knock(
                host, as: try Self.stranger(number), from: try Self.far(number))
        }
        #expect(network.hosts[host].open.count == 30)
        network.order(host, .setLimits(Self.small))
        #expect(network.hosts[host].open.count == 10)
        #expect(try network.status(host).connections.limit == 12)
        network.run(for: .seconds(60))
        #expect(network.hosts[host].open.count == 4)
    }

    @Test("One peer may open so many streams, and further ones are reset")
    func streamFlood() throws {
        var network = VirtualNetwork(seed: 28)
        var limits = NodeLimits.home
        limits.streams.acceptedPerPeer = 16
        let host = try network.add(limits: limits)
        let peer = try Self.stranger(1)
        let number = network.knock(host, as: peer, from: try Self.far(1))
        let bitswap = BitswapVersion.v1_2_0.protocolName
        for stream in 1...UInt32(200) {
            let id = StreamID(connection: number, stream: stream)
            network.inject(host, .stream(.accepted(id, peer, bitswap)))
        }
        let status = try network.status(host)
        #expect(status.acceptedStreams.count == 16)
        #expect(status.acceptedStreams.refused == 184)
        // When the connection goes, all of it goes.
        network.inject(host, .disconnected(number))
        #expect(try network.status(host).acceptedStreams.count == 0)
    }

    @Test("A peer that keeps breaking the rules has to leave, and stays out for a while")
    func violations() throws {
        var network = VirtualNetwork(seed: 29)
        let host = try network.add()
        let peer = try Self.stranger(1)
        let number = network.knock(host, as: peer, from: try Self.far(1))
        for stream in 1...UInt32(4) {
            let id = StreamID(connection: number, stream: stream)
            network.inject(
                host, .stream(.accepted(id, peer, PeerProtocols.identifyPush)))
            network.inject(host, .stream(.message(id, [0xff, 0xff, 0xff])))
        }
        #expect(network.hosts[host].open.isEmpty)
        #expect(try network.status(host).violations == 4)
        _ = network.knock(host, as: peer, from: try Self.far(1))
        #expect(network.hosts[host].open.isEmpty)
        network.run(for: .seconds(301))
        _ = network.knock(host, as: peer, from: try Self.far(1))
        #expect(network.hosts[host].open.count == 1)
    }
}
