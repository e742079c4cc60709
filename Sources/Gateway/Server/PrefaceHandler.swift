// The beginning of a connection without TLS. A client that takes the gateway for its proxy may
// ask for a tunnel first (CONNECT, RFC 9110, section 9.3.6); it leads to this gateway, whatever
// host was named, because the hosts of content exist nowhere else.

import NIOCore

/// Waits for the first bytes of a connection, then makes way for what can read them.
final class PrefaceHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What a client may take and send before it is known what it speaks.
    struct Limits {
        /// A client that says nothing for this long is not waited for.
        let patience: TimeAmount
        /// The most bytes of a request for a tunnel.
        let headerBytes: Int
    }

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private static let connect = Array("CONNECT ".utf8)
    private static let end = Array("\r\n\r\n".utf8)

    private let limits: Limits
    private let promise: EventLoopPromise<PlainChannel.Spoken>
    private let setup: (Bool) -> EventLoopFuture<PlainChannel.Spoken>
    private var buffer = ByteBuffer()
    private var isDecided = false
    private var timer: Scheduled<Void>?

    init(
        _ limits: Limits, _ promise: EventLoopPromise<PlainChannel.Spoken>,
        setup: @escaping (Bool) -> EventLoopFuture<PlainChannel.Spoken>
    ) {
        self.limits = limits
        self.promise = promise
        self.setup = setup
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: limits.patience) {
            channel.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        if !isDecided { promise.fail(ChannelError.eof) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        buffer.writeBuffer(&bytes)
        guard !isDecided else { return }
        while begins(with: Self.connect) {
            guard buffer.readableBytes >= Self.connect.count, let head = headLength else {
                // A request for a tunnel that does not end.
                if buffer.readableBytes > limits.headerBytes { refuse(context) }
                return
            }
            buffer.moveReaderIndex(forwardBy: head)
            let answer = ByteBuffer(string: "HTTP/1.1 200 Connection established\r\n\r\n")
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        }
        let isPreface = begins(with: Self.preface)
        if buffer.readableBytes == 0 || isPreface && buffer.readableBytes < Self.preface.count {
            return
        }
        isDecided = true
        promise.completeWith(setup(isPreface))
        context.fireChannelRead(wrapInboundOut(buffer))
        context.fireChannelReadComplete()
        buffer = ByteBuffer()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, !isDecided { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDecided {
            isDecided = true
            promise.fail(ChannelError.eof)
        }
        context.fireChannelInactive()
    }

    /// Whether what came so far is these bytes, or the beginning of them.
    private func begins(with bytes: [UInt8]) -> Bool {
        buffer.readableBytes > 0
            && bytes.starts(with: buffer.readableBytesView.prefix(bytes.count))
    }

    /// How many bytes the head of a request has; nil if it has not come to its end.
    private var headLength: Int? {
        let view = buffer.readableBytesView.prefix(limits.headerBytes)
        return view.firstRange(of: Self.end).map { $0.upperBound - view.startIndex }
    }

    private func refuse(_ context: ChannelHandlerContext) {
        isDecided = true
        promise.fail(ChannelError.eof)
        context.writeAndFlush(wrapOutboundOut(Refusal.headersTooLarge.bytes), promise: nil)
        context.close(promise: nil)
    }
}
