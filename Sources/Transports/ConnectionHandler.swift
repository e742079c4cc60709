// Drives one connection machine with one channel: bytes in, bytes out, one timer.

import Connections
import Multiformats
import NIOCore
import NIOTLS
import Wire

/// The last handler of a connection's pipeline. It does nothing that the machine does not ask for.
final class ConnectionHandler: ChannelInboundHandler, StreamCarrier {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What is written to the channel at once, at most, in bytes: four frames of Noise.
    private static let writeSize = 4 * (65_535 + 2)

    private var connection: Connection
    private let acceptor: StreamAcceptor
    private let tls: TLSUpgrade
    private let traffic: TrafficHandler
    private let memory: MemoryShare
    /// What streams hold outside of the machine.
    private var heldByStreams = 0
    private var receivers = StreamReceivers()
    private var context: ChannelHandlerContext?
    private var handle: PeerConnection?
    private var timer: (at: Instant, task: Scheduled<Void>)?
    /// Whether there ever was a connection. Without one, whoever dials knows better why.
    private var isConnected = false
    /// Fulfilled when the peer has proven who it is, and let go of then: it keeps the connection
    /// that it was given, which keeps this handler.
    private var ready: EventLoopPromise<PeerConnection>?
    /// Why the connection ended, if not because somebody closed it.
    private var failure: TransportError?
    /// Whether somebody further up the call stack is going to send what there is.
    private var isPumping = false
    private var isReading = false
    private var isWoken = false
    private var hasEnded = false

    init(
        _ connection: consuming Connection, tls: TLSUpgrade, traffic: TrafficHandler,
        memory: MemoryBudget, acceptor: @escaping StreamAcceptor,
        ready: EventLoopPromise<PeerConnection>
    ) {
        self.memory = MemoryShare(memory)
        self.connection = connection
        self.tls = tls
        self.traffic = traffic
        self.acceptor = acceptor
        self.ready = ready
    }

    private static func now() -> Instant {
        Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds)
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        memory.start(
            on: context.eventLoop,
            pause: { [weak self] isPaused in
                if isPaused { self?.traffic.pauseReading() } else { self?.traffic.resumeReading() }
            },
            recount: { [weak self] in self?.countMemory() },
            runOut: { [weak self] in self?.runOutOfMemory() })
        countMemory()
        traffic.onRoom = { [weak self] in self?.pump() }
        guard context.channel.isActive else { return }
        isConnected = true
        pump()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        isConnected = true
        pump()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        isReading = true
        do throws(ConnectionError) {
            connection.setGrowth(allowed: memory.hasRoom)
            try connection.receive(buffer.readableBytesSpan, now: Self.now())
            dispatch()
            countMemory()
        } catch {
            dispatch()
            fail(.failed(error))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        pump()
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        pump()
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted(let name): finishTLS(negotiated: name)
        // Half a connection is of no use to a muxer.
        case ChannelEvent.inputClosed: context.close(promise: nil)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = failure ?? tls.fault(error) ?? .unreachable("\(error)")
        context.close(promise: nil)
    }

    // MARK: The machine

    /// Passes on what the machine has to say.
    private func dispatch() {
        while let event = connection.nextEvent() {
            switch event {
            case .tlsWanted: startTLS()
            case .ready(let peer): becomeReady(peer)
            case .accepted(let id, let name): accept(id, name)
            case .goAway: break
            case .silent: receivers.onPresence?(.silent)
            case .awake: receivers.onPresence?(.awake)
            case .opened, .refused, .data, .finished, .reset, .room:
                guard let telling = receivers.take(event) else { continue }
                telling.receiver(telling.notice)
            }
        }
    }

    /// Sees to it that what a stream has asked for is sent soon, together with what else is asked
    /// for until then. Nothing is called back before.
    private func wake() {
        guard !isPumping, !isReading, !isWoken, let context else { return }
        isWoken = true
        context.eventLoop.assumeIsolated().execute {
            self.isWoken = false
            self.pump()
        }
    }

    /// Sends what may be sent, and sets the timer.
    private func pump() {
        guard !isPumping, let context else { return }
        isPumping = true
        dispatch()
        var hasWritten = false
        var isHeldBack = false
        while context.channel.isWritable, connection.wantsToTransmit {
            let size = traffic.room(for: min(Self.writeSize, connection.transmitSize))
            isHeldBack = size == 0
            if isHeldBack { break }
            var buffer = context.channel.allocator.buffer(capacity: size)
            buffer.writeWithOutputRawSpan(minimumWritableBytes: size) { output in
                connection.transmit(into: &output)
            }
            dispatch()
            guard buffer.readableBytes > 0 else { break }
            context.write(wrapOutboundOut(buffer), promise: nil)
            // What TLS makes of it is paid for when it passes.
            if traffic.isSendingLimited { context.flush() }
            hasWritten = true
        }
        if hasWritten { context.flush() }
        traffic.settle()
        receivers.forgetEnded { connection.isOpen($0) }
        countMemory()
        setTimer(context)
        isPumping = false
        // Flushing may have made room at once, and then nobody tells any more.
        if hasWritten, !isHeldBack, context.channel.isWritable, connection.wantsToTransmit {
            wake()
        }
    }

