// Many peers, a fifth of which lies: what checks find out lies within the bounds of the formulas,
// and nobody honest comes to harm. `simulate calls` runs the same with a thousand.

import Simulation
import TestSupport
import Testing
import Wire

@Suite struct CallRunTests {
    private static func run(
        _ lies: [CallLie], seed: UInt64, change: (inout CallRun.Settings) -> Void = { _ in }
    ) throws -> CallRun {
        var settings = CallRun.Settings()
        settings.peers = 60
        settings.lies = lies
        settings.calls = 1_500
        settings.pace = 50
        settings.seed = seed
        change(&settings)
        var run = try CallRun(settings)
        run.run()
        return run
    }

    @Test("liars who agree with each other are found as often as p (1 − α) says")
    func detection() throws {
        let run = try Self.run([.output], seed: 1) { $0.neighbours = 0 }
        let outcome = run.outcome
        #expect(outcome.wrong > 100)
        #expect(abs(outcome.deviation) < 4, "\(outcome)")
        #expect(outcome.honestPunished == 0)
        // A check costs one run more, and slow peers are hedged.
        #expect(outcome.checkShare < 0.15)
    }

    @Test("proofs that are passed on end all lies after about 1 / (p (1 − α)) of them each")
    func convictions() throws {
        let run = try Self.run([.output, .leaf, .gas], seed: 2) { $0.sample = 200_000 }
        let outcome = run.outcome
        #expect(outcome.convicted >= run.liarCount * 3 / 4, "\(outcome)")
        #expect(outcome.wrongPerConviction < 2 * run.wrongPerConvictionBound)
        #expect(outcome.honestPunished == 0)
    }

    @Test("whatever liars do, most calls are answered and nobody honest is punished")
    func allLies() throws {
        let run = try Self.run(CallLie.allCases, seed: 3)
        let outcome = run.outcome
        #expect(outcome.honestPunished == 0, "\(outcome)")
        #expect(outcome.answered >= 1_480, "\(outcome)")
    }

    @Test(
        "a proof that one has found is known to nearly all within seconds, though liars are silent")
    func spread() throws {
        let run = try Self.run([.output, .leaf], seed: 6) {
            $0.peers = 40
            $0.calls = 600
            $0.sample = 500_000
        }
        let outcome = run.outcome
        #expect(outcome.convicted == run.liarCount, "\(outcome)")
        #expect(outcome.knownShare > 0.999, "\(outcome.knownShare)")
        #expect(outcome.spreadSeconds.count == outcome.convicted)
        #expect(outcome.spreadSeconds.allSatisfy { $0 < 5 }, "\(outcome.spreadSeconds)")
        #expect(outcome.honestPunished == 0)
    }

    @Test("whoever signs all receipts at one place of its chain is found out within minutes")
    func forks() throws {
        let run = try Self.run([.fork], seed: 7) {
            $0.peers = 40
            $0.liars = 0.1
            $0.calls = 300
            $0.delta = 1_000
            $0.pace = 10
            $0.rest = 900
        }
        let outcome = run.outcome
        #expect(outcome.forks > 1, "who is asked by one alone shows nothing to two")
        #expect(outcome.convicted == outcome.forks, "\(outcome)")
        #expect(outcome.forkSeconds.count == outcome.convicted)
        #expect(outcome.forkSeconds.allSatisfy { $0 < 600 }, "\(outcome.forkSeconds)")
        #expect(outcome.honestPunished == 0)
    }

    @Test("one seed is one run, another is another")
    func repeatable() throws {
        let runs = try [4, 4, 5].map { seed in
            try Self.run(CallLie.allCases, seed: seed) { $0.calls = 200 }
        }
        #expect(runs[0].network.fingerprint == runs[1].network.fingerprint)
        #expect(runs[0].outcome.wrong == runs[1].outcome.wrong)
        #expect(runs[0].network.fingerprint != runs[2].network.fingerprint)
    }
}
