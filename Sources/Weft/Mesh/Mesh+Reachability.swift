// How the node is reached, as it is told and as it shows it.

import Cryptography
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
        relays =
            configuration.mesh.relays.compactMap { try? Multiaddr(text: $0) }
            .filter { !$0.isRelayed }.byPeer
        relayService =
            switch configuration.mesh.relayService {
            case .auto: isOnline ? .whenReachable : .never
            case .on: .always
            case .off: .never
            }
    }

}

extension Mesh {
    /// The addresses that a router forwards to this node; on the mesh's event loop.
    func mapped(_ addresses: [Multiaddr]) {
        run { _ = $0.perform(.map(addresses)) }
    }

    /// Whether a router is asked to let others in: only by a node that is there for everybody.
    var forwardsPorts: Bool {
        settings.portMapping == .auto && settings.reach == .everywhere && network == .online
    }

    /// Whether and how the node can be reached.
    public func reachability() async throws -> ReachabilityStatus? {
        guard case .reachability(let status) = try await ask(.reachability, within: .seconds(5))
        else { return nil }
        return status
    }
}

extension PrivateKey {
    /// What routers know this node by, which is the same after a restart and nobody else's to know.
    var portMappingNonce: [UInt8] {
        let purpose: [UInt8] = Array("weft port mapping".utf8)
        return Array(HMACSHA256.code(of: purpose.rawSpan, key: encoded.rawSpan).prefix(12))
    }
}
