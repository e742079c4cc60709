import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

#if HostCrypto
    /// Publish-subscribe among peers that do not behave.
    @Suite struct PubSubDefenceTests {
        static let topic = PubSubTests.topic

        /// Forged messages are not delivered, soon their bearer is not listened to, and coming back
        /// does not change that.
        @Test func forgeries() throws {
            var swarm = try PubSubSwarm(2)
            try swarm.connect(0, 1)
            swarm.nodes[0].subscribe(to: Self.topic, now: swarm.now)
            swarm.run(seconds: 1)
            let key = PrivateKey.generateEd25519()
            let stream = swarm.stream(from: 1, to: 0)
            for sequence in 1...10 as ClosedRange<UInt64> {
                var rpc = PubSubRPC()
                rpc.messages = [
                    try PubSubMessage(
                        [1], topic: Self.topic, sequence: sequence, signingWith: key
                    ).forged
                ]
                swarm.say(rpc, on: stream, to: 0)
            }
            #expect(swarm.received[0].isEmpty)
            #expect(swarm.nodes[0].score(of: swarm.ids[1]) < PubSubScore.graylistThreshold)
            #expect(swarm.shunned.count == 1)
            var good = PubSubRPC()
            good.messages = [
                try PubSubMessage([1], topic: Self.topic, sequence: 11, signingWith: key)
            ]
            swarm.say(good, on: stream, to: 0)
            #expect(swarm.received[0].isEmpty)

            swarm.kill(1)
            try swarm.connect(0, 1)
            let again = swarm.stream(from: 1, to: 0)
            swarm.say(good, on: again, to: 0)
            #expect(swarm.received[0].isEmpty)
            #expect(swarm.nodes[0].score(of: swarm.ids[1]) < PubSubScore.graylistThreshold)
        }

        /// A peer in the middle of a swarm that spoils what it passes on is soon in nobody's mesh,
        /// and the others go on.
        @Test func spam() throws {
            var swarm = try PubSubSwarm(20)
            try swarm.connectAtRandom(degree: 5)
            for other in 1..<20 { try swarm.connect(0, other) }
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 4)
            #expect(!swarm.nodes[0].meshPeers(of: Self.topic).isEmpty)
            swarm.tamper[0] = { rpc in
                var changed = rpc
                changed.messages = rpc.messages.compactMap { try? $0.forged }
                return changed
            }
            for round in 0..<10 {
                try swarm.nodes[0].publish([UInt8(round)], to: Self.topic, now: swarm.now)
                swarm.run(seconds: 0.5)
            }
            swarm.run(seconds: 2)
            for index in 1..<20 {
                let members = swarm.nodes[index].meshPeers(of: Self.topic)
                #expect(!members.contains(swarm.ids[0]), "node \(index)")
                #expect(swarm.received[index].isEmpty, "node \(index)")
            }
            for round in 1..<20 {
                try swarm.nodes[round].publish([UInt8(round)], to: Self.topic, now: swarm.now)
                swarm.run(seconds: 0.3)
            }
            swarm.run(seconds: 3)
            for index in 1..<20 { #expect(swarm.received[index].count == 19, "node \(index)") }
        }

        /// Who grafts again too early is refused and thought less of; a full mesh takes in only
        /// those that we dialled.
        @Test func grafting() throws {
            var swarm = try PubSubSwarm(20)
            for other in 1..<20 { try swarm.connect(other, 0) }
            swarm.nodes[0].subscribe(to: Self.topic, now: swarm.now)
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 3)
            let members = swarm.nodes[0].meshPeers(of: Self.topic)
            #expect(members.count <= PubSub.degreeHigh)
            let refused = try #require((1..<20).first { !members.contains(swarm.ids[$0]) })
            let stream = swarm.stream(from: refused, to: 0)
            let name = swarm.ids[refused]
            swarm.nodes[0].peers[name]?.backoff[Self.topic] = swarm.now + .seconds(60)
            var rpc = PubSubRPC()
            rpc.graft = [Self.topic]
            for _ in 0..<10 { swarm.say(rpc, on: stream, to: 0) }
            #expect(!swarm.nodes[0].meshPeers(of: Self.topic).contains(name))
            #expect(swarm.nodes[0].score(of: name) < 0)
        }

        /// A peer that says it has what it does not send is punished, and not before it could have
        /// sent it; one whose message came another way is not.
        @Test func promises() throws {
            var swarm = try PubSubSwarm(3)
            try swarm.connect(0, 1)
            try swarm.connect(0, 2)
            swarm.nodes[0].subscribe(to: Self.topic, now: swarm.now)
            swarm.run(seconds: 1)
            let (liar, honest) = (swarm.stream(from: 1, to: 0), swarm.stream(from: 2, to: 0))
            let key = PrivateKey.generateEd25519()
            for round in 0..<12 as Range<UInt64> {
                var lie = PubSubRPC()
                lie.have = [
                    .init(topic: Self.topic, ids: [[1, UInt8(round)], [2, UInt8(round)]])
                ]
                swarm.say(lie, on: liar, to: 0)
                let message = try PubSubMessage(
                    [1], topic: Self.topic, sequence: round, signingWith: key)
                var truth = PubSubRPC()
                truth.have = [.init(topic: Self.topic, ids: [message.id])]
                swarm.say(truth, on: honest, to: 0)
                #expect(swarm.nodes[0].score(of: swarm.ids[1]) >= 0 || round > 3)
                swarm.run(seconds: 1)
                var late = PubSubRPC()
                late.messages = [message]
                swarm.say(late, on: honest, to: 0)
            }
            swarm.run(seconds: 4)
            #expect(swarm.nodes[0].score(of: swarm.ids[1]) < 0)
            #expect(swarm.nodes[0].score(of: swarm.ids[2]) > 0)
        }

        /// A mesh of peers that bring nothing is given one that does.
        @Test func opportunisticGrafting() throws {
            var swarm = try PubSubSwarm(10)
            for other in 1..<10 { try swarm.connect(other, 0) }
            swarm.subscribeAll(to: Self.topic)
            swarm.run(seconds: 3)
            let name = swarm.ids[9]
            // The one that is outside.
            swarm.nodes[0].mesh[Self.topic]?.removeAll { $0 == name }
            swarm.nodes[9].mesh[Self.topic]?.removeAll { $0 == swarm.ids[0] }
            swarm.nodes[0].peers[name]?.backoff = [:]
            let key = PrivateKey.generateEd25519()
            let stream = swarm.stream(from: 9, to: 0)
            for sequence in 0..<150 as Range<UInt64> {
                var rpc = PubSubRPC()
                rpc.messages = [
                    try PubSubMessage(
                        [1], topic: Self.topic, sequence: sequence, signingWith: key)
                ]
                swarm.say(rpc, on: stream, to: 0)
            }
            #expect(!swarm.nodes[0].meshPeers(of: Self.topic).contains(name))
            swarm.run(seconds: 61)
            #expect(swarm.nodes[0].meshPeers(of: Self.topic).contains(name))
        }

        /// Many peers behind one public address are not believed more than one; at home they are.
        @Test func colocation() throws {
            var node = try PubSubSwarm(1).nodes[0]
            var strangers: [PeerID] = []
            for index in 0..<20 {
                let stranger = PeerID(PrivateKey.generateEd25519().publicKey)
                strangers.append(stranger)
                let ip = index < 10 ? "8.8.8.8" : "192.168.1.1"
                node.connected(
                    to: stranger, .incoming, remote: try address("/ip4/\(ip)/tcp/\(index + 1)"),
                    now: instant(1))
            }
            #expect(node.score(of: strangers[0]) < 0)
            #expect(node.score(of: strangers[19]) == 0)
            node.disconnected(from: strangers[1], now: instant(1))
            node.disconnected(from: strangers[2], now: instant(1))
            #expect(node.score(of: strangers[0]) == 0)
        }

        /// A peer may ask for what it missed, but not for everything again and again.
        @Test func askingTooMuch() throws {
            var swarm = try PubSubSwarm(2)
            try swarm.connect(0, 1)
            swarm.run(seconds: 1)
            for round in 0..<40 as Range<UInt8> {
                let data = [UInt8](repeating: round, count: 60_000)
                try swarm.nodes[0].publish(data, to: Self.topic, now: swarm.now)
            }
            let ids = swarm.nodes[0].history[0].map(\.id)
            #expect(ids.count == 40)
            let stream = swarm.stream(from: 1, to: 0)
            var rpc = PubSubRPC()
            rpc.want = ids + ids
            swarm.copies = 0
            for _ in 0..<10 { swarm.say(rpc, on: stream, to: 0) }
            #expect(swarm.copies * 60_000 <= PubSub.maxAnsweredBytesPerHeartbeat + 60_000)
            #expect(swarm.copies > 0)
        }

        /// What is kept has an end: seen messages, kept messages, topics of a peer, and what waits
        /// for a peer without a stream.
        @Test func bounds() throws {
            var swarm = try PubSubSwarm(2)
            try swarm.connect(0, 1)
            swarm.nodes[0].subscribe(to: Self.topic, now: swarm.now)
            swarm.run(seconds: 1)
            let name = swarm.ids[1]
            for index in 0..<20_000 as Range<Int> {
                swarm.nodes[0].see([UInt8(index & 255), UInt8(index >> 8)], now: swarm.now)
            }
            #expect(swarm.nodes[0].seen.count == PubSub.maxSeen)
            for round in 0..<200 as Range<UInt8> {
                let data = [UInt8](repeating: round, count: 60_000)
                try swarm.nodes[0].publish(data, to: Self.topic, now: swarm.now)
            }
            #expect(swarm.nodes[0].cachedBytes <= PubSubSwarm.limits.cachedBytes)
            let stream = swarm.stream(from: 1, to: 0)
            var rpc = PubSubRPC()
            rpc.subscriptions = (0..<1_000).map { ([UInt8($0 & 255), UInt8($0 >> 8)], true) }
            rpc.dontWant = (0..<1_000).map { [UInt8($0 & 255), UInt8($0 >> 8)] }
            swarm.say(rpc, on: stream, to: 0)
            let peer = try #require(swarm.nodes[0].peers[name])
            #expect(peer.topics.count == PubSub.maxTopicsPerPeer)
            #expect(peer.dontWant.count == PubSub.maxDontWantsPerHeartbeat)
            // The peer takes no stream any more.
            if let own = peer.stream { swarm.nodes[0].receive(.reset(own), now: swarm.now) }
            for index in 0..<100 as Range<UInt8> {
                swarm.nodes[0].subscribe(to: [index, 1, 1], now: swarm.now)
                swarm.nodes[0].unsubscribe(from: [index, 1, 1], now: swarm.now)
            }
            #expect(swarm.nodes[0].peers[name]?.pending.isEmpty == true)
            // Left alone, everything goes.
            swarm.kill(1)
            swarm.run(seconds: 8)
            #expect(swarm.nodes[0].cachedBytes == 0)
            #expect(swarm.nodes[0].cache.isEmpty)
            #expect(swarm.nodes[0].deadline == nil)
        }

        /// No more topics than are allowed.
        @Test func topicLimit() throws {
            var node = try PubSubSwarm(1).nodes[0]
            func subscribe(_ topic: [UInt8]) -> Bool {
                node.subscribe(to: topic, now: instant(1))
            }
            for index in 0..<64 as Range<UInt8> { #expect(subscribe([index])) }
            #expect(!subscribe([64]))
            #expect(subscribe([63]))
            node.unsubscribe(from: [0], now: instant(1))
            #expect(subscribe([64]))
            #expect(!subscribe([UInt8](repeating: 1, count: 257)))
        }
    }
#endif
