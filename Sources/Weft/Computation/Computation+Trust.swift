// What peers are worth to this node: proofs against them, and what they have vouched for.

public import Compute
import Logging
import Multiformats
import NodeCore
import Wire

extension Computation {
    /// How long a proof is looked into that somebody has sent.
    private static let examineTime = Duration.seconds(10)
    /// How many bytes of proofs are given to the mesh at a start.
    private static let maxRecalledBytes = 4 << 20

    /// Looks into a file that a peer says is a proof.
    func examine(file: [UInt8]) async -> ProofFinding {
        switch ProofQuestion(file: file) {
        case .answered(let finding): return finding
        case .replay(let evidence, let order):
            // It cannot be told if the contract cannot be had, or takes too long.
            let replay = try? await replayed(order, within: Self.examineTime)
            return ProofFinding(evidence, order, by: replay)
        }
    }

    /// A peer has lied.
    func convicted(_ peer: PeerID, by evidence: Evidence) {
        logger.warning("a peer lied about a call and is banned", metadata: ["peer": "\(peer)"])
        answers.forget([peer])
        do {
            try self.evidence.keep(evidence)
        } catch {
            logger.error("the evidence could not be kept", metadata: ["error": "\(error)"])
        }
    }

    /// Gives the mesh the newest proofs that were found before this node was started, so that
    /// others can have them.
    func recallProofs() async {
        var bytes = 0
        for peer in (try? evidence.accused()) ?? [] {
            guard let proof = evidence.evidence(against: peer) else { continue }
            bytes += proof.encoded.count
            guard bytes <= Self.maxRecalledBytes else { return }
            await mesh?.know(proof)
        }
    }

    func mayRecall(_ call: Call) -> Bool { answers.mayKnow(call) }

    /// What others have answered to a call, to be passed on to a peer that asks for it; nil if this
    /// node has an answer of its own, or none at all.
    func recall(_ call: Call) async -> ResultHistory? {
        guard memo.record(of: call.cid) == nil else { return nil }
        return await answers.history(of: call, store)
    }

    func vouched(_ answer: CallAnswer, via peer: PeerID?) { answers.keep(answer, via: peer) }

    func disbelieve(_ record: CallRecord) { answers.forget(record) }

    /// Who vouches for a record: whether this node has computed it, and who has signed it.
    public func history(of record: CallRecord) -> (isOwn: Bool, vouchers: [Voucher]) {
        (memo.record(of: record.call.cid) == record.cid, answers.vouchers(of: record))
    }
}
