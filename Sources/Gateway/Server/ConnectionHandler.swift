// What a gateway does on a connection's own event loop: it answers what is kept ready without
// leaving the loop, and closes connections that idle, whose requests do not end, or that take
// nothing.

import HTTPTypes
import NIOCore
import NIOHTTPTypes
import Weft

/// Sits between HTTP parsing and the gateway, on each HTTP/1.1 connection and HTTP/2 stream.
final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let options: GatewayOptions
    private let cache: ResponseCache?
    /// Requests that went on to the gateway and whose answers have not ended.
    private var inProgress = 0
    /// Whether the rest of a request that was answered here is still to come.
    private var isSkipping = false
    private var hasWritten = false
    private var lastActive = NIODeadline.now()
    /// Since when a request has been on its way.
    private var arrivingSince: NIODeadline?
    private var unwritableSince: NIODeadline?
    private var timer: RepeatedTask?
    /// Takes answers that are bytes already.
    private var rules: HTTP1Rules?

    /// - Parameter cache: Answers kept ready; nil where they are not bytes of the socket.
    init(_ options: GatewayOptions, cache: ResponseCache?) {
        self.options = options
        self.cache = cache
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if cache != nil {
            rules = try? context.pipeline.syncOperations.handler(type: HTTP1Rules.self)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let shortest = min(options.idleTimeout, options.stallTimeout)
        let interval: TimeAmount = min(
            .seconds(5), max(.milliseconds(10), .nanoseconds(shortest.nanoseconds / 4)))
        timer = context.eventLoop.scheduleRepeatedTask(
            initialDelay: interval, delay: interval
        ) { _ in
            let (handler, context) = bound.value
            handler.check(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        rules = nil
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
            if inProgress == 0, let rules, let entry = ready(request) {
                isSkipping = true
                hasWritten = true
                rules.answer(Self.bytes(of: entry, context))
                options.metrics?.countAnswer(200, bytes: entry.body.readableBytes)
                return
            }
            inProgress += 1
            arrivingSince = lastActive
        case .body: if isSkipping { return }
        case .end:
            if isSkipping {
                isSkipping = false
                return
            }
            arrivingSince = nil
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

    private func ready(_ request: HTTPRequest) -> ResponseCache.Entry? {
        guard let cache, let target = request.path, let authority = request.authority,
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
        let isStalled = unwritableSince.map { now - $0 > options.stallTimeout } ?? false
        let isLate = arrivingSince.map { now - $0 > options.idleTimeout } ?? false
        let isIdle = inProgress == 0 && now - lastActive > options.idleTimeout
        if isStalled || isLate || isIdle { context.close(promise: nil) }
    }
}
