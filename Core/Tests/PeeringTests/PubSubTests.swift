import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

#if HostCrypto
    @Suite struct PubSubTests {
        static let topic = Array("worlds".utf8)

        /// Nodes whose messages arrive after 50 ms, in rounds.
        struct Swarm {
            var nodes: [PubSub] = []
            var ids: [PeerID] = []
            var now = instant(1)
            var random = SeededGenerator(seed: 1)
            var streams: [StreamID: (from: Int, to: Int)] = [:]
            var received: [[PubSubMessage]] = []
            var sends = 0
            private var mail: [(Int, StreamEvent)] = []
            private var counter: UInt32 = 1

            init(_ size: Int) throws {
                for index in 0..<size {
                    let key = PrivateKey.generateEd25519()
                    nodes.append(PubSub(key: key, sequence: 1, seed: UInt64(index)))
                    ids.append(PeerID(key.publicKey))
                    received.append([])
                }
            }

            mutating func connect(_ a: Int, _ b: Int) throws {
                let (here, there) = (
                    try address("/ip4/8.8.\(a / 250).\(a % 250)/tcp/1"),
                    try address("/ip4/8.8.\(b / 250).\(b % 250)/tcp/1")
                )
                nodes[a].connected(to: ids[b], .outgoing, remote: there, now: now)
                nodes[b].connected(to: ids[a], .incoming, remote: here, now: now)
            }

            mutating func run(seconds: Double) {
                let end = now + .milliseconds(Int(seconds * 1_000))
                while now < end {
                    for index in nodes.indices {
                        nodes[index].advance(to: now)
                        drain(index)
                    }
                    now = now + .milliseconds(50)
                    let due = mail
                    mail = []
                    for (index, event) in due {
                        nodes[index].receive(event, now: now)
                        drain(index)
                    }
                }
            }

            mutating func drain(_ index: Int) {
                while let order = nodes[index].nextTransmit() {
                    switch order {
                    case .open(let peer, let names, let request):
                        guard let other = ids.firstIndex(of: peer) else { continue }
                        let stream = StreamID(connection: 1, stream: counter)
                        counter += 1
                        streams[stream] = (index, other)
                        mail.append((other, .accepted(stream, ids[index], names[0])))
                        mail.append((index, .opened(request: request, stream, names[0])))
                    case .send(let stream, let bytes):
                        guard let ends = streams[stream] else { continue }
                        sends += 1
                        mail.append((ends.to, .message(stream, bytes)))
                    case .finish, .reset: break
                    }
                }
                while let event = nodes[index].nextEvent() {
                    if case .message(let message, _) = event { received[index].append(message) }
                }
            }
        }

        /// Everybody gets every message once, though nobody knows everybody; and the mesh costs
        /// each node a bounded number of copies.
        @Test func delivery() throws {
            var swarm = try Swarm(30)
            for a in 0..<30 {
                for b in (0..<30).shuffled(using: &swarm.random).prefix(5) where b != a {
                    try swarm.connect(a, b)
                }
            }
            for index in 0..<30 { swarm.nodes[index].subscribe(to: Self.topic, now: swarm.now) }
            swarm.run(seconds: 5)
            for index in 0..<30 {
                let members = swarm.nodes[index].mesh[Self.topic] ?? []
                #expect(members.count >= 4 && members.count <= PubSub.degreeHigh)
                for member in members {
                    let other = try #require(swarm.ids.firstIndex(of: member))
                    #expect(swarm.nodes[other].mesh[Self.topic]?.contains(swarm.ids[index]) == true)
                }
            }
            swarm.sends = 0
            for round in 0..<20 {
                try swarm.nodes[round].publish([UInt8(round)], to: Self.topic, now: swarm.now)
                swarm.run(seconds: 0.5)
            }
            swarm.run(seconds: 3)
            for index in 0..<30 {
                #expect(swarm.received[index].count == (index < 20 ? 19 : 20), "node \(index)")
                #expect(Set(swarm.received[index]).count == swarm.received[index].count)
            }
            #expect(swarm.sends < 20 * 30 * 20)
        }

        /// Who missed a message in the mesh gets it by gossip.
        @Test func gossip() throws {
            var swarm = try Swarm(2)
            for index in 0..<2 { swarm.nodes[index].subscribe(to: Self.topic, now: swarm.now) }
            try swarm.nodes[0].publish([7], to: Self.topic, now: swarm.now)
            try swarm.connect(0, 1)
            // Nobody may graft: the message can only come by being asked for.
            swarm.nodes[0].peers[swarm.ids[1]]?.backoff[Self.topic] = instant(1_000)
            swarm.nodes[1].peers[swarm.ids[0]]?.backoff[Self.topic] = instant(1_000)
            swarm.run(seconds: 4)
            #expect(swarm.received[1].map(\.data) == [[7]])
        }

        /// Forged messages are not delivered, and soon their bearer is not listened to.
        @Test func forgeries() throws {
            var swarm = try Swarm(2)
            try swarm.connect(0, 1)
            swarm.nodes[0].subscribe(to: Self.topic, now: swarm.now)
            swarm.run(seconds: 1)
            let stream = StreamID(connection: 9, stream: 9)
            swarm.nodes[0].receive(
                .accepted(stream, swarm.ids[1], PubSub.protocols[0]), now: swarm.now)
            let key = PrivateKey.generateEd25519()
            for sequence in 1...10 as ClosedRange<UInt64> {
                let good = try PubSubMessage(
                    [1], topic: Self.topic, sequence: sequence, signingWith: key)
                var bytes = good.encoded
                let place = try #require(bytes.firstIndex(of: 0x2a)) + 10
                bytes[place] ^= 1
                var rpc: [UInt8] = []
                rpc.appendField(2, bytes: bytes)
                swarm.nodes[0].receive(.message(stream, rpc), now: swarm.now)
            }
            swarm.drain(0)
            #expect(swarm.received[0].isEmpty)
            #expect(swarm.nodes[0].score(of: swarm.ids[1]) < PubSubScore.graylistThreshold)
            let good = try PubSubMessage([1], topic: Self.topic, sequence: 11, signingWith: key)
            var rpc = PubSubRPC()
            rpc.messages = [good]
            swarm.nodes[0].receive(.message(stream, rpc.encoded), now: swarm.now)
            swarm.drain(0)
            #expect(swarm.received[0].isEmpty)
        }

        /// Who grafts again too early is refused and thought less of; a full mesh takes in only
        /// those that we dialled.
        @Test func grafting() throws {
            var swarm = try Swarm(20)
            for other in 1..<20 { try swarm.connect(other, 0) }
            swarm.nodes[0].subscribe(to: Self.topic, now: swarm.now)
            for other in 1..<20 { swarm.nodes[other].subscribe(to: Self.topic, now: swarm.now) }
            swarm.run(seconds: 3)
            let members = swarm.nodes[0].mesh[Self.topic] ?? []
            #expect(members.count <= PubSub.degreeHigh)
            let refused = try #require(swarm.ids.dropFirst().first { !members.contains($0) })
            let stream = StreamID(connection: 9, stream: 9)
            swarm.nodes[0].receive(.accepted(stream, refused, PubSub.protocols[0]), now: swarm.now)
            swarm.nodes[0].peers[refused]?.backoff[Self.topic] = swarm.now + .seconds(60)
            var rpc = PubSubRPC()
            rpc.graft = [Self.topic]
            for _ in 0..<10 {
                swarm.nodes[0].receive(.message(stream, rpc.encoded), now: swarm.now)
            }
            #expect(swarm.nodes[0].mesh[Self.topic]?.contains(refused) == false)
            #expect(swarm.nodes[0].score(of: refused) < 0)
        }

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
            rpc.prune = [.init(topic: Self.topic, backoffSeconds: 60)]
            rpc.dontWant = [[6]]
            let bytes = rpc.encoded
            let read = try PubSubRPC(decoding: bytes.rawSpan)
            #expect(read == rpc)
            #expect(read.messages[0].isValid)
            var swarm = try Swarm(2)
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
