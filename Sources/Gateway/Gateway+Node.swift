// A gateway to the content of a node.

import BlockStore
import NIOCore
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
                node.retrieval.session(for: scope, policy: policy, trace: trace)
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
    }

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
