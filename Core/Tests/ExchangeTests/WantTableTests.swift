// What the want table promises of a download: all of it, in order, from everyone at once, and
// hardly anything twice.

import Exchange
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct WantTableTests {
    static let megabyte = 1_000_000.0

    @Test("four sources of 10 MB/s bring nearly 40 MB/s")
    func sumOfRates() {
        let source = ModelSource(rate: 10 * Self.megabyte, latency: 0.01)
        var swarm = TableSwarm([source, source, source, source], blocks: 1024, blockSize: 1 << 18)
        swarm.run()
        #expect(swarm.isComplete)
        let best = Double(1024 << 18) / (40 * Self.megabyte)
        #expect(swarm.seconds < best / 0.95, "\(swarm.seconds) s instead of \(best)")
        #expect(swarm.surplus * 50 <= 1024, "\(swarm.surplus) blocks came twice")
    }

    @Test("sources as different as lines are still add up", arguments: [0.005, 0.06, 0.3])
    func differentRates(latency: Double) {
        let rates = [50.0, 12.5, 5, 1].map { $0 * Self.megabyte }
        var swarm = TableSwarm(
            rates.map { ModelSource(rate: $0, latency: latency) }, blocks: 2048,
            blockSize: 1 << 18)
        swarm.run()
        #expect(swarm.isComplete)
        let best = Double(2048 << 18) / rates.reduce(0, +)
        #expect(
            swarm.seconds < best * 1.15 + 12 * latency, "\(swarm.seconds) s instead of \(best)")
        #expect(swarm.surplus * 50 <= 2048, "\(swarm.surplus) blocks came twice")
    }

    @Test("a slow source never holds up the reader")
    func sequentialReading() {
        var swarm = TableSwarm(
            [
                ModelSource(rate: 20 * Self.megabyte, latency: 0.02),
                ModelSource(rate: 0.5 * Self.megabyte, latency: 0.1),
            ], blocks: 400, blockSize: 1 << 18, lookAhead: 64)
        swarm.run()
        #expect(swarm.isComplete)
        let best = Double(400 << 18) / (20.5 * Self.megabyte)
        #expect(swarm.seconds < best * 1.2, "\(swarm.seconds) s instead of \(best)")
        // The reader stands still nowhere for longer than two blocks of the slow one take.
        var readable = 0.0
        var longest = 0.0
        for time in swarm.arrival.compactMap({ $0 }) where time > readable {
            longest = max(longest, time - readable)
            readable = time
        }
        #expect(longest < 1.1, "the reader waited \(longest) s")
        #expect(swarm.surplus * 50 <= 400, "\(swarm.surplus) blocks came twice")
    }

    @Test("who vanishes costs no more than what it had been asked for")
    func vanishing() {
        let good = ModelSource(rate: 10 * Self.megabyte, latency: 0.02)
        var gone = good
        gone.temper = .vanishes(afterBlocks: 50)
        var swarm = TableSwarm([gone, good, good], blocks: 600, blockSize: 1 << 18)
        swarm.run()
        #expect(swarm.isComplete && swarm.broughtBy[0] == 50)
        let best = Double(600 << 18) / (20 * Self.megabyte)
        #expect(swarm.seconds < best * 1.15, "\(swarm.seconds) s instead of \(best)")
        #expect(swarm.surplus * 50 <= 600, "\(swarm.surplus) blocks came twice")
    }

    @Test("a liar is dropped, and its blocks come from others")
    func lying() {
        let good = ModelSource(rate: 10 * Self.megabyte, latency: 0.02)
        var liar = good
        liar.temper = .lies
        var swarm = TableSwarm([liar, good], blocks: 100, blockSize: 1 << 18)
        swarm.run()
        #expect(swarm.isComplete && swarm.broughtBy[0] == nil && swarm.surplus == 0)
    }

    @Test("sources that have different parts are each asked for what they have")
    func partialSources() {
        let even = ModelSource(rate: 10 * Self.megabyte, latency: 0.02, temper: .hasEvery(2))
        let all = ModelSource(rate: 5 * Self.megabyte, latency: 0.02)
        var swarm = TableSwarm([even, all], blocks: 300, blockSize: 1 << 18)
        swarm.run()
        #expect(swarm.isComplete && swarm.surplus * 50 <= 300)
        #expect(swarm.broughtBy[0] ?? 0 > 120)
    }

    @Test("neighbours are asked whether they have it, and those who do bring it")
    func neighbours() {
        let no = ModelSource(
            rate: Self.megabyte, latency: 0.02, temper: .hasEvery(.max), standing: .neighbour)
        let yes = ModelSource(rate: Self.megabyte, latency: 0.02, standing: .neighbour)
        // Block 0 is a multiple of everything, so that those without the rest say they have it.
        var swarm = TableSwarm([no, no, yes, no], blocks: 40, blockSize: 1 << 16)
        swarm.run()
        #expect(swarm.isComplete && swarm.surplus <= 1)
    }

    @Test("what nobody has fails, and says so")
    func absence() {
        let none = ModelSource(
            rate: Self.megabyte, latency: 0.02, temper: .hasEvery(.max), standing: .neighbour)
        var swarm = TableSwarm([none, none], blocks: 3, blockSize: 1 << 16)
        swarm.run()
        #expect(swarm.failures.contains(.absent))
        #expect(swarm.seconds < 5)
        var alone = TableSwarm([], blocks: 1, blockSize: 1)
        alone.run()
        #expect(alone.failures == [.absent])
    }

    @Test("silence ends in a failure, not in waiting")
    func silence() {
        let mute = ModelSource(
            rate: Self.megabyte, latency: 0.02, temper: .vanishes(afterBlocks: 0))
        var swarm = TableSwarm([mute], blocks: 3, blockSize: 1 << 16)
        swarm.run()
        #expect(!swarm.failures.isEmpty && swarm.seconds < 31)
    }

    @Test("who brought blocks and is late with one is asked again until nobody waits any longer")
    func lateness() {
        let start = Instant(nanoseconds: 1_000_000_000)
        let cids = TableSwarm([], blocks: 2, blockSize: 1).cids
        var table = WantTable()
        let session = table.openSession(patience: .seconds(30), now: start)
        let source = table.addSource(
            .init(probing: .answersHave, streaming: .none, requests: 8), now: start)
        table.join(source, in: session, as: .provider)
        for (index, cid) in cids.enumerated() {
            _ = table.want(cid, at: UInt64(index), size: 1, in: session, now: start)
        }
        /// What is to be done; whoever looks for providers finds none.
        func actions(at now: Instant) -> [WantTable.Action] {
            var all: [WantTable.Action] = []
            while let action = table.nextAction(now: now) {
                if case .discover = action { table.discovered(session) }
                all.append(action)
            }
            return all
        }
        #expect(actions(at: start).contains(.request(source, cids[0])))
        _ = table.arrived(cids[0].hash, byteCount: 1, from: source, now: start)
        #expect(actions(at: start).contains(.request(source, cids[1])))
        for second in 1..<30 {
            let now = start + .seconds(second)
            table.lacks(cids[1].hash, source, .silence, now: now)
            table.advance(to: now)
            #expect(actions(at: now).contains(.request(source, cids[1])), "\(second)")
        }
        table.advance(to: start + .seconds(30))
        #expect(actions(at: start + .seconds(30)).contains(.fail(session, cids[1], .deadline)))
    }

    @Test("random swarms always finish, and hardly anything comes twice", arguments: 1...12)
    func randomSwarms(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var models: [ModelSource] = []
        for _ in 0..<Int.random(in: 2...12, using: &random) {
            var model = ModelSource(
                rate: .random(in: 0.2...20, using: &random) * Self.megabyte,
                latency: .random(in: 0.001...0.2, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0: model.temper = .lies
            case 1: model.temper = .vanishes(afterBlocks: .random(in: 0...40, using: &random))
            case 2: model.temper = .hasEvery(.random(in: 2...5, using: &random))
            default: break
            }
            models.append(model)
        }
        models.append(ModelSource(rate: 2 * Self.megabyte, latency: 0.05))
        var swarm = TableSwarm(models, blocks: 600, blockSize: 1 << 18)
        swarm.run()
        #expect(swarm.isComplete, "\(swarm.failures)")
        #expect(swarm.surplus * 50 <= 600, "\(swarm.surplus) blocks came twice")
    }
}
