// Measuring a connection (github.com/libp2p/specs, perf): a client says how many bytes it wants,
// sends as many as it likes, and gets those it asked for.

import Connections
public import Multiformats
public import NIOCore
import Wire

/// Both sides of the protocol `/perf/1.0.0`.
public enum Perf {
    /// The protocol's name.
    public static let name = ProtocolName("/perf/1.0.0")

    /// What bounds a measurement, and counts it.
    public struct Pace: Sendable {
        let inbound: Throttle
        let outbound: Throttle
        let received: Meter
        let sent: Meter
        /// The most bytes each way.
        let maxBytes: UInt64
        /// How long it may take.
        let timeout: TimeAmount

        /// These bounds. Both throttles may be shared with others.
        public init(
            inbound: Throttle, outbound: Throttle, received: Meter, sent: Meter, maxBytes: UInt64,
            timeout: TimeAmount
        ) {
            self.inbound = inbound
            self.outbound = outbound
            self.received = received
            self.sent = sent
            self.maxBytes = maxBytes
            self.timeout = timeout
        }
    }

    /// Answers a client. Without a pace it gets all the bandwidth there is, for as long as it
    /// likes. On the connection's event loop; `over` is called there once.
    public static func serve(
        _ stream: PeerStream, on eventLoop: any EventLoop, pace: Pace? = nil,
        over: @escaping () -> Void = {}
    ) -> StreamReceiver {
        let run = PerfRun(stream, on: eventLoop, pace, .server, over: over)
        return { run.receive($0) }
    }

    /// Sends and then receives so many bytes. Returns how long each direction took, the second one
    /// from the end of the first.
    ///
    /// - Throws: ``TransportError``.
    public static func measure(
        _ peer: PeerConnection, upload: UInt64, download: UInt64, pace: Pace? = nil
    ) async throws -> (upload: Duration, download: Duration) {
        let result = peer.eventLoop.makePromise(of: (upload: Duration, download: Duration).self)
        peer.eventLoop.execute {
            let stream = peer.openStream([name]) { stream in
                let run = PerfRun(
                    stream, on: peer.eventLoop, pace,
                    .client(upload: upload, download: download, result), over: {})
                return { run.receive($0) }
            }
            if stream == nil { result.fail(TransportError.overLimit) }
        }
        return try await result.futureResult.get()
    }
}

/// One side of one measurement, on the connection's event loop.
private final class PerfRun {
    enum Role {
        case server
        case client(
            upload: UInt64, download: UInt64,
            EventLoopPromise<(upload: Duration, download: Duration)>)
    }

    /// What is sent, again and again.
    private static let chunk = [UInt8](repeating: 0, count: 1 << 18)
    /// How much of it at once, where there is a ceiling.
    private static let limitedWrite = 32 << 10

    private let stream: PeerStream
    private let pace: Perf.Pace?
    private let role: Role
    private let over: () -> Void
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var uploaded: ContinuousClock.Instant?
    private var inbound: ThrottledFlow?
    private var outbound: ThrottledFlow?
    private var timer: Scheduled<Void>?
    private var head: [UInt8] = []
    private var received: UInt64 = 0
    private var withheld = 0
    private var toSend: UInt64 = 0
    private var isSending = false
    private var isOver = false

    init(
        _ stream: PeerStream, on eventLoop: any EventLoop, _ pace: Perf.Pace?, _ role: Role,
        over: @escaping () -> Void
    ) {
        self.stream = stream
        self.pace = pace
        self.role = role
        self.over = over
        start = clock.now
        guard let pace else { return }
        inbound = ThrottledFlow(pace.inbound, on: eventLoop) { [weak self] in self?.acknowledge() }
        outbound = ThrottledFlow(pace.outbound, on: eventLoop) { [weak self] in self?.send() }
        timer = eventLoop.assumeIsolated().scheduleTask(in: pace.timeout) { [weak self] in
            self?.giveUp(.timedOut)
        }
    }

    func receive(_ notice: StreamNotice) {
        guard !isOver else { return }
        switch notice {
        case .opened:
            guard case .client(let upload, let download, _) = role else { return }
            var head: [UInt8] = []
            head.appendBigEndian(download)
            // Nothing is before it, so that there is room.
            _ = stream.write(head[...])
            begin(sending: upload)
        case .data(let bytes): take(bytes)
        case .finished: finished()
        case .room: send()
        case .ended(let error): end(.failure(error))
        }
    }

    private func take(_ bytes: ArraySlice<UInt8>) {
        pace?.received.add(bytes.count)
        inbound?.spend(bytes.count)
        received += UInt64(bytes.count)
        if case .server = role { head += bytes.prefix(8 - head.count) }
        // A client's eight bytes more are what it asks for.
        if let pace, received > pace.maxBytes + 8 { return giveUp(.overLimit) }
        withheld += bytes.count
        acknowledge()
    }

    /// Lets the peer send as much more as has been paid for.
    private func acknowledge() {
        guard !isOver, withheld > 0, inbound?.isClear != false else { return }
        stream.consume(withheld)
        withheld = 0
    }

    private func finished() {
        switch role {
        case .server:
            // A client that asks for nothing gets nothing.
            var reader = ByteReader(head.rawSpan)
            begin(sending: (try? reader.readBigEndian()) ?? 0)
        case .client(_, let download, _):
            end(received == download ? .success(()) : .failure(.streamReset))
        }
    }

    private func begin(sending count: UInt64) {
        if let pace, count > pace.maxBytes { return giveUp(.overLimit) }
        toSend = count
        isSending = true
        send()
    }

    /// Sends what is missing as far as there is room, and then the end.
    private func send() {
        guard isSending, !isOver else { return }
        while toSend > 0 {
            guard outbound?.isClear != false else { return }
            let most = outbound?.isLimited == true ? Self.limitedWrite : Self.chunk.count
            let size = Int(min(toSend, UInt64(most)))
            guard stream.write(Self.chunk[..<size]) else { return }
            outbound?.spend(size)
            pace?.sent.add(size)
            toSend -= UInt64(size)
        }
        isSending = false
        uploaded = clock.now
        stream.finish()
        if case .server = role { end(.success(())) }
    }

    private func giveUp(_ error: TransportError) {
        guard !isOver else { return }
        stream.reset()
        end(.failure(error))
    }

    private func end(_ result: Result<Void, TransportError>) {
        isOver = true
        timer?.cancel()
        inbound?.end()
        outbound?.end()
        if case .client(_, _, let promise) = role {
            let middle = uploaded ?? start
            promise.completeWith(
                result.map { (middle - start, clock.now - middle) }.mapError { $0 as any Error })
        }
        over()
    }
}
