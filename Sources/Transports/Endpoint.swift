import Multiformats
import NIOCore
import NIOPosix

/// The part of an address that sockets know: a host and a TCP port.
struct Endpoint {
    enum Host {
        case ip(MultiaddrProtocol, String)
        case name(String)
    }

    let host: Host
    let port: Int

    /// The endpoint of `/ip4|ip6|dns…/tcp/PORT`, with a peer behind it or not.
    init(_ address: Multiaddr) throws {
        let parts = address.components.filter { $0.protocol != .p2p }
        guard parts.count == 2, parts[1].protocol == .tcp, let port = Int(parts[1].text) else {
            throw TransportError.unsupportedAddress(address)
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
        case .ip(_, let text):
            let address = try SocketAddress(ipAddress: text, port: port)
            return try await bootstrap.bind(to: address).get()
        case .name(let name): return try await bootstrap.bind(host: name, port: port).get()
        }
    }

    /// The address with the port that it was bound to.
    func bound(at port: Int?) throws -> Multiaddr {
        let port = UInt16(clamping: port ?? self.port)
        let tcp = try Multiaddr.Component(.tcp, [UInt8(port >> 8), UInt8(port & 255)])
        switch host {
        case .ip(let kind, let text):
            let first = try Multiaddr(text: "/\(kind.name)/\(text)").components[0]
            return try Multiaddr([first, tcp])
        case .name(let name):
            return try Multiaddr([try Multiaddr.Component(.dns, Array(name.utf8)), tcp])
        }
    }
}
