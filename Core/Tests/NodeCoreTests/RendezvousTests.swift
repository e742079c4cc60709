// Those who subscribed to a topic find each other: by the DHT, and by the word of those they know.

import Exchange
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

#if HostCrypto
    struct RendezvousTests {
        static let topic = Array("worlds".utf8)

        /// A DHT of so many servers.
        private func network(_ count: Int) throws -> VirtualNetwork {
            var network = VirtualNetwork(seed: 11)
            for index in 0..<count {
                let host = try network.add(routing: [.wide(.server, storage: .home)])
                guard index > 0 else { continue }
                // Nobody has room for connections to all.
                let other = index / 2
                let seed = (peer: network.id(other), addresses: [network.hosts[other].address])
                network.order(host, .join([seed]))
                network.run(for: .seconds(2))
            }
            network.run(for: .seconds(60))
            return network
        }

        @Test("two subscribers that never heard of each other meet by the DHT")
        func meeting() throws {
            var network = try network(60)
            let (one, two) = (12, 52)
            network.order(one, .disconnect(network.id(two)))
            let here = try network.subscribe(one, Self.topic)
            network.run(for: .seconds(20))
            let there = try network.subscribe(two, Self.topic)
            network.run(for: .seconds(20))
            let topics = try network.topics(two)
            #expect(topics[0].peers == 1 && topics[0].meshPeers == 1)
            #expect(try network.publish(one, [1], to: Self.topic) == 1)
            #expect(try network.publish(two, [2], to: Self.topic) == 1)
            network.run(for: .seconds(2))
            #expect(Set(network.messages(one, of: here)) == [[1], [2]])
            #expect(Set(network.messages(two, of: there)) == [[1], [2]])
            // A stranger only publishes, and is heard.
            #expect(try network.publish(33, [3], to: Self.topic) == 0)
            network.run(for: .seconds(5))
            #expect(network.messages(one, of: here).contains([3]))
        }

        @Test("without a DHT nothing is asked, and one that is joined later is asked then")
        func later() throws {
            var network = try network(30)
            let host = try network.add(routing: [.wide(.server, storage: .home)])
            _ = try network.subscribe(5, Self.topic)
            let id = try network.subscribe(host, Self.topic)
            network.run(for: .seconds(30))
            #expect(try network.topics(host)[0].peers == 0)
            network.order(
                host, .join([(peer: network.id(0), addresses: [network.hosts[0].address])]))
            network.run(for: .seconds(30))
            #expect(try network.publish(5, [1], to: Self.topic) == 1)
            network.run(for: .seconds(2))
            #expect(network.messages(host, of: id) == [[1]])
            // Whoever ends the subscription looks for nobody any more.
            network.order(host, .pubSub(.unsubscribe(id)))
            network.run(for: .seconds(70))
            #expect(try network.topics(host).isEmpty)
        }

        @Test("a peer that must leave a mesh goes to those that it is told of")
        func exchange() throws {
            var network = VirtualNetwork(seed: 12)
            let middle = try network.add()
            _ = try network.subscribe(middle, Self.topic)
            let others = try (0..<24).map { _ in try network.add() }
            for host in others {
                _ = network.connect(host, middle)
                _ = try network.subscribe(host, Self.topic)
            }
            // The middle brings enough to be believed.
            for round in 0..<100 as Range<UInt8> {
                _ = try network.publish(middle, [round], to: Self.topic)
                network.run(for: .seconds(1))
            }
            let degrees = try others.map { try network.topics($0)[0].peers }
            #expect(degrees.contains { $0 > 1 }, "\(degrees)")
        }

        @Test("subscribers judge what comes, and what they reject goes no further")
        func judging() throws {
            var network = VirtualNetwork(seed: 13)
            let hosts = try (0..<3).map { _ in try network.add() }
            for host in hosts.dropFirst() { _ = network.connect(host, hosts[0]) }
            network.hosts[hosts[0]].judges = { $0.data == [1] ? .accept : .reject }
            var terms = SubscriptionTerms()
            terms.validates = true
            let command = NodeCore.PubSubCommand.subscribe(Self.topic, terms)
            let order = network.order(hosts[0], .pubSub(command))
            guard case .pubSub(.subscribed(let id)) = network.answer(hosts[0], order) else {
                throw VirtualNetwork.Unanswered()
            }
            _ = try network.subscribe(hosts[1], Self.topic)
            let far = try network.subscribe(hosts[2], Self.topic)
            network.run(for: .seconds(4))
            _ = try network.publish(hosts[1], [1], to: Self.topic)
            _ = try network.publish(hosts[1], [2], to: Self.topic)
            network.run(for: .seconds(4))
            #expect(network.messages(hosts[0], of: id) == [[1]])
            #expect(network.messages(hosts[2], of: far) == [[1]])
        }
    }
#endif
