// One HTTP request whose answer is pulled in pieces. Pieces that come while the reader is busy are
// taken without a thread switch for each; when too many wait, the connection is not read.

import AsyncHTTPClient
import DequeModule
import NIOCore
import NIOHTTP1
import Synchronization

/// One HTTP request and its answer. Whoever opens it calls ``cancel()`` in the end.
final class HTTPExchange: HTTPClientResponseDelegate {
    typealias Response = Void

    /// How many bytes may wait for the reader before the connection is not read any more.
    static let maxPending = 1 << 20
    /// How many bytes are read from a connection at a time, once it brings that many.
    private static let maxRead = 256 << 10
    /// How many bytes the header fields of an answer may take.
    static let maxHeaderBytes = 64 << 10

    private typealias HeadReader = CheckedContinuation<HTTPResponseHead, any Error>
    private typealias Reader = CheckedContinuation<ByteBuffer?, any Error>

    private struct State {
        var head: Result<HTTPResponseHead, any Error>?
        var headReader: HeadReader?
        var parts: Deque<ByteBuffer> = []
        var pending = 0
        var reader: Reader?
        var hold: EventLoopPromise<Void>?
        var end: Result<Void, any Error>?
        var task: HTTPClient.Task<Void>?
        var isCancelled = false
    }

    private let state = Mutex(State())

    /// Has a connection of a client read in large pieces: each costs a walk through all layers.
    static func prepare(_ channel: any Channel) -> EventLoopFuture<Void> {
        channel.setOption(
            .recvAllocator,
            value: AdaptiveRecvByteBufferAllocator(
                minimum: 4 << 10, initial: 16 << 10, maximum: maxRead))
    }

    /// Sends a request without a body and waits for the head of the answer.
    static func open(
        _ url: String, headers: HTTPHeaders, with client: HTTPClient,
        method: HTTPMethod = .GET, deadline: NIODeadline? = nil
    ) async throws -> (HTTPResponseHead, HTTPExchange) {
        let request = try HTTPClient.Request(url: url, method: method, headers: headers)
        let exchange = HTTPExchange()
        let task = client.execute(request: request, delegate: exchange, deadline: deadline)
        let isCancelled = exchange.state.withLock { state in
            state.task = task
            return state.isCancelled
        }
        if isCancelled { task.cancel() }
        // A request that fails before it has a connection is reported here alone.
        task.futureResult.whenFailure { exchange.finish(.failure($0)) }
        do {
            return (try await exchange.head(), exchange)
        } catch {
            exchange.cancel()
            throw error
        }
    }

    private func head() async throws -> HTTPResponseHead {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result: Result<HTTPResponseHead, any Error>? = state.withLock { state in
                    if state.head == nil { state.headReader = continuation }
                    return state.head
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            cancel()
        }
    }

    /// The next bytes of the body; nil at its end.
    func next() async throws -> ByteBuffer? {
        let (part, hold, end) = state.withLock { state in
            let part = state.parts.popFirst()
            state.pending -= part?.readableBytes ?? 0
            var hold: EventLoopPromise<Void>?
            if state.pending < Self.maxPending / 2 { swap(&hold, &state.hold) }
            return (part, hold, state.end)
        }
        hold?.succeed()
        if let part { return part }
        if let end {
            try end.get()
            return nil
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // Something may have come since the lock was let go.
                let ready: Result<ByteBuffer?, any Error>? = state.withLock { state in
                    if let part = state.parts.popFirst() {
                        state.pending -= part.readableBytes
                        return .success(part)
                    }
                    if let end = state.end { return end.map { nil } }
                    state.reader = continuation
                    return nil
                }
                if let ready { continuation.resume(with: ready) }
            }
        } onCancel: {
            cancel()
        }
    }

    /// The whole body, if it is not longer than `limit` bytes; nil if it is.
    func collect(upTo limit: Int) async throws -> ByteBuffer? {
        var whole = ByteBuffer()
        while var part = try await next() {
            guard part.readableBytes <= limit - whole.readableBytes else { return nil }
            whole.writeBuffer(&part)
        }
        return whole
    }

    /// Ends the exchange if it is still going on.
    func cancel() {
        let task = state.withLock { state in
            state.isCancelled = true
            return state.end == nil ? state.task : nil
        }
        finish(.failure(CancellationError()))
        task?.cancel()
    }

    private func finish(_ result: Result<Void, any Error>) {
        var headReader: HeadReader?
        var reader: Reader?
        var hold: EventLoopPromise<Void>?
        let headless: Result<HTTPResponseHead, any Error> = result.flatMap {
            .failure(HTTPClientError.remoteConnectionClosed)
        }
        state.withLock { state in
            guard state.end == nil else { return }
            state.end = result
            if state.head == nil { state.head = headless }
            swap(&headReader, &state.headReader)
            swap(&reader, &state.reader)
            swap(&hold, &state.hold)
        }
        headReader?.resume(with: headless)
        reader?.resume(with: result.map { nil })
        hold?.fail(CancellationError())
    }

    // MARK: HTTPClientResponseDelegate

    func didReceiveHead(
        task: HTTPClient.Task<Void>, _ head: HTTPResponseHead
    ) -> EventLoopFuture<Void> {
        var size = 0
        for (name, value) in head.headers { size += name.utf8.count + value.utf8.count + 4 }
        guard size <= Self.maxHeaderBytes else {
            let error = Fault.rubbish("its header fields take \(size) bytes")
            finish(.failure(error))
            return task.eventLoop.makeFailedFuture(error)
        }
        var reader: HeadReader?
        state.withLock { state in
            if state.head == nil { state.head = .success(head) }
            swap(&reader, &state.headReader)
        }
        reader?.resume(returning: head)
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(
        task: HTTPClient.Task<Void>, _ buffer: ByteBuffer
    ) -> EventLoopFuture<Void> {
        var reader: Reader?
        var hold: EventLoopPromise<Void>?
        state.withLock { state in
            swap(&reader, &state.reader)
            guard reader == nil, state.end == nil else { return }
            state.parts.append(buffer)
            state.pending += buffer.readableBytes
            guard state.pending >= Self.maxPending else { return }
            hold = task.eventLoop.makePromise(of: Void.self)
            state.hold = hold
        }
        reader?.resume(returning: buffer)
        return hold?.futureResult ?? task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveError(task: HTTPClient.Task<Void>, _ error: any Error) {
        finish(.failure(error))
    }

    func didFinishRequest(task: HTTPClient.Task<Void>) throws {
        finish(.success(()))
    }
}
