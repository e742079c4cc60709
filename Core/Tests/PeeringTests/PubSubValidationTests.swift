import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

#if HostCrypto
    /// Messages that the application judges before anybody gets them.
    @Suite struct PubSubValidationTests {
        static let topic = PubSubTests.topic

        /// 0 - 1 - 2 in a line, of which 1 judges.
        private func line(
            _ judge: @escaping @Sendable (PubSubMessage) -> PubSub.Verdict?
        ) throws -> PubSubSwarm {
            var swarm = try PubSubSwarm(3)
            try swarm.connect(0, 1)
            try swarm.connect(1, 2)
            swarm.subscribeAll(to: Self.topic)
            swarm.nodes[1].setValidation(of: Self.topic, true)
            swarm.judges[1] = judge
            swarm.run(seconds: 2)
            return swarm
        }

        @Test("only what is accepted is delivered and passed on; what is rejected costs its bearer")
        func verdicts() throws {
            var swarm = try line { message in
                switch message.data[0] {
                case 0..<10: .accept
                case 10..<20: .ignore
                default: .reject
                }
            }
            for byte in [1, 11, 2, 12, 3] as [UInt8] {
                try swarm.nodes[0].publish([byte], to: Self.topic, now: swarm.now)
            }
            swarm.run(seconds: 4)
            #expect(swarm.received[1].map(\.data) == [[1], [2], [3]])
            #expect(swarm.received[2].map(\.data) == [[1], [2], [3]])
            #expect(swarm.nodes[1].score(of: swarm.ids[0]) > 0)
            try swarm.nodes[0].publish([99], to: Self.topic, now: swarm.now)
            swarm.run(seconds: 2)
            #expect(swarm.received[2].count == 3)
            #expect(swarm.nodes[1].score(of: swarm.ids[0]) < 0)
            #expect(!swarm.nodes[1].meshPeers(of: Self.topic).contains(swarm.ids[0]))
            // What this node publishes is not judged.
            try swarm.nodes[1].publish([99], to: Self.topic, now: swarm.now)
            #expect(swarm.waiting[1].count == 6)
        }

        @Test(
            "what is not judged in time is ignored, and a verdict that comes too late does nothing")
        func deadline() throws {
            var swarm = try line { _ in nil }
            try swarm.nodes[0].publish([1], to: Self.topic, now: swarm.now)
            swarm.run(seconds: 1)
            let waiting = try #require(swarm.waiting[1].first)
            #expect(swarm.received[1].isEmpty && swarm.nodes[1].validations.deadline != nil)
            swarm.run(seconds: 6)
            #expect(swarm.nodes[1].validations.deadline == nil)
            swarm.nodes[1].decide(waiting.id, .accept, now: swarm.now)
            swarm.run(seconds: 2)
            #expect(swarm.received[1].isEmpty && swarm.received[2].isEmpty)
            #expect(swarm.nodes[1].score(of: swarm.ids[0]) >= 0)
        }

        @Test("no more wait than may, in number and in bytes; their places are free again")
        func bounds() throws {
            var swarm = try line { _ in nil }
            swarm.nodes[1].limits.messageBytes = 1 << 20
            let key = PrivateKey.generateEd25519()
            let stream = swarm.stream(from: 0, to: 1)
            func say(_ count: Int, _ sequence: UInt64) throws {
                var rpc = PubSubRPC()
                rpc.messages = [
                    try PubSubMessage(
                        [UInt8](repeating: 1, count: count), topic: Self.topic, sequence: sequence,
                        signingWith: key)
                ]
                swarm.say(rpc, on: stream, to: 1)
            }
            for sequence in 0..<300 as Range<UInt64> { try say(1, sequence) }
            #expect(swarm.waiting[1].count == PubSub.maxValidations)
            for (id, _) in swarm.waiting[1] { swarm.nodes[1].decide(id, .ignore, now: swarm.now) }
            swarm.waiting[1] = []
            for sequence in 300..<320 as Range<UInt64> { try say(900_000, sequence) }
            #expect(swarm.waiting[1].count == PubSub.maxValidationBytes / 900_256)
            swarm.run(seconds: 7)
            swarm.waiting[1] = []
            try say(1, 400)
            #expect(swarm.waiting[1].count == 1)
        }

        @Test("all who bring a message while it is judged share what comes of it")
        func bearers() throws {
            var swarm = try PubSubSwarm(4)
            for other in 1..<4 { try swarm.connect(0, other) }
            swarm.subscribeAll(to: Self.topic)
            swarm.nodes[0].setValidation(of: Self.topic, true)
            swarm.run(seconds: 2)
            let message = try PubSubMessage(
                [1], topic: Self.topic, sequence: 1, signingWith: .generateEd25519())
            var rpc = PubSubRPC()
            rpc.messages = [message]
            for other in 1..<3 { swarm.say(rpc, on: swarm.stream(from: other, to: 0), to: 0) }
            #expect(swarm.waiting[0].count == 1)
            swarm.nodes[0].decide(swarm.waiting[0][0].id, .reject, now: swarm.now)
            #expect(swarm.nodes[0].score(of: swarm.ids[1]) < 0)
            #expect(swarm.nodes[0].score(of: swarm.ids[2]) < 0)
            #expect(swarm.nodes[0].score(of: swarm.ids[3]) >= 0)
        }
    }
#endif
