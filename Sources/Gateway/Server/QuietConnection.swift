import NIOCore

/// Closes a connection on which nothing moves in either direction.
///
/// An idle HTTP/2 connection is asked to end in an orderly way, which waits for the client's word;
/// a client that has gone, or means harm, never gives it.
final class QuietConnection: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let patience: TimeAmount
    private var lastActive = NIODeadline.now()
    private var timer: Scheduled<Void>?

    /// - Parameter patience: How long nothing may move.
    init(within patience: TimeAmount) {
        self.patience = patience
    }

    func handlerAdded(context: ChannelHandlerContext) {
        schedule(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastActive = .now()
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        lastActive = .now()
        context.write(data, promise: promise)
    }

    private func schedule(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(deadline: lastActive + patience) {
            let (handler, context) = bound.value
            if .now() - handler.lastActive >= handler.patience {
                context.close(promise: nil)
            } else {
                handler.schedule(context)
            }
        }
    }
}
