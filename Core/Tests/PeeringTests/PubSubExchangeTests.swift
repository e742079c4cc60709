import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

#if HostCrypto
    /// Peers that are named to those who have to go, and peers that keep messages back.
    @Suite struct PubSubExchangeTests {
        static let topic = PubSubTests.topic

        private func record(_ key: PrivateKey, _ address: String) throws -> [UInt8] {
            let place = try Multiaddr(text: address)
            return try PeerRecord(peer: PeerID(key.publicKey), sequence: 1, addresses: [place])
                .sealed(with: key).encoded
        }

        @Test("who does not fit into a mesh is told of others with their signed addresses")
        func naming() throws {
            var swarm = try PubSubSwarm(20)
            for other in 1..<20 {
                try swarm.connect(other, 0)
                let record = try record(swarm.keys[other], "/ip4/8.8.8.\(other)/tcp/1")
                swarm.nodes[0].note(record: record, of: swarm.ids[other])
            }
            for other in 1..<20 {
                // Who was told believes peers that have brought messages.
                for _ in 0..<20 {
                    swarm.nodes[other].peers[swarm.ids[0]]?.score.delivered()
                }
            }
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 3)
            let members = swarm.nodes[0].meshPeers(of: Self.topic)
            #expect(members.count <= PubSub.degreeHigh)
            #expect(!swarm.suggested.isEmpty)
            for (index, record) in swarm.suggested {
                #expect(record.peer != swarm.ids[index] && record.peer != swarm.ids[0])
                let other = try #require(swarm.ids.firstIndex(of: record.peer))
                #expect(record.addresses.map(\.description) == ["/ip4/8.8.8.\(other)/tcp/1"])
            }
        }

        @Test("what is named is taken from peers in good standing alone, and only with a signature")
        func believing() throws {
            var swarm = try PubSubSwarm(2)
            try swarm.connect(0, 1)
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 1)
            let stream = swarm.stream(from: 1, to: 0)
            let stranger = PrivateKey.generateEd25519()
            let peer = PeerID(stranger.publicKey)
            let signed = try record(stranger, "/ip4/9.9.9.9/tcp/1")
            func prune(_ record: [UInt8]) -> PubSubRPC {
                var rpc = PubSubRPC()
                rpc.prune = [
                    .init(
                        topic: Self.topic, backoffSeconds: 1,
                        suggestions: [.init(peer: peer, record: record)])
                ]
                return rpc
            }
            swarm.say(prune(signed), on: stream, to: 0)
            #expect(swarm.suggested.isEmpty)
            for _ in 0..<20 { swarm.nodes[0].peers[swarm.ids[1]]?.score.delivered() }
            swarm.say(prune(signed), on: stream, to: 0)
            #expect(swarm.suggested.map(\.record.peer) == [peer])
            let before = swarm.nodes[0].score(of: swarm.ids[1])
            var forged = signed
            forged[forged.count - 3] ^= 1
            for _ in 0..<8 { swarm.say(prune(forged), on: stream, to: 0) }
            #expect(swarm.suggested.count == 1)
            #expect(swarm.nodes[0].score(of: swarm.ids[1]) < before)
            let other = try record(.generateEd25519(), "/ip4/9.9.9.9/tcp/1")
            swarm.say(prune(other), on: stream, to: 0)
            #expect(swarm.suggested.count == 1)
        }

        @Test("a peer of a mesh that brings less than is expected loses its place, for a while")
        func deficit() throws {
            var swarm = try PubSubSwarm(4)
            for other in 1..<4 { try swarm.connect(0, other) }
            swarm.subscribeAll(to: Self.topic)
            swarm.nodes[0].expect(perMinute: 30, of: Self.topic)
            swarm.run(seconds: 2)
            #expect(swarm.nodes[0].meshPeers(of: Self.topic).count == 3)
            // Two bring everything, one nothing.
            let keys = (0..<2).map { _ in PrivateKey.generateEd25519() }
            let streams = [swarm.stream(from: 1, to: 0), swarm.stream(from: 2, to: 0)]
            swarm.tamper[3] = { rpc in
                var changed = rpc
                changed.messages = []
                return changed
            }
            func second(_ number: UInt64) throws {
                var rpc = PubSubRPC()
                rpc.messages = try keys.map {
                    try PubSubMessage(
                        [1], topic: Self.topic, sequence: number, signingWith: $0)
                }
                for stream in streams { swarm.say(rpc, on: stream, to: 0) }
                swarm.run(seconds: 1)
            }
            for number in 0..<50 as Range<UInt64> { try second(number) }
            // Nobody is judged in the first minute.
            #expect(swarm.nodes[0].meshPeers(of: Self.topic).count == 3)
            for number in 50..<80 as Range<UInt64> { try second(number) }
            let members = swarm.nodes[0].meshPeers(of: Self.topic)
            #expect(members.count == 2 && !members.contains(swarm.ids[3]))
            #expect(swarm.nodes[0].score(of: swarm.ids[1]) > 0)
            // Leaving the mesh does not wipe that out; time does.
            for number in 80..<140 as Range<UInt64> { try second(number) }
            #expect(swarm.nodes[0].score(of: swarm.ids[3]) < 0)
            swarm.nodes[0].expect(perMinute: nil, of: Self.topic)
            swarm.run(seconds: 3_000)
            #expect(swarm.nodes[0].score(of: swarm.ids[3]) >= 0)
        }
    }
#endif
