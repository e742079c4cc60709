// What a gateway does on a connection's own event loop: it answers what is kept ready without
// leaving the loop, and closes connections that idle or that take nothing.

import HTTPTypes
import NIOCore
import NIOHTTPTypes
import Weft

/// Sits between HTTP parsing and the gateway on each HTTP/1.1 connection.
final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let options: GatewayOptions
    private let cache: ResponseCache
    /// Requests that went on to the gateway and whose answers have not ended.
    private var inProgress = 0
    /// Whether the rest of a request that was answered here is still to come.
    private var isSkipping = false
    private var hasWritten = false
    private var lastActive = NIODeadline.now()
    private var unwritableSince: NIODeadline?
    private var timer: RepeatedTask?
    /// The socket's end of the pipeline, for answers that are bytes already.
    private var socket: ChannelHandlerContext?

    init(_ options: GatewayOptions, cache: ResponseCache) {
        self.options = options
        self.cache = cache
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let end = SocketEnd()
            try pipeline.addHandler(end, position: .first)
            socket = try pipeline.context(handler: end)
        } catch {
            // Without it every request takes the way through the gateway.
            socket = nil
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleRepeatedTask(
            initialDelay: .seconds(5), delay: .seconds(5)
        ) { _ in
            let (handler, context) = bound.value
            handler.check(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        socket = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastActive = .now()
        switch unwrapInboundIn(data) {
        case .head(let request):
            isSkipping = false
            if inProgress == 0, let entry = ready(request), let socket {
                isSkipping = true
                hasWritten = true
                socket.write(NIOAny(Self.bytes(of: entry, context)), promise: nil)
                options.metrics?.countAnswer(200, bytes: entry.body.readableBytes)
                return
            }
            inProgress += 1
        case .body: if isSkipping { return }
        case .end:
            if isSkipping {
                isSkipping = false
                return
            }
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if hasWritten {
            hasWritten = false
            context.flush()
        }
        context.fireChannelReadComplete()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        lastActive = .now()
        if case .end = unwrapOutboundIn(data) { inProgress -= 1 }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        unwritableSince = context.channel.isWritable ? nil : .now()
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
    }

    private func ready(_ request: HTTPRequest) -> ResponseCache.Entry? {
        guard let target = request.path, let authority = request.authority,
            ResponseCache.isPlain(request),
            HostRoute(authority, gateways: options.subdomainHosts) == .path
        else { return nil }
        return cache.entry(target)
    }

    private static func bytes(
        of entry: ResponseCache.Entry, _ context: ChannelHandlerContext
    ) -> ByteBuffer {
        let date = DateField.now
        var out = context.channel.allocator.buffer(capacity: entry.size + 48)
        out.writeImmutableBuffer(entry.head)
        out.writeString("Date: ")
        out.writeString(date)
        out.writeString("\r\n\r\n")
        out.writeImmutableBuffer(entry.body)
        return out
    }

    private func check(_ context: ChannelHandlerContext) {
        let now = NIODeadline.now()
        let stall = TimeAmount.nanoseconds(options.stallTimeout.nanosecondsClamped)
        let isStalled = unwritableSince.map { now - $0 > stall } ?? false
        let isIdle = inProgress == 0 && now - lastActive > options.idleTimeout
        if isStalled || isIdle { context.close(promise: nil) }
    }
}

/// Marks the socket's end of a pipeline; it does nothing.
private final class SocketEnd: ChannelOutboundHandler, RemovableChannelHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
}

extension Duration {
    fileprivate var nanosecondsClamped: Int64 {
        let (seconds, attoseconds) = components
        return min(seconds, 1_000_000_000) * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
