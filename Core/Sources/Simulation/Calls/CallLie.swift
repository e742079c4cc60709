// Peers that run calls dishonestly. Such a peer is a node like all others, but that what it
// computes or sends is changed on the way.

import Compute
import Wire

/// How a peer lies when it is asked to run a call.
public enum CallLie: String, Sendable, CaseIterable {
    /// Its output is wrong, at the top of the tree of records. All of these give the same one.
    case output
    /// Its output is wrong somewhere below, and everything above fits to that.
    case leaf
    /// It says that it used more gas than it did.
    case gas
    /// The same, but it does not give out the records that it has committed to.
    case withholding
    /// It never answers.
    case stall
    /// It sends its header and nothing more.
    case vanish
    /// It sends its first answer again and again.
    case replay
    /// It answers another call.
    case otherQuestion
    /// Its answers are right, but all receipts that it signs have one and the same place in its
    /// chain.
    case fork

    /// Whether its answers are well formed and signed, so that only a check finds it out.
    public var isQuiet: Bool {
        switch self {
        case .output, .leaf, .gas, .withholding: true
        case .stall, .vanish, .replay, .otherQuestion, .fork: false
        }
    }
}
