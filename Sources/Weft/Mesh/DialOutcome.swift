// One dial: a name becomes IP addresses that this node may dial, an IP address a connection.

import Connections
import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Peering
import Transports
import Wire

/// What a dial came to.
enum DialOutcome: Sendable {
    case connected(PeerConnection)
    /// With what the system or the peer said.
    case failed(DialFailure, String)

    /// How many of a name's IP addresses are tried.
    private static let addressesPerName = 4

    /// Dials; it ends by the deadlines of the transport, and gives up an address that has not
    /// accepted a connection in a third of the time. Public addresses are dialled from the port
    /// that is listened on, so that peers see where others may reach this node.
    static func dial(
        _ address: Multiaddr, _ peer: PeerID, within timeout: Duration?,
        narrowest: AddressScope, access: AccessRules, by sockets: Result<Transport, any Error>,
        way: Transport.Way? = nil
    ) async -> DialOutcome {
        var last = DialOutcome.failed(.refused, "the name leads to no address that may be dialled")
        do {
            let transport = try sockets.get()
            let candidates = try await resolve(address)
            for candidate in candidates.prefix(addressesPerName) {
                guard candidate.scope >= narrowest, access.admits(candidate) else { continue }
                if Task.isCancelled { return .failed(.abandoned, "it was given up") }
                do {
                    let usual: Transport.Way =
                        candidate.scope == .world ? .listeningPort : .freshPort
                    return .connected(
                        try await transport.dial(
                            candidate, peer: peer, way: way ?? usual,
                            connecting: timeout.map { TimeAmount($0 / 3) }))
                } catch {
                    last = .failed(kind(of: error), "\(error)")
                }
            }
        } catch {
            return .failed(.refused, "\(error)")
        }
        return last
    }

    static func kind(of error: any Error) -> DialFailure {
        switch error {
        case TransportError.unreachable, TransportError.portTaken, TransportError.notListening:
            .refused
        case TransportError.timedOut, TransportError.failed(.timedOut): .timedOut
        case TransportError.failed(.wrongPeer): .wrongPeer
        default: .handshake
        }
    }

    /// The address with a name in it replaced by the IP addresses that it leads to.
    private static func resolve(_ address: Multiaddr) async throws -> [Multiaddr] {
        guard let name = address.components.first,
            name.protocol == .dns || name.protocol == .dns4 || name.protocol == .dns6
        else { return [address] }
        let found = try await NIOSingletons.posixBlockingThreadPool.runIfActive {
            try SocketAddress.makeAddressResolvingHost(name.text, port: 0)
        }
        let isIPv6 = found.protocol == .inet6
        if (name.protocol == .dns4 && isIPv6) || (name.protocol == .dns6 && !isIPv6) { return [] }
        guard let ip = found.ipComponent else { return [] }
        return [try Multiaddr([ip] + address.components.dropFirst())]
    }
}

extension SocketAddress {
    /// The IP address; nil if it is none.
    var ipComponent: Multiaddr.Component? {
        guard let text = ipAddress else { return nil }
        // The system writes no address that is not one, but with a zone it may.
        let bare = text.prefix { $0 != "%" }
        let kind = self.protocol == .inet6 ? "ip6" : "ip4"
        return try? Multiaddr(text: "/\(kind)/\(bare)").components.first
    }

    /// Where a TCP connection comes from; nil if it is no IP address.
    var multiaddr: Multiaddr? { multiaddr(.tcp, []) }

    /// Where a WebRTC connection comes from; nil if it is no IP address.
    var webRTCMultiaddr: Multiaddr? { multiaddr(.udp, [.webrtcDirect]) }

    private func multiaddr(
        _ carrier: MultiaddrProtocol, _ rest: [MultiaddrProtocol]
    ) -> Multiaddr? {
        guard let ip = ipComponent, let port = port.map({ UInt16(clamping: $0) }) else {
            return nil
        }
        // None has a form that could be refused.
        guard let place = try? Multiaddr.Component(carrier, [UInt8(port >> 8), UInt8(port & 255)]),
            let inner = try? rest.map({ try Multiaddr.Component($0) })
        else { return nil }
        return try? Multiaddr([ip, place] + inner)
    }
}
