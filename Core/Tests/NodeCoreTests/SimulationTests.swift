// The simulator itself: one seed is one run, and what its links do is what they are told to do.

import Foundation
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

struct SimulationTests {
    static func settings(_ peers: Int, seed: UInt64) -> DHTRun.Settings {
        var settings = DHTRun.Settings()
        settings.peers = peers
        settings.liars = 0.2
        settings.loss = 0.01
        settings.churn = 0.1
        settings.contents = 20
        settings.searches = 40
        settings.seed = seed
        return settings
    }

    static func run(_ settings: DHTRun.Settings) throws -> DHTRun {
        var run = DHTRun(settings)
        try run.grow()
        run.provide()
        try run.change()
        run.search()
        return run
    }

    @Test("One seed is one run to the last byte, another seed is another")
    func repeatable() throws {
        let one = try Self.run(Self.settings(24, seed: 3))
        let two = try Self.run(Self.settings(24, seed: 3))
        let three = try Self.run(Self.settings(24, seed: 4))
        #expect(one.network.fingerprint == two.network.fingerprint)
        #expect(one.network.counts == two.network.counts)
        #expect(one.network.fingerprint != three.network.fingerprint)
        #expect(one.network.counts.events > 5_000)
    }

    @Test("A DHT with a fifth of liars, losses and churn finds what is there")
    func hostile() throws {
        let run = try Self.run(Self.settings(isLong ? 1_000 : 60, seed: 5))
        #expect(run.foundContent.count >= 35)
        // In larger networks liars still hide some content (docs/simulator.md).
        #expect(run.foundContent.success >= (isLong ? 0.75 : 0.95), "\(run.foundContent)")
        #expect(run.foundPeers.success >= 0.95, "\(run.foundPeers)")
        // A lookup's way grows with the logarithm of the number of peers.
        let outcome = run.foundContent
        #expect(outcome.mean(outcome.hops) <= (isLong ? 7 : 4))
        #expect(outcome.mean(outcome.questions) <= 120)
    }

    @Test("A network that was divided has its two halves apart, and heals")
    func partition() throws {
        var network = VirtualNetwork(seed: 8)
        for _ in 0..<4 { try network.add() }
        _ = network.connect(0, 1)
        _ = network.connect(0, 2)
        network.divide { $0 / 2 }
        network.run(for: .seconds(40))
        #expect(Set(network.hosts[0].open.values) == [network.id(1)])
        let across = network.order(
            0, .connect(network.id(3), [network.hosts[3].address]), within: .seconds(20))
        network.run(for: .seconds(21))
        guard case .failed = network.answer(0, across) else {
            Issue.record("\(String(describing: network.answer(0, across)))")
            return
        }
        network.divide { _ in 0 }
        network.run(for: .seconds(60))
        let again = network.connect(0, 3)
        #expect(network.failure(0, again) == nil)
        #expect(network.hosts[3].open.count == 1)
    }

    @Test("Loss and bandwidth take time, and nothing else")
    func links() throws {
        func duration(_ change: (inout Conditions) -> Void) throws -> Duration {
            var conditions = Conditions()
            change(&conditions)
            let gathering = conditions.gathering
            // A session is there at once.
            conditions.gathering = .zero
            var network = VirtualNetwork(seed: 9, conditions: conditions)
            let (one, two) = (try network.add(), try network.add())
            let blocks = BlockTests.blocks(100, seed: 1)
            for block in blocks { network.hosts[two].store[block.cid.hash] = block.bytes }
            _ = network.connect(one, two)
            let session = try network.session(one)
            network.conditions.gathering = gathering
            network.order(one, .want(session, BlockTests.want(blocks)))
            let start = network.now
            while network.hosts[one].blocks.count < 100, network.now.since(start) < .seconds(300) {
                network.run(for: .milliseconds(10))
            }
            #expect(network.hosts[one].blocks.count == 100)
            return network.now.since(start)
        }
        let good = try duration { _ in }
        let lossy = try duration { $0.loss = 0.1 }
        // A megabyte at a hundred kilobytes a second.
        let narrow = try duration { $0.bandwidth = 100_000 }
        // Told many things at once, a node does the same, a little later.
        let gathered = try duration { $0.gathering = .milliseconds(20) }
        #expect(good < .seconds(5))
        #expect(gathered > good && gathered < .seconds(10))
        #expect(lossy > good && lossy < .seconds(120))
        #expect(narrow > .seconds(8) && narrow < .seconds(60))
    }
}

/// Whether the tests run that are too slow for every run.
let isLong = ProcessInfo.processInfo.environment["WEFT_LONG"] != nil
