// Peers that run a contract are found in the DHT by those who are not connected to any.

import Compute
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

#if HostCrypto
    struct ResponderTests {
        /// A DHT of so many servers, of which the first few offer to run calls.
        private func network(_ count: Int, responders: Int) throws -> VirtualNetwork {
            var network = VirtualNetwork(seed: 21)
            for index in 0..<count {
                let host = try network.add(
                    routing: [.wide(.server, storage: .home)],
                    offer: index < responders ? CallTests.offer : nil)
                guard index > 0 else { continue }
                let other = index / 2
                let seed = (peer: network.id(other), addresses: [network.hosts[other].address])
                network.order(host, .join([seed]))
                network.run(for: .seconds(2))
            }
            return network
        }

        /// A node that has joined and is not connected to those that run calls.
        private func asker(_ network: inout VirtualNetwork) throws -> Int {
            let host = try network.add(
                routing: [.wide(.client, storage: .home)], offer: CallTests.offer)
            let seed = (peer: network.id(9), addresses: [network.hosts[9].address])
            network.order(host, .join([seed]))
            network.run(for: .seconds(30))
            for other in 0..<2 { network.order(host, .disconnect(network.id(other))) }
            network.run(for: .seconds(1))
            return host
        }

        private func fetch(
            _ call: Call, by host: Int, _ network: inout VirtualNetwork
        ) -> NodeCore.CallReport? {
            let id = network.order(
                host, .call(.fetch(call, CallTerms(), .none, candidates: [], known: nil, here: nil))
            )
            network.run(for: .seconds(20))
            if case .call(let report) = network.answer(host, id) { return report }
            return nil
        }

        @Test("a node that announced a contract is found, dialled and asked")
        func finding() throws {
            var network = try network(20, responders: 2)
            let call = try network.call(depth: 1, number: 6)
            let told = network.order(1, .call(.announce(call.contract)))
            network.run(for: .seconds(30))
            #expect(network.isDone(1, told))
            let host = try asker(&network)
            guard case .result(let result)? = fetch(call, by: host, &network) else {
                Issue.record("it is found")
                return
            }
            #expect(result.responder == .peer(network.id(1)))
            #expect(result.record == network.result(of: call))
        }

        @Test("what nobody has announced nobody is found for; what joins later is told later")
        func later() throws {
            var network = try network(20, responders: 0)
            let call = try network.call(depth: 1, number: 6)
            let host = try asker(&network)
            guard case .failed(let error)? = fetch(call, by: host, &network) else {
                Issue.record("nobody runs it")
                return
            }
            #expect(error.kind == .nobody)
            // A node without a DHT is told nothing and asks nobody.
            let alone = try network.add(
                routing: [.wide(.client, storage: .home)], offer: CallTests.offer)
            let told = network.order(alone, .call(.announce(call.contract)))
            network.run(for: .seconds(60))
            #expect(network.isDone(alone, told))
            let seed = (peer: network.id(9), addresses: [network.hosts[9].address])
            network.order(alone, .join([seed]))
            network.run(for: .seconds(120))
            network.order(host, .disconnect(network.id(alone)))
            guard case .result(let result)? = fetch(call, by: host, &network) else {
                Issue.record("it is found now")
                return
            }
            #expect(result.responder == .peer(network.id(alone)))
        }

        @Test("a node that runs nothing for peers announces nothing")
        func unable() throws {
            var network = VirtualNetwork(seed: 4)
            let host = try network.add()
            let call = try network.call(depth: 0, number: 1)
            let told = network.order(host, .call(.announce(call.contract)))
            #expect(network.failure(host, told) == .unavailable)
        }
    }
#endif
