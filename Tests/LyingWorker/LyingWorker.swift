// Who lies about calls, for tests: no node does, and none can be told to.

import Compute
import Multiformats
import NodeCore

@testable import Weft

/// Runs calls as a node does, and then says something else.
struct LyingWorker: CallWorker {
    /// What it answers to everybody.
    static let lie = "a lie"

    private let honest: Computation

    /// A worker beside that of a node.
    init(_ honest: Computation) { self.honest = honest }

    func start(
        _ call: Call, _ purpose: RunPurpose, done: @escaping @Sendable (CallRecord?) -> Void
    ) -> @Sendable () -> UInt64 {
        honest.start(call, purpose) { record in
            guard let record, let output = CallOutput(body: .inline(Array(Self.lie.utf8)))
            else { return done(nil) }
            done(
                try? CallRecord(
                    call, outcome: .ok, output: output, gas: record.gas, ownGas: record.ownGas,
                    reads: record.reads, children: record.children))
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
