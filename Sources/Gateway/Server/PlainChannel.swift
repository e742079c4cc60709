// Connections without TLS: the first bytes tell whether a client speaks HTTP/2 or HTTP/1.1
// (RFC 9113, section 3.3: prior knowledge).

import HummingbirdCore
import HummingbirdHTTP2
import Logging
import NIOCore

/// A connection whose first bytes tell which HTTP it speaks.
struct PlainChannel: ServerChildChannel {
    struct Value: ServerChildChannelValue {
        let spoken: EventLoopFuture<Spoken>
        let channel: any Channel
    }

    enum Spoken: Sendable {
        case http1(HTTP1Channel.Value)
        case http2(HTTP2Channel.Value)
    }

    let http1: HTTP1Channel
    let http2: HTTP2Channel

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let promise = channel.eventLoop.makePromise(of: Spoken.self)
            let handler = PrefaceHandler(promise) { isHTTP2 in
                isHTTP2
                    ? http2.setup(channel: channel, logger: logger).map { Spoken.http2($0) }
                    : http1.setup(channel: channel, logger: logger).map { Spoken.http1($0) }
            }
            try channel.pipeline.syncOperations.addHandler(handler)
            return Value(spoken: promise.futureResult, channel: channel)
        }
    }

    func handle(value: Value, logger: Logger) async {
        do {
            switch try await value.spoken.get() {
            case .http1(let value): await http1.handle(value: value, logger: logger)
            case .http2(let value): await http2.handle(value: value, logger: logger)
            }
        } catch {
            logger.debug("a connection ended before it said anything")
        }
    }
}

/// Waits for the first bytes of a connection, then makes way for what can read them.
private final class PrefaceHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// A client that says nothing for this long is not waited for.
    private static let patience = TimeAmount.seconds(20)
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private let promise: EventLoopPromise<PlainChannel.Spoken>
    private let setup: (Bool) -> EventLoopFuture<PlainChannel.Spoken>
    private var buffer = ByteBuffer()
    private var isDecided = false
    private var timer: Scheduled<Void>?

    init(
        _ promise: EventLoopPromise<PlainChannel.Spoken>,
        setup: @escaping (Bool) -> EventLoopFuture<PlainChannel.Spoken>
    ) {
        self.promise = promise
        self.setup = setup
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: Self.patience) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        if !isDecided { promise.fail(ChannelError.eof) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        buffer.writeBuffer(&bytes)
        guard !isDecided else { return }
        let start = buffer.readableBytesView.prefix(Self.preface.count)
        let isPreface = Self.preface.starts(with: start)
        if isPreface, start.count < Self.preface.count { return }
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
}
