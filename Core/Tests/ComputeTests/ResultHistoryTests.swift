// Results that are remembered with who vouches for them: what that saves, what it does not, and
// what becomes of a lie in it.

import Compute
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Simulation

/// A few nodes, of which the first calls the others and remembers what they said.
private struct Circle {
    var network = CallNetwork()
    private(set) var vouched: [Voucher] = []
    private(set) var events: [CallExchange.Event] = []

    init(_ lies: [CallLie?]) throws {
        var random = SeededGenerator(seed: 3)
        try network.add(nil, random: &random)
        for lie in lies { try network.add(lie, random: &random) }
    }

    var peers: [PeerID] { network.nodes.dropFirst().map { $0.peer } }

    func isBanned(_ peer: Int) -> Bool {
        network.nodes[0].exchange.responders.isBanned(network.nodes[peer].peer, now: network.now)
    }

    /// What comes of a call, if anything, and how many messages that took.
    mutating func fetch(
        _ call: Call, _ audit: CallAudit, of candidates: [Int]? = nil, known: ResultHistory? = nil
    ) -> (result: CallResult?, messages: Int) {
        let before = network.messages
        let candidates = candidates?.map { network.nodes[$0].peer } ?? peers
        _ = network.with(0) { exchange, now in
            exchange.fetch(
                call, terms: CallTerms(patience: .seconds(30)), audit: audit,
                candidates: candidates, known: known, here: nil, now: now)
        }
        let end = network.now + .seconds(90)
        while network.step(by: end).goesOn {}
        var result: CallResult?
        events = (network.takeReports() + network.takeMemories()).filter { $0.node == 0 }
            .map { $0.event }
        vouched = []
        for event in events {
            switch event {
            case .answered(_, let answered): result = answered
            case .vouched(let answer, let via): vouched.append(Voucher(answer, via: via))
            default: break
            }
        }
        return (result, network.messages - before)
    }

    /// Whom there were proofs against.
    var convicted: [PeerID] {
        events.compactMap { if case .convicted(let peer, _) = $0 { peer } else { nil } }
    }
}

private let always = CallAudit.sample(millionths: 1_000_000)

@Suite struct ResultHistoryTests {
    private let call: Call
    private let right: CallRecord

    init() throws {
        call = try PretendEngine.call(depth: 0, number: 3)
        var engine = PretendEngine()
        let record = engine.run(call)
        right = try #require(record)
    }

    @Test("what a peer has answered is remembered, and answers the same call again for nothing")
    func remembered() throws {
        var circle = try Circle([nil, nil, nil])
        let first = circle.fetch(call, .none, of: [1])
        #expect(first.result?.isRemembered == false && first.messages > 0)
        #expect(circle.vouched.map { $0.signer } == [circle.peers[0]])
        let history = ResultHistory(right, circle.vouched)
        #expect(history.witnesses == 1)
        for audit in [CallAudit.none, .sample(millionths: 0)] {
            let again = circle.fetch(call, audit, known: history)
            #expect(again.result?.record == right && again.messages == 0)
            #expect(again.result?.isRemembered == true && again.result?.amount == 0)
            #expect(again.result?.responder == .peer(circle.peers[0]))
        }
        // A check is made as often as if it had just been answered, and adds somebody.
        let checked = circle.fetch(call, always, known: history)
        #expect(checked.result?.isRemembered == true && checked.messages > 0)
        #expect(circle.vouched.count == 1 && circle.vouched[0].signer != circle.peers[0])
    }

    @Test("a quorum asks only those who are missing")
    func quorum() throws {
        var circle = try Circle([nil, nil, nil])
        _ = circle.fetch(call, .quorum(2), of: [1, 2])
        #expect(circle.vouched.count == 2)
        let history = ResultHistory(right, circle.vouched)
        let two = circle.fetch(call, .quorum(2), known: history)
        #expect(two.messages == 0 && two.result?.confidence.basis == .agreement(2))
        let three = circle.fetch(call, .quorum(3), known: history)
        #expect(three.result?.confidence.basis == .agreement(3))
        #expect(circle.vouched.map { $0.signer } == [circle.peers[2]])
        let none = circle.fetch(call, .none, known: history)
        #expect(none.result?.confidence.basis == .agreement(2), "the history is worth that much")
    }

