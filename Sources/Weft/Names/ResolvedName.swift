// What a mutable name stands for at the moment.

/// What a mutable name stands for at the moment.
public struct ResolvedName: Sendable, Hashable {
    /// The immutable path, `/ipfs/<cid>/…`.
    public let path: String
    /// How long this may be taken for true without asking again.
    public let ttl: Duration

    /// A name that stands for this path.
    public init(path: String, ttl: Duration) {
        self.path = path
        self.ttl = ttl
    }
}
