// Who is asked: the formula of costs, the choice between two, and what is remembered of peers.

import Compute
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct SelectionTests {
    private let now = Instant(nanoseconds: 1_000_000_000)
    private let call: Call
    private let peers: [PeerID]

    init() throws {
        call = try makeCall(gas: 1_000_000)
        peers = (0..<20).map { _ in Identity().peer }
    }

    @Test("the cost is price, time and risk, each as the formula says")
    func cost() {
        var responders = Responders()
        let offer = CallOffer(
            price: Price(rate: 1_500), speed: 1_000_000_000, slots: 1, queue: .milliseconds(3))
        responders.setOffer(offer, of: peers[0])
        responders.setRoundTrip(.milliseconds(10), of: peers[0])
        let terms = CallTerms(secondsValue: 2_000_000_000, value: 5_000_000)
        // 1.5 credits a gas; 10 + 1 + 3 ms at 2·10⁶ credits a ms; a tenth of the value at risk.
        #expect(
            responders.cost(of: call, at: peers[0], terms) == 1_500_000 + 28_000_000 + 500_000)
        let here = LocalCapacity(
            speed: 1_000_000, queue: .milliseconds(5), price: Price(rate: 100))
        #expect(responders.cost(of: call, here: here, terms) == 100_000 + 2_010_000_000)
    }

    @Test("costs stop at the largest number instead of overflowing")
    func overflow() throws {
        var responders = Responders()
        let offer = CallOffer(price: Price(rate: .max), speed: 1, slots: 1)
        responders.setOffer(offer, of: peers[0])
        let terms = CallTerms(secondsValue: .max, value: .max)
        let most = try Call(contract, gas: CallLimits.maxGas)
        #expect(responders.cost(of: most, at: peers[0], terms) == .max)
        #expect(Price(rate: .max).amount(for: .max) == .max)
        #expect(Price(rate: 1).amount(for: 1) == 1, "rounded up")
        #expect(Price(rate: 1_000).amount(for: 12_345) == 12_345)
        #expect(Price.free.amount(for: .max) == 0)
    }

    @Test("the expected share of wrong answers is the mean of Beta(fail+1, ok+9)")
    func errorRate() {
        var responders = Responders()
        #expect(responders[peers[0]].errorRate == 100_000)
        for _ in 0..<90 {
            responders.noteAnswer(
                of: peers[0], gas: 1, expected: .milliseconds(1), took: .milliseconds(1))
        }
        #expect(responders[peers[0]].errorRate == 10_000)
        responders.note(.stalled, of: peers[0], now: now)
        #expect(responders[peers[0]].errorRate == 2 * 1_000_000 / 101)
    }

    @Test("the cheaper of two is asked, now and then any, so the load is spread")
    func twoChoices() {
        var responders = Responders()
        for (index, peer) in peers.enumerated() {
            let price = Price(rate: UInt32(100 * (index + 1)))
            responders.setOffer(CallOffer(price: price, speed: 1 << 30, slots: 1), of: peer)
        }
        var counts = [PeerID: Int]()
        var random = SeededGenerator(seed: 1)
        for _ in 0..<20_000 {
            if case .peer(let peer)? = responders.choose(
                for: call, CallTerms(), of: peers, here: nil, random: &random, now: now)
            {
                counts[peer, default: 0] += 1
            }
        }
        // The i-th cheapest of n is asked with 0.95 × 2(n−i)/n(n−1) + 0.05/n: 9.75 % for the first,
        // 0.25 % for the last.
        let shares = peers.map { Double(counts[$0] ?? 0) / 20_000 }
        #expect(abs(shares[0] - 0.0975) < 0.01)
        #expect(abs(shares[10] - 0.0475) < 0.01)
        #expect(shares[19] > 0.0005 && shares[19] < 0.006)
    }

    @Test("this node is a candidate like others: it runs what is cheaper here")
    func here() {
        let responders = Responders()
        var random = SeededGenerator(seed: 2)
        var choices = 0
        for _ in 0..<1_000 {
            let fast = responders.choose(
                for: call, CallTerms(), of: peers, here: LocalCapacity(speed: 1 << 30),
                random: &random, now: now)
            if fast == .here { choices += 1 }
            let slow = responders.choose(
                for: call, CallTerms(), of: peers, here: LocalCapacity(speed: 1_000),
                random: &random, now: now)
            #expect(slow != .here)
        }
        #expect((900...990).contains(choices), "but for exploration, always")
        #expect(
            responders.choose(
                for: call, CallTerms(), of: [], here: LocalCapacity(speed: 1), random: &random,
                now: now) == .here)
        #expect(
            responders.choose(
                for: call, CallTerms(), of: [], here: nil, random: &random, now: now) == nil)
    }

    @Test("one seed makes the same choices")
    func deterministic() {
        let responders = Responders()
        let runs = (0..<2).map { _ in
            var random = SeededGenerator(seed: 7)
            return (0..<100).map { _ in
                responders.choose(
                    for: call, CallTerms(), of: peers, here: nil, random: &random, now: now)
            }
        }
        #expect(runs[0] == runs[1])
    }

    @Test("who failed is left alone for a while, longer each time; who is busy as long as it says")
    func rest() {
        var responders = Responders()
        let mayAsk = { (responders: Responders, wait: Duration) in
            !responders.eligible([peers[0]], for: call, CallTerms(), now: now + wait).isEmpty
        }
        responders.note(.stalled, of: peers[0], now: now)
        #expect(!mayAsk(responders, .milliseconds(999)))
        #expect(mayAsk(responders, .milliseconds(1_000)))
        responders.note(.disconnected, of: peers[0], now: now)
        #expect(!mayAsk(responders, .milliseconds(1_999)))
        #expect(mayAsk(responders, .milliseconds(2_000)))
        responders.note(.refused(.busy(.seconds(3))), of: peers[0], now: now)
        #expect(!mayAsk(responders, .milliseconds(2_999)))
        #expect(mayAsk(responders, .seconds(3)))
        #expect(responders[peers[0]].failed == 2, "being busy is no fault")
        responders.noteAnswer(
            of: peers[0], gas: 1, expected: .milliseconds(1), took: .milliseconds(1))
        #expect(mayAsk(responders, .zero))
    }

    @Test("what nobody does by accident ends the acquaintance for a day")
    func misbehaviour() {
        for failure in [
            CallFailure.otherQuestion, .replayed, .brokenCommitment, .badSignature, .overcharged,
            .malformed,
        ] {
            var responders = Responders()
            responders.note(failure, of: peers[0], now: now)
            #expect(responders.isBanned(peers[0], now: now + .seconds(86_399)))
            #expect(!responders.isBanned(peers[0], now: now + .seconds(86_400)))
        }
        var responders = Responders()
        for failure in [CallFailure.stalled, .vanished, .disconnected, .refused(.price)] {
            responders.note(failure, of: peers[0], now: now)
            #expect(!responders.isBanned(peers[0], now: now))
        }
        responders.ban(peers[0], until: nil)
        responders.ban(peers[0], until: now)
        #expect(responders.isBanned(peers[0], now: now + .seconds(1 << 30)), "for good is for good")
    }

    @Test("who wants more than the call may cost, or does not offer it, is not asked")
    func eligible() throws {
        var responders = Responders()
        let offers = [
            CallOffer(price: Price(rate: 2_001), speed: 1, slots: 1),
            CallOffer(contracts: .these([file([1])]), speed: 1, slots: 1),
            CallOffer(speed: 1, slots: 1, maxGas: 999_999), CallOffer(rules: 2, speed: 1, slots: 1),
            CallOffer(contracts: .these([contract]), speed: 1, slots: 1),
        ]
        for (peer, offer) in zip(peers, offers) { responders.setOffer(offer, of: peer) }
        #expect(
            responders.eligible(Array(peers[..<5]), for: call, CallTerms(), now: now) == [peers[4]])
    }

    @Test("somebody else is asked after the time within which 19 of 20 answers came")
    func patience() {
        var responders = Responders()
        responders.setOffer(CallOffer(speed: 1_000_000_000, slots: 1), of: peers[0])
        responders.setRoundTrip(.milliseconds(10), of: peers[0])
        // 10 ms there and back, 1 ms of work; without experience four times as much, and 5 ms.
        #expect(responders[peers[0]].patience(gas: 1_000_000) == .milliseconds(49))
        for index in 1...20 {
            responders.noteAnswer(
                of: peers[0], gas: 0, expected: .milliseconds(11),
                took: .milliseconds(index < 19 ? 11 : 33))
        }
        #expect(responders[peers[0]].patience(gas: 1_000_000) == .milliseconds(38))
    }

    @Test("the speed that counts is the measured one")
    func speed() {
        var responders = Responders()
        responders.setOffer(CallOffer(speed: 1_000_000_000_000, slots: 1), of: peers[0])
        responders.setRoundTrip(.milliseconds(10), of: peers[0])
        for _ in 0..<50 {
            responders.noteAnswer(
                of: peers[0], gas: 100_000_000, expected: .milliseconds(11), took: .seconds(1))
        }
        // 990 ms of work for 10⁸: about 10⁸ a second, whatever was promised.
        let time = responders[peers[0]].expectedTime(gas: 100_000_000)
        #expect(time > .milliseconds(990) && time < .milliseconds(1_010))
    }

    @Test("what a peer had to do before a call does not count as slowness")
    func speedUnderLoad() {
        var responders = Responders()
        responders.setRoundTrip(.milliseconds(10), of: peers[0])
        // A second of work, of which nine tenths were for calls before this one.
        responders.noteAnswer(
            of: peers[0], gas: 100_000_000, expected: .seconds(1), took: .milliseconds(1_010),
            load: (all: 1_000_000, own: 100_000))
        let time = responders[peers[0]].expectedTime(gas: 100_000_000)
        #expect(time == .milliseconds(110))
    }

    @Test("a faster answer counts for half of a peer's speed, a slower one for an eighth")
    func quickened() {
        var responders = Responders()
        responders.setRoundTrip(.milliseconds(1), of: peers[0])
        for milliseconds in [1_001, 101] {
            responders.noteAnswer(
                of: peers[0], gas: 100_000_000, expected: .seconds(1),
                took: .milliseconds(milliseconds))
        }
        // The mean of 10⁸ and 10⁹ a second, and a millisecond there and back.
        #expect(responders[peers[0]].expectedTime(gas: 550_000_000) == .milliseconds(1_001))
        responders.noteAnswer(
            of: peers[0], gas: 100_000_000, expected: .seconds(1), took: .milliseconds(1_001))
        #expect(responders[peers[0]].expectedTime(gas: 493_750_000) == .milliseconds(1_001))
    }

    @Test("calls of one locality go to one peer, unless another one costs much less")
    func locality() throws {
        var responders = Responders()
        for peer in peers { responders.setOffer(CallOffer(speed: 1 << 30, slots: 1), of: peer) }
        var random = SeededGenerator(seed: 3)
        func asked(_ locality: UInt64?) -> [PeerID: Int] {
            var counts: [PeerID: Int] = [:]
            for _ in 0..<200 {
                if case .peer(let peer)? = responders.choose(
                    for: call, CallTerms(locality: locality), of: peers, here: nil,
                    random: &random, now: now)
                {
                    counts[peer, default: 0] += 1
                }
            }
            return counts
        }
        let near = try #require(Responders.nearest(to: 7, peers))
        #expect(asked(7)[near] ?? 0 > 170, "all but those that are asked to get to know them")
        #expect(asked(nil)[near] ?? 0 < 100)
        #expect(
            Set((0..<2_000).compactMap { Responders.nearest(to: $0, peers) }).count == peers.count,
            "each peer is the nearest to some")
        #expect(
            Responders.nearest(to: 7, peers.filter { $0 != near }) != nil
                && Responders.nearest(to: 7, peers.reversed()) == near)
        responders.setQueue(.seconds(1), of: near)
        #expect(asked(7)[near] ?? 0 < 30)
    }

    @Test("second questions are rationed: eight at a time, and one for every sixteen calls")
    func hedges() {
        var budget = HedgeBudget()
        var taken = (0..<20).map { _ in budget.take() }
        #expect(taken.count { $0 } == 8)
        for _ in 0..<15 { budget.noteCall() }
        taken = [budget.take()]
        budget.noteCall()
        taken += [budget.take(), budget.take()]
        #expect(taken == [false, true, false])
    }
}
