// A gateway to the content of a node.

import BlockStore
import Glibc
import HTTPTypes
import IPLD
public import Logging
import Multiformats
import NIOCore
public import ServiceLifecycle
public import Weft
import Wire

extension GatewayBackend {
    /// What a node has, and what it can get.
    ///
    /// - Parameter addresses: Where others reach its gateway, as multiaddrs; empty if they cannot.
    public init(
        _ node: Node, addresses: @escaping @Sendable () -> [String] = { [] }
    ) {
        // How long a whole answer takes is up to whoever reads it; what must not happen is that
        // nothing moves.
        let limits = MeshOptions(deadline: nil)
        self.init(
            source: { scope, policy, trace in
                node.retrieval.session(for: scope, policy: policy, limits: limits, trace: trace)
            },
            resolve: { path, cache, trace in
                try await node.names.resolve(path, cache: cache, trace: trace)
            },
            record: { name in try Self.record(of: name, node) },
            publish: { name, bytes in
                let record = try IPNSRecord(decoding: bytes.readableBytesSpan)
                do throws(IPNSRecord.Invalidity) {
                    try record.validate(for: name, at: Self.now)
                } catch {
                    throw ContentError(.badRequest, "the record does not hold: \(error)")
                }
                try node.records.keep(record, of: name)
            },
            has: { hash in try await node.store.size(of: hash) != nil },
            ownAddresses: { (node.peer, addresses()) })
    }

    private static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec))
    }

    /// The newest record of a name that is known here and still holds.
    private static func record(of name: PeerID, _ node: Node) throws -> NameRecord? {
        guard let record = try node.records.record(of: name), record.validUntil > now else {
            return nil
        }
        let ttl = Duration.nanoseconds(Int64(clamping: record.ttlNanoseconds))
        return NameRecord(bytes: ByteBuffer(bytes: record.encoded), ttl: ttl)
    }
}

extension Gateway {
    /// The HTTP server of a node's gateway, to be run in a service group.
    ///
    /// - Parameters:
    ///   - node: Whose content is served. The server must end before the node stops.
    ///   - address: Where to listen.
    ///   - options: Its behaviour; what the node's configuration says unless given.
    ///   - addresses: Where others reach it, as multiaddrs, for routing.
    ///   - onRunning: Called with the port once connections are accepted.
    /// - Throws: ``DenylistError``, or an error about the certificate.
    public static func application(
        node: Node, at address: Address, options: GatewayOptions? = nil,
        addresses: @escaping @Sendable () -> [String] = { [] }, logger: Logger,
        onRunning: @escaping @Sendable (Int) async -> Void = { _ in }
    ) throws -> any Service {
        let gateway = try Gateway(
            GatewayBackend(node, addresses: addresses),
            options: options ?? GatewayOptions(node.configuration))
        return try gateway.server(
            at: address, eventLoops: node.eventLoops, logger: logger, onRunning: onRunning)
    }
}
