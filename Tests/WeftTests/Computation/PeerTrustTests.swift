// What is remembered of peers: their answers with who vouches for them, and proofs against liars,
// which others are told of and which outlast the process.

import Compute
import ContractText
import HTTPTypes
import Multiformats
import Testing
import Wire

@testable import LyingWorker
@testable import Weft

@Suite(.serialized) struct PeerTrustTests {
    @Test("what peers agreed on is remembered with their signatures, and asked for no more")
    func remembered() async throws {
        try await PeerCallTests.withNodes(4) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let url = "weft://\(contract)/hello"
            func ask(_ audit: Audit) async throws -> CallInfo {
                let (response, text, _) = try await nodes[0].call(url, "again") {
                    $0.mesh.audit = audit
                }
                #expect(text == "hello again")
                return try #require(response.mesh.call)
            }
            let first = try await ask(.quorum(2))
            let record = try #require(try await nodes[0].computation.tree(first.record).first)
                .record
            try await JoinTests.until("both are remembered") {
                nodes[0].computation.history(of: record).vouchers.count == 2
            }
            let (isOwn, vouchers) = nodes[0].computation.history(of: record)
            #expect(!isOwn && vouchers.allSatisfy { $0.via == nil })
            await nodes[0].retrieval.flush()
            let paid = try await nodes[0].computation.balances().accounts
            for audit in [Audit.none, .quorum(2)] {
                let again = try await ask(audit)
                #expect(again.record == first.record && again.amount == 0)
                #expect(again.confidence.hasPrefix("answered before; 2 peers agree"))
            }
            let owed = try await nodes[0].computation.balances().accounts
            #expect(owed.map { $0.account } == paid.map { $0.account }, "nothing was paid for it")
            // A third is all that a larger quorum lacks.
            let third = try await ask(.quorum(3))
            #expect(third.confidence.hasPrefix("answered before; 3 peers agree"))
            try await JoinTests.until("the third is remembered") {
                nodes[0].computation.history(of: record).vouchers.count == 3
            }
            // Who has run it itself says so as well.
            let own = try await ask(.selfExecution)
            #expect(own.confidence == "computed here" && own.record == first.record)
            #expect(nodes[0].computation.history(of: record).isOwn)

            // It outlasts the process, and nothing of it is believed that liars have signed.
            nodes[0].computation.answers.save()
            let path = nodes[0].repository.answersFile
            let kept = KnownAnswers(path)
            let history = await kept.history(of: record.call, nodes[0].store)
            #expect(history?.vouchers.count == 3 && history?.witnesses == 3)
            kept.forget([vouchers[0].signer])
            kept.save()
            #expect(KnownAnswers(path).vouchers(of: record).count == 2)
            kept.forget(record)
            kept.save()
            #expect(KnownAnswers(path).vouchers(of: record).isEmpty)
        }
    }

    @Test("a peer that knows only others' answers passes their signatures on, and is not paid")
    func passedOn() async throws {
        try await PeerCallTests.withNodes(3) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let (response, _, _) = try await nodes[0].call("weft://\(contract)/hello", "all") {
                $0.mesh.audit = .quorum(2)
            }
            let info = try #require(response.mesh.call)
            let call = try #require(try await nodes[0].computation.tree(info.record).first).record
                .call
            await nodes[0].retrieval.flush()
            let record = try #require(try await nodes[0].computation.tree(info.record).first).record
            try await JoinTests.until("both are remembered") {
                nodes[0].computation.history(of: record).vouchers.count == 2
            }
            try await withNode(PeerFetchTests.configuration) { third, _ in
                try await PeerFetchTests.connect(third, to: nodes[0])
                try await JoinTests.until("it runs calls") { third.mesh.hasResponders }
                // This node would run so little itself.
                let passed = try await third.mesh.call(call, CallTerms(), CallAudit.none) { nil }
                #expect(passed.record.cid == info.record)
                #expect(passed.isRemembered && passed.amount == 0)
                #expect(passed.trace.map { $0.outcome } == [.passedOn(2)])
                try await JoinTests.until("both are remembered") {
                    third.computation.history(of: record).vouchers.count == 2
                }
                let vouchers = third.computation.history(of: record).vouchers
                #expect(Set(vouchers.map { $0.signer }) == [nodes[1].peer, nodes[2].peer])
                #expect(vouchers.allSatisfy { $0.via == nodes[0].peer })
                #expect(try await third.computation.balances().accounts.isEmpty)
                // Once it has run the call itself it answers with its own name, and is paid.
                _ = try await nodes[0].call("weft://\(contract)/hello", "all") {
                    $0.mesh.audit = .selfExecution
                }
                third.computation.answers.forget(passed.record)
                let own = try await third.mesh.call(call, CallTerms(), CallAudit.none) { nil }
                #expect(own.responder == .peer(nodes[0].peer) && own.amount > 0)
            }
        }
    }

    @Test("a proof that one has found convinces its neighbours, and bans outlast the process")
    func spread() async throws {
        let base = try TemporaryDirectory()
        let configuration = PeerFetchTests.configuration
        let far = try await Node.start(at: base.path, configuration: configuration)
        var liar: PeerID?
        try await PeerCallTests.withNodes(4) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            // It has never met the liar, and is connected to one that has not either.
            try await PeerFetchTests.connect(far, to: nodes[1])
            try await JoinTests.until("it runs calls") { far.mesh.hasResponders }
            nodes[2].mesh.serveCalls(by: LyingWorker(nodes[2].computation))
            let (response, text, _) = try await nodes[0].call(
                "weft://\(contract)/hello", "you"
            ) {
                $0.mesh.audit = .quorum(3)
            }
            #expect(response.status == .ok && text == "hello you")
            liar = nodes[2].peer
            for node in [nodes[0], nodes[1], nodes[3], far] {
                try await JoinTests.until("everybody knows") {
                    try node.computation.evidence.accused() == [nodes[2].peer]
                }
            }
            let proof = try #require(far.computation.evidence.evidence(against: nodes[2].peer))
            #expect(try await far.computation.examine(proof).isProven)
        }
        await far.stop()
        let again = try await Node.start(at: base.path, configuration: configuration)
        let known = await again.mesh.creditBook()
        #expect(known?.1.isBannedForGood(try #require(liar)) == true)
        await again.stop()
    }
}
