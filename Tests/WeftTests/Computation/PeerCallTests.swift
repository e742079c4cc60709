// Calls that peers run: several agree, and one that lies is caught with a proof that a
// stranger can check.

import BlockStore
import Compute
import ContractText
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import NodeCore
import Testing
import Wire

@testable import LyingWorker
@testable import Weft

@Suite(.serialized) struct PeerCallTests {
    /// Nodes that run calls, the first of them connected to all others.
    static func withNodes(
        _ count: Int, _ body: ([Node]) async throws -> Void
    ) async throws {
        var bases: [TemporaryDirectory] = []
        var nodes: [Node] = []
        do {
            for _ in 0..<count {
                bases.append(try TemporaryDirectory())
                nodes.append(
                    try await Node.start(
                        at: bases[bases.count - 1].path,
                        configuration: PeerFetchTests.configuration))
            }
            for other in nodes.dropFirst() {
                try await PeerFetchTests.connect(nodes[0], to: other)
            }
            try await JoinTests.until("everyone has said what it speaks") {
                let peers = try await nodes[0].mesh.peers()
                return nodes[0].mesh.hasResponders
                    && peers.allSatisfy { !$0.protocols.isEmpty }
            }
            try await body(nodes)
        } catch {
            for node in nodes { await node.stop() }
            throw error
        }
        for node in nodes { await node.stop() }
    }

    @Test("two peers are asked, agree, and the answer says so; both are owed for it")
    func agreement() async throws {
        try await Self.withNodes(3) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let (response, text, _) = try await nodes[0].call(
                "weft://\(contract)/hello", "mesh"
            ) {
                $0.mesh.audit = .quorum(2)
            }
            #expect(response.status == .ok && text == "hello mesh")
            let info = try #require(response.mesh.call)
            guard case .peer(let peer) = info.responder else {
                Issue.record("a peer ran it, not \(info.responder)")
                return
            }
            #expect(nodes[1...].contains { $0.mesh.peer == peer })
            #expect(info.confidence.hasPrefix("2 peers agree"))
            #expect(info.amount > 0)
            let (accounts, changes) = try await nodes[0].computation.balances()
            #expect(accounts.count == 2 && accounts.allSatisfy { $0.account.balance < 0 })
            #expect(changes.count == 2)
            // What peers say is nothing that this node would vouch for.
            #expect(nodes[0].computation.memo.record(of: try await call(info, nodes[0])) == nil)
        }
    }

    /// The call of a record.
    private func call(_ info: CallInfo, _ node: Node) async throws -> CID {
        try #require(try await node.computation.tree(info.record).first).record.call.cid
    }

    @Test("one of three lies: it is not believed, and a stranger is convinced by the proof")
    func lying() async throws {
        try await Self.withNodes(4) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            nodes[2].mesh.serveCalls(by: LyingWorker(nodes[2].computation))
            let (response, text, _) = try await nodes[0].call(
                "weft://\(contract)/hello", "truth"
            ) {
                $0.mesh.audit = .quorum(3)
            }
            #expect(response.status == .ok && text == "hello truth")
            let directory = nodes[0].repository.evidenceDirectory
            try await JoinTests.until("the proof is kept") {
                (try? Files.names(in: directory))?.isEmpty == false
            }
            let name = try #require(try Files.names(in: directory).first)
            let bytes = try #require(try SmallFile.read("\(directory)/\(name)"))
            let evidence = try Evidence(decoding: bytes.rawSpan)
            #expect(evidence.accused == nodes[2].mesh.peer)
            // A node that has nothing to do with them needs the file and the contract.
            try await withNode(PeerFetchTests.configuration) { stranger, _ in
                _ = try await stranger.publish(contract: ContractText.many)
                let finding = try await stranger.computation.examine(evidence)
                #expect(finding.isProven, "\(finding.reason)")
            }
        }
    }

    @Test("what is no method of the contract is said, whoever was asked")
    func noMethod() async throws {
        try await Self.withNodes(2) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let (response, _, _) = try await nodes[0].call("weft://\(contract)/nothing")
            #expect(response.status == .notFound)
        }
    }
}
