// Retrieval: whom this node asks for content, and what it has learnt about them.

import AsyncHTTPClient
import BlockStore
import Logging
import Multiformats
import NIOCore
import Synchronization

/// Whom a node asks for content, and what it has learnt about them.
public final class Retrieval: Sendable {
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

    /// Who stores what providers bring.
    enum Storing: Sendable {
        /// The retrieval, as cache.
        case asCache
        /// Whoever reads it.
        case byReader
    }

    /// The limits.
    public var options: RetrievalOptions { shared.options }

    let shared: Shared

    init(
        cache: BlockCache, client: HTTPClient, mesh: Mesh? = nil, options: RetrievalOptions,
        logger: Logger
    ) {
        shared = Shared(
            cache: cache, client: client, mesh: mesh, options: options, logger: logger)
    }

    /// Begins to fetch what `scope` says; nothing is asked before the first missing block.
    public func session(
        for scope: RetrievalScope, policy: Policy = .network, limits: MeshOptions = MeshOptions(),
        trace: Trace = Trace()
    ) -> RetrievalSession {
        session(for: scope, policy: policy, limits: limits, trace: trace, storing: .asCache)
    }

    /// As ``session(for:policy:limits:trace:)``.
    ///
    /// - Parameter gate: what its readers pass before they wait for others.
    func session(
        for scope: RetrievalScope, policy: Policy = .network, limits: MeshOptions,
        trace: Trace = Trace(), storing: Storing, gate: RetrievalSession.Gate? = nil
    ) -> RetrievalSession {
        let policy = options.network == .offline ? .localOnly : policy
        return RetrievalSession(
            RetrievalCore(
                scope, policy: policy, storing: storing, limits: limits, trace: trace,
                shared: shared), gate)
    }

    /// Keeps a block as if it had been fetched; it returns at once.
    func keep(_ block: Block) { shared.writer.put([block]) }

    /// Waits until everything fetched so far is stored, or given up.
    public func flush() async {
        await shared.writer.flush()
    }

    /// Who can be asked for the records of names.
    var nameSources: NameResolver.Sources {
        NameResolver.Sources(
            network: options.network, routers: shared.routers,
            gateways: shared.configured.map { shared.gateway($0, .configured) },
            mesh: shared.mesh, dht: shared.mesh.map { DHTRecords($0) },
            timeout: options.routingTimeout)
    }

    /// What all sessions share.
    final class Shared: Sendable {
        let options: RetrievalOptions
        let client: HTTPClient
        /// The node's peers; nil for one that has none.
        let mesh: Mesh?
        let writer: CacheWriter
        let configured: [ProviderAddress]
        let routers: [DelegatedRouting]

        private let cache: BlockCache
        private let records = Mutex(ProviderRecords())
        private let began = ContinuousClock.now

        init(
            cache: BlockCache, client: HTTPClient, mesh: Mesh?, options: RetrievalOptions,
            logger: Logger
        ) {
            self.cache = cache
            self.client = client
            self.mesh = mesh
            self.options = options
            writer = CacheWriter(cache, logger: logger)
            configured = options.providers.compactMap { ProviderAddress(url: $0) }
            routers = options.routers.compactMap { DelegatedRouting($0, client: client) }
            for url in options.providers where ProviderAddress(url: url) == nil {
                logger.warning("providers.http names '\(url)', which is no http or https URL")
            }
        }

        /// A block that is here or about to be stored.
        func stored(_ hash: Multihash) async throws -> ByteBuffer? {
            if let bytes = writer.pending(hash) { return bytes }
            return try await cache.block(hash)
        }

        /// Which of these blocks are here or about to be stored.
        func present(_ hashes: [Multihash]) async throws -> Set<Multihash> {
            try await cache.present(hashes).union(hashes.filter { writer.pending($0) != nil })
        }

        func part(
            _ range: Range<Int>, of hash: Multihash, size: Int
        ) async throws -> ByteBuffer? {
            try await cache.part(range, hash, size)
        }

        func gateway(
            _ address: ProviderAddress, _ origin: TrustlessGateway.Origin
        ) -> TrustlessGateway {
            TrustlessGateway(
                address: address, origin: origin, client: client,
                privateAddresses: options.privateAddresses)
        }

        func note(_ name: String, _ fault: Fault) {
            records.withLock { $0.note(name, fault, now: began.duration(to: .now)) }
        }

        func note(_ name: String, rate: Double) {
            records.withLock { $0.note(name, rate: rate, now: began.duration(to: .now)) }
        }

        func ban(_ name: String) -> Fault? {
            records.withLock { $0.ban(name, now: began.duration(to: .now)) }
        }

        func rank(_ name: String, unknown: Double) -> Double {
            records.withLock { $0.rank(name, unknown: unknown, now: began.duration(to: .now)) }
        }

        /// Asks all routers who has `cid`, at the same time.
        func lookUp(
            _ cid: CID, trace: Trace, found: @escaping @Sendable ([ProviderAddress]) -> Void
        ) async {
            let timeout = TimeAmount(options.routingTimeout)
            await withDiscardingTaskGroup { group in
                for router in routers {
                    group.addTask {
                        let mark = trace.begin(.routing, "providers of \(cid)", peer: router.base)
                        let count = Mutex(0)
                        do {
                            let (status, bytes) = try await router.providers(
                                of: cid, deadline: .now() + timeout
                            ) { addresses in
                                count.withLock { $0 += addresses.isEmpty ? 0 : 1 }
                                found(addresses)
                            }
                            trace.end(
                                mark, "\(count.withLock { $0 }) providers", succeeded: true,
                                status: status, bytes: UInt64(bytes))
                        } catch {
                            trace.end(mark, "no answer: \(error)", succeeded: false)
                        }
                    }
                }
            }
        }
    }
}
