// Whose client goes away in the middle of it, a call ends: nobody would take its answer, and a
// request of one packet must not buy a minute of a processor.

import NIOCore

/// Tells who works for the client of a connection, or of a stream of HTTP/2, when that goes.
final class ClientPresence: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny
    typealias OutboundIn = NIOAny

    /// An event from who answers a request to this handler. The next one takes its place.
    struct Watch: Sendable {
        /// Called when the client goes, be it after the answer.
        let gone: @Sendable () -> Void
    }

    private var watch: Watch?
    private var isGone = false

    func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard let watch = event as? Watch else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        if isGone { watch.gone() } else { self.watch = watch }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that says nothing more has gone.
        if event as? ChannelEvent == .inputClosed { noteGone() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        noteGone()
        context.fireChannelInactive()
    }

    private func noteGone() {
        isGone = true
        watch?.gone()
        watch = nil
    }
}

extension Channel {
    /// Works for the client of this connection, whose going cancels the work.
    func working<Result: Sendable>(
        _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let task = Task { @concurrent in try await work() }
        triggerUserOutboundEvent(ClientPresence.Watch { task.cancel() }, promise: nil)
        // A connection that is closed has no handlers any more.
        if !isActive { task.cancel() }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}
