// Whom this node has to do with at all.

public import Multiformats
import Peering

/// A range of IP addresses: `/ip4/10.0.0.0/ipcidr/8`.
public struct AddressRange: Hashable, Sendable {
    let prefix: [UInt8]
    let bits: Int

    /// The range that an address with `ipcidr` names, or a single IP address; nil for others.
    public init?(_ address: Multiaddr) {
        let parts = address.components
        guard let ip = parts.first, ip.protocol == .ip4 || ip.protocol == .ip6 else { return nil }
        var bits = ip.value.count * 8
        if parts.count > 1 {
            guard parts.count == 2, parts[1].protocol == .ipcidr, parts[1].value[0] <= bits else {
                return nil
            }
            bits = Int(parts[1].value[0])
        }
        prefix = ip.value
        self.bits = bits
    }

    /// Whether an IP address of four or sixteen bytes is in it.
    public func contains(ip: [UInt8]) -> Bool {
        guard ip.count == prefix.count else { return false }
        let whole = bits / 8
        guard ip[..<whole] == prefix[..<whole] else { return false }
        guard bits % 8 != 0 else { return true }
        return (ip[whole] ^ prefix[whole]) >> (8 - bits % 8) == 0
    }
}

/// Which peers and addresses this node connects to and accepts.
///
/// It is a value without state, so that a listener can hold a copy and refuse an address before it
/// spends anything on it.
public struct AccessRules: Sendable {
    /// How far this node reaches out and lets others in.
    public enum Reach: Hashable, Sendable {
        /// To the whole network.
        case everywhere
        /// Not beyond private networks and this machine.
        case local
        /// To nobody.
        case nowhere
    }

    /// How far.
    public var reach = Reach.everywhere
    /// If there are any, nobody else is let in or dialled.
    public var allowedPeers: Set<PeerID> = []
    /// These never are.
    public var deniedPeers: Set<PeerID> = []
    /// If there are any, no other IP address is let in or dialled.
    public var allowedAddresses: [AddressRange] = []
    /// These never are.
    public var deniedAddresses: [AddressRange] = []

    /// Everyone, everywhere.
    public init() {}

    /// Whether there may be a connection to a peer.
    public func admits(_ peer: PeerID) -> Bool {
        !deniedPeers.contains(peer) && (allowedPeers.isEmpty || allowedPeers.contains(peer))
    }

    /// Whether there may be a connection by an address. Of one that starts with a name only the
    /// reach is judged; the IP address that the name leads to has to be judged again.
    public func admits(_ address: Multiaddr) -> Bool {
        if reach == .nowhere || reach == .local && address.scope == .world { return false }
        let ip = address.components.first { $0.protocol == .ip4 || $0.protocol == .ip6 }
        guard let ip else { return true }
        let bytes = Self.unmapped(ip.value)
        if deniedAddresses.contains(where: { $0.contains(ip: bytes) }) { return false }
        return allowedAddresses.isEmpty || allowedAddresses.contains { $0.contains(ip: bytes) }
    }

    /// An IPv4 address that was written as an IPv6 one, as the former.
    static func unmapped(_ ip: [UInt8]) -> [UInt8] {
        let isMapped =
            ip.count == 16 && ip[..<10].allSatisfy { $0 == 0 } && ip[10] == 0xff && ip[11] == 0xff
        return isMapped ? Array(ip[12...]) : ip
    }
}
