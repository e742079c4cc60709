// The handler next to the socket: it counts every byte and holds reading back. Writing is held back
// by the handler at the other end of the pipeline, because what has been encrypted keeps its order.

import NIOCore
import Synchronization

/// What passes between one connection and its socket. All on the connection's event loop.
final class TrafficHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What is read at once while there is a limit, at most, in bytes: it is paid for afterwards.
    private static let limitedRead = 32 << 10
    /// What peers send at once is read at once, up to a megabyte.
    private static let receiveAllocator = AdaptiveRecvByteBufferAllocator(
        minimum: 2048, initial: 16_384, maximum: 1 << 20)

    /// How often is read in a row without a limit, which is NIO's usual.
    private static let messagesPerRead: UInt = 4

    let counts = TrafficCounts()
    /// Called when the connection may send again.
    var onRoom: (() -> Void)?
    private let bandwidth: Bandwidth
    private var inbound: ThrottledFlow?
    private var outbound: ThrottledFlow?
    private var context: ChannelHandlerContext?
    /// Whether reading was asked for and held back.
    private var isReadHeld = false
    /// Whether nothing is to be read for now.
    private var isPaused = false
    /// Whether the channel reads in small pieces.
    private var readsLittle: Bool?

    init(_ bandwidth: Bandwidth) { self.bandwidth = bandwidth }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        inbound = ThrottledFlow(bandwidth.inbound, on: context.eventLoop) { [weak self] in
            self?.goOnReading()
        }
        outbound = ThrottledFlow(bandwidth.outbound, on: context.eventLoop) { [weak self] in
            self?.onRoom?()
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        inbound?.end()
        outbound?.end()
        onRoom = nil
        context = nil
    }

    // MARK: Reading

    func read(context: ChannelHandlerContext) {
        guard !isPaused, inbound?.isClear != false else {
            isReadHeld = true
            return
        }
        fitReads(context)
        context.read()
    }

    /// Reads nothing more, so that the peer is held back.
    func pauseReading() { isPaused = true }

    /// Takes that back.
    func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        goOnReading()
    }

    private func goOnReading() {
        guard isReadHeld, let context else { return }
        isReadHeld = false
        read(context: context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let count = unwrapInboundIn(data).readableBytes
        counts.received.add(UInt64(count), ordering: .relaxed)
        bandwidth.received.add(count)
        inbound?.spend(count)
        context.fireChannelRead(data)
    }

    /// With a limit, little is read at a time.
    private func fitReads(_ context: ChannelHandlerContext) {
        let isLimited = bandwidth.inbound.isLimited
        guard isLimited != readsLittle, let options = context.channel.syncOptions else { return }
        readsLittle = isLimited
        do {
            if isLimited {
                let size = min(Self.limitedRead, bandwidth.inbound.quantum)
                try options.setOption(
                    .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: size))
            } else {
                try options.setOption(.recvAllocator, value: Self.receiveAllocator)
            }
            let count: UInt = isLimited ? 1 : Self.messagesPerRead
            try options.setOption(.maxMessagesPerRead, value: count)
        } catch {
            // The channel is closed; then it does not read either.
            readsLittle = nil
        }
    }

    // MARK: Writing

    /// Whether there is a limit to what is sent.
    var isSendingLimited: Bool { bandwidth.outbound.isLimited }

    /// How many bytes may be written now; none while the connection is held back, and then
    /// ``onRoom`` tells when to go on.
    func room(for count: Int) -> Int { outbound?.room(for: count) ?? count }

    /// Everything that is to be written now has been.
    func settle() { outbound?.settle() }

    func write(
        context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
    ) {
        let count = unwrapOutboundIn(data).readableBytes
        counts.sent.add(UInt64(count), ordering: .relaxed)
        bandwidth.sent.add(count)
        outbound?.spend(count)
        context.write(data, promise: promise)
    }
}
