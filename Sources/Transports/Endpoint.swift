import Multiformats
import NIOCore
import NIOPosix

/// The part of an address that sockets know: a host and a TCP port, and what is spoken there.
struct Endpoint: Sendable {
    enum Host: Sendable {
        case ip(MultiaddrProtocol, String)
        case name(String)
    }

    enum Carrier: Sendable, Equatable {
        case tcp
        case webSocket
        /// A WebSocket in TLS with a certificate of the web, with the name that is asked for if the
        /// address says one.
        case secureWebSocket(name: String?)
    }

    let host: Host
    let port: Int
    let carrier: Carrier
    /// How long making a TCP connection to it may take.
    var patience = TimeAmount.seconds(5)

    /// The endpoint of `/ip4|ip6|dns…/tcp/PORT`, or the same with `/ws`, with `/tls/ws`,
    /// `/tls/sni/NAME/ws` or `/wss`; with a peer behind it or not.
    init(_ address: Multiaddr) throws {
        let parts = address.components.filter { $0.protocol != .p2p }
        guard parts.count >= 2, parts[1].protocol == .tcp, let port = Int(parts[1].text) else {
            throw TransportError.unsupportedAddress(address)
        }
        switch parts.dropFirst(2).map(\.protocol) {
        case []: carrier = .tcp
        case [.ws]: carrier = .webSocket
        case [.tls, .ws], [.wss]: carrier = .secureWebSocket(name: nil)
        case [.tls, .sni, .ws]: carrier = .secureWebSocket(name: parts[3].text)
        default: throw TransportError.unsupportedAddress(address)
        }
        switch parts[0].protocol {
        case .ip4, .ip6: host = .ip(parts[0].protocol, parts[0].text)
        case .dns, .dns4, .dns6: host = .name(parts[0].text)
        default: throw TransportError.unsupportedAddress(address)
        }
        self.port = port
    }

    func connect(_ bootstrap: ClientBootstrap) async throws -> any Channel {
        switch host {
        case .ip(_, let text):
            let address = try SocketAddress(ipAddress: text, port: port)
            return try await bootstrap.connect(to: address).get()
        case .name(let name): return try await bootstrap.connect(host: name, port: port).get()
        }
    }

    func bind(_ bootstrap: ServerBootstrap) async throws -> any Channel {
        switch host {
        case .ip(let kind, let text):
            if kind == .ip6 {
                // What listens on IPv4 has a listener of its own, at the same port.
                let option = ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only)
                _ = bootstrap.serverChannelOption(option, value: 1)
            }
            let address = try SocketAddress(ipAddress: text, port: port)
            return try await bootstrap.bind(to: address).get()
        case .name(let name): return try await bootstrap.bind(host: name, port: port).get()
        }
    }

    /// The host as a request names it.
    var hostField: String {
        switch host {
        case .ip(.ip6, let text): "[\(text)]:\(port)"
        case .ip(_, let text), .name(let text): "\(text):\(port)"
        }
    }

    /// The name that a certificate of the web has to be made out to; nil if it is the IP address.
    var certificateName: String? {
        if case .secureWebSocket(let name?) = carrier { return name }
        if case .name(let name) = host { return name }
        return nil
    }

    /// The address with the port that it was bound to.
    func bound(at port: Int?) throws -> Multiaddr {
        let port = port ?? self.port
        let prefix =
            switch host {
            case .ip(let kind, let text): "/\(kind.name)/\(text)"
            case .name(let name): "/dns/\(name)"
            }
        let suffix =
            switch carrier {
            case .tcp: ""
            case .webSocket: "/ws"
            case .secureWebSocket(nil): "/tls/ws"
            case .secureWebSocket(let name?): "/tls/sni/\(name)/ws"
            }
        return try Multiaddr(text: "\(prefix)/tcp/\(port)\(suffix)")
    }
}
