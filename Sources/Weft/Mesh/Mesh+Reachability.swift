// How the node is reached, as it is told and as it shows it.

import Multiformats
public import NodeCore
import Peering
import Wire

extension ReachabilityOptions {
    /// What the configuration says. A node that does not reach everywhere asks nobody, and relays
    /// for nobody.
    init(_ configuration: Configuration) {
        self.init()
        let isOnline = configuration.network == .online && configuration.mesh.reach == .everywhere
        asksServers = isOnline
        findsRelays = isOnline
        // What is not a relay's address is said when the node begins to listen.
        relays = Self.relays(configuration.mesh.relays.compactMap { try? Multiaddr(text: $0) })
        relayService =
            switch configuration.mesh.relayService {
            case .auto: isOnline ? .whenReachable : .never
            case .on: .always
            case .off: .never
            }
    }

    /// The relays with all addresses of each.
    private static func relays(_ named: [Multiaddr]) -> [(peer: PeerID, addresses: [Multiaddr])] {
        var out: [(peer: PeerID, addresses: [Multiaddr])] = []
        for address in named where !address.isRelayed {
            guard let peer = address.peer else { continue }
            if let index = out.firstIndex(where: { $0.peer == peer }) {
                out[index].addresses.append(address)
            } else {
                out.append((peer, [address]))
            }
        }
        return out
    }
}

extension Mesh {
    /// How it stands with each DHT.
    func dhtStatus() async throws -> [DHTStatus] {
        guard case .dhts(let all) = try await ask(.dhts, within: .seconds(5)) else { return [] }
        return all
    }

    /// Whether and how the node can be reached.
    public func reachability() async throws -> ReachabilityStatus? {
        guard case .reachability(let status) = try await ask(.reachability, within: .seconds(5))
        else { return nil }
        return status
    }
}
