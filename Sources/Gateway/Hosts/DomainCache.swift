// Which domains are DNSLink sites. A host comes from the client, so what is remembered and how
// long is waited are bounded.

import Synchronization
import Weft

/// Remembers which domains have no DNSLink, so that each is looked up only once in a while.
final class DomainCache: Sendable {
    /// How many domains are remembered.
    private static let maxDomains = 1_024
    /// For how long a domain without DNSLink stays one.
    private static let memory = Duration.seconds(60)

    private let without = Mutex<[String: ContinuousClock.Instant]>([:])

    /// What the DNSLink of a domain stands for; nil if it has none that can be resolved now.
    func site(
        _ host: String,
        resolve: @Sendable (String, Request.CacheMode, Trace) async throws -> ResolvedName
    ) async -> ResolvedName? {
        let now = ContinuousClock.now
        let isKnown = without.withLock { domains in
            guard let since = domains[host] else { return false }
            if since.duration(to: now) < Self.memory { return true }
            domains[host] = nil
            return false
        }
        if isKnown { return nil }
        do {
            return try await resolve("/ipns/\(host)", .standard, Trace())
        } catch {
            // Whatever the reason, the request can still be one for a path.
            without.withLock { domains in
                if domains.count >= Self.maxDomains { domains.removeAll() }
                domains[host] = now
            }
            return nil
        }
    }
}
