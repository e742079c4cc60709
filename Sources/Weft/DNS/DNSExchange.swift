// One question to one DNS server: over UDP, then over TCP if the answer does not fit (RFC 1035,
// RFC 7766), or over HTTPS (RFC 8484).

import AsyncHTTPClient
import Multiformats
import NIOCore
import NIOHTTP1
import NIOPosix
import Wire

/// Asks DNS servers.
enum DNSExchange {
    /// Asks over UDP, and over TCP if the answer does not fit.
    static func ask(
        _ name: String, at server: SocketAddress, on group: any EventLoopGroup,
        timeout: TimeAmount
    ) async throws -> DNSMessage.Answer {
        let id = UInt16.random(in: .min ... .max)
        guard let query = DNSMessage.query(name, id: id) else {
            throw FetchError(.badRequest, "'\(name)' is no domain name")
        }
        let answer = try await overUDP(query, name, id, server, group, timeout)
        return answer.isTruncated
            ? try await overTCP(query, name, id, server, group, timeout) : answer
    }

    /// Asks over HTTPS.
    static func ask(
        _ name: String, at url: String, with client: HTTPClient, timeout: TimeAmount
    ) async throws -> DNSMessage.Answer {
        // The identifier is zero so that answers can be cached on the way.
        guard let query = DNSMessage.query(name, id: 0) else {
            throw FetchError(.badRequest, "'\(name)' is no domain name")
        }
        let base = url.hasSuffix("{?dns}") ? String(url.dropLast(6)) : url
        let separator = base.contains("?") ? "&" : "?"
        let encoded = Multibase.base64URL.encode(query).dropFirst()
        let (head, exchange) = try await HTTPExchange.open(
            "\(base)\(separator)dns=\(encoded)", headers: ["Accept": "application/dns-message"],
            with: client, deadline: .now() + timeout)
        defer { exchange.cancel() }
        guard head.status.code == 200 else { throw Fault.refused(status: Int(head.status.code)) }
        guard let body = try await exchange.collect(upTo: DNSMessage.maxBytes) else {
            throw Fault.rubbish("the answer is too long")
        }
        return try DNSMessage.answer(body.readableBytesSpan, to: name, id: 0)
    }

    private static func overUDP(
        _ query: [UInt8], _ name: String, _ id: UInt16, _ server: SocketAddress,
        _ group: any EventLoopGroup, _ timeout: TimeAmount
    ) async throws -> DNSMessage.Answer {
        let loop = group.next()
        let message = AddressedEnvelope(remoteAddress: server, data: ByteBuffer(bytes: query))
        return try await exchange(message, on: loop, timeout: timeout) { promise in
            // A connected socket takes datagrams from this server alone.
            try await DatagramBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            DatagramReply(name: name, id: id, promise: promise))
                    }
                }
                .connect(to: server).get()
        }
    }

    private static func overTCP(
        _ query: [UInt8], _ name: String, _ id: UInt16, _ server: SocketAddress,
        _ group: any EventLoopGroup, _ timeout: TimeAmount
    ) async throws -> DNSMessage.Answer {
        let loop = group.next()
        var framed: [UInt8] = []
        framed.appendBigEndian(UInt16(query.count))
        let message = ByteBuffer(bytes: framed + query)
        return try await exchange(message, on: loop, timeout: timeout) { promise in
            try await ClientBootstrap(group: loop)
                .connectTimeout(timeout)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            StreamReply(name: name, id: id, promise: promise))
                    }
                }
                .connect(to: server).get()
        }
    }

    /// Sends one message over a channel of its own and waits for the answer, which a handler of
    /// the channel puts into the promise, for at most `timeout`. A task that is cancelled waits for
    /// no answer.
    private static func exchange(
        _ message: some Sendable, on loop: any EventLoop, timeout: TimeAmount,
        connect: (EventLoopPromise<DNSMessage.Answer>) async throws -> any Channel
    ) async throws -> DNSMessage.Answer {
        let promise = loop.makePromise(of: DNSMessage.Answer.self)
        let timer = loop.scheduleTask(in: timeout) { promise.fail(Fault.stalled) }
        defer { timer.cancel() }
        do {
            let channel = try await connect(promise)
            defer { channel.close(promise: nil) }
            try Task.checkCancellation()
            let sent: EventLoopFuture<Void> = channel.writeAndFlush(message)
            sent.whenFailure { promise.fail($0) }
            return try await withTaskCancellationHandler {
                try await promise.futureResult.get()
            } onCancel: {
                promise.fail(CancellationError())
            }
        } catch {
            // A promise that is let go of must have been kept.
            promise.fail(error)
            throw error
        }
    }
}

/// Waits for the datagram that answers a question; others are passed over.
private final class DatagramReply: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let name: String
    private let id: UInt16
    private let promise: EventLoopPromise<DNSMessage.Answer>

    init(name: String, id: UInt16, promise: EventLoopPromise<DNSMessage.Answer>) {
        self.name = name
        self.id = id
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data).data
        do {
            promise.succeed(try DNSMessage.answer(bytes.readableBytesSpan, to: name, id: id))
        } catch  where error.kind == .mismatch {
            // Not ours: forged or late.
        } catch {
            promise.fail(error)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
    }
}

/// Waits for the message that answers a question on a stream.
private final class StreamReply: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let name: String
    private let id: UInt16
    private let promise: EventLoopPromise<DNSMessage.Answer>
    private var received = ByteBuffer()

    init(name: String, id: UInt16, promise: EventLoopPromise<DNSMessage.Answer>) {
        self.name = name
        self.id = id
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard received.readableBytes <= DNSMessage.maxBytes else { return }
        received.writeBuffer(&bytes)
        guard let length = received.getInteger(at: received.readerIndex, as: UInt16.self),
            let message = received.getSlice(at: received.readerIndex + 2, length: Int(length))
        else { return }
        promise.completeWith(
            Result { try DNSMessage.answer(message.readableBytesSpan, to: name, id: id) })
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(Fault.truncated("the server closed the connection"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
    }
}
