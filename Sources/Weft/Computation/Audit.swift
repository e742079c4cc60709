// How the answers of peers to calls are checked.

import Compute

/// How the answers of peers are checked.
public enum Audit: Sendable, Hashable {
    /// Peers are not asked: this node runs the call itself.
    case selfExecution
    /// One answer of twenty is asked for again, from another peer, after it came.
    case sample
    /// So many peers must give the same answer, 2 to 16.
    case quorum(Int)
    /// Not at all.
    case none
}

extension Audit {
    /// Reads `self`, `sample`, `none` or `quorum:k`; nil for anything else.
    public init?(text: String) {
        switch text {
        case "self": self = .selfExecution
        case "sample": self = .sample
        case "none": self = .none
        default:
            guard text.hasPrefix("quorum:"), let count = Int(text.dropFirst(7)),
                2...Int(CallAudit.maxQuorum) ~= count
            else { return nil }
            self = .quorum(count)
        }
    }

    /// The same in the terms of the call protocol.
    var machine: CallAudit {
        switch self {
        case .selfExecution: .selfExecution
        case .sample: .usual
        case .quorum(let count): .quorum(UInt32(clamping: count))
        case .none: .none
        }
    }
}
