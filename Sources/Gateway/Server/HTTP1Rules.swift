// What HTTP/1 asks of a server beyond its parser and its encoder (RFC 9112): which version a client
// reads, when its connection ends, what no request may lack, and that no body answers HEAD.

import NIOCore
import NIOHTTP1

/// Sits next to the parser of HTTP/1.
final class HTTP1Rules: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Puts the rules where they belong in a connection of HTTP/1. Streams of HTTP/2 need none.
    final class Place: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = NIOAny

        func handlerAdded(context: ChannelHandlerContext) {
            let pipeline = context.pipeline.syncOperations
            guard let parser = try? pipeline.handler(type: Parser.self) else { return }
            do {
                try pipeline.addHandler(HTTP1Rules(), position: .after(parser))
            } catch {
                context.close(promise: nil)
            }
        }
    }

    private typealias Parser = ByteToMessageHandler<HTTPRequestDecoder>

    /// What the answer to a request has to mind.
    private struct Terms {
        let isHead: Bool
        /// Whether the client speaks HTTP/1.0, which has no chunks.
        let isOld: Bool
        let keepsAlive: Bool

        init(_ head: HTTPRequestHead) {
            isHead = head.method == .HEAD
            isOld = (head.version.major, head.version.minor) < (1, 1)
            // After a request to speak something else, which is not done here, nothing is parsed.
            let isLast = head.method == .CONNECT || head.headers.contains(name: "upgrade")
            // Chunks of who has none may be misread (RFC 9112, section 6.1).
            let isOdd = isOld && head.headers.contains(name: "transfer-encoding")
            keepsAlive = head.isKeepAlive && !isLast && !isOdd
        }
    }

    /// The requests whose answers have not ended: no more than come with one read.
    private var owed = CircularBuffer<Terms>(initialCapacity: 2)
    /// Whether the answer to the first of them has begun.
    private var hasBegun = false
    /// Whether the rest of the last request is still to come.
    private var isArriving = false
    /// Whether the end of the connection is that of the answer, whose length is not known.
    private var endsWithAnswer = false
    /// What is said after the answers that are owed. Nothing more is read then.
    private var refusal: Refusal?
    /// The encoder's place, for answers that are bytes already.
    private var encoder: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) {
        encoder = try? context.pipeline.syncOperations.context(
            handlerType: HTTPResponseEncoder.self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        encoder = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard refusal == nil else { return }
        switch unwrapInboundIn(data) {
        case .head(var head):
            let terms = Terms(head)
            guard terms.isOld || head.headers["host"].count == 1 else {
                return refuse(.noHost, context)
            }
            owed.append(terms)
            isArriving = true
            if terms.keepsAlive && !terms.isOld { return context.fireChannelRead(data) }
            if terms.isOld { head.headers.remove(name: "expect") }
            // This is what the server looks at.
            let connection = terms.keepsAlive ? "keep-alive" : "close"
            head.headers.replaceOrAdd(name: "connection", value: connection)
            context.fireChannelRead(wrapInboundOut(.head(head)))
        case .body: context.fireChannelRead(data)
        case .end:
            isArriving = false
            context.fireChannelRead(data)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError, refusal == nil {
            refuse(isArriving ? .brokenBody : Refusal(error), context)
        }
        // Whoever reads a body must not take what has come of it for the whole.
        context.fireErrorCaught(error)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard let terms = owed.first else { return context.write(data, promise: promise) }
        switch unwrapOutboundIn(data) {
        case .head(var head) where head.status.code >= 200:
            hasBegun = true
            frame(&head, terms)
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .head, .body: context.write(data, promise: promise)
        case .end:
            // The encoder would end chunks that an answer to HEAD does not have.
            let nothing = wrapOutboundOut(.body(.byteBuffer(ByteBuffer())))
            context.write(terms.isHead ? nothing : data, promise: promise)
            if endsWithAnswer {
                context.flush()
                context.close(mode: .output, promise: nil)
            }
            answered(context)
        }
    }

    /// Writes a whole answer to a request while nothing else is owed.
    func answer(_ bytes: ByteBuffer) {
        encoder?.write(NIOAny(bytes), promise: nil)
        owed.removeFirst()
    }

    /// Has a head say what its client can read and when the connection ends.
    private func frame(_ head: inout HTTPResponseHead, _ terms: Terms) {
        // In this version the encoder makes no chunks.
        if terms.isOld { head.version = .http1_0 }
        let hasEnd =
            terms.isHead || !head.status.mayHaveResponseBody
            || head.headers.contains(name: "content-length")
        endsWithAnswer = terms.keepsAlive && terms.isOld && !hasEnd
        if !terms.keepsAlive || endsWithAnswer {
            head.headers.replaceOrAdd(name: "connection", value: "close")
        } else if terms.isOld {
            head.headers.replaceOrAdd(name: "connection", value: "keep-alive")
        }
    }

    private func answered(_ context: ChannelHandlerContext) {
        hasBegun = false
        owed.removeFirst()
        if let refusal { say(refusal, context) }
    }

    private func refuse(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        self.refusal = refusal
        if isArriving {
            // What has been said to it cannot be taken back.
            if owed.isEmpty || owed.count == 1 && hasBegun { return context.close(promise: nil) }
            owed.removeLast()
        }
        say(refusal, context)
    }

    private func say(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        guard owed.isEmpty else { return }
        encoder?.writeAndFlush(NIOAny(refusal.bytes), promise: nil)
        context.close(promise: nil)
    }
}
