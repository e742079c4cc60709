// Publish-subscribe between whole nodes: who takes part when, and what subscribers get.

import Exchange
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

#if HostCrypto
    struct PubSubTests {
        static let topic = Array("worlds".utf8)

        @Test("Messages go both ways between nodes, to each subscription of the topic and no other")
        func messages() throws {
            var network = VirtualNetwork(seed: 1)
            let hosts = try (0..<4).map { _ in try network.add() }
            for host in hosts.dropFirst() { _ = network.connect(host, hosts[0]) }
            var subscriptions: [Int: SubscriptionID] = [:]
            for host in hosts.dropLast() {
                subscriptions[host] = try network.subscribe(host, Self.topic)
            }
            let second = try network.subscribe(hosts[0], Self.topic)
            let elsewhere = try network.subscribe(hosts[0], [1])
            network.run(for: .seconds(4))
            #expect(try network.publish(hosts[0], [1, 2], to: Self.topic) == 2)
            #expect(try network.publish(hosts[1], [3], to: Self.topic) == 1)
            network.run(for: .seconds(4))
            for host in hosts.dropLast() {
                let id = try #require(subscriptions[host])
                #expect(
                    network.messages(host, of: id) == [[1, 2], [3]]
                        || network.messages(host, of: id) == [[3], [1, 2]], "host \(host)")
            }
            #expect(network.messages(hosts[0], of: second).count == 2)
            #expect(network.messages(hosts[0], of: elsewhere).isEmpty)
            let topics = try network.topics(hosts[0])
            #expect(topics.map { $0.topic } == [[1], Self.topic])
            #expect(topics.map { $0.subscriptions } == [1, 2])
            #expect(topics.map { $0.peers } == [0, 2])
            #expect(topics.map { $0.meshPeers } == [0, 2])

            network.order(hosts[0], .pubSub(.unsubscribe(second)))
            #expect(try network.publish(hosts[1], [4], to: Self.topic) == 1)
            network.run(for: .seconds(2))
            #expect(network.messages(hosts[0], of: second).count == 2)
            let first = try #require(subscriptions[hosts[0]])
            #expect(network.messages(hosts[0], of: first).count == 3)
        }

        @Test("A node takes part from its first subscription until a minute after the last")
        func takingPart() throws {
            var network = VirtualNetwork(seed: 2)
            let one = try network.add()
            let two = try network.add()
            _ = network.connect(one, two)
            network.run(for: .seconds(5))
            let idle = network.counts.messages
            network.run(for: .seconds(60))
            #expect(network.counts.messages == idle)
            #expect(!network.hosts[one].node.protocols.contains(PubSub.protocols[0]))

            let id = try network.subscribe(one, Self.topic)
            #expect(network.hosts[one].node.protocols.contains(PubSub.protocols[0]))
            network.run(for: .seconds(2))
            #expect(try network.peers(two)[0].protocols.contains(PubSub.protocols[0]))
            // The other takes no part yet; it publishes, and finds who subscribed.
            #expect(try network.publish(two, [7], to: Self.topic) == 0)
            network.run(for: .seconds(3))
            #expect(network.messages(one, of: id) == [[7]])
            // Nothing is said between two who have nothing to say.
            network.run(for: .seconds(5))
            let quiet = network.counts.messages
            network.run(for: .seconds(30))
            #expect(network.counts.messages == quiet)

            network.order(one, .pubSub(.unsubscribe(id)))
            network.run(for: .seconds(65))
            #expect(!network.hosts[one].node.protocols.contains(PubSub.protocols[0]))
            #expect(!network.hosts[two].node.protocols.contains(PubSub.protocols[0]))
            #expect(try network.peers(one)[0].connections[0].streams == 0)
            #expect(try network.topics(one).isEmpty)
            // And it can begin again.
            let again = try network.subscribe(one, Self.topic)
            _ = try network.publish(two, [8], to: Self.topic)
            network.run(for: .seconds(4))
            #expect(network.messages(one, of: again) == [[8]])
        }

        @Test("A node that always takes part passes on between those that it is between")
        func always() throws {
            var network = VirtualNetwork(seed: 3)
            let middle = try network.add(pubSub: .always)
            #expect(network.hosts[middle].node.protocols.contains(PubSub.protocols[0]))
            let other = try network.add()
            _ = network.connect(other, middle)
            network.run(for: .seconds(100))
            #expect(network.hosts[middle].node.protocols.contains(PubSub.protocols[0]))
        }

        @Test("A peer that speaks before it has said what it speaks is listened to")
        func early() throws {
            var network = VirtualNetwork(seed: 7)
            let host = try network.add()
            let id = try network.subscribe(host, Self.topic)
            let key = PrivateKey.generateEd25519()
            let peer = PeerID(key.publicKey)
            var node = network.hosts[host].node
            let facts = ConnectionFacts(
                peer: peer, direction: .inbound,
                remoteAddress: try Multiaddr(text: "/ip4/9.9.9.9/tcp/1"), route: .direct,
                attempt: nil)
            let stream = StreamID(connection: 77, stream: 1)
            node.receive(.connected(77, facts), now: network.now)
            node.receive(
                .stream(.accepted(stream, peer, PubSub.protocols[0])), now: network.now)
            var other = PubSub(
                key: key, limits: NodeLimits.home.pubSub.machine, sequence: 1, seed: 1)
            other.connected(
                to: node.peer, .outgoing, remote: facts.remoteAddress, now: network.now)
            other.receive(.opened(request: 1, stream, PubSub.protocols[0]), now: network.now)
            other.subscribe(to: Self.topic, now: network.now)
            try other.publish([5], to: Self.topic, now: network.now)
            // Who subscribed is told what was just published.
            var greeting: [UInt8] = []
            greeting.appendField(1, varint: 1)
            greeting.appendField(2, bytes: Self.topic)
            var rpc: [UInt8] = []
            rpc.appendField(1, bytes: greeting)
            let back = StreamID(connection: 77, stream: 2)
            other.receive(.accepted(back, node.peer, PubSub.protocols[0]), now: network.now)
            other.receive(.message(back, rpc), now: network.now)
            while let order = other.nextTransmit() {
                guard case .send(_, let bytes) = order else { continue }
                node.receive(.stream(.message(stream, bytes)), now: network.now)
            }
            var received: [[UInt8]] = []
            while let output = node.nextOutput() {
                if case .message(let message, let from, let subscriptions) = output {
                    #expect(from == peer && subscriptions == [id])
                    received.append(message.data)
                }
            }
            #expect(received == [[5]])
        }

        @Test("Who begins to take part while peers introduce themselves is found by them")
        func whileIntroducing() throws {
            for step in 0..<30 as Range<Int64> {
                var network = VirtualNetwork(seed: 8)
                let one = try network.add()
                let two = try network.add()
                network.order(
                    one, .connect(network.id(two), [network.hosts[two].address]))
                network.run(for: .milliseconds(10 * step))
                // Either may have answered the other's question before this, and not have asked.
                let id = try network.subscribe(two, Self.topic)
                _ = try network.subscribe(one, [9])
                network.run(for: .seconds(5))
                #expect(try network.publish(one, [1], to: Self.topic) == 1, "step \(step)")
                network.run(for: .seconds(1))
                #expect(network.messages(two, of: id) == [[1]], "step \(step)")
            }
        }

        @Test("A node that never takes part says so")
        func never() throws {
            var network = VirtualNetwork(seed: 6)
            let host = try network.add(pubSub: .never)
            for command: NodeCore.PubSubCommand in [.subscribe([1]), .publish([1], to: [1])] {
                let id = network.order(host, .pubSub(command))
                #expect(network.failure(host, id) == .unavailable)
            }
            #expect(try network.topics(host).isEmpty)
        }

        @Test("Ceilings of subscriptions, topics and lengths hold, and are counted")
        func ceilings() throws {
            var limits = NodeLimits.home
            limits.pubSub.subscriptions = 3
            limits.pubSub.machine.topics = 2
            var network = VirtualNetwork(seed: 4)
            let host = try network.add(limits: limits)
            _ = try network.subscribe(host, [1])
            let second = try network.subscribe(host, [2])
            #expect(throws: VirtualNetwork.Unanswered.self) { try network.subscribe(host, [3]) }
            _ = try network.subscribe(host, [2])
            #expect(throws: VirtualNetwork.Unanswered.self) { try network.subscribe(host, [2]) }
            let gauge = try network.status(host).subscriptions
            #expect(gauge.count == 3 && gauge.limit == 3 && gauge.refused == 2)
            network.order(host, .pubSub(.unsubscribe(second)))
            #expect(try network.subscribe(host, [1]) != second)
            let long = [UInt8](repeating: 0, count: limits.pubSub.machine.messageBytes + 1)
            let id = network.order(host, .pubSub(.publish(long, to: [1])))
            #expect(network.failure(host, id) == .overLimit)
        }

        @Test("A peer that leaves takes nothing with it; one that comes back is found again")
        func comingAndGoing() throws {
            var network = VirtualNetwork(seed: 5)
            let one = try network.add()
            let two = try network.add()
            _ = network.connect(one, two)
            let id = try network.subscribe(one, Self.topic)
            _ = try network.subscribe(two, Self.topic)
            network.run(for: .seconds(3))
            network.order(one, .disconnect(network.id(two)))
            network.run(for: .seconds(1))
            #expect(try network.publish(two, [1], to: Self.topic) == 0)
            network.run(for: .seconds(20))
            _ = network.connect(one, two)
            network.run(for: .seconds(3))
            #expect(try network.publish(two, [2], to: Self.topic) == 1)
            network.run(for: .seconds(1))
            #expect(network.messages(one, of: id) == [[2]])
        }
    }

    extension VirtualNetwork {
        mutating func subscribe(_ host: Int, _ topic: [UInt8]) throws -> SubscriptionID {
            let id = order(host, .pubSub(.subscribe(topic)))
            guard case .pubSub(.subscribed(let subscription)) = answer(host, id) else {
                throw Unanswered()
            }
            return subscription
        }

        mutating func publish(_ host: Int, _ data: [UInt8], to topic: [UInt8]) throws -> Int {
            let id = order(host, .pubSub(.publish(data, to: topic)))
            guard case .pubSub(.published(let count)) = answer(host, id) else {
                throw Unanswered()
            }
            return count
        }

        mutating func topics(_ host: Int) throws -> [NodeCore.TopicStatus] {
            let id = order(host, .pubSub(.topics))
            guard case .pubSub(.topics(let topics)) = answer(host, id) else {
                throw Unanswered()
            }
            return topics
        }

        /// What a subscription has received.
        func messages(_ host: Int, of id: SubscriptionID) -> [[UInt8]] {
            hosts[host].received.filter { $0.subscriptions.contains(id) }.map { $0.message.data }
        }
    }
#endif
