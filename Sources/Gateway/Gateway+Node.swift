// A gateway to the content of a node.

import BlockStore
import IPLD
import Multiformats
import NIOCore
import Peering
import Synchronization
public import Weft

extension Gateway {
    /// Keeps what the deny lists name from the peers of a node as well.
    public func withholdFromPeers(of node: Node) {
        guard !options.denylistFiles.isEmpty else { return }
        node.mesh.withhold { [denylist] cid in denylist.current.rule(for: cid) != nil }
    }
}

extension GatewayBackend {
    /// What a node has, and what it can get.
    ///
    /// - Parameter url: Where the gateway listens, once it does. Others are told this address of
    ///   the node as the one to fetch from, unless it names no single one.
    public init(_ node: Node, url: @escaping @Sendable () -> String?) {
        self.init(
            source: { scope, policy, trace in
                node.retrieval.session(
                    for: scope, policy: policy,
                    limits: MeshOptions(idleDeadline: node.configuration.fetch.deadline),
                    trace: trace)
            },
            resolve: { path, cache, trace in
                try await node.names.resolve(path, cache: cache, trace: trace)
            },
            record: { name, cache in
                try await node.names.record(of: name, cache: cache).map { record in
                    NameRecord(bytes: ByteBuffer(bytes: record.bytes), ttl: record.ttl)
                }
            },
            publish: { name, bytes in
                try node.names.accept(Array(bytes.readableBytesView), of: name)
            },
            has: { try await node.store.size(of: $0) != nil },
            ownAddresses: { (node.peer, url().flatMap(Self.multiaddr).map { [$0] } ?? []) })
        call = { try await Self.call($0, node) }
        facts = { Self.facts(of: node) }
        guard node.configuration.network == .online else { return }
        let searches = SearchAllowance()
        findProviders = { cid in
            await searches.run { time in
                try await node.mesh.providers(of: cid, limit: Self.providersPerAnswer, within: time)
            } ?? []
        }
        findRecord = { name in
            let found = await searches.run { time in
                try await node.names.recordFromDHT(of: name, within: time)
            }
            return (found ?? nil).map {
                NameRecord(bytes: ByteBuffer(bytes: $0.bytes), ttl: $0.ttl)
            }
        }
        findPeer = { peer in
            await searches.run { time in
                let addresses = try await node.mesh.findPeer(peer, within: time).addresses
                return FoundPeer(peer: peer, addresses: addresses)
            }
        }
        findClosest = { key in
            await searches.run { time in
                try await node.mesh.closestPeers(to: key, within: time)
            } ?? []
        }
    }

    /// What the program's own pages are told: who this node is, and where pages of this machine
    /// reach it.
    private static func facts(of node: Node) -> Value {
        let ways: [TransportSet] = [.webSocket, .secureWebSocket, .webRTCDirect]
        // Whoever claims to be on this machine learns nothing of the networks that it is in.
        let near = (node.mesh.addresses + [node.mesh.pageAddress].compactMap(\.self)).filter {
            ways.contains($0.transport) && $0.scope == .host
        }
        return .object([
            "peer": .string(node.peer.description), "agent": .string(WeftVersion.agent),
            "addresses": .list(near.map { .string($0.description) }),
            "contracts": .bool(node.configuration.compute.contracts == .on),
        ])
    }

    /// Has a contract called. That this node runs none is worth saying only if nobody else could
    /// be asked.
    private static func call(_ request: Request, _ node: Node) async throws -> Response {
        do {
            return try await node.fetch(request)
        } catch let error as FetchError
            where error.code == .network && error.trace.isEmpty
            && node.configuration.compute.contracts == .off
        {
            throw FetchError(
                .notSupported, "\(error.message); here compute.contracts is off, too")
        }
    }

    /// How many providers one answer names besides this node.
    private static let providersPerAnswer = 20

    /// The multiaddr of an `http` URL; nil if it stands for all addresses of a machine.
    static func multiaddr(of url: String) -> String? {
        guard url.hasPrefix("http://") else { return nil }
        let authority = url.dropFirst(7).prefix { $0 != "/" }
        guard let colon = authority.lastIndex(of: ":"),
            let port = UInt16(authority[authority.index(after: colon)...])
        else { return nil }
        let host = authority[..<colon]
        if host.first == "[", host.last == "]" {
            let address = host.dropFirst().dropLast()
            return address == "::" ? nil : "/ip6/\(address)/tcp/\(port)/http"
        }
        if host.allSatisfy({ $0 == "." || ("0"..."9").contains($0) }) {
            return host == "0.0.0.0" ? nil : "/ip4/\(host)/tcp/\(port)/http"
        }
        return "/dns/\(host)/tcp/\(port)/http"
    }
}

/// How much of the node's searching strangers may cause: so many searches at a time, each for so
/// long. Beyond that they are told what is known here.
private final class SearchAllowance: Sendable {
    private static let most = 16
    private static let time = Duration.seconds(8)
    private let running = Atomic<Int>(0)

    /// Searches; nil if that is too much or failed.
    func run<Found: Sendable>(
        _ search: @Sendable (Duration) async throws -> Found
    ) async -> Found? {
        defer { running.subtract(1, ordering: .relaxed) }
        guard running.add(1, ordering: .relaxed).newValue <= Self.most else { return nil }
        // Who asks is answered with what is known here all the same.
        return try? await search(Self.time)
    }
}
