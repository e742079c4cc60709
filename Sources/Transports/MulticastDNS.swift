// Sockets for multicast DNS (RFC 6762): one on each network of this machine, over IPv4.

import Glibc
public import NIOCore
import NIOPosix
import Synchronization

/// Sends packets to everybody in the networks of this machine, and hears theirs.
public final class MulticastDNS: Sendable {
    /// The longest packet that is heard, in bytes.
    public static let maxBytes = 9_000
    /// On how many networks.
    public static let maxNetworks = 8
    private static let group = "224.0.0.251"
    private static let port = 5353

    private struct State {
        /// The sockets by the addresses of their networks' devices.
        var channels: [String: any Channel] = [:]
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

    /// How many networks there are sockets on.
    public var networkCount: Int { state.withLock { $0.channels.count } }

    /// Opens sockets on networks that are new, and closes those of networks that are gone.
    ///
    /// - Returns: why there is no socket on a network that was tried; nil if there are all.
    public func update() async -> String? {
        var failure: String?
        let devices: [NIONetworkDevice]
        do {
            devices = try System.enumerateDevices().filter(Self.isUseful)
        } catch {
            return "\(error)"
        }
        let present = Set(devices.compactMap { $0.address?.ipAddress })
        let gone = state.withLock { state in
            let gone = state.channels.filter { !present.contains($0.key) }
            for (address, _) in gone { state.channels[address] = nil }
            return Array(gone.values)
        }
        for channel in gone { channel.close(promise: nil) }
        for device in devices {
            guard let address = device.address?.ipAddress,
                state.withLock({
                    !$0.isClosed && $0.channels[address] == nil
                        && $0.channels.count < Self.maxNetworks
                })
            else { continue }
            do {
                let channel = try await open(on: device)
                let isKept = state.withLock { state in
                    if !state.isClosed { state.channels[address] = channel }
                    return !state.isClosed
                }
                if !isKept { channel.close(promise: nil) }
            } catch {
                failure = "\(device.name): \(error)"
            }
        }
        return failure
    }

    /// Sends a packet to all networks. What is lost is lost, as everything in multicast may be.
    public func send(_ packet: [UInt8]) {
        guard let group = try? SocketAddress(ipAddress: Self.group, port: Self.port) else { return }
        for channel in state.withLock({ Array($0.channels.values) }) {
            let data = channel.allocator.buffer(bytes: packet)
            channel.writeAndFlush(
                AddressedEnvelope(remoteAddress: group, data: data), promise: nil)
        }
    }

    /// Closes all sockets.
    public func close() {
        let channels = state.withLock { state in
            state.isClosed = true
            defer { state.channels = [:] }
            return Array(state.channels.values)
        }
        for channel in channels { channel.close(promise: nil) }
    }

    private static func isUseful(_ device: NIONetworkDevice) -> Bool {
        guard device.multicastSupported, case .v4 = device.address else { return false }
        return device.address?.ipAddress?.hasPrefix("127.") == false
    }

    private func open(on device: NIONetworkDevice) async throws -> any Channel {
        guard let own = device.address?.ipAddress else { throw ChannelError.operationUnsupported }
        let group = try SocketAddress(ipAddress: Self.group, port: Self.port)
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
            // Hear what comes by this device alone, or every socket would hear everything.
            try await options.unsafeSetSocketOption(
                level: .ip, name: .multicastAll, value: CInt(0)
            ).get()
            try await options.unsafeSetSocketOption(
                level: .ip, name: .ip_multicast_if, value: inet_addr(own)
            ).get()
            try await options.setIPMulticastTTL(255).get()
            try await multicast.joinGroup(group, device: device).get()
            return channel
        } catch {
            channel.close(promise: nil)
            throw error
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
}
