// What somebody says to be a proof, looked at: what it comes to, or what has to be run to tell.

import Multiformats
import Wire

/// What can be told of a proof without running anything.
public enum ProofQuestion: Sendable {
    /// All that there is to it.
    case answered(ProofFinding)
    /// It depends on what an activation gives when it is run again.
    case replay(Evidence, ReplayOrder)

    /// Looks at a file.
    public init(file: [UInt8]) {
        guard let evidence = try? Evidence(decoding: file.rawSpan) else {
            self = .answered(.baseless)
            return
        }
        // Nobody is to be blamed for a key that this build does not know.
        if evidence.accused.publicKey?.canVerify == false {
            self = .answered(.undecided)
            return
        }
        guard let verdict = try? evidence.examine() else {
            self = .answered(.baseless)
            return
        }
        switch verdict {
        case .proven: self = .answered(.proven(evidence))
        case .dependsOn(let order): self = .replay(evidence, order)
        }
    }
}

extension ProofFinding {
    /// What a proof comes to by what its activation gives here; nil if it could not be run.
    public init(_ evidence: Evidence, _ order: ReplayOrder, by replay: Replay?) {
        guard let replay else {
            self = .undecided
            return
        }
        self = order.isRefuted(by: replay) ? .proven(evidence) : .baseless
    }
}
