// For whom this node runs a call, which decides whose word the result may rest on.

public import Multiformats

/// For whom a call is run.
public enum RunPurpose: Hashable, Sendable {
    /// For a peer, whom this node answers with its signature. Nothing of it may rest on what a peer
    /// says: all that the call calls runs here. With `mayRecall` the peer takes signed answers of
    /// others instead.
    case peer(PeerID, mayRecall: Bool)
    /// For this node itself. What the call calls may be asked of peers, on these terms and checked
    /// like this; with ``CallAudit/selfExecution`` it all runs here.
    case own(CallTerms, CallAudit)

    /// Whether it is for this node itself.
    public var isOwn: Bool {
        if case .own = self { true } else { false }
    }
}
