// Mutable names: IPNS keys (specs.ipfs.tech/ipns) and DNSLink domains (dnslink.dev) to immutable
// paths. A valid record at hand is the answer at once; when its time to live is over, a newer one
// is looked for in the background. Nobody ever waits for a quorum.

import AsyncHTTPClient
import CoreFoundation
import Glibc
import IPLD
public import Multiformats
import NIOCore
import Synchronization
import Wire

/// Resolves IPNS keys and DNSLink domains.
public final class NameResolver: Sendable {
    /// How long others may still bring a better record after the first valid one came.
    static let grace: Duration = .milliseconds(300)
    /// How many names are remembered as looked up.
    static let capacity = 4096
    /// The longest time that a record may claim to be taken for the newest.
    static let maxTTL: Duration = .seconds(86_400)

    /// Who can be asked for records.
    struct Sources: Sendable {
        var network: Configuration.Network
        var routers: [DelegatedRouting]
        var gateways: [TrustlessGateway]
        /// Whose connected peers are asked too.
        var mesh: Mesh?
        /// The DHTs; nil for a node that has none.
        var dht: DHTRecords?
        /// How long one of them may take.
        var timeout: Duration = .seconds(10)
    }

    private enum LookUpEvent { case found, nothing, timeUp }

    private struct State {
        /// When each name was looked up last.
        var lookedUp: [PeerID: Duration] = [:]
        /// What is being looked up now, in the background.
        var refreshes: [PeerID: Task<Void, Never>] = [:]
        var isStopped = false
    }

    private let records: NameRecords
    private let dns: DNSResolver
    private let sources: Sources
    private let now: @Sendable () -> Timestamp
    private let state = Mutex(State())
    private let began = ContinuousClock.now

    init(
        records: NameRecords, dns: DNSResolver, sources: Sources,
        now: @escaping @Sendable () -> Timestamp = NameResolver.systemTime
    ) {
        self.records = records
        self.dns = dns
        self.sources = sources
        self.now = now
    }

    /// What `/ipns/<key or domain>/…` stands for; the rest of the path is kept as it is.
    ///
    /// - Throws: ``FetchError``.
    public func resolve(
        _ path: String, cache: Request.CacheMode = .standard, limits: MeshOptions = MeshOptions(),
        trace: Trace = Trace()
    ) async throws -> ResolvedName {
        var path = path
        var ttl = Self.maxTTL
        for _ in 0..<DNSLink.maxRecursions {
            guard path.hasPrefix("/ipns/") else {
                return ResolvedName(path: path, ttl: ttl)
            }
            let whole = path.dropFirst(6)
            let name = String(whole.prefix { $0 != "/" })
            let rest = whole.dropFirst(name.count)
            let step: (value: String, ttl: Duration)
            if let key = try? PeerID(text: name) {
                step = try await value(of: key, cache: cache, limits: limits, trace: trace)
            } else {
                step = try await link(of: name, cache: cache, trace: trace)
            }
            ttl = min(ttl, step.ttl)
            path = try Self.canonical(step.value, of: name) + rest
        }
        throw FetchError(
            .malformed, "\(path) leads through more than \(DNSLink.maxRecursions) names",
            trace: trace.entries)
    }

    /// The newest valid record of a name that is known or can be found, and how long it may be
    /// taken for the newest; nil if there is none.
    public func record(
        of name: PeerID, cache: Request.CacheMode = .standard, trace: Trace = Trace()
    ) async throws -> (bytes: [UInt8], ttl: Duration)? {
        guard let record = try await newest(name, cache: cache, limits: nil, trace: trace) else {
            return nil
        }
        return (record.encoded, ttl(of: record))
    }

