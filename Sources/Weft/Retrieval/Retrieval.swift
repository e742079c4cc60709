// Retrieval: whom this node asks for content, and what it has learnt about them.

/// Whom a node asks for content, and what it has learnt about them.
public final class Retrieval: Sendable {
    /// The limits.
    public let options: RetrievalOptions

    init(options: RetrievalOptions) {
        self.options = options
    }

    /// Which sources one session may use.
    public enum Policy: Sendable {
        /// The store, then providers.
        case network
        /// The store alone.
        case localOnly
        /// Providers alone; what they bring is stored.
        case reload
        /// Providers alone; nothing is stored.
        case noStore
    }

    /// Begins to fetch what `scope` says; nothing is asked before the first missing block.
    public func session(
        for scope: RetrievalScope, policy: Policy = .network, limits: MeshOptions = MeshOptions(),
        trace: Trace = Trace()
    ) -> RetrievalSession {
        RetrievalSession(trace: trace)
    }

    /// Ends all work; what is still to be stored is stored.
    public func shutdown() async {}
}
