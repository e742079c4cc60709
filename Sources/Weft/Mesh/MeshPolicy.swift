// What the configuration means for the mesh: ceilings, and whom it has to do with.

import Multiformats
public import NodeCore
import Peering

extension NodeLimits {
    /// The ceilings of a configuration.
    public init(_ mesh: Configuration.Mesh) {
        self = mesh.profile.limits.overridden(by: mesh.ceilings)
        guard mesh.reach == .metered else { return }
        // On a metered line nothing is above what a small machine has.
        let small = NodeLimits.lowpower
        connections.low = min(connections.low, small.connections.low)
        connections.high = min(connections.high, small.connections.high)
        connections.ceiling = min(connections.ceiling, small.connections.ceiling)
        connections.outbound = min(connections.outbound, small.connections.outbound)
        // Nobody is let in, but for the peers that are allowed by name.
        connections.inbound = mesh.allowPeers.isEmpty ? 0 : connections.inbound
        dialing = small.dialing
        announcedKeys = 0
    }
}

extension AccessRules {
    /// The rules of a configuration. A node that is offline reaches no further than its own
    /// network, and that only if it is asked to.
    init(_ mesh: Configuration.Mesh, _ network: Configuration.Network) {
        self.init()
        switch mesh.reach {
        case .everywhere, .metered: reach = network == .offline ? .local : .everywhere
        case .local: reach = .local
        case .off: reach = .nowhere
        }
        // The configuration has been checked when it was read, so that nothing is left out here.
        allowedPeers = Set(mesh.allowPeers.compactMap(Self.peer))
        deniedPeers = Set(mesh.denyPeers.compactMap(Self.peer))
        allowedAddresses = mesh.allowAddresses.compactMap(Self.range)
        deniedAddresses = mesh.denyAddresses.compactMap(Self.range)
    }

    /// Reads a peer id.
    static func peer(_ text: String) -> PeerID? { try? PeerID(text: text) }

    /// Reads an IP address or a range, as `10.0.0.0/8` or as a multiaddr with `ipcidr`.
    static func range(_ text: String) -> AddressRange? {
        guard !text.hasPrefix("/") else {
            return (try? Multiaddr(text: text)).flatMap { AddressRange($0) }
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let host = parts.first, parts.count <= 2 else { return nil }
        let kind = host.contains(":") ? "ip6" : "ip4"
        let suffix = parts.count == 2 ? "/ipcidr/\(parts[1])" : ""
        return (try? Multiaddr(text: "/\(kind)/\(host)\(suffix)")).flatMap { AddressRange($0) }
    }
}
