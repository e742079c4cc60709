// Nodes that find each other's content by the DHT, without being connected before.

import Exchange
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

struct RoutingTests {
    /// A network whose nodes joined by the first one.
    static func network(_ count: Int, seed: UInt64) throws -> VirtualNetwork {
        var network = VirtualNetwork(seed: seed)
        for host in 0..<count {
            try network.add(routing: [.wide(.server, storage: .home)])
            guard host > 0 else { continue }
            let first = (peer: network.id(0), addresses: [network.hosts[0].address])
            network.order(host, .join([first]))
            network.run(for: .seconds(2))
        }
        network.run(for: .seconds(20))
        return network
    }

    @Test(
        "What one node provides, another finds and fetches, whom it never met", arguments: [1])
    func provideAndFetch(seed: UInt64) throws {
        var network = try Self.network(21, seed: seed)
        let blocks = BlockTests.blocks(20, seed: seed)
        for block in blocks { network.hosts[20].store[block.cid.hash] = block.bytes }
        let provided = network.order(20, .provide(blocks[0].cid))
        network.run(for: .seconds(60))
        guard case .searched(let answer) = network.answer(20, provided) else {
            Issue.record("\(String(describing: network.answer(20, provided)))")
            return
        }
        #expect(answer.results.map { $0.stored }.max() ?? 0 >= 10)

        // A newcomer, which knows only whom it joined by.
        let reader = try network.add(routing: [.wide(.client, storage: .home)])
        let first = (peer: network.id(0), addresses: [network.hosts[0].address])
        network.order(reader, .join([first]))
        network.run(for: .seconds(10))
        let search = network.order(reader, .findProviders(blocks[0].cid, limit: 1))
        network.run(for: .seconds(10))
        #expect(network.hosts[reader].found[search] == [network.id(20)])
        #expect(network.hosts[reader].answers[search]?.count == 1)

        let session = try network.session(reader)
        network.order(reader, .want(session, BlockTests.want(blocks)))
        network.run(for: .seconds(40))
        #expect(network.hosts[reader].blocks.count == 20)
        #expect(network.hosts[reader].missing.isEmpty)
    }

    @Test("A lookup may ask many more peers than this node may be connected to")
    func fewConnections() throws {
        var network = try Self.network(40, seed: 5)
        var limits = NodeLimits.home
        limits.connections.outbound = 5
        limits.dialing.simultaneous = 3
        let reader = try network.add(
            limits: limits, routing: [.wide(.client, storage: .home)])
        let first = (peer: network.id(0), addresses: [network.hosts[0].address])
        network.order(reader, .join([first]))
        network.run(for: .seconds(30))
        for number in 0..<3 as Range<UInt8> {
            let digest = [UInt8](repeating: number, count: 32)
            let cid = CID(.raw, Multihash(code: .sha2_256, digest: digest))
            network.order(Int(number) + 30, .provide(cid))
            network.run(for: .seconds(20))
            let search = network.order(reader, .findProviders(cid, limit: 10))
            network.run(for: .seconds(30))
            #expect(network.hosts[reader].found[search] == [network.id(Int(number) + 30)])
            guard case .searched(let answer)? = network.answer(reader, search) else {
                Issue.record("\(String(describing: network.answer(reader, search)))")
                continue
            }
            #expect(answer.results.map { $0.answered }.max() ?? 0 >= 20)
        }
    }

    @Test("Being a client of the DHT is not told as being a server, and a change is news")
    func clientsDoNotServe() throws {
        var network = VirtualNetwork(seed: 3)
        let one = try network.add(routing: [.wide(.client, storage: .home)])
        let two = try network.add(routing: [.wide(.client, storage: .home)])
        _ = network.connect(one, two)
        #expect(!network.hosts[one].node.protocols.contains(PeerProtocols.kad))
        network.order(one, .serve(.server))
        network.run(for: .seconds(2))
        #expect(network.hosts[one].node.protocols.contains(PeerProtocols.kad))
        let heard = try network.peers(two).first?.protocols ?? []
        #expect(heard.contains(PeerProtocols.kad))
    }

