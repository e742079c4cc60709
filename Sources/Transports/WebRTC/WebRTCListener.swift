// One UDP port where browsers connect (github.com/libp2p/specs, webrtc/webrtc-direct.md): its
// datagrams are told apart by their first byte (RFC 7983) and go to the peer at their address.

import CWebRTC
import Connections
import Multiformats
import NIOCore
import NIOPosix
import Wire

/// What the connections of a listener need.
struct WebRTCContext: Sendable {
    let options: ConnectionOptions
    let certificate: DTLSCertificate
    let limits: ICELimits
    let admission: Admission
    let memory: MemoryBudget
    let bandwidth: Bandwidth
    let acceptor: StreamAcceptor
    let onPeer: @Sendable (PeerConnection) -> Void
}

/// The last handler of the port's channel, on the event loop of WebRTC.
final class WebRTCListener: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    let context: WebRTCContext
    let server: OpaquePointer
    private let stack = WebRTCStack.shared
    private var ice: ICEResponder
    private var peers: [UInt64: WebRTCPeer] = [:]
    private var channel: (any Channel)?
    private var timer: (at: Instant, task: Scheduled<Void>)?
    private var isFlushing = false
    private var isClosing = false

    /// Throws if the certificate cannot be used.
    init(_ context: WebRTCContext) throws(TransportError) {
        let certificate = context.certificate
        guard
            let server = weft_dtls_server_new(
                certificate.certificate, certificate.certificate.count, certificate.privateKey,
                certificate.privateKey.count)
        else { throw .tls("OpenSSL does not take the certificate") }
        self.context = context
        self.server = server
        ice = ICEResponder(context.limits, now: Self.now())
    }

    deinit { weft_dtls_server_free(server) }

    private static func now() -> Instant {
        Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds)
    }

    var localAddress: SocketAddress? { channel?.localAddress }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) { channel = context.channel }

    func channelInactive(context: ChannelHandlerContext) {
        channel = nil
        timer?.task.cancel()
        timer = nil
        for (_, peer) in peers { peer.end(.closed) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // One datagram could not be received or sent, as when its receiver is gone.
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let source = UDPAddress(envelope.remoteAddress) else { return }
        self.context.bandwidth.received.add(envelope.data.readableBytes)
        switch envelope.data.readableBytesView.first {
        case (0...3)?: check(envelope, from: source)
        case let type? where (20...63).contains(type):
            guard let peer = peer(at: source, type, envelope.remoteAddress) else { return }
            envelope.data.withUnsafeReadableBytes { bytes in
                bytes.withMemoryRebound(to: UInt8.self) { peer.receive($0) }
            }
        default: break
        }
    }

    /// The peer at an address. One whose first check was valid gets its state with the first
    /// message of its handshake.
    private func peer(
        at source: UDPAddress, _ type: UInt8, _ address: SocketAddress
    ) -> WebRTCPeer? {
        guard let place = ice.peer(at: source) else { return nil }
        if let known = peers[place] { return known }
        guard type == 22, !isClosing else { return nil }
        guard context.admission.enter(from: address) else {
            ice.remove(place)
            return nil
        }
        guard
            let new = stack.add({ WebRTCPeer($0, place: place, at: address, of: self) })
        else {
            context.admission.leave()
            return nil
        }
        peers[place] = new
        return new
    }

    private func check(_ envelope: AddressedEnvelope<ByteBuffer>, from source: UDPAddress) {
        let outcome = ice.receive(
            envelope.data.readableBytesSpan, from: source, now: Self.now())
        switch outcome {
        case .ignored: return
        case .answered(let answer): send(answer, to: envelope.remoteAddress)
        case .checked(let place, let answer):
            send(answer, to: envelope.remoteAddress)
            if let peer = peers[place], ice.address(of: place) == source {
                peer.address = envelope.remoteAddress
            }
        }
        setTimer()
    }

    // MARK: Sending

    private func send(_ bytes: [UInt8], to address: SocketAddress) {
        bytes.withUnsafeBytes { send($0, to: address) }
    }

    func send(_ bytes: UnsafeRawBufferPointer, to address: SocketAddress) {
        // What there is no room for is lost, as it may be on its way.
        guard let channel, channel.isWritable else { return }
        context.bandwidth.sent.add(bytes.count)
        var data = channel.allocator.buffer(capacity: bytes.count)
        data.writeBytes(bytes)
        channel.write(AddressedEnvelope(remoteAddress: address, data: data), promise: nil)
        guard !isFlushing else { return }
        isFlushing = true
        channel.eventLoop.assumeIsolated().execute {
            self.isFlushing = false
            self.channel?.flush()
        }
    }

    // MARK: Peers

    /// A peer has proven who it is.
    func ready(_ peer: WebRTCPeer, _ handle: PeerConnection) {
        ice.open(peer.place)
        context.onPeer(handle)
    }

    /// A peer's connection is over.
    func remove(_ peer: WebRTCPeer) {
        guard peers.removeValue(forKey: peer.place) != nil else { return }
        ice.remove(peer.place)
        context.admission.leave()
        closeIfOver()
    }

    /// Takes no more peers, and closes the port when those that are there have gone.
    func close() {
        isClosing = true
        closeIfOver()
    }

    private func closeIfOver() {
        guard isClosing, peers.isEmpty else { return }
        channel?.close(promise: nil)
    }

    // MARK: Time

    private func setTimer() {
        guard let channel, let deadline = ice.deadline else { return }
        if let timer {
            guard deadline < timer.at else { return }
            timer.task.cancel()
        }
        let at = NIODeadline.uptimeNanoseconds(deadline.nanoseconds)
        let task = channel.eventLoop.assumeIsolated().scheduleTask(deadline: at) {
            self.timer = nil
            for place in self.ice.takeLost(now: Self.now()) {
                self.peers[place]?.end(.timedOut)
            }
            self.setTimer()
        }
        timer = (deadline, task)
    }
}

extension UDPAddress {
    /// The address of a datagram; nil if it is not one of UDP over IP.
    init?(_ address: SocketAddress) {
        // After the family come the port, in IPv6 a label, and the IP address (ip(7), ipv6(7)).
        let length: Int
        let start: Int
        switch address {
        case .v4: (start, length) = (4, 4)
        case .v6: (start, length) = (8, 16)
        case .unixDomainSocket: return nil
        }
        let read = address.withSockAddr { pointer, size -> UDPAddress? in
            let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
            guard size >= start + length else { return nil }
            let ip = Array(bytes[start..<(start + length)])
            let port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
            return UDPAddress(ip: ip.span.bytes, port: port)
        }
        guard let read else { return nil }
        self = read
    }
}

extension ConnectionSecrets {
    /// Fresh ones.
    static func random() -> ConnectionSecrets {
        var generator = SystemRandomNumberGenerator()
        var random: [UInt8] = []
        while random.count < byteCount { random.appendLittleEndian(generator.next()) }
        return ConnectionSecrets(Array(random.prefix(byteCount)))
    }
}