    /// Counts what is held.
    private func countMemory() {
        guard !hasEnded else { return }
        memory.count(connection.heldBytes + heldByStreams)
    }

    private func runOutOfMemory() {
        failure = failure ?? .overMemory
        context?.close(promise: nil)
    }

    private func setTimer(_ context: ChannelHandlerContext) {
        guard let deadline = connection.deadline else { return }
        if let timer {
            // A timer that is too early sets the next one when it fires.
            guard deadline < timer.at else { return }
            timer.task.cancel()
        }
        let at = NIODeadline.uptimeNanoseconds(deadline.nanoseconds)
        let task = context.eventLoop.assumeIsolated().scheduleTask(deadline: at) {
            self.timer = nil
            self.advance()
        }
        timer = (deadline, task)
    }

    private func advance() {
        do throws(ConnectionError) {
            try connection.advance(to: Self.now())
        } catch {
            fail(.failed(error))
            return
        }
        pump()
    }

    private func becomeReady(_ peer: PeerID) {
        guard let context else { return }
        let handle = PeerConnection(
            peer: peer, carrier: self, on: context.eventLoop,
            remote: context.channel.remoteAddress, local: context.channel.localAddress,
            counts: traffic.counts)
        self.handle = handle
        ready?.succeed(handle)
        ready = nil
    }

    private func accept(_ id: UInt32, _ name: ProtocolName) {
        guard let handle else { return }
        let stream = PeerStream(id: id, carrier: self)
        guard let receiver = acceptor(handle, stream, name) else {
            connection.reset(id)
            return
        }
        receivers.add(id, receiver)
    }

    private func fail(_ error: TransportError) {
        failure = failure ?? error
        // The machine may have something to tell the peer.
        pump()
        context?.close(promise: nil)
    }

    private func end() {
        timer?.task.cancel()
        timer = nil
        if !hasEnded {
            hasEnded = true
            memory.end()
        }
        let error = failure ?? .closed
        if isConnected { ready?.fail(error) }
        ready = nil
        for receiver in receivers.removeAll() { receiver(.ended(error)) }
        handle?.end(error)
        handle = nil
    }

    // MARK: TLS

    private func startTLS() {
        guard let context else { return }
        do {
            // The answer to the negotiation leaves before TLS writes anything.
            pumpClear(context)
            try tls.startServer(before: self, context, unread: connection.takeUnread())
        } catch {
            fail(.tls("\(error)"))
        }
    }

    /// Sends what belongs before TLS.
    private func pumpClear(_ context: ChannelHandlerContext) {
        var buffer = context.channel.allocator.buffer(capacity: Connection.leastRoom)
        buffer.writeWithOutputRawSpan(minimumWritableBytes: Connection.leastRoom) { output in
            connection.transmit(into: &output)
        }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    private func finishTLS(negotiated: String?) {
        guard let peer = tls.verifiedPeer else {
            fail(.tls("the peer has not proven who it is"))
            return
        }
        let isChosen = negotiated == ConnectionOptions.muxer.description
        do throws(ConnectionError) {
            try connection.secured(
                peer: peer, muxer: isChosen ? ConnectionOptions.muxer : nil, now: Self.now())
        } catch {
            fail(.failed(error))
        }
        pump()
    }
}

// What streams and their owner ask for, on the event loop.
extension ConnectionHandler {
    /// Opens a stream whose notices go to `receiver`. Nil if there are too many.
    func open(
        _ protocols: [ProtocolName], _ receiver: @escaping (PeerStream) -> StreamReceiver
    ) -> PeerStream? {
        guard context != nil, let id = connection.open(protocols, now: Self.now()) else {
            return nil
        }
        let stream = PeerStream(id: id, carrier: self)
        receivers.add(id, receiver(stream))
        wake()
        return stream
    }

    func write(_ bytes: ArraySlice<UInt8>, to id: UInt32) -> Bool {
        let isTaken = connection.write(bytes, to: id)
        wake()
        return isTaken
    }

    func finish(_ id: UInt32) {
        connection.finish(id)
        receivers.finished(id)
        wake()
    }

    func reset(_ id: UInt32) {
        receivers.remove(id)
        connection.reset(id)
        wake()
    }

    /// What streams hold outside of the machine has changed.
    func hold(_ change: Int) {
        heldByStreams += change
        if change > 0 { countMemory() }
    }

    func consume(_ count: Int, of id: UInt32) {
        connection.consume(count, of: id, now: Self.now())
        wake()
    }

    /// Finds out whether the peer is there.
    func check(_ onPresence: @escaping (PeerPresence) -> Void) {
        guard context != nil else { return }
        receivers.onPresence = onPresence
        connection.check(now: Self.now())
        wake()
    }

    /// Says goodbye and closes.
    func close() {
        connection.close()
        pump()
        context?.close(promise: nil)
    }

    var roundTrip: Duration? { connection.roundTrip }
}
