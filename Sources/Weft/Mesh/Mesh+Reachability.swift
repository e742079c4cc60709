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
    /// Whether and how the node can be reached.
    public func reachability() async throws -> ReachabilityStatus? {
        guard case .reachability(let status) = try await ask(.reachability, within: .seconds(5))
        else { return nil }
        return status
    }
}
