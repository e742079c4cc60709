// Connections inside WebSockets (github.com/libp2p/specs, websockets), for browsers and for
// networks that let nothing else pass: an HTTP request, then the bytes in binary frames (RFC 6455).

import NIOCore
import NIOHTTP1
import NIOWebSocket

enum WebSocket {
    /// The longest frame that is taken, in bytes.
    static let maxFrame = 1 << 20
    /// The longest frame that is sent, in bytes. Browsers hand a frame on when it is whole, in
    /// memory of its own; pages use that again for pieces that they hand out, which are as long.
    static let longestSent = 256 << 10

    /// Waits for a peer's request on a channel, and then lets `then` add the connection's handlers.
    static func addServerHandlers(
        to channel: any Channel, of origins: PageOrigins, within limit: TimeAmount,
        _ then: @escaping @Sendable (any Channel) throws -> Void
    ) throws {
        let refusal = PlainRequestRefusal()
        let deadline = channel.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
        let bound = NIOLoopBound(refusal, eventLoop: channel.eventLoop)
        let upgrader = NIOWebSocketServerUpgrader(
            maxFrameSize: maxFrame,
            shouldUpgrade: { channel, request in
                let isWelcome = origins.admits(request.headers["origin"])
                return channel.eventLoop.makeSucceededFuture(isWelcome ? [:] : nil)
            },
            upgradePipelineHandler: { channel, _ in
                deadline.cancel()
                return channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    pipeline.removeHandler(bound.value, promise: nil)
                    try pipeline.addHandler(WebSocketBytes(side: .server))
                    try then(channel)
                }
            })
        let pipeline = channel.pipeline.syncOperations
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: false,
            withServerUpgrade: (upgraders: [upgrader], completionHandler: { _ in }))
        try pipeline.addHandler(refusal)
    }

    /// Asks a peer for a WebSocket once the channel is there, and then lets `then` add the
    /// connection's handlers.
    static func addClientHandlers(
        to channel: any Channel, host: String, within limit: TimeAmount,
        _ then: @escaping @Sendable (any Channel) throws -> Void
    ) throws {
        let request = WebSocketRequest(host: host)
        let deadline = channel.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
        let bound = NIOLoopBound(request, eventLoop: channel.eventLoop)
        let upgrader = NIOWebSocketClientUpgrader(
            maxFrameSize: maxFrame,
            upgradePipelineHandler: { channel, _ in
                deadline.cancel()
                return channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    pipeline.removeHandler(bound.value, promise: nil)
                    try pipeline.addHandler(WebSocketBytes(side: .client))
                    try then(channel)
                }
            })
        let pipeline = channel.pipeline.syncOperations
        // The peer's first frames may come together with its answer.
        try pipeline.addHTTPClientHandlers(
            leftOverBytesStrategy: .forwardBytes,
            withClientUpgrade: (upgraders: [upgrader], completionHandler: { _ in }))
        try pipeline.addHandler(request)
    }
}

/// Turns frames into bytes and back.
private final class WebSocketBytes: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = WebSocketFrame

    enum Side {
        case client, server
    }

    private let side: Side

    init(side: Side) { self.side = side }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .binary, .continuation:
            context.fireChannelRead(wrapInboundOut(frame.unmaskedData))
        case .ping:
            let pong = WebSocketFrame(
                fin: true, opcode: .pong, maskKey: maskKey, data: frame.unmaskedData)
            context.writeAndFlush(wrapOutboundOut(pong), promise: nil)
        case .connectionClose: context.close(promise: nil)
        // Text has no meaning here.
        case .text: context.close(promise: nil)
        default: break
        }
    }

    func write(
        context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
    ) {
        var bytes = unwrapOutboundIn(data)
        while let piece = bytes.readSlice(length: min(bytes.readableBytes, WebSocket.longestSent)) {
            let frame = WebSocketFrame(
                fin: true, opcode: .binary, maskKey: maskKey, data: piece)
            let isLast = bytes.readableBytes == 0
            context.write(wrapOutboundOut(frame), promise: isLast ? promise : nil)
            if isLast { break }
        }
    }

    /// Clients mask what they send, for the sake of old proxies.
    private var maskKey: WebSocketMaskingKey? { side == .client ? .random() : nil }
}

/// Answers requests that ask for no WebSocket.
private final class PlainRequestRefusal: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let request) = unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(
            version: request.version, status: .upgradeRequired,
            headers: ["Connection": "close", "Content-Length": "0", "Upgrade": "websocket"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(promise: nil)
    }
}

/// Sends the request for a WebSocket. An answer that is not one ends the connection.
private final class WebSocketRequest: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let host: String

    init(host: String) { self.host = host }

    func channelActive(context: ChannelHandlerContext) {
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: "/",
            headers: ["Host": host, "Content-Length": "0"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let answer) = unwrapInboundIn(data) else { return }
        context.fireErrorCaught(
            TransportError.unreachable("no WebSocket here, but HTTP status \(answer.status)"))
        context.close(promise: nil)
    }
}
