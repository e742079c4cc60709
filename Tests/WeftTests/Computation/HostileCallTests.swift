// Responders and askers that break the rules, over real connections: what exactly becomes of each
// call, and that nobody honest pays for it.

import Compute
import ContractText
import Foundation
import Multiformats
import NodeCore
import Synchronization
import Testing
import WasmEngine
import Wire

@testable import Weft

@Suite(.serialized) struct HostileCallTests {
    private static let contract = CID(.raw, Multihash.sha2_256(of: [1, 2, 3].rawSpan))

    private static func call(_ path: String = "/x") throws -> Call {
        try Call(contract, path: path, gas: 1_000_000)
    }

    /// What comes of asking a responder, what this node then owes it, and how often it has failed.
    private func ask(
        _ node: Node, _ responder: ScriptedPeer, patience: Duration = .seconds(20)
    ) async throws -> (outcome: CallTrace.Outcome?, balance: Int64, failed: UInt32) {
        var outcome: CallTrace.Outcome?
        do {
            let result = try await node.mesh.call(
                try Self.call(), CallTerms(patience: patience), CallAudit.none,
                candidates: [responder.peer]
            ) { nil }
            outcome = result.trace.last?.outcome
        } catch let error as CallError {
            outcome = error.trace.last?.outcome
        }
        let (book, responders) = try #require(await node.mesh.creditBook())
        return (outcome, book.balance(of: responder.peer), responders[responder.peer].failed)
    }

    @Test("each thing that a responder can do wrong has its name, and costs the asker nothing")
    func responders() async throws {
        let call = try Self.call()
        let right = try ScriptedPeer.record(call, "42")
        let other = try ScriptedPeer.record(try Self.call("/other"), "42")
        let another = try ScriptedPeer.record(call, "43")
        let stranger = PrivateKey.generateEd25519()
        func claiming(_ gas: UInt64) -> ScriptedPeer.Script {
            { peer, question in
                let header = peer.header(question, right) {
                    CallHeader(
                        call: $0.call, nonce: $0.nonce, commitment: $0.commitment, gas: gas,
                        price: $0.price)
                }
                return ([peer.signed(question, header), peer.reveal(question, right)], false)
            }
        }
        let cases: [(what: String, failure: CallFailure, script: ScriptedPeer.Script)] = [
            ("stalls", .stalled, { _, _ in ([], false) }),
            ("ends the stream", .disconnected, { _, _ in ([], true) }),
            (
                "vanishes after the header", .vanished,
                { ([$0.signed($1, $0.header($1, right))], true) }
            ),
            ("sends noise", .malformed, { _, _ in ([[0xff, 0xff]], false) }),
            ("sends no header", .malformed, { ([$0.reveal($1, right)], false) }),
            ("answers another question", .otherQuestion, { ($0.answer($1, other), false) }),
            (
                "lies about the output", .brokenCommitment,
                { ([$0.signed($1, $0.header($1, right)), $0.reveal($1, another)], false) }
            ),
            ("lies about the gas", .brokenCommitment, claiming(right.gas + 1)),
            ("wants more than was allowed", .overcharged, claiming(call.gas + 1)),
            (
                "signs with another key", .badSignature,
                {
                    let header = $0.signed($1, $0.header($1, right), by: stranger)
                    return ([header, $0.reveal($1, right)], false)
                }
            ),
        ]
        try await withNode(PeerFetchTests.configuration) { node, _ in
            for (what, failure, script) in cases {
                let responder = try ScriptedPeer(script)
                try await responder.connect(to: node)
                let patience: Duration = failure == .stalled ? .seconds(1) : .seconds(20)
                let (outcome, balance, failed) = try await ask(node, responder, patience: patience)
                #expect(outcome == .failed(failure), "\(what)")
                #expect(balance == 0 && failed == 1, "\(what)")
                responder.close()
            }
            #expect(try await node.computation.balances().changes.isEmpty)
        }
    }

    @Test("an old answer is no answer, and was paid when it was new")
    func replay() async throws {
        let right = try ScriptedPeer.record(try Self.call(), "42")
        try await withNode(PeerFetchTests.configuration) { node, _ in
            let first = Mutex<CallQuestion?>(nil)
            let responder = try ScriptedPeer { peer, question in
                let old = first.withLock { first in
                    let old = first ?? question
                    first = old
                    return old
                }
                let header = peer.signed(question, peer.header(old, right))
                return ([header, peer.reveal(question, right)], false)
            }
            try await responder.connect(to: node)
            let once = try await ask(node, responder)
            #expect(once.outcome == .answered && once.balance == -1_000 && once.failed == 0)
            let twice = try await ask(node, responder)
            #expect(twice.outcome == .failed(.replayed))
            #expect(twice.balance == -1_000 && twice.failed == 1)
            responder.close()
        }
    }

