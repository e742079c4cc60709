// Listening for browsers over WebRTC (github.com/libp2p/specs, webrtc/webrtc-direct.md).

import CWebRTC
import Connections
import Glibc
import Multiformats
import NIOCore
import NIOPosix
import Synchronization
import Wire

extension Transport {
    /// How many datagrams are read from the system at once, and how long one may be.
    private static let datagramsPerRead = 16
    private static let datagramSize = 2048
    /// How many bytes the system may keep of what has not been read.
    private static let receiveBuffer = 4 << 20

    /// Waits for peers at `/ip4|ip6/…/udp/PORT/webrtc-direct`.
    func listenForWebRTC(
        on address: Multiaddr, onPeer: @escaping @Sendable (PeerConnection) -> Void
    ) async throws -> Listener {
        let place = try WebRTCEndpoint(address)
        // What is said within a private network, browsers cannot say.
        guard options.presharedKey == nil else { throw TransportError.unsupportedAddress(address) }
        let certificate = try webRTCCertificate()
        var limits = ICELimits()
        limits.handshake = options.handshakeTimeout
        let context = WebRTCContext(
            options: connectionOptions, certificate: certificate, limits: limits,
            admission: options.admission, memory: options.memory, bandwidth: bandwidth,
            acceptor: acceptor, onPeer: onPeer)
        let loop = WebRTCStack.shared.eventLoop
        let made = loop.makePromise(of: NIOLoopBound<WebRTCListener>.self)
        var bootstrap = DatagramBootstrap(group: loop)
            .channelOption(.socketOption(.so_rcvbuf), value: .init(Self.receiveBuffer))
            .channelOption(
                .datagramVectorReadMessageCount, value: Self.datagramsPerRead
            )
            .channelOption(
                .recvAllocator,
                value: FixedSizeRecvByteBufferAllocator(
                    capacity: Self.datagramsPerRead * Self.datagramSize)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let listener = try WebRTCListener(context)
                    try channel.pipeline.syncOperations.addHandler(listener)
                    made.succeed(NIOLoopBound(listener, eventLoop: channel.eventLoop))
                }
            }
        if place.isWildcard {
            // A machine with several addresses has to answer from the one that was asked.
            bootstrap = bootstrap.channelOption(.receivePacketInfo, value: true)
        }
        if place.isIPv6 {
            bootstrap = bootstrap.channelOption(
                ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: 1)
        }
        do {
            let channel = try await bootstrap.bind(
                to: SocketAddress(ipAddress: place.ip, port: place.port)
            ).get()
            let listener = try await made.futureResult.get()
            let bound = try place.bound(
                at: channel.localAddress?.port, certificate: certificate)
            webRTCListeners.withLock { $0.append(listener) }
            return Listener(bound) {
                channel.eventLoop.submit {
                    self.webRTCListeners.withLock { all in
                        all.removeAll { $0.value === listener.value }
                    }
                    listener.value.close()
                }
            }
        } catch {
            made.fail(TransportError.closed)
            throw TransportError.unreachable("\(error)")
        }
    }
}

/// Where WebRTC is listened for.
struct WebRTCEndpoint {
    let ip: String
    let isIPv6: Bool
    let port: Int

    /// Whether it is at any address of this machine.
    var isWildcard: Bool { ip == "0.0.0.0" || ip == "::" }

    /// Whether an address is one of WebRTC at an IP address.
    static func isMeant(by address: Multiaddr) -> Bool {
        address.components.contains { $0.protocol == .webrtcDirect }
    }

    /// The endpoint of `/ip4|ip6/…/udp/PORT/webrtc-direct`. The hash of a certificate behind it is
    /// passed over, as this node has but one certificate.
    init(_ address: Multiaddr) throws {
        let parts = address.components.filter { $0.protocol != .p2p && $0.protocol != .certhash }
        guard parts.count == 3, [.ip4, .ip6].contains(parts[0].protocol),
            parts[1].protocol == .udp, parts[2].protocol == .webrtcDirect,
            let port = Int(parts[1].text)
        else { throw TransportError.unsupportedAddress(address) }
        ip = parts[0].text
        isIPv6 = parts[0].protocol == .ip6
        self.port = port
    }

    /// The address with the port that it was bound to, and the certificate's hash.
    func bound(at port: Int?, certificate: DTLSCertificate) throws -> Multiaddr {
        let text = "/\(isIPv6 ? "ip6" : "ip4")/\(ip)/udp/\(port ?? self.port)/webrtc-direct"
        return try Multiaddr(Multiaddr(text: text).components + [certificate.component])
    }
}
