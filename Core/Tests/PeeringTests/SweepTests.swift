import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

@Suite struct SweepTests {
    /// All keys of a node are announced within one cycle, each to nearly all of the servers that
    /// are really nearest to it, with far fewer messages than one lookup per key takes.
    @Test func cycle() throws {
        var network = try KadNetworkTests.network(150, seed: 8)
        let keys = (0..<200 as Range<UInt64>).map { KadNetworkTests.hash($0) }
            .map { (place: KadID(of: $0.bytes), hash: $0) }.sorted { $0.place < $1.place }
        var sweep = Sweep(
            from: .init(place: 0, elapsed: .zero), cycle: Sweep.usualCycle,
            now: network.now)
        let begin = network.now
        var announced = 0
        var isFinished = false
        for _ in 0..<10_000 where !isFinished {
            while let order = sweep.nextTransmit() {
                guard case .keys(let request, let from, let through, let limit) = order else {
                    continue
                }
                let share = keys.filter { $0.place >= from && $0.place <= through }
                let node = network.nodes[0]
                sweep.take(
                    share.prefix(limit).map(\.hash), for: request, kad: &node.kad,
                    addresses: &node.book, now: network.now)
            }
            while let event = sweep.nextEvent() {
                switch event {
                case .announced(let count, _, let failed):
                    announced += count
                    #expect(failed == 0)
                case .skipped: Issue.record("keys were left out")
                case .finished: isFinished = true
                }
            }
            let node = network.nodes[0]
            if let deadline = sweep.deadline {
                // The network sleeps until then; its upkeep is of no interest here.
                network.now = max(network.now, deadline)
                sweep.advance(to: network.now, kad: node.kad)
            } else {
                network.run(for: .milliseconds(200))
            }
            let events = network.nodes[0].events
            network.nodes[0].events = []
            for event in events {
                _ = sweep.take(
                    event, kad: &node.kad, addresses: &node.book, now: network.now)
            }
        }
        #expect(isFinished)
        #expect(announced == 200)
        #expect(network.now.since(begin) <= Sweep.usualCycle + .seconds(60))
        // Twenty messages a key are the announcements themselves.
        #expect(network.messages < 200 * 40)
        var hits = 0
        for (_, hash) in keys {
            let nearest = Set(network.nearest(to: hash.bytes, count: 20))
            hits += network.nodes.count {
                nearest.contains($0.kad.own)
                    && $0.kad.providers.providers(of: hash.bytes, now: network.now).contains(
                        network.nodes[0].kad.own)
            }
        }
        #expect(hits >= 200 * 17, "\(Double(hits) / 200) of 20")
    }

    /// A restart goes on where the walk was, at the time that belongs to the place.
    @Test func restart() throws {
        let half = Sweep.Position(place: 1 << 63, elapsed: .seconds(11 * 3_600))
        let sweep = Sweep(from: half, cycle: Sweep.usualCycle, now: instant(100_000))
        #expect(sweep.position(now: instant(100_000)) == half)
        #expect(sweep.deadline == instant(100_000))
        #expect(KadID(.max, .max, .max, .max).successor == nil)
        #expect(KadID(0, 1, .max, .max).successor == KadID(0, 2, 0, 0))
    }
}
