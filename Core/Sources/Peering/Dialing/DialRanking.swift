// In what order and how far apart the addresses of a peer are dialled, after RFC 8305 and the
// practice of go-libp2p: IPv6 before IPv4, QUIC before TCP, direct before relayed.

public import Multiformats

/// An address with how long after the start of a dial it is tried, if nothing has connected.
public struct RankedAddress: Hashable, Sendable {
    /// What is dialled.
    public let address: Multiaddr
    /// When, after the start.
    public let delay: Duration
}

/// The transports that an address can name.
public struct TransportSet: OptionSet, Hashable, Sendable {
    /// One bit a transport.
    public let rawValue: UInt8

    /// The set with these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let tcp = TransportSet(rawValue: 1)
    public static let webSocket = TransportSet(rawValue: 2)
    public static let secureWebSocket = TransportSet(rawValue: 4)
    public static let quic = TransportSet(rawValue: 8)
    public static let webTransport = TransportSet(rawValue: 16)
    public static let webRTCDirect = TransportSet(rawValue: 32)
    public static let relay = TransportSet(rawValue: 64)
}

extension Multiaddr {
    /// The transport that this address names; empty if it is none that is known here. Of a relayed
    /// address that is the relay alone, whatever leads there.
    public var transport: TransportSet {
        if isRelayed { return .relay }
        var found: TransportSet = []
        var isTLS = false
        for component in components {
            switch component.protocol {
            case .tcp: found = .tcp
            case .tls, .https: isTLS = true
            case .ws: found = isTLS ? .secureWebSocket : .webSocket
            case .wss: found = .secureWebSocket
            case .quicV1: found = .quic
            case .webtransport: found = .webTransport
            case .webrtcDirect: found = .webRTCDirect
            case .quic, .http, .unix, .memory, .webrtc, .onion3: return []
            default: break
            }
        }
        return found
    }

    /// Whether it is there for browsers: other peers hardly dial it, so that what they find out
    /// says nothing of whether they reach this node.
    public var isForBrowsers: Bool { transport == .webRTCDirect }

    var port: UInt16 {
        guard let value = components.first(where: { $0.protocol == .tcp || $0.protocol == .udp })
        else { return .max }
        return UInt16(value.value[0]) << 8 | UInt16(value.value[1])
    }
}

/// Orders addresses for dialling.
public enum DialRanking {
    /// How long a public address waits for the one before it: about a round trip.
    public static let publicStep: Duration = .milliseconds(250)
    /// The same in a private network.
    public static let privateStep: Duration = .milliseconds(30)
    /// How long relayed addresses wait for direct ones.
    public static let relayDelay: Duration = .milliseconds(500)
    /// How long costly transports wait for the others.
    public static let lastResortDelay: Duration = .seconds(1)

    /// The addresses with their delays, the earliest first. Public and private ones run side by
    /// side.
    public static func rank(_ addresses: [Multiaddr]) -> [RankedAddress] {
        let relayed = addresses.filter { $0.isRelayed }
        let direct = addresses.filter { !$0.isRelayed }
        let near = direct.filter { $0.scope != .world }
        let far = direct.filter { $0.scope == .world }
        var ranked =
            spread(near, step: privateStep, from: .zero)
            + spread(far, step: publicStep, from: .zero)
            + spread(relayed, step: publicStep, from: far.isEmpty ? .zero : relayDelay)
        ranked = ranked.enumerated().sorted {
            $0.element.delay != $1.element.delay
                ? $0.element.delay < $1.element.delay : $0.offset < $1.offset
        }.map { $0.element }
        return ranked
    }

    /// Spreads the addresses of one group: the best of each family first, then all others.
    private static func spread(
        _ group: [Multiaddr], step: Duration, from start: Duration
    ) -> [RankedAddress] {
        var out: [RankedAddress] = []
        var offset = start
        for kind in Kind.allCases {
            let members = group.filter { Kind($0) == kind }.sorted { rank($0) < rank($1) }
            guard !members.isEmpty else { continue }
            if kind == .lastResort, !out.isEmpty { offset = offset + lastResortDelay - step }
            let first = members[0]
            let second = members.first { isIPv6($0) != isIPv6(first) }
            var delay = offset
            out.append(RankedAddress(address: first, delay: delay))
            if let second {
                delay += step
                out.append(RankedAddress(address: second, delay: delay))
            }
            let rest = members.filter { $0 != first && $0 != second }
            if !rest.isEmpty { delay += step }
            for address in rest { out.append(RankedAddress(address: address, delay: delay)) }
            offset = delay + step
        }
        return out
    }

    private enum Kind: CaseIterable {
        case quic, stream, lastResort

        init(_ address: Multiaddr) {
            switch address.transport {
            case .quic, .webTransport: self = .quic
            case .webRTCDirect: self = .lastResort
            default: self = .stream
            }
        }
    }

    private static func isIPv6(_ address: Multiaddr) -> Bool {
        let first = address.components[0].protocol
        return first == .ip6 || first == .ip6zone || first == .dns6
    }

    /// IPv6 first, because it needs no translation; then low ports, which are more often the one
    /// that is listened on.
    private static func rank(_ address: Multiaddr) -> UInt32 {
        (isIPv6(address) ? 0 : 1 << 16) + UInt32(address.port)
    }
}
