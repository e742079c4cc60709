// One UDP port where browsers connect (github.com/libp2p/specs, webrtc/webrtc-direct.md): its
// datagrams are told apart by their first byte (RFC 7983) and go to the peer at their address.
//
// What is sent does not go through the channel: it would close with the first datagram that the
// system refuses, as to a port 0 that any stranger can claim to be at, it cannot send from the
// address that a datagram came to, and it sends each datagram by itself.

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

    /// How long a cookie may be, in bytes, with what is around it.
    private static let cookieRoom = 256
    /// For how long a cookie is made with the same secret; it is taken for as long again.
    private static let cookieTime: Duration = .seconds(60)

    let context: WebRTCContext
    private let server: OpaquePointer
    /// When cookies began to be made with a new secret.
    private var renewed = WebRTCListener.now()
    private let output: OpaquePointer
    private let stack = WebRTCStack.shared
    private var ice: ICEResponder
    private var peers: [UInt64: WebRTCPeer] = [:]
    /// What they were let in with.
    private var visits: [UInt64: Admission.Visit] = [:]
    /// Who is waited for, by what `ice` calls them.
    private var expected: [UInt64: ExpectedPeer] = [:]
    /// How many datagrams may go to where nobody has proven to be.
    private var reach = (level: WebRTCListener.reachBurst, filled: WebRTCListener.now())
    /// Where a server has seen this socket last.
    private var seen: (address: UDPAddress, time: Instant)?
    /// What STUN servers were asked, by the transactions, and whom.
    private var questions: [[UInt8]: (server: SocketAddress, answer: (UDPAddress) -> Void)] = [:]
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
        guard let output = weft_udp_new() else {
            weft_dtls_server_free(server)
            throw .overLimit
        }
        self.context = context
        self.server = server
        self.output = output
        ice = ICEResponder(context.limits, now: Self.now())
    }

    deinit {
        weft_dtls_server_free(server)
        weft_udp_free(output)
    }

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
        // One datagram could not be received.
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let source = UDPAddress(envelope.remoteAddress) else { return }
        self.context.bandwidth.received.add(envelope.data.readableBytes)
        switch envelope.data.readableBytesView.first {
        case (0...3)?: check(envelope, from: source)
        case let type? where (20...63).contains(type):
            guard let place = ice.peer(at: source) else { return }
            envelope.data.withUnsafeReadableBytes { bytes in
                bytes.withMemoryRebound(to: UInt8.self) { datagram in
                    if let known = peers[place] {
                        guard known.receive(datagram), ice.address(of: place) != source else {
                            return
                        }
                        ice.select(source, of: place)
                        known.path = WebRTCPath(envelope)
                    } else if type == 22 {
                        guard !isClosing else { return }
                        begin(place, source, datagram, WebRTCPath(envelope))
                    } else if ice.isNew(place) {
                        // It speaks as to a process before this one, and has to notice.
                        ice.end(place, now: Self.now())
                    }
                }
            }
        default: break
        }
    }

    /// A peer whose check was valid begins its handshake, and gets its state. When many do, it has
    /// to prove first that it is where it says.
    private func begin(
        _ place: UInt64, _ source: UDPAddress, _ datagram: UnsafeBufferPointer<UInt8>,
        _ path: WebRTCPath
    ) {
        let isCrowded = ice.isCrowded
        let made =
            isCrowded ? greet(source, datagram, path) : weft_dtls_new(server)
        guard let dtls = made else { return }
        if let other = ice.inTheWay(of: place) { peers[other]?.end(.overLimit) }
        let bound = NIOLoopBound(self, eventLoop: stack.eventLoop)
        let visit = context.admission.enter(from: path.remote) {
            bound.eventLoop.execute { bound.value.peers[place]?.end(.overLimit) }
        }
        guard let visit else {
            weft_dtls_free(dtls)
            ice.remove(place)
            expected.removeValue(forKey: place)?.call.lost()
            return
        }
        guard ice.begin(place) else {
            weft_dtls_free(dtls)
            return context.admission.leave(visit)
        }
        visits[place] = visit
        let agreed = expected.removeValue(forKey: place)
        agreed?.call.found()
        let new = stack.add {
            WebRTCPeer($0, dtls, place: place, by: path, expecting: agreed, of: self)
        }
        peers[place] = new
        // What brought a cookie back has been taken.
        new.receive(isCrowded ? nil : datagram)
        setTimer()
    }

    private func greet(
        _ source: UDPAddress, _ datagram: UnsafeBufferPointer<UInt8>, _ path: WebRTCPath
    ) -> OpaquePointer? {
        guard let start = datagram.baseAddress else { return nil }
        let now = Self.now()
        if now.since(renewed) >= Self.cookieTime {
            renewed = now
            // Cookies that nobody can guess are not to be had otherwise.
            guard weft_dtls_renew(server) else { return nil }
        }
        let address = source.ip + [UInt8(source.port >> 8), UInt8(source.port & 255)]
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.cookieRoom) { room in
            guard let answer = room.baseAddress else { return nil }
            var count = room.count
            let dtls = weft_dtls_greet(
                server, address, address.count, start, datagram.count, answer, &count)
            if count > 0 { send(UnsafeBufferPointer(start: answer, count: count), by: path) }
            return dtls
        }
    }

    private func check(_ envelope: AddressedEnvelope<ByteBuffer>, from source: UDPAddress) {
        let outcome = ice.receive(
            envelope.data.readableBytesSpan, from: source, now: Self.now())
        switch outcome {
        case .ignored: return
        case .answered(let answer):
            answer.withUnsafeBufferPointer { send($0, by: WebRTCPath(envelope)) }
        case .checked(let place, let answer):
            let path = WebRTCPath(envelope)
            answer.withUnsafeBufferPointer { send($0, by: path) }
            if let peer = peers[place], ice.address(of: place) == source { peer.path = path }
        case .seen(let address, let transaction):
            guard questions[transaction]?.server == envelope.remoteAddress else { return }
            seen = (address, Self.now())
            questions.removeValue(forKey: transaction)?.answer(address)
        }
        setTimer()
    }

    // MARK: Agreements

    /// How many STUN servers may be asked at once.
    private static let maxQuestions = 128
    /// How many datagrams may be sent at once to where a stranger says it is, and how many more
    /// each second.
    private static let reachBurst = 128
    private static let reachRate = 64
    /// How long it counts where a server sees this socket.
    private static let seenTime: Duration = .seconds(15)
    /// When a question is asked again, after the time before, in milliseconds.
    private static let repetitions: [Int64] = [500, 1000, 2000]

    /// Whether one more datagram may go to where nobody has proven to be.
    func mayReachOut() -> Bool {
        let now = Self.now()
        let pause = 1_000_000_000 / Int64(Self.reachRate)
        let fill = min(now.since(reach.filled).wholeNanoseconds / pause, Int64(Self.reachBurst))
        if fill > 0 { reach = (min(reach.level + Int(fill), Self.reachBurst), now) }
        guard reach.level > 0 else { return false }
        reach.level -= 1
        return true
    }

    /// Twelve bytes that nobody can guess.
    static func makeTransaction() -> [UInt8] { (0..<12).map { _ in .random(in: 0...255) } }

    /// Waits for a peer; nil if there are too many.
    func expect(_ peer: ExpectedPeer, _ agreement: ICEAgreement) -> UInt64? {
        guard !isClosing, channel != nil, let place = ice.expect(agreement, now: Self.now()) else {
            return nil
        }
        expected[place] = peer
        setTimer()
        return place
    }

    /// Waits for it no more, if its handshake has not begun.
    func forget(_ place: UInt64) {
        guard expected.removeValue(forKey: place) != nil else { return }
        ice.remove(place)
    }

    /// Asks a STUN server where it sees this socket.
    func ask(_ server: SocketAddress, _ answer: @escaping (UDPAddress) -> Void) {
        if let seen, Self.now().since(seen.time) < Self.seenTime { return answer(seen.address) }
        guard questions.count < Self.maxQuestions else { return }
        let transaction = Self.makeTransaction()
        questions[transaction] = (server, answer)
        ask(server, transaction, Self.repetitions[...])
    }

    /// Asks, and again as long as there is no answer.
    private func ask(_ server: SocketAddress, _ transaction: [UInt8], _ pauses: ArraySlice<Int64>) {
        guard questions[transaction] != nil, let channel else { return }
        guard let pause = pauses.first else {
            questions[transaction] = nil
            return
        }
        if mayReachOut() {
            send(STUNWriter(.request, transaction: transaction).finish(key: nil), to: server)
        }
        channel.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(pause)) {
            self.ask(server, transaction, pauses.dropFirst())
        }
    }

    // MARK: Sending

    /// Sends a datagram to who has sent none yet.
    func send(_ bytes: [UInt8], to address: SocketAddress) {
        let path = WebRTCPath(to: address)
        bytes.withUnsafeBufferPointer { send($0, by: path) }
    }

    func send(_ bytes: UnsafeBufferPointer<UInt8>, by path: WebRTCPath) {
        guard let channel, let start = bytes.baseAddress else { return }
        context.bandwidth.sent.add(bytes.count)
        var way = path.way
        if !weft_udp_add(output, &way, start, bytes.count) {
            flush()
            _ = weft_udp_add(output, &way, start, bytes.count)
        }
        guard !isFlushing else { return }
        isFlushing = true
        channel.eventLoop.assumeIsolated().execute {
            self.isFlushing = false
            self.flush()
        }
    }

    private func flush() {
        // A channel that is closed has no socket, and what was for it is lost.
        _ = try? channel?.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { weft_udp_flush(output, $0) }
    }

    // MARK: Peers

    /// A peer has proven who it is.
    func ready(_ peer: WebRTCPeer, _ handle: PeerConnection) {
        ice.open(peer.place)
        if let visit = visits[peer.place] { context.admission.proved(visit) }
        context.onPeer(handle)
    }

    /// A peer's connection is over.
    func remove(_ peer: WebRTCPeer) {
        guard peers.removeValue(forKey: peer.place) != nil else { return }
        ice.end(peer.place, now: Self.now())
        if let visit = visits.removeValue(forKey: peer.place) { context.admission.leave(visit) }
        closeIfOver()
    }

    /// Takes no more peers, and closes the port when those that are there have gone.
    func close() {
        isClosing = true
        closeIfOver()
    }

    private func closeIfOver() {
        guard isClosing, peers.isEmpty else { return }
        flush()
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
                self.expected[place] = nil
                self.peers[place]?.end(.timedOut)
            }
            self.setTimer()
        }
        timer = (deadline, task)
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
