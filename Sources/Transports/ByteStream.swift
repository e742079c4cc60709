// A stream of a connection, as those see it who wait for bytes.

public import NIOCore

/// A stream that is read and written from tasks. One task may read while another writes.
///
/// Reading slowly slows the peer down; writing waits while the peer reads slowly. Every wait ends
/// after ``patience``.
public final class ByteStream: Sendable {
    /// How long a read or write waits for the peer.
    public static let patience = TimeAmount.seconds(60)

    private let eventLoop: any EventLoop
    private let state: NIOLoopBoundBox<State>

    /// All on the event loop.
    private struct State {
        let stream: PeerStream
        /// Bytes that have not been read; no more than the stream's window.
        var unread: [ArraySlice<UInt8>] = []
        var end: End?
        var reader: EventLoopPromise<[ArraySlice<UInt8>]?>?
        var writer: (bytes: ArraySlice<UInt8>, promise: EventLoopPromise<Void>)?
    }

    private enum End {
        case finished
        case failed(TransportError)
    }

    /// Wraps a stream whose notices go to ``receive(_:)``. On the event loop only.
    public init(_ stream: PeerStream, on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        state = NIOLoopBoundBox(State(stream: stream), eventLoop: eventLoop)
    }

    /// Takes a notice. On the event loop only.
    public func receive(_ notice: StreamNotice) {
        switch notice {
        case .opened: break
        case .data(let bytes):
            state.value.unread.append(bytes)
            wakeReader()
        case .finished:
            if state.value.end == nil { state.value.end = .finished }
            wakeReader()
        case .room:
            guard let (bytes, promise) = state.value.writer else { return }
            guard state.value.stream.write(bytes) else { return }
            state.value.writer = nil
            promise.succeed()
        case .ended(let error):
            state.value.end = .failed(error)
            wakeReader()
            state.value.writer?.promise.fail(error)
            state.value.writer = nil
        }
    }

    private func wakeReader() {
        guard let reader = state.value.reader else { return }
        state.value.reader = nil
        take(into: reader)
    }

    /// Gives the reader what is there.
    private func take(into reader: EventLoopPromise<[ArraySlice<UInt8>]?>) {
        if !state.value.unread.isEmpty {
            let taken = state.value.unread
            state.value.unread = []
            let stream = state.value.stream
            stream.consume(taken.reduce(0) { $0 + $1.count })
            reader.succeed(taken)
            return
        }
        switch state.value.end {
        case .finished: reader.succeed(nil)
        case .failed(let error): reader.fail(error)
        case nil: state.value.reader = reader
        }
    }

    /// The next bytes, in the pieces in which they came; nil when the peer sends no more.
    public func read() async throws -> [ArraySlice<UInt8>]? {
        let promise = eventLoop.makePromise(of: [ArraySlice<UInt8>]?.self)
        eventLoop.execute {
            self.limit(promise)
            self.take(into: promise)
        }
        return try await promise.futureResult.get()
    }

    /// Sends bytes. Waits until there is room for them on this side.
    public func write(_ bytes: ArraySlice<UInt8>) async throws {
        let promise = eventLoop.makePromise(of: Void.self)
        eventLoop.execute {
            if case .failed(let error) = self.state.value.end {
                promise.fail(error)
            } else if self.state.value.stream.write(bytes) {
                promise.succeed()
            } else {
                self.limit(promise)
                self.state.value.writer = (bytes, promise)
            }
        }
        try await promise.futureResult.get()
    }

    /// Says that nothing more will be sent, after what was written.
    public func finish() {
        eventLoop.execute { self.state.value.stream.finish() }
    }

    /// Gives the stream up.
    public func reset() {
        eventLoop.execute {
            self.state.value.stream.reset()
            self.receive(.ended(.closed))
        }
    }

    /// Gives the whole stream up when a wait takes too long.
    private func limit<Value>(_ promise: EventLoopPromise<Value>) {
        let timeout = eventLoop.scheduleTask(in: Self.patience) {
            self.state.value.stream.reset()
            self.receive(.ended(.timedOut))
        }
        promise.futureResult.whenComplete { _ in timeout.cancel() }
    }
}
