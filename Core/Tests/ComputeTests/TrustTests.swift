// Checks of answers, what comes of two that differ, and proofs that hold elsewhere. On a network of
// whole call exchanges with a pretended engine.

import Compute
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Simulation

/// A few nodes, of which the first calls the others.
private struct Circle {
    var network = CallNetwork()
    var random = SeededGenerator(seed: 1)
    let count: Int

    init(_ lies: [CallLie?], seed: UInt64 = 1) throws {
        random = SeededGenerator(seed: seed)
        count = lies.count
        try network.add(nil, random: &random)
        for lie in lies { try network.add(lie, random: &random) }
    }

    var peers: [PeerID] { network.nodes.dropFirst().map { $0.peer } }

    /// What the first node reports after a call.
    mutating func fetch(
        _ call: Call, _ audit: CallAudit, here: LocalCapacity? = nil,
        terms: CallTerms = CallTerms(), of candidates: [PeerID]? = nil,
        for time: Duration = .seconds(120)
    ) -> [CallExchange.Event] {
        let candidates = candidates ?? peers
        _ = network.with(0) { exchange, now in
            exchange.fetch(
                call, terms: terms, audit: audit, candidates: candidates, here: here, now: now)
        }
        return reports(for: time)
    }

    /// What the first node reports in some time.
    mutating func reports(for time: Duration) -> [CallExchange.Event] {
        let end = network.now + time
        while network.step(by: end).goesOn {}
        return network.takeReports().filter { $0.node == 0 }.map { $0.event }
    }

    func isBanned(_ peer: Int) -> Bool {
        network.nodes[0].exchange.responders.isBanned(network.nodes[peer].peer, now: network.now)
    }
}

private let everyAnswer = CallAudit.sample(millionths: 1_000_000)

@Suite struct TrustTests {
    private let call: Call
    private let right: CallRecord

    init() throws {
        call = try PretendEngine.call(depth: 2, number: 3)
        var engine = PretendEngine()
        let record = engine.run(call)
        right = try #require(record)
    }

    @Test("honest peers agree, whoever is asked, and nobody comes to harm")
    func honest() throws {
        var circle = try Circle([nil, nil, nil])
        for audit in [everyAnswer, .none, .quorum(3), .usual] {
            let events = circle.fetch(call, audit)
            guard case .answered(_, let result)? = events.first, events.count == 1 else {
                Issue.record("one answer and nothing else: \(events)")
                continue
            }
            #expect(result.record == right)
            #expect(result.answer?.header.isValid == true)
            #expect(result.amount > 0)
        }
        #expect(!(1...3).contains { circle.isBanned($0) })
    }

    @Test(
        "a wrong answer that is checked is taken back, and its author convicted by one activation",
        arguments: [CallLie.output, .leaf, .gas])
    func liar(lie: CallLie) throws {
        var circle = try Circle([lie, nil, nil])
        // Whoever answers first: the liar is asked for the answer or for the check in time.
        var events: [CallExchange.Event] = []
        for number in 0..<20 where !circle.isBanned(1) {
            events += circle.fetch(
                try PretendEngine.call(depth: 2, number: UInt64(100 + number)), everyAnswer)
        }
        let proofs = events.compactMap { event -> Evidence? in
            guard case .convicted(let peer, let evidence) = event else { return nil }
            #expect(peer == circle.peers[0], "the liar and nobody else")
            return evidence
        }
        #expect(proofs.count == 1)
        #expect(circle.isBanned(1) && !circle.isBanned(2) && !circle.isBanned(3))
        let refuted = events.compactMap { event -> CallRecord? in
            guard case .refuted(_, let record) = event else { return nil }
            return record
        }
        let areWrong = refuted.map { circle.network.isWrong($0) }
        #expect(!areWrong.contains(true), "with the right answer")
        guard case .wrongAnswer(let wrong)? = proofs.first else {
            Issue.record("the proof is one of a wrong answer")
            return
        }
        #expect(wrong.path == (lie == .leaf ? [1, 1] : []), "the activation that is wrong")
    }