    @Test("a lie that fits in itself is found out by running the call here, and not paid")
    func lie() async throws {
        try await withNode(PeerFetchTests.configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let call = try Call(url: "weft://\(contract)/hello", gas: 9_000_000)
            let lie = try ScriptedPeer.record(call, "a lie", gas: 5_000_000)
            let liar = try ScriptedPeer { ($0.answer($1, lie), false) }
            try await liar.connect(to: node)
            let here = LocalCapacity(speed: 1)
            // This node is so slow that the peer is asked; who checks is this node, because there
            // is nobody else.
            let result = try await node.mesh.call(
                call, CallTerms(), .sample(millionths: 1_000_000), candidates: [liar.peer]
            ) { here }
            #expect(result.responder == .peer(liar.peer))
            #expect(result.confidence.basis == .sampling(millionths: 1_000_000))
            try await JoinTests.until("it is found out") {
                try node.computation.evidence.accused() == [liar.peer]
            }
            let (accounts, changes) = try await node.computation.balances()
            #expect(accounts.map { $0.account.balance } == [0])
            #expect(changes.map { $0.amount } == [-5_000_000, 5_000_000])
            #expect(changes.last?.cause == .lied)
            liar.close()
        }
    }

    // MARK: Askers

    /// The reason why a question was refused, or that it was answered.
    private enum End: Equatable {
        case refused(CallRefusal)
        case answered
    }

    private static func end(_ reply: CallReply, _ id: UInt64) -> End? {
        switch reply {
        case .refuse(id, let refusal): .refused(refusal)
        case .reveal(id, _, _): .answered
        default: nil
        }
    }