    @Test("A search ends by its deadline, and leaves nothing behind")
    func deadline() throws {
        var network = try Self.network(5, seed: 4)
        for host in 1..<5 { network.hosts[host].door = .silent }
        for host in 1..<5 { network.cut(0, host) }
        network.run(for: .seconds(1))
        let cid = BlockTests.blocks(1, seed: 5)[0].cid
        let start = network.now
        let search = network.order(0, .findProviders(cid, limit: 5), within: .seconds(1))
        network.run(for: .seconds(120))
        #expect(network.hosts[0].answers[search]?.count == 1)
        let at = try #require(network.hosts[0].answeredAt[search])
        #expect(at <= start + .seconds(1))
        let status = try network.status(0)
        #expect(status.commands.count == 0)
    }

    @Test("Peers at home are met in the local DHT alone, and find each other's content there")
    func local() throws {
        var network = VirtualNetwork(seed: 6)
        let both: [KadConfiguration] = [.wide(.client, storage: .home), .lan(storage: .home)]
        for host in 0..<3 {
            try network.add(at: "/ip4/192.168.1.\(host + 1)/tcp/4001", routing: both)
            let first = (peer: network.id(0), addresses: [network.hosts[0].address])
            network.order(host, .join(host == 0 ? [] : [first]))
            network.run(for: .seconds(10))
        }
        for host in 0..<3 {
            let status = network.order(host, .dhts)
            guard case .dhts(let dhts)? = network.answer(host, status) else { throw NoAnswer() }
            #expect(dhts.map { $0.peers } == [0, 2])
            #expect(dhts.map { $0.isServer } == [false, true])
            let saved = network.order(host, .servers(limit: 1))
            guard case .servers(let servers)? = network.answer(host, saved) else {
                throw NoAnswer()
            }
            #expect(servers.count == 1 && servers.first?.addresses.isEmpty == false)
        }
        let cid = BlockTests.blocks(1, seed: 6)[0].cid
        let provided = network.order(1, .provide(cid))
        network.run(for: .seconds(10))
        guard case .searched(let told)? = network.answer(1, provided) else { throw NoAnswer() }
        #expect(told.results.map { $0.end } == [.noAddress, .complete])
        #expect(told.results.last?.stored == 2)

        let search = network.order(2, .findProviders(cid, limit: 1))
        network.run(for: .seconds(10))
        guard case .searched(let found)? = network.answer(2, search) else { throw NoAnswer() }
        #expect(found.peers == [network.id(1)])
        // Who was asked is told even if the search was over early.
        #expect(found.results.count == 2)
        #expect(network.hosts[2].answers[search]?.count == 1)
    }

    /// All that a node has is announced once in a cycle, without an order for each; as long as
    /// there is nobody to tell, it waits.
    @Test("A node announces all that it has, again in each cycle") func announcing() throws {
        var network = try Self.network(24, seed: 9)
        let blocks = BlockTests.blocks(12, seed: 9)
        let owner = try network.add(routing: [.wide(.client, storage: .home)])
        for block in blocks { network.hosts[owner].store[block.cid.hash] = block.bytes }
        let start = Sweep.Position(place: 0, elapsed: .zero)
        network.order(owner, .sweep(PeerProtocols.kad, from: start, cycle: .seconds(600)))
        network.run(for: .seconds(700))
        let waiting = network.order(owner, .sweeps)
        guard case .sweeps(let before)? = network.answer(owner, waiting) else { throw NoAnswer() }
        #expect(before.map { $0.position.place } == [0])
        let first = (peer: network.id(0), addresses: [network.hosts[0].address])
        network.order(owner, .join([first]))
        network.run(for: .seconds(1_300))
        for block in blocks {
            let search = network.order(1, .findProviders(block.cid, limit: 1))
            network.run(for: .seconds(10))
            #expect(network.hosts[1].found[search] == [network.id(owner)])
        }
        network.order(owner, .sweep(PeerProtocols.kad, from: nil, cycle: .seconds(600)))
        let stopped = network.order(owner, .sweeps)
        guard case .sweeps(let after)? = network.answer(owner, stopped) else { throw NoAnswer() }
        #expect(after.isEmpty)
    }

    @Test("A connected peer is found without asking anybody")
    func findConnected() throws {
        var network = VirtualNetwork(seed: 7)
        let routing: [KadConfiguration] = [.wide(.client, storage: .home)]
        let one = try network.add(routing: routing)
        let two = try network.add(routing: routing)
        _ = network.connect(one, two)
        let search = network.order(one, .findPeer(network.id(two)))
        guard case .searched(let found)? = network.answer(one, search) else { throw NoAnswer() }
        #expect(found.peers == [network.id(two)])
        #expect(network.hosts[one].found[search] == [network.id(two)])
    }

    struct NoAnswer: Error {}
}
