// An HTTP server for tests that does exactly what a script says, good or bad.

import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// An HTTP server on loopback. What it does with a request is the test's choice.
final class TestServer: Sendable {
    /// One thing that is done for a request.
    enum Step: Sendable {
        case head(HTTPResponseStatus, HTTPHeaders = [:])
        case bytes([UInt8])
        case wait(TimeAmount)
        /// Nothing more happens until the client goes.
        case stall
        /// The connection is cut.
        case close
        /// Something is done for every piece until the client goes.
        case endless([UInt8])
    }

    struct Request: Sendable {
        let path: String
        let query: [String: String]
        /// How many came before it.
        let number: Int
    }

    typealias Script = @Sendable (Request) -> [Step]

    private struct State {
        var requests: [Request] = []
        var open = 0
        var left: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let script: Script
    private let channel: Mutex<(any Channel)?> = Mutex(nil)

    init(_ script: @escaping Script) async throws {
        self.script = script
        let bound = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Player(self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        channel.withLock { $0 = bound }
    }

    /// The URL without a path.
    var url: String { "http://127.0.0.1:\(channel.withLock { $0?.localAddress?.port } ?? 0)" }

    var requests: [Request] { state.withLock { $0.requests } }

    /// Waits until no request is being answered.
    func idle() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.open > 0 { state.left.append(continuation) }
                return state.open == 0
            }
            if isIdle { continuation.resume() }
        }
    }

    func stop() async throws {
        try await channel.withLock { $0 }?.close().get()
    }

    fileprivate func began(_ uri: String) -> [Step] {
        let parts = uri.split(separator: "?", maxSplits: 1)
        var query: [String: String] = [:]
        for item in parts.dropFirst().first?.split(separator: "&") ?? [] {
            let pair = item.split(separator: "=", maxSplits: 1)
            query[String(pair[0])] = pair.count > 1 ? String(pair[1]) : ""
        }
        let request = state.withLock { state in
            let request = Request(
                path: String(parts[0]), query: query, number: state.requests.count)
            state.requests.append(request)
            state.open += 1
            return request
        }
        return script(request)
    }

    fileprivate func ended() {
        let left = state.withLock { state in
            state.open -= 1
            defer { if state.open == 0 { state.left = [] } }
            return state.open == 0 ? state.left : []
        }
        for continuation in left { continuation.resume() }
    }
}

/// Plays the script of one connection's requests.
private final class Player: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let server: TestServer
    private var isPlaying = false

    init(_ server: TestServer) { self.server = server }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data) else { return }
        isPlaying = true
        play(server.began(head.uri)[...], context: context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func finish() {
        if isPlaying { server.ended() }
        isPlaying = false
    }

    private func play(_ steps: ArraySlice<TestServer.Step>, context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        let next = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let rest = steps.dropFirst()
        func go(on future: EventLoopFuture<Void>, with rest: ArraySlice<TestServer.Step>) {
            future.whenSuccess {
                let (player, context) = next.value
                player.play(rest, context: context)
            }
        }
        switch steps.first {
        case .head(let status, let headers)?:
            let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
            go(on: context.writeAndFlush(wrapOutboundOut(.head(head))), with: rest)
        case .bytes(let bytes)?:
            let buffer = ByteBuffer(bytes: bytes)
            go(
                on: context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer)))), with: rest)
        case .endless(let bytes)?:
            let buffer = ByteBuffer(bytes: bytes)
            go(
                on: context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer)))),
                with: steps)
        case .wait(let time)?:
            go(on: context.eventLoop.scheduleTask(in: time) {}.futureResult, with: rest)
        case .stall?: break
        case .close?: context.close(promise: nil)
        case nil:
            finish()
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
