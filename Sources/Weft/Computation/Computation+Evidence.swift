// Proofs that a peer has lied: looked at, and run again where an activation decides.

public import Compute

/// What a proof comes to.
public struct EvidenceFinding: Sendable {
    /// Whether the accused peer has lied.
    public let isProven: Bool
    /// Why, for people.
    public let reason: String
}

extension Computation {
    /// Looks into a proof. It needs the contract and what the activation read, and nothing else
    /// that is not in it.
    ///
    /// - Throws: ``FetchError`` if this node cannot run the activation; `CancellationError`.
    public func examine(_ evidence: Evidence) async throws -> EvidenceFinding {
        let verdict: EvidenceVerdict
        do throws(EvidenceFault) {
            verdict = try evidence.examine()
        } catch {
            return EvidenceFinding(isProven: false, reason: "\(error)")
        }
        switch verdict {
        case .proven:
            return EvidenceFinding(
                isProven: true, reason: "what the peer has signed contradicts itself")
        case .dependsOn(let order):
            guard let fault = try await fault(of: order) else {
                return EvidenceFinding(
                    isProven: false, reason: "run again, the activation gives the same record")
            }
            return EvidenceFinding(isProven: true, reason: "run again, \(fault)")
        }
    }
}
