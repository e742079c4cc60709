// From where an address can be reached (RFC 6890 and the IANA registries of special-purpose
// addresses). Two rules of this node rest on it: an address is believed only if it reaches at least
// as far as the connection over which it was heard, and is told only to peers that it reaches.

public import Multiformats

/// From where an address can be reached; a later case is further.
public enum AddressScope: UInt8, Comparable, Sendable, CaseIterable {
    /// From nowhere: reserved, multicast, documentation, or not an address of a peer at all.
    case nowhere
    /// From this machine.
    case host
    /// From the same link.
    case link
    /// From the same private network.
    case site
    /// From everywhere.
    case world

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// The scope of an IPv4 address of four bytes or an IPv6 address of sixteen. A name that was
    /// looked up has to be judged by this again, because anybody can let a name lead anywhere.
    public init(ip bytes: [UInt8]) {
        switch bytes.count {
        case 4: self.init(ip4: bytes[0], bytes[1], bytes[2])
        case 16: self.init(ip6: bytes)
        default: self = .nowhere
        }
    }

    private init(ip4 a: UInt8, _ b: UInt8, _ c: UInt8) {
        switch (a, b, c) {
        case (127, _, _): self = .host
        case (169, 254, _): self = .link
        case (10, _, _), (172, 16...31, _), (192, 168, _), (100, 64...127, _): self = .site
        case (0, _, _), (192, 0, 0), (192, 0, 2), (192, 88, 99), (198, 18...19, _),
            (198, 51, 100), (203, 0, 113), (224..., _, _):
            self = .nowhere
        default: self = .world
        }
    }

    private init(ip6 bytes: [UInt8]) {
        let head = bytes[..<12]
        let isMapped = head[..<10].allSatisfy { $0 == 0 } && head[10] == 0xff && head[11] == 0xff
        if isMapped {
            self.init(ip4: bytes[12], bytes[13], bytes[14])
            return
        }
        if head.elementsEqual([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]) {
            // Translated to IPv4 on the way (RFC 6052).
            self.init(ip4: bytes[12], bytes[13], bytes[14])
            return
        }
        if bytes[..<15].allSatisfy({ $0 == 0 }) {
            self = bytes[15] == 1 ? .host : .nowhere
            return
        }
        switch (bytes[0], bytes[1]) {
        case (0xfe, 0x80...0xbf): self = .link
        case (0xfc...0xfd, _): self = .site
        case (0x20, 0x01) where bytes[2] == 0x0d && bytes[3] == 0xb8: self = .nowhere
        case (0x20...0x3f, _): self = .world
        default: self = .nowhere
        }
    }
}

extension Multiaddr {
    /// From where this address can be reached. A relayed one reaches as far as its relay; a name
    /// counts as public unless it says otherwise.
    public var scope: AddressScope {
        let outermost = components[0]
        switch outermost.protocol {
        case .ip4, .ip6: return AddressScope(ip: outermost.value)
        case .ip6zone:
            guard components.count > 1, components[1].protocol == .ip6 else { return .nowhere }
            return min(AddressScope(ip: components[1].value), .link)
        case .dns, .dns4, .dns6, .dnsaddr: return Self.scope(ofName: outermost.value)
        case .memory, .unix: return .host
        default: return .nowhere
        }
    }

    private static func scope(ofName name: [UInt8]) -> AddressScope {
        var labels = name.split(separator: UInt8(ascii: "."))
        guard let last = labels.popLast() else { return .nowhere }
        let lowercase = last.map { 65...90 ~= $0 ? $0 | 0x20 : $0 }
        if lowercase.elementsEqual("localhost".utf8) { return .host }
        if lowercase.elementsEqual("local".utf8) { return .link }
        let isLocal =
            labels.isEmpty || lowercase.elementsEqual("internal".utf8)
            || lowercase.elementsEqual("lan".utf8)
        return isLocal ? .site : .world
    }

    /// Whether the address leads through another peer.
    public var isRelayed: Bool { components.contains { $0.protocol == .p2pCircuit } }

    /// The address without the peer id at its end; nil if it ends in the id of another peer.
    public func bare(of peer: PeerID) -> Multiaddr? {
        guard let last = components.last, last.protocol == .p2p else { return self }
        guard last.value == peer.bytes else { return nil }
        // What is left is empty if the address was nothing but the peer id.
        return try? Multiaddr(components.dropLast())
    }

    /// The network that the address belongs to, for spreading over many: /16 of IPv4, /32 of IPv6;
    /// nil for an address that is not public and IP.
    var networkGroup: UInt64? {
        guard let ip = components.first(where: { $0.protocol == .ip4 || $0.protocol == .ip6 }),
            AddressScope(ip: ip.value) == .world
        else { return nil }
        var group: UInt64 = ip.protocol == .ip4 ? 4 : 6
        for byte in ip.value.prefix(ip.protocol == .ip4 ? 2 : 4) {
            group = group << 8 | UInt64(byte)
        }
        return group
    }
}
