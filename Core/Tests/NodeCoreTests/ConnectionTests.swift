// Connecting, introducing, pinging, and every command that gets one answer.

import Exchange
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

struct ConnectionTests {
    @Test("Two nodes connect, say who they are, and measure their distance")
    func meeting() throws {
        var network = VirtualNetwork(seed: 1)
        let one = try network.add()
        let two = try network.add()
        let connected = network.connect(one, two)
        guard case .connected(let peer, _) = network.answer(one, connected) else {
            Issue.record("not connected: \(String(describing: network.answer(one, connected)))")
            return
        }
        #expect(peer == network.id(two))
        let there = try #require(try network.peers(one).first)
        #expect(there.agent == Array("simulated/1".utf8))
        #expect(there.protocols == network.hosts[two].node.protocols)
        #expect(there.connections.map { $0.facts.direction } == [.outbound])
        let back = try #require(try network.peers(two).first)
        #expect(back.agent == Array("simulated/0".utf8))
        let ping = network.order(two, .ping(network.id(one)))
        network.run(for: .seconds(1))
        guard case .roundTrip(let time) = network.answer(two, ping) else {
            Issue.record("no round trip")
            return
        }
        #expect(time >= .milliseconds(10) && time <= .milliseconds(100))
        #expect(try network.peers(two).first?.roundTrip == time)
    }

    @Test("A ping to somebody unconnected dials what identify left in the address book")
    func dialsByBook() throws {
        var network = VirtualNetwork(seed: 2)
        let one = try network.add()
        let two = try network.add()
        _ = network.connect(one, two)
        // It was connected to, and knows the other's address only from what that said of itself.
        let gone = network.order(two, .disconnect(network.id(one)))
        network.run(for: .seconds(1))
        #expect(network.isDone(two, gone))
        #expect(network.hosts[one].open.isEmpty)
        let ping = network.order(two, .ping(network.id(one)))
        network.run(for: .seconds(3))
        guard case .roundTrip = network.answer(two, ping) else {
            Issue.record("\(String(describing: network.answer(two, ping)))")
            return
        }
        #expect(network.hosts[two].dials.map { $0.address } == [network.hosts[one].address])
    }

    @Test(
        "A change of addresses reaches those who are connected; private ones stay at home",
        arguments: [true, false])
    func news(isPrivate: Bool) throws {
        var network = VirtualNetwork(seed: 3)
        let one = try network.add(at: isPrivate ? "/ip4/192.168.1.2/tcp/4001" : nil)
        let two = try network.add(at: isPrivate ? "/ip4/192.168.1.3/tcp/4001" : nil)
        _ = network.connect(two, one)
        let open = try Multiaddr(text: "/ip4/9.9.9.9/tcp/4002")
        let home = try Multiaddr(text: "/ip4/192.168.1.2/tcp/4002")
        network.order(one, .listen([open, home], sequence: 2))
        network.run(for: .seconds(3))
        let id = network.order(two, .addresses(network.id(one)))
        guard case .addresses(let known) = network.answer(two, id) else {
            Issue.record("no addresses")
            return
        }
        #expect(known.contains(open))
        #expect(known.contains(home) == isPrivate)
    }

    @Test("What a stranger says of private networks is not dialled, what a person says is")
    func privateRanges() throws {
        var network = VirtualNetwork(seed: 4)
        let one = try network.add()
        let two = try network.add()
        let home = try Multiaddr(text: "/ip4/192.168.1.2/tcp/4002")
        let name = try Multiaddr(text: "/dns4/example.org/tcp/4002")
        network.order(two, .listen([home, name], sequence: 2))
        let first = network.connect(two, one)
        _ = first
        network.order(two, .disconnect(network.id(one)))
        network.run(for: .seconds(1))
        network.order(one, .ping(network.id(two)), within: .seconds(5))
        network.run(for: .seconds(6))
        // A name may lead anywhere, so the driver is told how near it may lead.
        let named = network.hosts[one].dials.filter { $0.address == name }
        #expect(named.map { $0.narrowest } == [.world])
        #expect(!network.hosts[one].dials.contains { $0.address == home })
        network.order(one, .connect(network.id(two), [home, name]), within: .seconds(30))
        network.run(for: .seconds(31))
        let vouched = network.hosts[one].dials.filter { $0.address == home }
        #expect(vouched.map { $0.narrowest } == [.host])
    }