    @Test("a proof holds for a stranger who has nothing but the file and the contract")
    func portable() throws {
        var circle = try Circle([.leaf, nil])
        var proof: Evidence?
        for number in 0..<20 where proof == nil {
            for case .convicted(_, let evidence) in circle.fetch(
                try PretendEngine.call(depth: 2, number: UInt64(100 + number)), everyAnswer)
            { proof = evidence }
        }
        let file = try #require(proof).encoded
        #expect(file.count < 8_192)
        let read = try Evidence(decoding: file.rawSpan)
        #expect(read == proof)
        #expect(read.accused == circle.peers[0])
        guard case .dependsOn(let order) = try read.examine() else {
            Issue.record("a replay decides")
            return
        }
        let replay = try #require(PretendEngine.replay(order))
        #expect(order.isRefuted(by: replay))
        #expect(!order.isRefuted(by: .record(order.record)), "it could have been right")
        // A node that nobody is connected to hears of it from its user, and looks for itself.
        circle.network.with(2) { exchange, now in exchange.accuse(read, now: now) }
        let end = circle.network.now + .seconds(1)
        while circle.network.step(by: end).goesOn {}
        let verdicts = circle.network.takeReports().filter { $0.node == 2 }.map { $0.event }
        #expect(verdicts == [.convicted(read.accused, read)])
    }

    @Test("whoever does not give out what it committed to is not asked any more, without a proof")
    func withholding() throws {
        var circle = try Circle([.withholding, nil])
        var events: [CallExchange.Event] = []
        for number in 0..<20 where !circle.isBanned(1) {
            events += circle.fetch(
                try PretendEngine.call(depth: 2, number: UInt64(100 + number)), everyAnswer)
        }
        #expect(circle.isBanned(1) && !circle.isBanned(2))
        #expect(!events.contains { if case .convicted = $0 { true } else { false } })
    }

    @Test("a quorum of liars who agree loses against one who does not: it is not a vote")
    func quorum() throws {
        // Four must agree; of seven, three tell the same lie.
        var circle = try Circle([.output, .output, .output, nil, nil, nil, nil], seed: 4)
        var banned = 0
        for number in 0..<12 {
            let call = try PretendEngine.call(depth: 1, number: UInt64(200 + number))
            let events = circle.fetch(call, .quorum(4))
            for case .answered(_, let result) in events {
                let isWrong = circle.network.isWrong(result.record)
                #expect(!isWrong)
                #expect(result.confidence.basis == .agreement(4))
                #expect(result.confidence.errorRate == 1_600)
            }
            #expect(events.contains { if case .answered = $0 { true } else { false } })
            banned = (1...3).count { circle.isBanned($0) }
        }
        #expect(banned == 3)
        #expect(!(4...7).contains { circle.isBanned($0) })
    }

    @Test("own execution is believed, and finds out liars that were faster")
    func selfExecution() throws {
        var circle = try Circle([.output])
        // So slow that the peer answers first, and dear enough that it is not chosen by itself.
        let events = circle.fetch(
            call, .selfExecution, here: LocalCapacity(speed: 1_000), terms: CallTerms())
        guard case .answered(_, let result)? = events.last ?? nil else {
            Issue.record("there is an answer: \(events)")
            return
        }
        #expect(result.record == right)
        #expect(result.responder == .here)
        #expect(result.confidence.basis == .executedHere)
        #expect(result.confidence.errorRate == 0)
    }

    @Test("without an own engine nothing can be executed here")
    func impossible() throws {
        var circle = try Circle([nil])
        let events = circle.fetch(call, .selfExecution)
        guard case .failed(_, let error)? = events.first else {
            Issue.record("it fails at once")
            return
        }
        #expect(error.kind == .nobody)
    }

