// Measuring how fast a connection to a peer is (libp2p's perf protocol). The bytes never leave the
// connection's event loop; all ceilings of bandwidth hold for them.

public import Multiformats
import NIOCore
import NodeCore
import Synchronization
import Transports

extension Configuration {
    /// Whether peers may measure their connection to a node.
    public enum PerfService: String, Sendable, CaseIterable {
        case on
        case off
    }
}

/// How fast a connection was, each way.
public struct PeerSpeed: Hashable, Sendable {
    /// How many bytes went to the peer.
    public let sentBytes: UInt64
    /// How long that took.
    public let sendingTime: Duration
    /// How many bytes came from it.
    public let receivedBytes: UInt64
    /// How long that took.
    public let receivingTime: Duration
}

extension Mesh {
    /// The most bytes that a measurement may take, each way.
    public static let maxMeasured: UInt64 = 1 << 30
    /// How many measurements of peers go on at once.
    static let maxMeasurements = 2
    /// How long one may take.
    static let measuringLimit = TimeAmount.seconds(60)

    private var pace: Perf.Pace {
        let kind = traffic[Perf.name]
        return Perf.Pace(
            inbound: kind.inbound, outbound: kind.outbound, received: kind.received,
            sent: kind.sent, maxBytes: Self.maxMeasured, timeout: Self.measuringLimit)
    }

    /// The protocols that are served without the machine.
    static func ownProtocols(_ configuration: Configuration.Mesh) -> [ProtocolName] {
        configuration.perf == .on ? [Perf.name] : []
    }

    /// Lets a peer measure its connection; nil if that is not allowed, or too many do. On the
    /// connection's event loop.
    func measured(_ stream: PeerStream, by peer: PeerConnection) -> StreamReceiver? {
        guard settings.perf == .on, serves(peer.peer) else { return nil }
        let isFree = measurements.withLock { count in
            guard count < Self.maxMeasurements else { return false }
            count += 1
            return true
        }
        guard isFree else { return nil }
        return Perf.serve(stream, on: peer.eventLoop, pace: pace) { [self] in
            measurements.withLock { $0 -= 1 }
        }
    }

    /// Measures how fast the connection to a peer is, connecting to it if need be: sends so many
    /// bytes, then receives as many as are asked for. It takes a minute at most.
    ///
    /// - Throws: ``MeshError``; most peers do not let themselves be measured.
    public func measure(
        _ peer: PeerID, sending upload: UInt64, receiving download: UInt64
    ) async throws -> PeerSpeed {
        _ = try await ping(peer)
        let all = connections.values.filter { $0.peer.peer == peer }
        guard let best = all.max(by: { $0.number < $1.number }) else {
            throw MeshError.failed(peer, .notConnected)
        }
        do {
            let times = try await Perf.measure(
                best.peer, upload: upload, download: download, pace: pace)
            return PeerSpeed(
                sentBytes: upload, sendingTime: times.upload, receivedBytes: download,
                receivingTime: times.download)
        } catch TransportError.timedOut {
            throw MeshError.failed(peer, .timedOut)
        } catch TransportError.closed {
            throw MeshError.failed(peer, .refused(.disconnected))
        } catch {
            // It does not speak the protocol, or gave up the stream.
            throw MeshError.notMeasured(peer)
        }
    }
}
