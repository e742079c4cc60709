import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

#if HostCrypto
    @Suite struct PubSubTests {
        static let topic = Array("worlds".utf8)
        static let other = Array("weather".utf8)

        // MARK: Messages arrive

        /// Everybody gets every message once, though nobody knows everybody; and the mesh costs
        /// each node a bounded number of copies.
        @Test func delivery() throws {
            var swarm = try PubSubSwarm(30)
            try swarm.connectAtRandom(degree: 5)
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 5)
            for index in 0..<30 {
                let members = swarm.nodes[index].meshPeers(of: Self.topic)
                #expect(members.count >= 4 && members.count <= PubSub.degreeHigh)
                for member in members {
                    let other = try #require(swarm.ids.firstIndex(of: member))
                    #expect(
                        swarm.nodes[other].meshPeers(of: Self.topic).contains(swarm.ids[index]))
                }
            }
            swarm.sends = 0
            for round in 0..<20 {
                try swarm.nodes[round].publish([UInt8(round)], to: Self.topic, now: swarm.now)
                swarm.run(seconds: 0.5)
            }
            swarm.run(seconds: 3)
            for index in 0..<30 {
                #expect(swarm.received[index].count == 20, "node \(index)")
                #expect(Set(swarm.received[index]).count == swarm.received[index].count)
            }
            #expect(swarm.sends < 20 * 30 * 20)
        }

        /// Half of the nodes leave without a word; the others' meshes close the gaps.
        @Test func leaving() throws {
            var swarm = try PubSubSwarm(50)
            try swarm.connectAtRandom(degree: 8)
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 4)
            for index in 25..<50 { swarm.kill(index) }
            swarm.run(seconds: 3)
            try swarm.nodes[0].publish([1], to: Self.topic, now: swarm.now)
            swarm.run(seconds: 4)
            for index in 0..<25 { #expect(swarm.received[index].map(\.data) == [[1]]) }
        }

        /// Topics are apart, and ending a subscription ends what comes of it.
        @Test func topics() throws {
            var swarm = try PubSubSwarm(12)
            try swarm.connectAtRandom(degree: 4)
            for index in 0..<12 {
                let topic = index % 2 == 0 ? Self.topic : Self.other
                swarm.nodes[index].subscribe(to: topic, now: swarm.now)
            }
            swarm.nodes[1].subscribe(to: Self.topic, now: swarm.now)
            swarm.run(seconds: 3)
            swarm.nodes[1].unsubscribe(from: Self.topic, now: swarm.now)
            swarm.run(seconds: 2)
            try swarm.nodes[0].publish([1], to: Self.topic, now: swarm.now)
            try swarm.nodes[0].publish([2], to: Self.other, now: swarm.now)
            swarm.run(seconds: 4)
            // A topic's own peers may be apart from each other here, so that it is not asked
            // whether each has got its message.
            for index in 0..<12 {
                let foreign: [UInt8] = index % 2 == 0 ? [2] : [1]
                #expect(!swarm.received[index].contains { $0.data == foreign }, "node \(index)")
            }
            #expect(swarm.nodes[0].subscribers(of: Self.topic).contains(swarm.ids[1]) == false)
        }

        /// Who is not in the mesh of a peer gets its messages by gossip.
        @Test func gossip() throws {
            var swarm = try PubSubSwarm(3)
            try swarm.connect(0, 1)
            try swarm.connect(1, 2)
            // Between 1 and 2 nobody may graft.
            swarm.nodes[1].peers[swarm.ids[2]]?.backoff[Self.topic] = instant(1_000)
            swarm.nodes[2].peers[swarm.ids[1]]?.backoff[Self.topic] = instant(1_000)
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 3)
            #expect(swarm.nodes[1].meshPeers(of: Self.topic) == [swarm.ids[0]])
            try swarm.nodes[0].publish([7], to: Self.topic, now: swarm.now)
            swarm.run(seconds: 4)
            #expect(swarm.received[2].map(\.data) == [[7]])
            #expect(swarm.nodes[2].score(of: swarm.ids[1]) > 0)
        }

        /// What is published before anybody is there reaches who comes within seconds.
        @Test func publishingBeforeThePeersAreThere() throws {
            var swarm = try PubSubSwarm(2)
            swarm.nodes[1].subscribe(to: Self.topic, now: swarm.now)
            let count = try swarm.nodes[0].publish([7], to: Self.topic, now: swarm.now)
            #expect(count == 0)
            try swarm.connect(0, 1)
            swarm.run(seconds: 2)
            #expect(swarm.received[1].map(\.data) == [[7]])
            #expect(swarm.received[0].isEmpty)
        }

        /// A peer may have subscribed before there is a stream to it.
        @Test func publishingBeforeTheStreamIsThere() throws {
            var swarm = try PubSubSwarm(2)
            try swarm.connect(0, 1)
            var rpc = PubSubRPC()
            rpc.subscriptions = [(Self.topic, true)]
            let stream = swarm.stream(from: 1, to: 0)
            swarm.nodes[0].receive(.message(stream, rpc.encoded), now: swarm.now)
            swarm.nodes[1].subscribe(to: Self.topic, now: swarm.now)
            #expect(swarm.nodes[0].subscribers(of: Self.topic) == [swarm.ids[1]])
            let count = try swarm.nodes[0].publish([7], to: Self.topic, now: swarm.now)
            #expect(count == 0)
            swarm.run(seconds: 2)
            #expect(swarm.received[1].map(\.data) == [[7]])
        }

        /// Peers that know no meshes get everything, and are in none.
        @Test func floodsub() throws {
            var swarm = try PubSubSwarm(4)
            swarm.versions[3] = 3
            for other in 1..<4 { try swarm.connect(0, other) }
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 2)
            var rpc = PubSubRPC()
            rpc.graft = [Self.topic]
            let stream = swarm.stream(from: 3, to: 0)
            swarm.say(rpc, on: stream, to: 0)
            #expect(!swarm.nodes[0].meshPeers(of: Self.topic).contains(swarm.ids[3]))
            try swarm.nodes[1].publish([5], to: Self.topic, now: swarm.now)
            swarm.run(seconds: 1)
            #expect(swarm.received[3].map(\.data) == [[5]])
        }

        /// Telling peers what one has spares sending it to each other.
        @Test func notWanting() throws {
            func copies(version: Int) throws -> Int {
                var swarm = try PubSubSwarm(24, version: version)
                try swarm.connectAtRandom(degree: 8)
                swarm.bulkDelay = .milliseconds(100)
                swarm.subscribeAll(to: Self.topic)
                swarm.run(seconds: 5)
                swarm.copies = 0
                for round in 0..<8 {
                    let data = [UInt8](repeating: UInt8(round), count: 8_000)
                    try swarm.nodes[round].publish(data, to: Self.topic, now: swarm.now)
                    swarm.run(seconds: 1)
                }
                for index in 0..<24 { #expect(swarm.received[index].count == 8) }
                return swarm.copies
            }
            let (with, without) = (try copies(version: 0), try copies(version: 1))
            #expect(with * 10 < without * 9, "\(with) copies instead of \(without)")
        }

        /// What is too long is not published; from others it is not taken, which is nobody's fault.
        @Test func longMessages() throws {
            var swarm = try PubSubSwarm(2)
            try swarm.connect(0, 1)
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 1)
            let long = [UInt8](repeating: 1, count: PubSubSwarm.limits.messageBytes + 1)
            #expect(throws: PubSub.PublishError.overLimit) {
                try swarm.nodes[0].publish(long, to: Self.topic, now: swarm.now)
            }
            swarm.nodes[0].limits.messageBytes = long.count
            try swarm.nodes[0].publish(long, to: Self.topic, now: swarm.now)
            swarm.run(seconds: 1)
            #expect(swarm.received[0].count == 1)
            #expect(swarm.received[1].isEmpty)
            #expect(swarm.nodes[1].score(of: swarm.ids[0]) >= 0)
        }

        // MARK: What is read

        /// What is read is what was written; noise crashes nothing and costs its sender.
        @Test func codec() throws {
            let key = PrivateKey.generateEd25519()
            var rpc = PubSubRPC()
            rpc.subscriptions = [(Self.topic, true), ([1], false)]
            rpc.messages = [
                try PubSubMessage([1, 2], topic: Self.topic, sequence: 3, signingWith: key)
            ]
            rpc.have = [.init(topic: Self.topic, ids: [[1], [2, 3]])]
            rpc.want = [[4], [5]]
            rpc.graft = [Self.topic]
            let named = PubSubRPC.Suggestion(peer: PeerID(key.publicKey), record: [1, 2, 3])
            rpc.prune = [.init(topic: Self.topic, backoffSeconds: 60, suggestions: [named])]
            rpc.dontWant = [[6]]
            let bytes = rpc.encoded
            let read = try PubSubRPC(decoding: bytes.rawSpan)
            #expect(read == rpc)
            #expect(read.messages[0].isValid)
            var swarm = try PubSubSwarm(2)
            try swarm.connect(0, 1)
            swarm.nodes[0].subscribe(to: Self.topic, now: swarm.now)
            var noise = Noise(seed: 4)
            for index in 0..<2_000 as Range<UInt32> {
                let stream = StreamID(connection: 7, stream: index)
                swarm.nodes[0].receive(
                    .accepted(stream, swarm.ids[1], PubSub.protocols[0]), now: swarm.now)
                swarm.nodes[0].receive(
                    .message(stream, noise.mutation(of: bytes)), now: swarm.now)
                swarm.nodes[0].receive(.finished(stream), now: swarm.now)
                while swarm.nodes[0].nextTransmit() != nil {}
            }
            #expect(swarm.nodes[0].incoming.isEmpty)
        }
    }
#endif
