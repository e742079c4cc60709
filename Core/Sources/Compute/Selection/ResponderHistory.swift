// What a node has seen of one peer that runs calls: how fast, how reliable, how regular. Nobody
// else's word counts here but the peer's own offer, until something has been measured.

import Multiformats
import Wire

/// What is known of one responder.
public struct ResponderHistory: Hashable, Sendable {
    /// Answers that came and were not found to be wrong.
    public private(set) var answered: UInt32 = 0
    /// Calls that it took and did not answer as it should: it stalled, vanished, or broke a rule.
    public private(set) var failed: UInt32 = 0
    /// What it offers, in its own words; nil if nothing is known.
    public internal(set) var offer: CallOffer?
    /// The time there and back, in microseconds.
    var roundTrip: UInt64?
    /// The gas that it runs in a second, as measured.
    var speed: UInt64?
    /// How long its last answers took, in 256ths of what was expected.
    private var ratios: [UInt32] = []
    private var nextRatio = 0
    /// Failures since the last answer.
    private var streak: UInt32 = 0
    /// The work that this node has given it and that is not done, in microseconds.
    private var work: UInt64 = 0
    /// Until when it is left alone.
    private(set) var restsUntil: Instant?

    /// How many of its last answers are kept.
    static let ratioCount = 32
    /// What is assumed of a peer that says nothing about itself, in gas a second.
    static let usualSpeed: UInt64 = 5_000_000_000
    /// What is assumed of a way that has not been measured.
    static let usualRoundTrip: UInt64 = 100_000
    /// So much gas tells how fast a peer is; less tells how far it is.
    static let tellingGas: UInt64 = 10_000_000
    /// Counts are halved beyond this, so that what is long ago weighs less.
    static let countsMax: UInt32 = 1_000

    /// A peer of which nothing is known.
    public init() {}

    /// A peer of which this is known from before.
    init(answered: UInt32, failed: UInt32, roundTrip: UInt64?, speed: UInt64?) {
        self.answered = answered
        self.failed = failed
        self.roundTrip = roundTrip
        self.speed = speed
    }

    // MARK: What follows from it

    /// The share of its answers that goes wrong, in millionths: the mean of Beta(fail+1, ok+9), so
    /// that of a stranger one of ten is expected to.
    public var errorRate: UInt64 {
        (UInt64(failed) + 1) * 1_000_000 / (UInt64(failed) + UInt64(answered) + 10)
    }

    /// How long a call with so much gas takes there.
    public func expectedTime(gas: UInt64) -> Duration {
        Duration(
            microseconds: runningTime(gas: gas).adding(waitingTime)
                .adding(roundTrip ?? Self.usualRoundTrip))
    }

    /// How long a call waits there, in microseconds. What this node has given it is in its queue,
    /// or will be.
    var waitingTime: UInt64 {
        max(offer?.queue.microseconds ?? 0, work / UInt64(max(offer?.slots ?? 1, 1)))
    }

    /// How long so much gas runs there, in microseconds.
    func runningTime(gas: UInt64) -> UInt64 {
        let said = offer.map { $0.speed }.flatMap { $0 > 0 ? $0 : nil }
        return gas.scaled(by: 1_000_000, over: max(1, speed ?? said ?? Self.usualSpeed))
    }

    /// When somebody else is asked too: the time within which 19 of 20 of its last answers came, in
    /// the measure of what was expected of them. As long as there are few, four times of it.
    public func patience(gas: UInt64) -> Duration {
        let sorted = ratios.sorted()
        let ratio =
            sorted.count < 8
            ? 4 * 256 : UInt64(sorted[(sorted.count * 95 + 99) / 100 - 1])
        let time = expectedTime(gas: gas).microseconds.scaled(by: max(ratio, 256), over: 256)
        return Duration(microseconds: time.adding(Self.slack))
    }

    /// What the scheduling of either side may add, in microseconds.
    private static let slack: UInt64 = 5_000

    // MARK: What happened

    /// It was given work, in microseconds.
    mutating func noteWork(_ microseconds: UInt64) { work = work.adding(microseconds) }

    /// Work that it was given is done, or not wanted any more.
    mutating func noteWorkDone(_ microseconds: UInt64) { work -= min(microseconds, work) }

    /// The way there and back takes this long, as a ping has measured it.
    mutating func setRoundTrip(_ time: Duration) { roundTrip = time.microseconds }

    /// An answer came.
    mutating func noteAnswer(
        gas: UInt64, expected: Duration, took: Duration, load: (all: UInt64, own: UInt64)
    ) {
        let ratio = took.microseconds.scaled(by: 256, over: max(1, expected.microseconds))
        let kept = UInt32(clamping: ratio)
        if ratios.count < Self.ratioCount {
            ratios.append(kept)
        } else {
            ratios[nextRatio] = kept
        }
        nextRatio = (nextRatio + 1) % Self.ratioCount
        measure(gas: gas, took: took.microseconds, load)
        streak = 0
        restsUntil = nil
        answered += 1
        halve()
    }

    private mutating func measure(
        gas: UInt64, took: UInt64, _ load: (all: UInt64, own: UInt64)
    ) {
        // The quickest answer is mostly way, one with much gas mostly work.
        let way = min(roundTrip ?? took, took)
        roundTrip = way
        // Before this call it did what it had been given before.
        let running = (took - way).scaled(by: max(1, load.own), over: max(1, load.all))
        guard gas >= Self.tellingGas, running > way else { return }
        let measured = max(1, gas.scaled(by: 1_000_000, over: running))
        // What is slow may have had other reasons, as a module that had to come first; what is fast
        // has none.
        speed =
            speed.map { $0 < measured ? $0 / 2 + measured / 2 : $0 - $0 / 8 + measured / 8 }
            ?? measured
    }

    /// It failed. It is left alone for a while, longer each time.
    mutating func noteFailure(now: Instant) {
        failed += 1
        halve()
        streak = min(streak + 1, 10)
        rest(until: now + .milliseconds(500 << Int64(streak)))
    }

    /// It has enough to do, or does not want this call: no fault of its.
    mutating func rest(until instant: Instant) {
        restsUntil = restsUntil.map { max($0, instant) } ?? instant
    }

    private mutating func halve() {
        guard answered + failed > Self.countsMax else { return }
        answered /= 2
        failed /= 2
    }
}