    @Test("an asker that never signs is served up to a limit, and no further")
    func neverSigns() async throws {
        try await withNode(PeerFetchTests.configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let asker = try ScriptedPeer()
            try await asker.connect(to: node)
            let asking = try await asker.open()
            var served = 0
            for id in 1...8 as ClosedRange<UInt64> {
                // It costs all that it was given.
                let call = try Call(url: "weft://\(contract)/loop?\(id)", gas: 700_000_000)
                try await asking.ask(id, call)
                guard
                    case .answered? = try await asking.hear(until: { Self.end($0, id) })
                else { break }
                served += 1
            }
            #expect(served == 3, "2·10⁹ credits and what exceeds them")
            try await asking.ask(20, try Call(url: "weft://\(contract)/hello", gas: 1_000_000))
            let end = try await asking.hear(until: { Self.end($0, 20) })
            #expect(end == .refused(.credit))
            // What it owes is not forgotten with the connection, and others are served.
            asker.close()
            let book = await node.mesh.creditBook()?.0
            #expect(
                book?.balance(of: asker.peer) == 2_100_000_000
                    && book?.mayServe(asker.peer, time: Self.seconds) == false)
            let stranger = PeerID(PrivateKey.generateEd25519().publicKey)
            #expect(book?.mayServe(stranger, time: Self.seconds) == true)
        }
    }

    private static var seconds: UInt64 { UInt64(Date.now.timeIntervalSince1970) }

    @Test("what is under way for an asker ends when it has got as much as it may")
    func overdrawn() async throws {
        try await withNode(PeerFetchTests.configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let asker = try ScriptedPeer()
            try await asker.connect(to: node)
            let asking = try await asker.open()
            let ids: ClosedRange<UInt64> = 1...12
            for id in ids {
                try await asking.ask(
                    id, try Call(url: "weft://\(contract)/loop?\(id)", gas: 700_000_000))
            }
            var ends: [End] = []
            while ends.count < ids.count {
                let end = try await asking.hear { reply in
                    ids.lazy.compactMap { Self.end(reply, $0) }.first
                }
                ends.append(try #require(end))
            }
            #expect(ends.count { $0 == .answered } == 6, "4·10⁹ credits and what exceeds them")
            #expect(ends.count { $0 == .refused(.credit) } == 6)
            asker.close()
        }
    }

    @Test("what this node does not serve it runs no calls of peers with; its own are its affair")
    func denied() async throws {
        try await withNode(PeerFetchTests.configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let content = try await node.addFile(Array("denied".utf8))
            let long = try await node.addFile([UInt8](repeating: 7, count: 40_000))
            let asker = try ScriptedPeer()
            try await asker.connect(to: node)
            let asking = try await asker.open()
            var id: UInt64 = 0
            func end(_ call: Call) async throws -> End? {
                id += 1
                let number = id
                try await asking.ask(number, call)
                return try await asking.hear(until: { Self.end($0, number) })
            }
            func reading(_ gas: UInt64) throws -> Call {
                try Call(
                    url: "weft://\(contract)/outcome",
                    body: .inline(Array("ipfs://\(content)".utf8)), gas: gas)
            }
            var headers = CallHeaders()
            try headers.set("weft-dir", "\(content)")
            let calls = [
                try Call(url: "weft://\(contract)/index?dir=\(content)", gas: 1_000_000),
                try Call(url: "weft://\(contract)/index", headers: headers, gas: 1_000_000),
                try Call(url: "weft://\(contract)/index", body: .content(long), gas: 1_000_000),
                try reading(1_000_000),
            ]
            for call in calls { #expect(try await end(call) == .answered) }
            // The last was computed before, when nothing was denied, another is computed now.
            node.mesh.withhold { $0 == content || $0 == long }
            for call in calls + [try reading(2_000_000)] {
                #expect(try await end(call) == .refused(.resource), "\(call.url)")
            }
            #expect(
                try await node.call("weft://\(contract)/outcome", "ipfs://\(content)").response.ok)
            node.mesh.withhold { $0 == contract }
            let hello = try Call(url: "weft://\(contract)/hello", gas: 1_000_000)
            #expect(try await end(hello) == .refused(.resource))
            node.mesh.withhold { _ in false }
            #expect(try await end(hello) == .answered)
            asker.close()
        }
    }

    @Test("all calls of peers under way read together what one call may")
    func sharedInput() async throws {
        var configuration = PeerFetchTests.configuration
        configuration.compute.input = 1_000_000
        try await withNode(configuration) { node, _ in
            let rules = try #require(node.computation.peerRules)
            let contents = (0..<2).map { _ in
                node.computation.content(.network, Trace(), rules)
            }
            try contents[0].count(600_000)
            #expect(throws: ResourceFailure.input(limit: 1_000_000)) {
                try contents[1].count(600_000)
            }
            for content in contents { content.end() }
            let next = node.computation.content(.network, Trace(), rules)
            try next.count(1_000_000)
            next.end()
            let own = node.computation.content(.network, Trace())
            try own.count(1_000_000)
        }
    }

    @Test("what cannot be run or comes in floods costs nobody anything; what is taken back does")
    func impossible() async throws {
        try await withNode(PeerFetchTests.configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let asker = try ScriptedPeer()
            try await asker.connect(to: node)
            let asking = try await asker.open()
            let none = try Call(url: "weft://\(contract)/nothing", gas: 1_000_000)
            let rules = try Call(contract, path: "/hello", gas: 1_000_000, rules: 77)
            for (id, call, refusal) in [
                (1, none, .resource), (2, rules, .notOffered),
            ] as [(UInt64, Call, CallRefusal)] {
                try await asking.ask(id, call)
                let end = try await asking.hear(until: { Self.end($0, id) })
                #expect(end == .refused(refusal))
            }
            // Taken back at once: whatever was begun is stopped, and counts.
            func loop(_ id: UInt64) throws -> CallCommand {
                .ask(
                    CallQuestion(
                        id: id, call: try Call(url: "weft://\(contract)/loop?\(id)", gas: 1 << 31),
                        nonce: [UInt8](repeating: 0, count: CallProtocol.nonceBytes),
                        maxPrice: .usual, patience: .seconds(30)))
            }
            try await asking.say([try loop(3), .cancel(3)])
            // More than 64 at a time: the rest is told to come back.
            try await asking.say(try (10..<80).map { try loop($0) })
            var busy = 0
            while busy < 6 {
                let id = try await asking.hear { reply -> UInt64? in
                    if case .refuse(let id, .busy) = reply { id } else { nil }
                }
                try #require(id != nil)
                busy += 1
            }
            // Others do not wait for them.
            try await withNode(PeerFetchTests.configuration) { other, _ in
                try await PeerFetchTests.connect(other, to: node)
                #expect(try await other.mesh.ping(node.peer) > .zero)
            }
            asking.reset()
            // A question whose number was there before, and noise, end the stream.
            for spoil in [
                CallCommand.ask(
                    CallQuestion(
                        id: 1, call: none, nonce: [UInt8](repeating: 0, count: 16),
                        maxPrice: .usual, patience: .seconds(1)))
            ] {
                let again = try await asker.open()
                try await again.say([spoil, spoil])
                let gone = try await again.hear { _ -> Bool? in nil }
                #expect(gone == nil)
            }
            let (accounts, changes) = try await node.computation.balances()
            #expect(accounts.map { $0.peer } == [asker.peer])
            for change in changes {
                guard case .withdrawn(_, let gas) = change.cause, gas <= 1 << 31 else {
                    Issue.record("nothing was finished: \(change.reason)")
                    continue
                }
            }
            asker.close()
        }
    }
}
