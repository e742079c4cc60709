// The servers of the public DHT that this node knew last, so that the next start does not depend on
// the few that everybody is told of.

import Multiformats
import Peering

/// A file with the servers of the public DHT that were known last: a multiaddr a line.
struct KnownServers {
    /// How many servers are remembered.
    static let maxCount = 32
    /// How many addresses of each.
    static let maxAddresses = 4
    private static let maxBytes = 64 << 10

    let path: String

    /// The servers; none if the file is not there. What cannot be read in it is passed over.
    func read() throws -> [(peer: PeerID, addresses: [Multiaddr])] {
        guard let bytes = try SmallFile.read(path, limit: Self.maxBytes) else { return [] }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return Self.kept(lines.compactMap { try? Multiaddr(text: String($0)) }.byPeer)
    }

    /// Replaces the servers; the old ones stay if these are none.
    func write(_ servers: [(peer: PeerID, addresses: [Multiaddr])]) throws {
        let lines = Self.kept(servers).flatMap { server in
            server.addresses.compactMap { $0.bare(of: server.peer)?.ending(in: server.peer) }
        }
        guard !lines.isEmpty else { return }
        let text = lines.map { "\($0)\n" }.joined()
        guard text.utf8.count <= Self.maxBytes else { return }
        try SmallFile.replace(path, with: Array(text.utf8))
    }

    /// What is remembered of them. A private address is not: where the node starts next, it may be
    /// somebody else's.
    private static func kept(
        _ servers: [(peer: PeerID, addresses: [Multiaddr])]
    ) -> [(peer: PeerID, addresses: [Multiaddr])] {
        let open = servers.map { server in
            (
                server.peer,
                Array(
                    server.addresses.filter { $0.scope == .world && !$0.isRelayed }
                        .prefix(maxAddresses))
            )
        }
        return Array(open.filter { !$0.1.isEmpty }.prefix(maxCount))
    }
}
