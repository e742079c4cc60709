// A node that lies about calls: it runs each as any node does, and signs another answer. There is
// no switch for that in the product, so it runs in the tests' own process.

import Compute
import Foundation
import Multiformats
import NodeCore
import Testing

@testable import Weft

/// A node whose answers to peers are wrong, and which is honest else.
final class LyingNode {
    private let node: Node
    /// Where it listens, with its name.
    let address: String
    /// Its name.
    var peer: String { "\(node.peer)" }

    /// What it answers to everybody.
    static let lie = "a lie"

    /// Starts one in a folder; it contacts nobody by itself.
    init(at directory: String) async throws {
        var configuration = Configuration()
        configuration.routing.delegated = []
        configuration.mesh.mdns = .off
        configuration.mesh.portMapping = .off
        node = try await Node.start(at: directory, configuration: configuration)
        let place = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0")
        _ = try await node.mesh.listen(on: [place])
        address = "\(try #require(node.mesh.addresses.first))"
        node.mesh.serveCalls(by: Worker(honest: node.computation))
    }

    /// Runs calls as its node does, and then says something else.
    private struct Worker: CallWorker {
        let honest: Computation

        func start(
            _ call: Call, _ purpose: RunPurpose, done: @escaping @Sendable (CallRecord?) -> Void
        ) -> @Sendable () -> Void {
            honest.start(call, purpose) { record in
                guard let record,
                    let output = CallOutput(body: .inline(Array(LyingNode.lie.utf8)))
                else { return done(nil) }
                done(
                    try? CallRecord(
                        call, outcome: .ok, output: output, gas: record.gas,
                        ownGas: record.ownGas, reads: record.reads, children: record.children))
            }
        }

        var queue: Duration { .zero }

        func replay(_ activation: ReplayOrder) async -> Replay? { nil }
        func records(_ cids: [CID], from peer: PeerID?) async -> [[UInt8]]? { nil }
        func convicted(_ peer: PeerID, by evidence: Evidence) {}
        func refuted(_ right: CallRecord?) {}
        func examine(file: [UInt8]) async -> ProofFinding { .undecided }
        func mayRecall(_ call: Call) -> Bool { false }
        func recall(_ call: Call) async -> ResultHistory? { nil }
        func vouched(_ answer: CallAnswer, via peer: PeerID?) {}
        func disbelieve(_ record: CallRecord) {}
        func keep(_ receipt: Receipt) throws { try honest.keep(receipt) }
        func changed(_ change: BalanceChange) { honest.changed(change) }
    }

    func stop() async { await node.stop() }
}
