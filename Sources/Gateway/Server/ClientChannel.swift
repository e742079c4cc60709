// Connections of clients, and which HTTP each of them speaks: without TLS the first bytes tell
// (RFC 9113, section 3.3: prior knowledge), with TLS it is negotiated (RFC 7301).

import HummingbirdCore
import HummingbirdHTTP2
import Logging
import NIOCore

/// A connection without TLS, whose first bytes tell which HTTP it speaks.
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
    let limits: PrefaceHandler.Limits
    let quiet: TimeAmount
    let connections: OpenConnections

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        connections.insert(channel)
        return channel.eventLoop.makeCompletedFuture {
            let promise = channel.eventLoop.makePromise(of: Spoken.self)
            let handler = PrefaceHandler(limits, promise) { isHTTP2 in
                guard isHTTP2 else {
                    return http1.setup(channel: channel, logger: logger).map { .http1($0) }
                }
                return http2.setup(channel: channel, logger: logger).flatMapThrowing { value in
                    try channel.pipeline.syncOperations.addHandler(
                        QuietConnection(within: quiet), position: .first)
                    return .http2(value)
                }
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

/// A connection with TLS, in which HTTP/2 or HTTP/1.1 is negotiated.
struct SecureChannel: ServerChildChannel {
    let negotiated: HTTP2UpgradeChannel
    let patience: TimeAmount
    let quiet: TimeAmount
    let connections: OpenConnections

    func setup(
        channel: any Channel, logger: Logger
    ) -> EventLoopFuture<HTTP2UpgradeChannel.Value> {
        connections.insert(channel)
        return negotiated.setup(channel: channel, logger: logger).flatMapThrowing { value in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(QuietConnection(within: quiet), position: .first)
            try pipeline.addHandler(FirstBytes(within: patience))
            return value
        }
    }

    func handle(value: HTTP2UpgradeChannel.Value, logger: Logger) async {
        await negotiated.handle(value: value, logger: logger)
    }
}

/// Closes a connection on which no request begins in time: one whose TLS handshake does not end,
/// or after it nothing comes.
private final class FirstBytes: ChannelInboundHandler, RemovableChannelHandler {
    // It stands behind TLS, so what it sees has been decrypted.
    typealias InboundIn = ByteBuffer

    private let patience: TimeAmount
    private var timer: Scheduled<Void>?

    init(within patience: TimeAmount) {
        self.patience = patience
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
