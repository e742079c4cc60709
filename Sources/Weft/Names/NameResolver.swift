// Mutable names: IPNS keys and DNSLink domains to immutable paths.

/// Resolves IPNS keys and DNSLink domains.
public final class NameResolver: Sendable {
    init() {}

    /// What `/ipns/<key or domain>/…` stands for; the rest of the path is kept.
    ///
    /// - Throws: ``FetchError``.
    public func resolve(
        _ path: String, cache: Request.CacheMode = .standard, limits: MeshOptions = MeshOptions(),
        trace: Trace = Trace()
    ) async throws -> ResolvedName {
        throw FetchError(.notFound, "\(path) is not known", trace: trace.entries)
    }
}
