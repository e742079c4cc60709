// Calls between whole nodes: who is asked, what comes back, and what becomes of liars.

import Compute
import NodeCore
import Simulation
import Testing
import Wire

struct CallTests {
    static let offer = CallOffer(speed: 1_000_000_000, slots: 2)

    /// Nodes that run calls, the first of them connected to all others.
    private func network(
        _ count: Int, _ conditions: Conditions = Conditions()
    ) throws -> VirtualNetwork {
        var network = VirtualNetwork(seed: 5, conditions: conditions)
        for _ in 0..<count { try network.add(offer: Self.offer) }
        for other in 1..<count { _ = network.connect(0, other) }
        network.run(for: .seconds(2))
        return network
    }

    private func report(_ network: VirtualNetwork, _ id: UInt64) -> NodeCore.CallReport? {
        if case .call(let report) = network.answer(0, id) { return report }
        return nil
    }

    @Test("a connected peer that speaks the protocol is asked, and its answer is the right one")
    func asking() throws {
        var network = try network(2)
        let call = try network.call(depth: 2, number: 9)
        let id = network.order(
            0, .call(.fetch(call, CallTerms(), .usual, candidates: [], known: nil, here: nil)))
        network.run(for: .seconds(2))
        guard case .result(let result) = report(network, id) else {
            Issue.record("no result: \(String(describing: network.answer(0, id)))")
            return
        }
        #expect(result.record == network.result(of: call))
        #expect(result.responder == .peer(network.id(1)))
        #expect(result.answer?.header.isValid == true)
    }

    @Test("answers to what a node hears of at once share a signature, and each is the right one")
    func together() throws {
        var conditions = Conditions()
        conditions.gathering = .milliseconds(10)
        var network = try network(2, conditions)
        var calls: [(call: Call, id: UInt64)] = []
        for number in 0..<8 as Range<UInt64> {
            let call = try network.call(depth: 0, number: number)
            let id = network.order(
                0, .call(.fetch(call, CallTerms(), .usual, candidates: [], known: nil, here: nil)))
            calls.append((call, id))
        }
        network.run(for: .seconds(2))
        for (call, id) in calls {
            guard case .result(let result) = report(network, id) else {
                Issue.record("no result: \(String(describing: network.answer(0, id)))")
                continue
            }
            #expect(result.record == network.result(of: call))
            #expect(result.answer?.header.hashes.count == 8)
            #expect(result.answer?.header.isValid == true)
        }
    }

    @Test("a node without peers that run calls runs one itself, or says that nobody does")
    func alone() throws {
        var network = VirtualNetwork(seed: 5)
        try network.add(offer: Self.offer)
        try network.add()
        _ = network.connect(0, 1)
        network.run(for: .seconds(2))
        let call = try network.call(depth: 0, number: 1)
        let here = network.order(
            0,
            .call(
                .fetch(
                    call, CallTerms(), .usual, candidates: [], known: nil,
                    here: LocalCapacity(speed: 1_000_000_000))))
        let nowhere = network.order(
            0, .call(.fetch(call, CallTerms(), .usual, candidates: [], known: nil, here: nil)))
        let without = network.order(
            1, .call(.fetch(call, CallTerms(), .usual, candidates: [], known: nil, here: nil)))
        network.run(for: .seconds(2))
        guard case .result(let result) = report(network, here),
            case .failed(let error) = report(network, nowhere)
        else {
            Issue.record("no answer")
            return
        }
        #expect(result.responder == .here && result.record == network.result(of: call))
        #expect(error.kind == .nobody)
        #expect(network.failure(1, without) == .unavailable)
    }

    @Test("a call right after connecting waits until the peer has said whether it runs calls")
    func early() throws {
        for runsCalls in [true, false] {
            var network = VirtualNetwork(seed: 5)
            try network.add(offer: Self.offer)
            try network.add(offer: runsCalls ? Self.offer : nil)
            let call = try network.call(depth: 0, number: 3)
            let connected = network.order(
                0, .connect(network.id(1), [network.hosts[1].address]))
            var steps = 0
            while network.answer(0, connected) == nil, steps < 10_000 {
                network.run(for: .microseconds(100))
                steps += 1
            }
            let isKnown = network.hosts[0].node.hasResponders
            #expect(!isKnown)
            let id = network.order(
                0, .call(.fetch(call, CallTerms(), .none, candidates: [], known: nil, here: nil)))
            let isEarly = report(network, id) == nil
            #expect(isEarly)
            network.run(for: .seconds(1))
            switch report(network, id) {
            case .result(let result)?:
                #expect(runsCalls && result.responder == .peer(network.id(1)))
            case .failed(let error)?: #expect(!runsCalls && error.kind == .nobody)
            default: Issue.record("no answer")
            }
        }
    }

    @Test("one of three that lies is caught by the other two, with proof that anybody can check")
    func lying() throws {
        var network = try network(4)
        network.hosts[2].callLie = .leaf
        let call = try network.call(depth: 2, number: 4)
        let id = network.order(
            0, .call(.fetch(call, CallTerms(), .quorum(3), candidates: [], known: nil, here: nil)))
        network.run(for: .seconds(60))
        #expect(network.hosts[0].convicted.map(\.peer) == [network.id(2)])
        if case .result(let result)? = report(network, id) {
            #expect(result.record == network.result(of: call))
        }
        guard let evidence = network.hosts[0].convicted.first?.evidence else { return }
        // Its neighbours have been told, have looked for themselves, and come to the same end.
        for host in [1, 3] {
            #expect(network.hosts[host].convicted.map(\.peer) == [network.id(2)])
            #expect(network.hosts[host].convicted.first?.evidence == evidence)
        }
        // The same for what a user says, on a node that has seen nothing of this.
        try network.add(offer: Self.offer)
        let accused = network.order(4, .call(.accuse(evidence)))
        network.run(for: .seconds(5))
        #expect(network.isDone(4, accused))
        #expect(network.hosts[4].convicted.map(\.peer) == [network.id(2)])
    }

    @Test("a call that nobody waits for any more is taken back")
    func cancelling() throws {
        var network = try network(2)
        let call = try network.call(depth: 1, number: 2)
        let id = network.order(
            0, .call(.fetch(call, CallTerms(), .none, candidates: [], known: nil, here: nil)))
        network.run(for: .milliseconds(1))
        let other = network.order(0, .cancel(id))
        network.run(for: .seconds(1))
        #expect(network.isDone(0, other) && network.failure(0, id) == .cancelled)
    }
}
