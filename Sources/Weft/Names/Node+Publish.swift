// Publishing names: a signed record that says what a key stands for, kept here, handed to the DHTs
// and the routers that are configured, and renewed while the node runs
// (specs.ipfs.tech/ipns/ipns-record).

import AsyncHTTPClient
public import IPLD
import Logging
public import Multiformats
import NIOCore
import NIOHTTP1
import NodeCore
import Wire

/// A name that was published.
public struct PublishedName: Sendable, Hashable {
    /// What a router said to a record.
    public struct Announcement: Sendable, Hashable {
        /// The router's URL, or "DHT".
        public let router: String
        /// Why it did not take the record; nil if it did.
        public let failure: String?
    }

    /// The name.
    public let name: PeerID
    /// What it stands for.
    public let value: String
    /// The record.
    public let record: IPNSRecord
    /// What the routers said. Without any, the name is known only to those who ask this node.
    public let announcements: [Announcement]
}

/// Why a name cannot be published.
public enum PublishError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What it should stand for is no path.
    case notAPath(String)
    /// A newer record is known, which someone else published with the same key.
    case outdated(PeerID)

    public var description: String {
        switch self {
        case .notAPath(let text): "'\(text)' is neither an /ipfs/ path, an /ipns/ path nor a CID"
        case .outdated(let name): "a newer record of \(name.ipnsName) is known; publish again"
        }
    }
}

extension Node {
    /// How long a router may take to take a record, in seconds.
    private static let announceTimeout: Int64 = 10

    /// Lets a key's name stand for a path from now on.
    ///
    /// - Parameters:
    ///   - value: `/ipfs/…`, `/ipns/…` or a CID.
    ///   - key: the name or peer id of a key of this repository.
    ///   - lifetime: how long the record holds; renewed while the node runs.
    ///   - ttl: how long others may use it before they look again.
    ///   - audience: who is told.
    public func publish(
        _ value: String, as key: String = KeyRing.selfName, lifetime: Duration? = nil,
        ttl: Duration? = nil, audience: Audience = .routers
    ) async throws -> PublishedName {
        let key = try keys.key(key)
        let name = PeerID(key.publicKey)
        let path = try Self.publishable(value)
        let previous = try records.record(of: name)
        let record = try IPNSRecord(
            value: path, sequence: previous.map { $0.sequence + 1 } ?? 0,
            validUntil: NameResolver.systemTime().adding(
                seconds: (lifetime ?? configuration.ipns.lifetime).components.seconds),
            ttlNanoseconds: Self.nanoseconds(ttl ?? configuration.ipns.ttl), signingWith: key)
        guard try records.keep(record, of: name) else { throw PublishError.outdated(name) }
        return PublishedName(
            name: name, value: path, record: record,
            announcements: audience == .routers ? await announce(record, of: name) : [])
    }

    /// Who is told of a name that is published.
    public enum Audience: Sendable, Hashable {
        /// The DHTs and the routers that are configured, unless the node is offline.
        case routers
        /// Nobody; the record is kept here, and told when it is renewed.
        case nobody
    }

    /// Renews the records of all keys that were published, so that they do not run out.
    func republish() async {
        do {
            for named in try keys.list() {
                guard let old = try records.record(of: named.peer), let path = old.path else {
                    continue
                }
                let key = try keys.key(named.name)
                // The same statement for longer: the same sequence number, a later end.
                let record = try IPNSRecord(
                    value: path, sequence: old.sequence,
                    validUntil: NameResolver.systemTime().adding(
                        seconds: configuration.ipns.lifetime.components.seconds),
                    ttlNanoseconds: old.ttlNanoseconds, signingWith: key)
                if try records.keep(record, of: named.peer) {
                    _ = await announce(record, of: named.peer)
                }
            }
        } catch {
            logger.warning("renewing published names failed", metadata: ["error": "\(error)"])
        }
    }

    /// How long putting a record into the DHTs may take.
    private static let puttingLimit = Duration.seconds(30)

    /// Hands a record to the DHTs, if the node is in one.
    private func putIntoDHT(
        _ record: IPNSRecord, of name: PeerID
    ) async -> PublishedName.Announcement? {
        do {
            guard try await mesh.dhtStatus().contains(where: { $0.peers > 0 }) else { return nil }
            let count = try await mesh.put(
                record.encoded, under: DHTRecords.key(of: name), within: Self.puttingLimit)
            return PublishedName.Announcement(
                router: "DHT", failure: count > 0 ? nil : "no server took it")
        } catch {
            return PublishedName.Announcement(router: "DHT", failure: "\(error)")
        }
    }

    /// Hands a record to the DHTs and all routers at the same time.
    private func announce(
        _ record: IPNSRecord, of name: PeerID
    ) async -> [PublishedName.Announcement] {
        guard configuration.network == .online else { return [] }
        async let dht = putIntoDHT(record, of: name)
        let found = await withTaskGroup { group in
            for router in configuration.routers {
                group.addTask { [client] in
                    let failure = await Self.put(record, of: name, at: router, with: client)
                    return PublishedName.Announcement(router: router, failure: failure)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        return [await dht].compactMap(\.self) + found.sorted { $0.router < $1.router }
    }

    /// - Returns: why the router did not take the record; nil if it did.
    private static func put(
        _ record: IPNSRecord, of name: PeerID, at router: String, with client: HTTPClient
    ) async -> String? {
        var base = router
        while base.hasSuffix("/") { base.removeLast() }
        var request = HTTPClientRequest(url: "\(base)/ipns/\(name.ipnsName)")
        request.method = .PUT
        request.headers.add(name: "Content-Type", value: "application/vnd.ipfs.ipns-record")
        request.body = .bytes(ByteBuffer(bytes: record.encoded))
        do {
            let response = try await client.execute(request, timeout: .seconds(announceTimeout))
            let status = response.status.code
            return (200..<300).contains(status) ? nil : "it answered with status \(status)"
        } catch {
            return "\(error)"
        }
    }

    private static func publishable(_ value: String) throws -> String {
        var path = value
        if !value.hasPrefix("/") { path = "/ipfs/" + value }
        do {
            let parsed = try ContentPath(encoded: path)
            if parsed.namespace == .ipfs { _ = try CID(text: parsed.root) }
            // Records name paths as they are, without percent encoding.
            return parsed.text
        } catch {
            throw PublishError.notAPath(value)
        }
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = UInt64(max(0, seconds)).multipliedReportingOverflow(
            by: 1_000_000_000)
        return overflow ? .max : product + UInt64(max(0, attoseconds) / 1_000_000_000)
    }
}
