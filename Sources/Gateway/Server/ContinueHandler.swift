// `Expect: 100-continue` (RFC 9110, section 10.1.1): without an answer to it, clients such as curl
// hold back the body of a large request for a second.

import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Tells a client that asks first to send the body of its request.
final class ContinueHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// Requests whose answers have not ended.
    private var inProgress = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let request) = unwrapInboundIn(data) {
            // Between the parts of another answer there is no place for it.
            if inProgress == 0, request.headerFields[.expect]?.lowercased() == "100-continue" {
                let head = HTTPResponse(status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
            inProgress += 1
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { inProgress -= 1 }
        context.write(data, promise: promise)
    }
}
