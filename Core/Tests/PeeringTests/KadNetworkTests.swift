import Cryptography
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

@Suite struct KadNetworkTests {
    static func network(_ size: Int, seed: UInt64) throws -> KadNetwork {
        var network = KadNetwork(seed: seed)
        for _ in 0..<size { _ = try network.add() }
        network.fill()
        return network
    }

    static func hash(_ number: UInt64) -> Multihash {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(number)
        return Multihash.sha2_256(of: bytes.rawSpan)
    }

    /// Nodes that know one other each find all they need: a newcomer's table fills, and lookups
    /// end at the peers that are really nearest.
    @Test func joining() throws {
        var network = KadNetwork(seed: 1)
        for index in 0..<60 {
            let node = try network.add()
            guard index > 0 else { continue }
            let known = Int.random(in: 0..<index, using: &network.random)
            network.introduce(known, to: node)
            let seed = network.nodes[known].kad.own
            _ = network.command(node) { kad, book, now in
                kad.join(by: [seed], addresses: &book, now: now)
                return 0
            }
            network.run(for: .seconds(20))
        }
        let key = Self.hash(1)
        let number = network.command(5) { kad, book, now in
            kad.findClosest(to: key.bytes, addresses: &book, now: now)
        }
        network.run(for: .seconds(60))
        let result = try #require(network.result(number, of: 5))
        let nearest = network.nearest(to: key.bytes, count: 20)
        let hits = result.closest.filter { nearest.contains($0) }.count
        #expect(hits >= 17, "\(hits) of 20")
        #expect(result.end == .complete)
    }

    /// What one node provides, another finds, with a number of steps that grows with the logarithm
    /// of the size, in a network with churn, losses and a fifth of liars.
    @Test(arguments: [(100, 1), (400, 2)] as [(Int, UInt64)])
    func hostile(size: Int, seed: UInt64) throws {
        var network = try Self.network(size, seed: seed)
        network.lossPercent = 3
        for node in 0..<size where node % 5 == 4 { network.nodes[node].isLiar = true }
        var (found, tried, hops, asked) = (0, 0, 0, 0)
        for round in 0..<20 as Range<UInt64> {
            // Two nodes of a hundred leave at every round.
            for _ in 0..<(size / 50) {
                let gone = Int.random(in: 20..<size, using: &network.random)
                network.nodes[gone].isAlive = false
            }
            let key = Self.hash(round)
            let (giver, seeker) = (Int(round % 4), 5 + Int(round % 4))
            _ = network.command(giver) { kad, book, now in
                kad.provide(key, addresses: &book, now: now)
            }
            network.run(for: .seconds(60))
            let search = network.command(seeker) { kad, book, now in
                kad.findProviders(of: key, limit: 1, addresses: &book, now: now)
            }
            network.run(for: .seconds(60))
            tried += 1
            guard let result = network.result(search, of: seeker) else { continue }
            if result.providers > 0 { found += 1 }
            hops += result.hops
            asked += result.asked
        }
        #expect(found >= 19, "\(found) of \(tried)")
        // log2(400 / 20) is about 4.
        #expect(Double(hops) / Double(tried) <= 5)
        #expect(asked / tried <= 60, "\(asked / tried) questions for one search")
    }

    /// Several disjoint paths end at the same peers.
    @Test func disjointPaths() throws {
        var network = KadNetwork(seed: 3)
        for _ in 0..<150 { _ = try network.add(paths: 3) }
        network.fill()
        for node in 0..<150 where node % 5 == 4 { network.nodes[node].isLiar = true }
        let key = Self.hash(9)
        let number = network.command(0) { kad, book, now in
            kad.findClosest(to: key.bytes, addresses: &book, now: now)
        }
        network.run(for: .seconds(90))
        let result = try #require(network.result(number, of: 0))
        let nearest = network.nearest(to: key.bytes, count: 20)
        #expect(result.closest.filter { nearest.contains($0) }.count >= 15)
    }

    #if HostCrypto
        /// A newer value wins over an older one at everybody who is asked, and those that had the
        /// older one are given the newer. Liars' values do not count.
        @Test func values() throws {
            var network = try Self.network(100, seed: 4)
            for node in 0..<100 where node % 5 == 4 { network.nodes[node].isLiar = true }
            let key = PrivateKey.generateEd25519()
            let name = PeerID(key.publicKey)
            let place = Array("/ipns/".utf8) + name.bytes
            func record(_ sequence: UInt64) throws -> [UInt8] {
                try ipnsRecord(signedWith: key, sequence: sequence)
            }
            let (old, new) = (try record(1), try record(2))
            for (node, value) in [(0, old), (1, new)] {
                let number = network.command(node) { kad, book, now in
                    kad.putValue(value, under: place, addresses: &book, now: now) ?? 0
                }
                network.run(for: .seconds(60))
                let result = try #require(network.result(number, of: node))
                #expect(result.stored >= 14)
            }
            let number = network.command(7) { kad, book, now in
                kad.getValue(place, addresses: &book, now: now)
            }
            network.run(for: .seconds(60))
            let result = try #require(network.result(number, of: 7))
            #expect(result.value == new)
            // What is older is refused, also where it would be one's own.
            let refused = network.command(0) { kad, book, now in
                kad.putValue([1], under: place, addresses: &book, now: now) ?? 12_345
            }
            #expect(refused == 12_345)
            let holders = network.nodes.filter {
                $0.kad.records.value(
                    of: place, now: network.now, time: Timestamp(seconds: 1_800_000_500))?.value
                    == new
            }
            #expect(holders.count >= 14)
        }
    #endif

    /// The size of the network is known roughly after a few lookups, and announcements are then
    /// reported before the lookup has ended.
    @Test func networkSize() throws {
        var network = try Self.network(300, seed: 5)
        for round in 0..<6 as Range<UInt64> {
            let key = Self.hash(100 + round)
            _ = network.command(0) { kad, book, now in
                kad.findClosest(to: key.bytes, addresses: &book, now: now)
            }
            network.run(for: .seconds(60))
        }
        let size = try #require(network.nodes[0].kad.estimatedNetworkSize)
        #expect((150...600).contains(size), "\(size)")
        let key = Self.hash(999)
        let number = network.command(0) { kad, book, now in
            kad.provide(key, addresses: &book, now: now)
        }
        network.run(for: .seconds(60))
        let result = try #require(network.result(number, of: 0))
        #expect(result.stored >= Kad.enoughAnnounced)
        let nearest = network.nearest(to: key.bytes, count: 20)
        let holders = network.nodes.filter {
            !$0.kad.providers.providers(of: key.bytes, now: network.now).isEmpty
                && nearest.contains($0.kad.own)
        }
        #expect(holders.count >= 18)
    }

    /// The same seed gives the same run, message for message.
    @Test func repeatable() throws {
        func run() throws -> (Int, Instant, KadResult?) {
            var network = try Self.network(80, seed: 6)
            network.lossPercent = 5
            let key = Self.hash(1)
            let number = network.command(0) { kad, book, now in
                kad.provide(key, addresses: &book, now: now)
            }
            network.run(for: .seconds(1_300))
            return (network.messages, network.now, network.result(number, of: 0))
        }
        let (one, two) = (try run(), try run())
        #expect(one.0 == two.0)
        #expect(one.2 == two.2)
    }
}