    @Test("when one stalls another is asked, and the slow one is told")
    func hedging() throws {
        for seed in 1...5 as ClosedRange<UInt64> {
            var circle = try Circle([.stall, nil], seed: seed)
            let events = circle.fetch(call, .none)
            guard case .answered(_, let result)? = events.first else {
                Issue.record("somebody answers")
                continue
            }
            #expect(result.record == right)
            let outcomes = result.trace.map { $0.outcome }
            #expect(outcomes == [.answered] || outcomes == [.answered, .cancelled])
        }
    }

    @Test(
        "whoever cannot be relied on is left, and others are asked until somebody answers",
        arguments: [CallLie.stall, .vanish, .replay, .otherQuestion])
    func loudLiars(lie: CallLie) throws {
        var circle = try Circle([lie, lie, lie, nil], seed: 2)
        for number in 0..<12 {
            let call = try PretendEngine.call(depth: 0, number: UInt64(300 + number))
            let events = circle.fetch(call, .usual)
            for case .answered(_, let result) in events {
                let isWrong = circle.network.isWrong(result.record)
                #expect(!isWrong)
                #expect(result.responder == .peer(circle.peers[3]) || lie == .replay)
            }
            #expect(events.contains { if case .answered = $0 { true } else { false } })
        }
        #expect(!circle.isBanned(4))
        if lie == .replay || lie == .otherQuestion {
            #expect((1...3).count { circle.isBanned($0) } >= 2, "that is no accident")
        }
    }

    @Test("when all fail, the error says who was asked and what came of it")
    func allFail() throws {
        var circle = try Circle([.otherQuestion, .otherQuestion])
        let events = circle.fetch(call, .none)
        guard case .failed(_, let error)? = events.first else {
            Issue.record("nobody can answer")
            return
        }
        #expect(error.kind == .allFailed)
        #expect(
            error.trace.map { $0.outcome } == [
                .failed(.brokenCommitment), .failed(.brokenCommitment),
            ])
        #expect(Set(error.trace.map { $0.responder }) == Set(circle.peers.map { .peer($0) }))
    }

    @Test("when fewer answer than have to agree, the error says so, and that none was wrong")
    func tooFew() throws {
        var circle = try Circle([nil])
        guard case .failed(_, let error)? = circle.fetch(call, .quorum(2)).first else {
            Issue.record("one is not two")
            return
        }
        #expect(error.kind == .tooFew(answered: 1, needed: 2))
        #expect("\(error)" == "2 peers have to agree, and only 1 answered")
        #expect(error.trace.map { $0.outcome } == [.answered])
    }

    @Test("when all peers fail, this node runs the call itself if it can")
    func fallback() throws {
        var circle = try Circle([.otherQuestion])
        let events = circle.fetch(
            call, .none, here: LocalCapacity(speed: 1_000, price: Price(rate: 4_000)))
        guard case .answered(_, let result)? = events.first else {
            Issue.record("this node answers")
            return
        }
        #expect(result.responder == .here)
        #expect(result.record == right)
    }

    @Test("a call ends at its deadline")
    func deadline() throws {
        var circle = try Circle([.stall, .stall])
        let start = circle.network.now
        let events = circle.fetch(
            call, .none, terms: CallTerms(patience: .seconds(7)), for: .seconds(8))
        guard case .failed(_, let error)? = events.first else {
            Issue.record("it is over by now")
            return
        }
        #expect(error.kind == .timedOut || error.kind == .allFailed)
        #expect(circle.network.now.since(start) <= .seconds(8))
        #expect(circle.network.nodes[0].exchange.callCounts.own == 0)
    }

    @Test("the confidence names its numbers and what they assume")
    func confidence() throws {
        var circle = try Circle([nil, nil])
        guard case .answered(_, let result)? = circle.fetch(call, .usual).first else {
            Issue.record("there is an answer")
            return
        }
        #expect(result.confidence.basis == .sampling(millionths: 50_000))
        #expect(result.confidence.detectionRate == 40_000, "p (1 − α)")
        #expect(result.confidence.errorRate == 1_000_000 / 11, "of one right answer")
        #expect(!result.confidence.assumptions.isEmpty)
    }
}
