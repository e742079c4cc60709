// A channel whose bytes go over a stream of another connection: what a relayed connection runs on.

import NIOCore
import Synchronization

/// The channel of a connection that is made over a stream. All use is on the event loop of the
/// connection that carries the stream.
///
/// It knows no addresses and no options, and reads without being asked: what the peer may send
/// ahead is bounded by the windows of the connection that runs on it.
final class CircuitChannel: Channel, ChannelCore {
    /// How long the peer may take to end its direction after this side has closed.
    static let farewell = TimeAmount.seconds(2)

    let allocator = ByteBufferAllocator()
    let eventLoop: any EventLoop
    let closeFuture: EventLoopFuture<Void>
    private let closePromise: EventLoopPromise<Void>
    private let pipelineBox = Mutex<ChannelPipeline?>(nil)
    private let writable = Atomic(true)
    private let active = Atomic(true)
    private let state: NIOLoopBoundBox<State>

    private struct State {
        let stream: PeerStream
        var pending: [(bytes: ArraySlice<UInt8>, promise: EventLoopPromise<Void>?)] = []
        var isFlushed = false
        /// Whether the stream is over, or the peer has ended its direction.
        var isOver = false
    }

    /// A channel over a stream, on the event loop of its connection.
    init(_ stream: PeerStream, on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        closePromise = eventLoop.makePromise()
        closeFuture = closePromise.futureResult
        state = NIOLoopBoundBox(State(stream: stream), eventLoop: eventLoop)
        let pipeline = ChannelPipeline(channel: self)
        pipelineBox.withLock { $0 = pipeline }
    }

    // MARK: From the stream

    /// Takes a notice of the stream.
    func receive(_ notice: StreamNotice) {
        switch notice {
        case .opened: break
        case .data(let bytes):
            // What comes late is let through, so that the end behind it is heard of.
            state.value.stream.consume(bytes.count)
            guard isActive else { return }
            pipeline.fireChannelRead(allocator.buffer(bytes: bytes))
            pipeline.fireChannelReadComplete()
        case .room: drain()
        case .finished:
            state.value.isOver = true
            shut(ChannelError.eof)
        case .ended(let error):
            state.value.isOver = true
            shut(error)
        }
    }

    private func drain() {
        while isActive, state.value.isFlushed, let next = state.value.pending.first {
            guard state.value.stream.write(next.bytes) else {
                setWritable(false)
                return
            }
            state.value.pending.removeFirst()
            next.promise?.succeed()
        }
        if state.value.pending.isEmpty { state.value.isFlushed = false }
        setWritable(true)
    }

    private func setWritable(_ isWritable: Bool) {
        let old = writable.exchange(isWritable, ordering: .relaxed)
        if old != isWritable, isActive { pipeline.fireChannelWritabilityChanged() }
    }

    /// Ends the channel; what waits is lost.
    private func shut(_ error: any Error) {
        guard active.exchange(false, ordering: .relaxed) else { return }
        let pending = state.value.pending
        state.value.pending = []
        for (_, promise) in pending { promise?.fail(error) }
        let stream = state.value.stream
        stream.finish()
        pipeline.fireChannelInactive()
        eventLoop.assumeIsolated().execute {
            self.removeHandlers(pipeline: self.pipeline)
        }
        let isOver = state.value.isOver
        eventLoop.assumeIsolated().scheduleTask(in: isOver ? .zero : Self.farewell) {
            if !self.state.value.isOver { stream.reset() }
            self.closePromise.succeed()
        }
    }

    // MARK: Channel

    var pipeline: ChannelPipeline {
        // It is set before anybody else has the channel.
        pipelineBox.withLock { $0 } ?? ChannelPipeline(channel: self)
    }
    var localAddress: SocketAddress? { nil }
    var remoteAddress: SocketAddress? { nil }
    var parent: (any Channel)? { nil }
    var isWritable: Bool { writable.load(ordering: .relaxed) }
    var isActive: Bool { active.load(ordering: .relaxed) }
    var _channelCore: any ChannelCore { self }

    func setOption<Option: ChannelOption>(
        _ option: Option, value: Option.Value
    ) -> EventLoopFuture<Void> {
        eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    // MARK: ChannelCore

    func localAddress0() throws -> SocketAddress { throw ChannelError.unknownLocalAddress }

    func remoteAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }

    func register0(promise: EventLoopPromise<Void>?) { promise?.succeed() }

    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.succeed() }

    func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isActive else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        let buffer = unwrapData(data, as: ByteBuffer.self)
        state.value.pending.append((Array(buffer.readableBytesView)[...], promise))
    }

    func flush0() {
        state.value.isFlushed = true
        drain()
    }

    func read0() {}

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        shut(error)
        promise?.succeed()
    }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func channelRead0(_ data: NIOAny) {}

    func errorCaught0(error: any Error) {
        if isActive { shut(error) }
    }
}