    @Test("a lie that was remembered convicts its author when it is checked, and all who signed it")
    func lie() throws {
        var circle = try Circle([.output, .output, nil])
        _ = circle.fetch(call, .quorum(2), of: [1, 2])
        let wrong = circle.network.nodes.count
        #expect(wrong == 4 && circle.vouched.count == 2)
        var engine = PretendEngine()
        let told = engine.run(call, .lying(.output))
        let history = ResultHistory(try #require(told), circle.vouched)
        #expect(history.vouchers.count == 2)
        let given = circle.fetch(call, always, known: history)
        #expect(given.result?.record == history.record)
        #expect(Set(circle.convicted) == Set(circle.peers.prefix(2)))
        #expect(circle.events.contains(.disbelieve(history.record)))
        #expect(circle.events.contains { if case .refuted(_, right) = $0 { true } else { false } })
        // What liars signed is not believed any more.
        let after = circle.fetch(call, .none, known: history)
        #expect(after.result?.record == right && after.result?.isRemembered == false)
    }

    @Test("whoever answered long ago need not have its records any more")
    func forgetful() throws {
        var circle = try Circle([.withholding, nil])
        let tree = try PretendEngine.call(depth: 2, number: 1)
        _ = circle.fetch(tree, .none, of: [1])
        var engine = PretendEngine()
        let told = engine.run(tree, .lying(.withholding))
        let history = ResultHistory(try #require(told), circle.vouched)
        _ = circle.fetch(tree, always, of: [2], known: history)
        #expect(circle.convicted.isEmpty && !circle.isBanned(1) && !circle.isBanned(2))
        #expect(circle.events.contains(.disbelieve(history.record)))
    }

    @Test("a peer passes on what others signed, and is paid nothing for it")
    func passedOn() throws {
        var circle = try Circle([nil, nil, nil])
        _ = circle.fetch(call, .quorum(2), of: [1, 2])
        let history = ResultHistory(right, circle.vouched)
        circle.network.remembered[3] = history
        let (result, _) = circle.fetch(call, .none, of: [3])
        let passed = try #require(result)
        #expect(passed.record == right && passed.isRemembered && passed.amount == 0)
        #expect(passed.confidence.basis == .history, "nobody of them was asked by this node")
        #expect(passed.trace.last?.outcome == .passedOn(2))
        #expect(Set(circle.vouched.map { $0.signer }) == Set(circle.peers.prefix(2)))
        #expect(circle.vouched.allSatisfy { $0.via == circle.peers[2] })
        let book = circle.network.nodes[0].exchange.book
        #expect(book.balance(of: circle.peers[2]) == 0)
        // It is no part of a quorum: whoever passes it on may have chosen liars.
        let second = ResultHistory(right, circle.vouched)
        #expect(second.witnesses == 0)
        let asked = circle.fetch(call, .quorum(2), known: second)
        #expect(asked.result?.isRemembered == false)
        #expect(circle.vouched.count == 2 && circle.vouched.allSatisfy { $0.via == nil })
    }

    @Test("who checks runs the call itself, whatever others have said before")
    func checksRun() throws {
        var circle = try Circle([.output, nil])
        _ = circle.fetch(call, .none, of: [1])
        var engine = PretendEngine()
        let told = engine.run(call, .lying(.output))
        circle.network.remembered[2] = ResultHistory(try #require(told), circle.vouched)
        for _ in 0..<20 where circle.convicted.isEmpty {
            _ = circle.fetch(call, always, of: [1, 2])
        }
        #expect(circle.convicted == [circle.peers[0]])
        #expect(!circle.isBanned(2), "it could not know better")
    }

    @Test(
        "passed on are valid signatures of this call, when they are welcome; else it is a fault"
    )
    func badPassing() throws {
        let signer = Identity()
        let good = Voucher(signer.answer(right))
        let other = try makeRecord(makeCall("/other"))
        let header = good.header
        let forged = SignedHeader(
            header.header, by: Identity().peer, hashes: header.hashes, signature: header.signature)
        let foreign = Voucher(CallAnswer(forged, salt: good.salt, record: right))
        let cases: [(Bool, CallRecord, [Voucher], CallFailure?)] = [
            (true, right, [good], nil), (false, right, [good], .malformed),
            (true, right, [foreign], .badSignature),
            (true, right, [good, good], .brokenCommitment),
            (true, right, [Voucher(signer.answer(other))], .brokenCommitment),
            (true, try makeRecord(call, "another"), [good], .brokenCommitment),
        ]
        for (isWelcome, record, vouchers, failure) in cases {
            var asker = Asker()
            try asker.ask(call, mayRecall: isWelcome)
            asker.hear(.vouched(id: asker.number, result: record.result, vouchers))
            let outcome = asker.outcome()
            if let failure {
                #expect(outcome == .failed(asker.number, failure))
                #expect(failure.isMisbehaviour)
            } else {
                #expect(
                    outcome
                        == .recalled(
                            asker.number, by: asker.responder.peer, [signer.answer(right)]))
            }
        }
    }

    @Test("a history is bounded, has each signer once, and prefers those who were asked")
    func bounds() throws {
        let passer = Identity().peer
        var history = ResultHistory(right)
        for _ in 0..<20 { history.add(Voucher(Identity().answer(right), via: passer)) }
        #expect(history.vouchers.count == ResultHistory.maxVouchers && history.witnesses == 0)
        let asked = Identity()
        let isNew = history.add(Voucher(asked.answer(right)))
        let isTwice = history.add(Voucher(asked.answer(right)))
        #expect(isNew && !isTwice)
        #expect(history.vouchers.count == ResultHistory.maxVouchers && history.witnesses == 1)
        let isMisfit = history.add(Voucher(Identity().answer(try makeRecord(call, "another"))))
        #expect(!isMisfit)
        history.remove(passer)
        #expect(history.vouchers.map { $0.signer } == [asked.peer])
        for voucher in [Voucher(asked.answer(right)), Voucher(asked.answer(right), via: passer)] {
            #expect(try Voucher(storage: voucher.stored.rawSpan) == voucher)
        }
        var noise = Noise(seed: 4)
        for _ in 0..<200 {
            let changed = noise.mutation(of: Voucher(asked.answer(right)).stored)
            if let read = try? Voucher(storage: changed.rawSpan) { #expect(read.stored == changed) }
        }
    }
}
