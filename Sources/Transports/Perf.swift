// Measuring a connection (github.com/libp2p/specs, perf): a client says how many bytes it wants,
// sends as many as it likes, and gets those it asked for.

import Connections
public import Multiformats
import NIOCore
import Wire

/// Both sides of the protocol `/perf/1.0.0`. Only for measurements: whoever may use it gets all the
/// bandwidth there is.
public enum Perf {
    /// The protocol's name.
    public static let name = ProtocolName("/perf/1.0.0")

    /// What is sent, again and again.
    private static let chunk = [UInt8](repeating: 0, count: 1 << 18)

    /// Answers a client. On the connection's event loop.
    public static func serve(_ stream: PeerStream) -> StreamReceiver {
        var head: [UInt8] = []
        var remaining: UInt64 = 0
        return { notice in
            switch notice {
            case .data(let bytes):
                head += bytes.prefix(8 - head.count)
                stream.consume(bytes.count)
            case .finished:
                var reader = ByteReader(head.rawSpan)
                // A client that asks for nothing gets nothing.
                remaining = (try? reader.readBigEndian()) ?? 0
                send(&remaining, on: stream)
            case .room: send(&remaining, on: stream)
            case .opened, .ended: break
            }
        }
    }

    /// Sends what is missing as far as there is room, and then the end.
    private static func send(_ remaining: inout UInt64, on stream: PeerStream) {
        while remaining > 0 {
            let size = Int(min(remaining, UInt64(chunk.count)))
            guard stream.write(chunk[..<size]) else { return }
            remaining -= UInt64(size)
        }
        stream.finish()
    }

    /// Sends and then receives so many bytes. Returns how long each direction took, the second one
    /// from the end of the first.
    public static func measure(
        _ peer: PeerConnection, upload: UInt64, download: UInt64
    ) async throws -> (upload: Duration, download: Duration) {
        let result = peer.eventLoop.makePromise(of: (upload: Duration, download: Duration).self)
        peer.eventLoop.execute {
            let clock = ContinuousClock()
            let start = clock.now
            var uploaded = start
            var toSend = upload
            var received: UInt64 = 0
            let stream = peer.openStream([name]) { stream in
                { notice in
                    switch notice {
                    case .opened, .room:
                        guard toSend > 0 || uploaded == start else { return }
                        if case .opened = notice {
                            var head: [UInt8] = []
                            head.appendBigEndian(download)
                            _ = stream.write(head[...])
                        }
                        send(&toSend, on: stream)
                        if toSend == 0 { uploaded = clock.now }
                    case .data(let bytes):
                        received += UInt64(bytes.count)
                        stream.consume(bytes.count)
                    case .finished:
                        guard received == download else {
                            result.fail(TransportError.streamReset)
                            return
                        }
                        result.succeed((uploaded - start, clock.now - uploaded))
                    case .ended(let error): result.fail(error)
                    }
                }
            }
            if stream == nil { result.fail(TransportError.overLimit) }
        }
        return try await result.futureResult.get()
    }
}
