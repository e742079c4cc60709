// Sockets for multicast DNS (RFC 6762): on each network of this machine one for IPv4 and one for
// IPv6, as far as it has them.

import Glibc
public import NIOCore
import NIOPosix
import Synchronization

/// Sends packets to everybody in the networks of this machine, and hears theirs.
public final class MulticastDNS: Sendable {
    /// The longest packet that is heard, in bytes.
    public static let maxBytes = 9_000
    /// On how many networks, counting IPv4 and IPv6 as two.
    public static let maxNetworks = 16
    private static let port = 5353

    /// A network that packets are sent to.
    private struct Network: Hashable {
        /// The device, by its name and its number, which a device that comes back does not share.
        let name: String
        let index: Int
        let isIPv6: Bool
        /// The device's address, which follows it when it changes.
        let address: String
    }

    private struct Line {
        let channel: any Channel
        let group: SocketAddress
    }

    private struct State {
        var lines: [Network: Line] = [:]
        var isClosed = false
    }

    private let eventLoop: any EventLoop
    private let hear: @Sendable ([UInt8]) -> Void
    private let state = Mutex(State())

    /// No sockets yet. Packets go to `hear`, on the event loop.
    public init(on eventLoop: any EventLoop, hear: @escaping @Sendable ([UInt8]) -> Void) {
        self.eventLoop = eventLoop
        self.hear = hear
    }

    /// How many devices there are sockets on.
    public var networkCount: Int {
        state.withLock { Set($0.lines.keys.map { $0.index }).count }
    }

    /// Opens sockets on networks that are new, and closes those of networks that are gone.
    ///
    /// - Returns: why there is no socket on a network that was tried; nil if there are all.
    public func update() async -> String? {
        var failure: String?
        let devices: [NIONetworkDevice]
        do {
            devices = try System.enumerateDevices()
        } catch {
            return "\(error)"
        }
        let present = devices.compactMap { device in
            Self.network(of: device).map { (network: $0, device: device) }
        }
        let networks = Set(present.map { $0.network })
        let gone = state.withLock { state in
            let gone = state.lines.filter { !networks.contains($0.key) }
            for (network, _) in gone { state.lines[network] = nil }
            return Array(gone.values)
        }
        for line in gone { line.channel.close(promise: nil) }
        for (network, device) in present {
            guard
                state.withLock({
                    !$0.isClosed && $0.lines[network] == nil
                        && $0.lines.count < Self.maxNetworks
                })
            else { continue }
            do {
                let line = try await open(network, on: device)
                let isKept = state.withLock { state in
                    if !state.isClosed { state.lines[network] = line }
                    return !state.isClosed
                }
                if !isKept { line.channel.close(promise: nil) }
            } catch {
                failure = "\(device.name), \(network.isIPv6 ? "IPv6" : "IPv4"): \(error)"
            }
        }
        return failure
    }

    /// Sends a packet to all networks. What is lost is lost, as everything in multicast may be.
    public func send(_ packet: [UInt8]) {
        for line in state.withLock({ Array($0.lines.values) }) {
            let data = line.channel.allocator.buffer(bytes: packet)
            line.channel.writeAndFlush(
                AddressedEnvelope(remoteAddress: line.group, data: data), promise: nil)
        }
    }

    /// Closes all sockets.
    public func close() {
        let lines = state.withLock { state in
            state.isClosed = true
            defer { state.lines = [:] }
            return Array(state.lines.values)
        }
        for line in lines { line.channel.close(promise: nil) }
    }

    /// The network behind an address of this machine, if it is one to ask in. Of the IPv6 addresses
    /// of a device the link-local one stands for all.
    private static func network(of device: NIONetworkDevice) -> Network? {
        guard device.multicastSupported, let address = device.address,
            let text = address.ipAddress
        else { return nil }
        switch address {
        case .v4 where !text.hasPrefix("127."):
            return Network(
                name: device.name, index: device.interfaceIndex, isIPv6: false, address: text)
        case .v6 where text.lowercased().hasPrefix("fe80:"):
            return Network(
                name: device.name, index: device.interfaceIndex, isIPv6: true, address: text)
        default: return nil
        }
    }

    /// Whom packets for everybody go to: 224.0.0.251 or, by one device, ff02::fb.
    private static func group(of network: Network) throws -> SocketAddress {
        guard network.isIPv6 else {
            return try SocketAddress(ipAddress: "224.0.0.251", port: port)
        }
        // The zone of a link-local address is the number of its device.
        return try SocketAddress.makeAddressResolvingHost(
            "ff02::fb%\(network.index)", port: port)
    }

    private func open(_ network: Network, on device: NIONetworkDevice) async throws -> Line {
        let group = try Self.group(of: network)
        // Bound to the group, so that nothing that is meant for other software here is taken from
        // it; it shares the port with all that do the same.
        let channel = try await DatagramBootstrap(group: eventLoop)
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            .channelOption(.socketOption(.reusePort), value: 1)
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.maxBytes)
            )
            .channelInitializer { [hear] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PacketHandler(hear))
                }
            }
            .bind(to: group).get()
        do {
            guard let multicast = channel as? any MulticastChannel,
                let options = channel as? any SocketOptionProvider
            else { throw ChannelError.operationUnsupported }
            try await Self.confine(options, to: network)
            try await multicast.joinGroup(group, device: device).get()
            return Line(channel: channel, group: group)
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    /// Has a socket hear and send by one device alone, or every socket would hear everything.
    private static func confine(
        _ options: any SocketOptionProvider, to network: Network
    ) async throws {
        if network.isIPv6 {
            try await options.unsafeSetSocketOption(
                level: .ipv6, name: .multicastAllV6, value: CInt(0)
            ).get()
            try await options.unsafeSetSocketOption(
                level: .ipv6, name: .ipv6_multicast_if, value: CInt(network.index)
            ).get()
            try await options.unsafeSetSocketOption(
                level: .ipv6, name: .ipv6_multicast_hops, value: CInt(255)
            ).get()
        } else {
            try await options.unsafeSetSocketOption(
                level: .ip, name: .multicastAll, value: CInt(0)
            ).get()
            try await options.unsafeSetSocketOption(
                level: .ip, name: .ip_multicast_if, value: inet_addr(network.address)
            ).get()
            try await options.setIPMulticastTTL(255).get()
        }
    }
}

/// Hands over the bytes of datagrams.
private final class PacketHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let hear: @Sendable ([UInt8]) -> Void

    init(_ hear: @escaping @Sendable ([UInt8]) -> Void) { self.hear = hear }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        hear(Array(unwrapInboundIn(data).data.readableBytesView))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A network that is down refuses what is sent; it may come up again.
    }
}

extension NIOBSDSocket.Option {
    fileprivate static let reusePort = NIOBSDSocket.Option(rawValue: SO_REUSEPORT)
    fileprivate static let multicastAll = NIOBSDSocket.Option(rawValue: IP_MULTICAST_ALL)
    /// `IPV6_MULTICAST_ALL`, which older headers lack.
    fileprivate static let multicastAllV6 = NIOBSDSocket.Option(rawValue: 29)
}
