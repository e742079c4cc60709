// The rate that flows share: that it is never passed, that flows take turns, and that nobody who
// wants little waits for those who want much.

import TestSupport
import Testing
import Wire

@testable import Connections

/// Flows that ask and get turns, with every grant weighed against the promise.
private struct Crowd {
    var line = RateLine()
    var now = Instant(nanoseconds: 5_000_000_000)
    var granted: [RateLine.Flow: Int] = [:]
    /// What a bucket that leaks at the rate would hold: never more than the burst.
    private var level = 0.0
    private(set) var highest = 0.0
    private var last = Instant(nanoseconds: 5_000_000_000)

    init(rate: UInt64) { line.setRate(rate, now: now) }

    mutating func ask(_ flow: RateLine.Flow, for count: Int) -> Int {
        let got = line.ask(flow, for: count, now: now)
        note(flow, got)
        return got
    }

    mutating func turn() -> RateLine.Turn? {
        let turn = line.nextTurn(now: now)
        if let turn { note(turn.flow, turn.byteCount) }
        return turn
    }

    private mutating func note(_ flow: RateLine.Flow, _ count: Int) {
        let seconds = Double(now.since(last).wholeNanoseconds) / 1e9
        level = max(0, level - seconds * Double(line.rate ?? 0)) + Double(count)
        highest = max(highest, level)
        last = now
        granted[flow, default: 0] += count
    }

    /// Goes on to the next turn.
    mutating func skip() {
        if let next = line.deadline() { now = max(now, next) }
    }
}

@Suite struct RateLineTests {
    /// Whatever flows ask for and whenever, no window sees more than rate · t + burst.
    @Test("the rate is never passed", arguments: [4_096, 30_000, 1_000_000, 900_000_000])
    func ceiling(rate: UInt64) {
        var noise = SeededGenerator(seed: rate)
        var crowd = Crowd(rate: rate)
        let quantum = UInt64(crowd.line.quantum)
        let pause = quantum * 1_000_000_000 / rate / 8
        for _ in 0..<20_000 {
            switch noise.next() % 8 {
            case 0...3:
                let size = 1 + Int(noise.next() % (2 * quantum)) >> Int(noise.next() % 8)
                _ = crowd.ask(noise.next() % 40, for: size)
            case 4: crowd.line.leave(noise.next() % 40)
            case 5: crowd.skip()
            case 6: crowd.now = crowd.now + .nanoseconds(Int64(noise.next() % pause))
            default: _ = crowd.turn()
            }
        }
        #expect(crowd.highest > Double(crowd.line.burst) * 0.9)
        #expect(crowd.highest <= Double(crowd.line.burst) + 1)
    }

    /// Flows that always want more get the same, and all of the rate is used.
    @Test func fairness() {
        var crowd = Crowd(rate: 1_000_000)
        let start = crowd.now
        for flow in 0..<7 as Range<UInt64> { while crowd.ask(flow, for: 1 << 20) > 0 {} }
        while crowd.now.since(start) < .seconds(20) {
            crowd.skip()
            while let turn = crowd.turn() { _ = crowd.ask(turn.flow, for: 1 << 20) }
        }
        let shares = crowd.granted.values.sorted()
        // The burst went to whoever came first.
        #expect(shares[6] - shares[0] <= crowd.line.burst + 2 * crowd.line.quantum)
        #expect(shares[5] - shares[0] <= 2 * crowd.line.quantum)
        let all = shares.reduce(0, +)
        #expect(all >= 20_000_000 && all <= 20_000_000 + 2 * crowd.line.burst)
    }

    /// A short message waits for one turn of a bulk flow at most, and a flood of short messages
    /// leaves the bulk its part.
    @Test("little beside much") func little() {
        var crowd = Crowd(rate: 100_000)
        for flow in 0..<50 as Range<UInt64> { while crowd.ask(flow, for: 1 << 20) > 0 {} }
        let start = crowd.now
        #expect(crowd.ask(1_000, for: 200) == 0)
        var served: Instant?
        while served == nil {
            crowd.skip()
            while let turn = crowd.turn() {
                if turn.flow == 1_000 { served = crowd.now }
                _ = crowd.ask(turn.flow, for: 1 << 20)
            }
        }
        let wait = served?.since(start) ?? .zero
        #expect(wait < .milliseconds(200), "\(wait)")

        crowd.granted = [:]
        let later = crowd.now
        while crowd.now.since(later) < .seconds(30) {
            for flow in 2_000..<2_050 as Range<UInt64> { _ = crowd.ask(flow, for: 4_000) }
            crowd.skip()
            while let turn = crowd.turn() {
                if turn.flow < 1_001 { _ = crowd.ask(turn.flow, for: 1 << 20) }
            }
        }
        let bulk = crowd.granted.filter { $0.key < 1_001 }.values.reduce(0, +)
        #expect(bulk > 30 * 100_000 / 2)
    }

    /// Who leaves gets no turn, and does not hold up the others; the line does not grow with those
    /// who come and go.
    @Test func leaving() {
        var crowd = Crowd(rate: 10_000)
        while crowd.ask(1, for: 8_192) > 0 {}
        for round in 0..<10_000 as Range<UInt64> {
            #expect(crowd.ask(10 + round, for: 8_192) == 0)
            crowd.line.leave(10 + round)
        }
        #expect(crowd.ask(2, for: 8_192) == 0)
        crowd.line.leave(1)
        crowd.skip()
        #expect(crowd.turn() == RateLine.Turn(flow: 2, byteCount: 8_192))
        #expect(crowd.line.deadline() == nil)
    }

    /// Lifting the limit lets everybody go at once; without one nobody waits.
    @Test("changing the rate") func changing() {
        var crowd = Crowd(rate: 4_096)
        while crowd.ask(1, for: 1 << 20) > 0 {}
        #expect(crowd.ask(2, for: 100_000) == 0)
        crowd.line.setRate(nil, now: crowd.now)
        #expect(crowd.turn()?.flow == 1)
        #expect(crowd.turn()?.flow == 2)
        #expect(crowd.turn() == nil)
        #expect(crowd.ask(3, for: 1 << 30) == 1 << 30)
        #expect(crowd.line.waits == 2)
    }

    /// What is given back is there for others at once.
    @Test("giving back") func givingBack() {
        var crowd = Crowd(rate: 64_000)
        var taken = 0
        while case let got = crowd.ask(1, for: 8_192), got > 0 { taken += got }
        crowd.line.leave(1)
        crowd.line.giveBack(taken, now: crowd.now)
        #expect(crowd.ask(2, for: 8_192) == 8_192)
    }
}

@Suite struct RateMeterTests {
    /// The rate is that of the last seconds, and falls to nothing when nothing comes.
    @Test func rate() {
        var meter = RateMeter()
        var now = Instant(nanoseconds: 100_500_000_000)
        for _ in 0..<100 {
            meter.add(1_000, now: now)
            now = now + .milliseconds(100)
        }
        #expect(meter.total == 100_000)
        #expect(meter.rate(now: now) == 10_000)
        #expect(meter.rate(now: now + .seconds(2)) < 10_000)
        #expect(meter.rate(now: now + .seconds(10)) == 0)
        #expect(meter.total == 100_000)
    }
}