    @Test("What cannot be reached is said with what became of each address, and then left alone")
    func backOff() throws {
        var network = VirtualNetwork(seed: 5)
        let one = try network.add()
        let two = try network.add()
        network.hosts[two].door = .shut
        let first = network.connect(one, two)
        #expect(
            network.failure(one, first)
                == .unreachable([DialAttempt(network.hosts[two].address, .refused)]))
        let second = network.order(one, .ping(network.id(two)))
        network.run(for: .seconds(1))
        #expect(
            network.failure(one, second)
                == .unreachable([DialAttempt(network.hosts[two].address, .backedOff)]))
        #expect(network.hosts[one].dials.count == 1)
        network.run(for: .seconds(5))
        network.hosts[two].door = .open
        let third = network.connect(one, two)
        #expect(network.failure(one, third) == nil)
        #expect(network.hosts[one].dials.count == 2)
    }

    @Test("The answer comes at the deadline, once, and nobody is dialled for nothing")
    func deadlines() throws {
        var network = VirtualNetwork(seed: 6)
        let one = try network.add()
        let two = try network.add()
        network.hosts[two].door = .silent
        let start = network.now
        let waits = network.order(
            one, .connect(network.id(two), [network.hosts[two].address]), within: .seconds(2))
        let cancelled = network.order(one, .ping(network.id(two)))
        network.run(for: .seconds(1))
        let cancel = network.order(one, .cancel(cancelled))
        #expect(network.isDone(one, cancel))
        #expect(network.failure(one, cancelled) == .cancelled)
        network.run(for: .seconds(60))
        #expect(network.hosts[one].answers[waits]?.count == 1)
        #expect(network.failure(one, waits) == .timedOut)
        #expect(network.hosts[one].answeredAt[waits] == start + .seconds(2))
        #expect(try network.status(one).dials.count == 0)
        let self_ = network.order(one, .connect(network.id(one), []))
        #expect(network.failure(one, self_) == .ourselves)
        let unknown = try network.add()
        let nowhere = network.order(one, .ping(network.id(unknown)))
        #expect(network.failure(one, nowhere) == .noAddress)
        let search = network.order(
            one, .findProviders(CID(.raw, Multihash.sha2_256(of: [1].rawSpan)), limit: 3))
        #expect(network.failure(one, search) == .unavailable)
    }

    @Test("The newest of several connections carries streams; when it breaks, the other does")
    func severalConnections() throws {
        var network = VirtualNetwork(seed: 7)
        let one = try network.add()
        let two = try network.add()
        network.link(one, two)
        network.link(two, one)
        network.run(for: .seconds(3))
        let lines = try #require(try network.peers(one).first).connections
        try #require(lines.count == 2)
        let ping = network.order(one, .ping(network.id(two)))
        network.inject(one, .disconnected(lines[1].number))
        network.run(for: .seconds(12))
        guard case .roundTrip = network.answer(one, ping) else {
            Issue.record("\(String(describing: network.answer(one, ping)))")
            return
        }
        #expect(try network.peers(one).first?.connections.map { $0.number } == [lines[0].number])
    }

    @Test(
        "Whatever breaks, every command gets exactly one answer before its deadline",
        arguments: [UInt64](1...12))
    func noOrderIsLost(seed: UInt64) throws {
        var network = VirtualNetwork(seed: seed)
        network.conditions.breakage = 0.05
        var random = SeededGenerator(seed: seed ^ 0xabcd)
        for _ in 0..<12 { try network.add() }
        network.hosts[10].door = .shut
        network.hosts[11].door = .silent
        var orders: [(host: Int, id: UInt64, deadline: Instant)] = []
        for _ in 0..<300 {
            let host = Int.random(in: 0..<12, using: &random)
            let other = Int.random(in: 0..<12, using: &random)
            let within = Duration.milliseconds(Int64.random(in: 10...20_000, using: &random))
            let command: NodeCore.Command =
                switch Int.random(in: 0..<8, using: &random) {
                case 0...2: .connect(network.id(other), [network.hosts[other].address])
                case 3...5: .ping(network.id(other))
                case 6: .disconnect(network.id(other))
                default: .cancel(orders.randomElement(using: &random)?.id ?? 0)
                }
            let deadline = network.now + within
            orders.append((host, network.order(host, command, within: within), deadline))
            network.run(for: .milliseconds(Int64.random(in: 0...200, using: &random)))
            if Int.random(in: 0..<10, using: &random) == 0 { network.cut(host, other) }
        }
        network.run(for: .seconds(90))
        for order in orders {
            #expect(network.hosts[order.host].answers[order.id]?.count == 1)
            let at = try #require(network.hosts[order.host].answeredAt[order.id])
            #expect(at <= order.deadline)
        }
        for host in network.hosts.indices {
            let status = try network.status(host)
            #expect(status.commands.count == 0)
            #expect(status.openingStreams.count == 0)
            #expect(status.dials.count == 0)
            #expect(status.connections.count == network.hosts[host].open.count)
        }
    }
}