    /// The same, with nobody but the DHTs to ask, and known records good enough.
    public func recordFromDHT(
        of name: PeerID, within time: Duration
    ) async throws -> (bytes: [UInt8], ttl: Duration)? {
        if try await record(of: name, cache: .onlyIfCached) == nil, sources.network == .online {
            let dht = sources.dht
            // When the time is up, the search goes on for whoever asks next.
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = await self.ask(dht, for: name, trace: Trace()) }
                group.addTask { _ = await Self.pause(time) }
                await group.next()
                group.cancelAll()
            }
        }
        return try await record(of: name, cache: .onlyIfCached)
    }

    /// Takes a record that somebody brings.
    ///
    /// - Throws: what is wrong with it.
    public func accept(_ bytes: [UInt8], of name: PeerID) throws {
        let record = try IPNSRecord(decoding: bytes.span.bytes)
        try record.validate(for: name, at: now())
        try records.keep(record, of: name)
    }

    /// Ends what goes on in the background, and waits for its end.
    func stop() async {
        let tasks = state.withLock { state in
            state.isStopped = true
            return Array(state.refreshes.values)
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        await sources.dht?.stop()
    }

    // MARK: IPNS

    private func value(
        of key: PeerID, cache: Request.CacheMode, limits: MeshOptions, trace: Trace
    ) async throws -> (value: String, ttl: Duration) {
        let found = try await newest(key, cache: cache, limits: limits, trace: trace)
        guard let record = found else {
            let offline = cache == .onlyIfCached || sources.network == .offline
            throw FetchError(
                offline ? .offline : .notFound,
                offline
                    ? "no valid record of \(key.ipnsName) is stored here"
                    : "nobody who was asked has a valid record of \(key.ipnsName)",
                trace: trace.entries)
        }
        guard let value = record.path else {
            throw FetchError(
                .malformed, "the record of \(key.ipnsName) names no path", trace: trace.entries)
        }
        return (value, ttl(of: record))
    }

    /// The record to go by, as the cache mode wants it.
    private func newest(
        _ key: PeerID, cache: Request.CacheMode, limits: MeshOptions?, trace: Trace
    ) async throws -> IPNSRecord? {
        let stored = try records.record(of: key)
        let known = stored.flatMap { isValid($0, for: key) ? $0 : nil }
        let isOffline = sources.network == .offline
        switch cache {
        case .onlyIfCached, .forceCache:
            if let stored, known != nil || isSigned(stored, by: key) {
                note(stored, of: key, trace: trace)
                return stored
            }
            if cache == .onlyIfCached { return nil }
        case .standard:
            if let known {
                note(known, of: key, trace: trace)
                if !isFresh(known, of: key) { refresh(key) }
                return known
            }
        case .noCache, .reload, .noStore: break
        }
        if isOffline { return known }
        try await lookUp(key, limits: limits, trace: trace)
        return try records.record(of: key).flatMap { isValid($0, for: key) ? $0 : nil }
    }

    private func note(_ record: IPNSRecord, of key: PeerID, trace: Trace) {
        trace.note(
            .store, "record of \(key.ipnsName)",
            "number \(record.sequence), valid until \(record.validUntil.rfc3339)",
            succeeded: true)
    }

    /// Looks for a newer record without anyone waiting for it.
    private func refresh(_ key: PeerID) {
        guard sources.network == .online else { return }
        state.withLock { state in
            guard !state.isStopped, state.refreshes[key] == nil else { return }
            state.refreshes[key] = Task { [weak self] in
                guard let self else { return }
                // Nobody waits for the result; the next look-up tries again if this one fails.
                try? await self.lookUp(key, limits: nil, trace: Trace())
                self.state.withLock { $0.refreshes[key] = nil }
            }
        }
    }

    /// Asks everyone at the same time, and keeps the best record that comes. It ends a moment
    /// after the first valid one, or when all have answered, or when the time is up.
    private func lookUp(_ key: PeerID, limits: MeshOptions?, trace: Trace) async throws {
        let timeout = min(
            sources.timeout, limits?.idleDeadline ?? sources.timeout,
            limits?.deadline.map { max(.zero, $0 - trace.elapsed) } ?? sources.timeout)
        let until = NIODeadline.now() + TimeAmount(timeout)
        let name = key.ipnsName
        let holders = await sources.mesh?.recordHolders() ?? []
        await withTaskGroup(of: LookUpEvent.self) { group in
            var open = sources.routers.count + sources.gateways.count + holders.count
            if let dht = sources.dht {
                open += 1
                group.addTask {
                    await self.ask(dht, for: key, trace: trace) ? .found : .nothing
                }
            }
            for peer in holders {
                group.addTask {
                    await self.ask(peer.description, for: key, trace: trace) {
                        try await self.sources.mesh?.record(of: key, from: peer).map {
                            ByteBuffer(bytes: $0)
                        }
                    } ? .found : .nothing
                }
            }
            for router in sources.routers {
                group.addTask {
                    await self.ask(router.base, for: key, trace: trace) {
                        try await router.record(
                            of: name, limit: IPNSRecord.maxBytes, deadline: until
                        ).record
                    } ? .found : .nothing
                }
            }
            for gateway in sources.gateways {
                group.addTask {
                    await self.ask(gateway.address.base, for: key, trace: trace) {
                        try await gateway.record(of: name, limit: IPNSRecord.maxBytes)
                    } ? .found : .nothing
                }
            }
            group.addTask { await Self.pause(timeout) }
            var isFound = false
            loop: while open > 0, let event = await group.next() {
                switch event {
                case .timeUp: break loop
                case .nothing: open -= 1
                case .found:
                    open -= 1
                    if !isFound { group.addTask { await Self.pause(Self.grace) } }
                    isFound = true
                }
            }
            group.cancelAll()
        }
        try Task.checkCancellation()
        state.withLock { state in
            if state.lookedUp.count >= Self.capacity { state.lookedUp = [:] }
            state.lookedUp[key] = began.duration(to: .now)
        }
    }

    /// Asks the DHTs; answers whether there was a valid record, which is then kept.
    private func ask(_ dht: DHTRecords?, for key: PeerID, trace: Trace) async -> Bool {
        guard let dht else { return false }
        let mark = trace.begin(.name, "record of \(key.ipnsName)", peer: "DHT")
        let isFound = await dht.find(key) { bytes in
            do {
                try self.accept(bytes, of: key)
                return true
            } catch {
                return false
            }
        }
        trace.end(mark, isFound ? "a valid one" : "none was found", succeeded: isFound)
        return isFound
    }

    private static func pause(_ time: Duration) async -> LookUpEvent {
        // Cancelled means that nobody waits for it any more.
        try? await Task.sleep(for: time)
        return .timeUp
    }

    /// Asks one source; answers whether it had a valid record, which is then kept.
    private func ask(
        _ peer: String, for key: PeerID, trace: Trace,
        _ body: () async throws -> ByteBuffer?
    ) async -> Bool {
        let mark = trace.begin(.name, "record of \(key.ipnsName)", peer: peer)
        do {
            guard let bytes = try await body() else {
                trace.end(mark, "it has none", succeeded: false)
                return false
            }
            let record = try IPNSRecord(decoding: bytes.readableBytesSpan)
            try record.validate(for: key, at: now())
            try records.keep(record, of: key)
            trace.end(
                mark, "number \(record.sequence)", succeeded: true,
                bytes: UInt64(bytes.readableBytes))
            return true
        } catch {
            trace.end(mark, "\(error)", succeeded: false)
            return false
        }
    }

    private func isValid(_ record: IPNSRecord, for key: PeerID) -> Bool {
        do {
            try record.validate(for: key, at: now())
            return true
        } catch {
            return false
        }
    }

    /// Whether the owner made the record, even if it has run out.
    private func isSigned(_ record: IPNSRecord, by key: PeerID) -> Bool {
        do {
            try record.validate(for: key, at: now())
            return true
        } catch {
            if case .expired = error { return true }
            return false
        }
    }

    private func isFresh(_ record: IPNSRecord, of key: PeerID) -> Bool {
        guard let last = state.withLock({ $0.lookedUp[key] }) else { return false }
        return began.duration(to: .now) - last < ttl(of: record)
    }

    private func ttl(of record: IPNSRecord) -> Duration {
        let left = Duration.seconds(max(0, record.validUntil.seconds - now().seconds))
        let own = Duration.nanoseconds(Int64(clamping: record.ttlNanoseconds))
        return min(own, left, Self.maxTTL)
    }

    // MARK: DNSLink

    private func link(
        of domain: String, cache: Request.CacheMode, trace: Trace
    ) async throws -> (value: String, ttl: Duration) {
        guard domain.utf8.count <= 253, domain.contains(".") else {
            throw FetchError(.badRequest, "'\(domain)' is neither a key's name nor a domain")
        }
        let records = try await dns.texts(
            of: DNSLink.prefix + domain, cache: cache, network: sources.network, trace: trace)
        do {
            return (try DNSLink.parse(records.texts), records.ttl)
        } catch {
            let text =
                switch error {
                case .missing: "\(domain) has no DNSLink record"
                case .ambiguous: "\(domain) has more than one DNSLink record"
                }
            throw FetchError(
                error == .missing ? .notFound : .malformed, text, trace: trace.entries)
        }
    }

    // MARK: Small parts

    /// A path of a record, which is not percent-encoded, as a path of a URL, which is.
    private static func canonical(_ value: String, of name: String) throws -> String {
        let parts = value.split(separator: "/").map(String.init)
        guard value.hasPrefix("/"), parts.count >= 2, value.utf8.count <= ContentPath.maxLength,
            let namespace = ContentPath.Namespace(rawValue: parts[0])
        else {
            throw FetchError(.malformed, "\(name) stands for '\(value)', which is no content path")
        }
        return ContentPath(namespace, root: parts[1], segments: Array(parts.dropFirst(2))).encoded
    }

    /// The time of the system's clock.
    @Sendable static func systemTime() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }
}
