// A connection to a peer whose identity is proven.

import Connections
public import Multiformats
public import NIOCore
import Synchronization

/// Whether a peer that was asked shows any sign of life.
public enum PeerPresence: Sendable {
    /// Nothing has come from it since it was asked.
    case silent
    /// Something has, after all.
    case awake
}

/// A connection to a peer. Streams are opened on it from anywhere, or worked on its event loop.
public final class PeerConnection: Sendable {
    /// Who the peer is; it has proven it.
    public let peer: PeerID
    /// Where the peer is, as the system sees it; nil where it does not say.
    public let remoteAddress: SocketAddress?
    /// This end of it, as the system sees it; nil where it does not say.
    public let localAddress: SocketAddress?
    /// Whether it is one of WebRTC, over UDP.
    public let isWebRTC: Bool
    /// Where all of the connection's work is done.
    public let eventLoop: any EventLoop
    /// Completes when the connection has ended, with the reason.
    public let ended: EventLoopFuture<TransportError>

    private let endPromise: EventLoopPromise<TransportError>
    private let carrier: NIOLoopBound<any StreamCarrier>
    private let counts: TrafficCounts

    init(
        peer: PeerID, carrier: any StreamCarrier, on eventLoop: any EventLoop,
        remote: SocketAddress?, local: SocketAddress?, counts: TrafficCounts, isWebRTC: Bool = false
    ) {
        self.counts = counts
        self.peer = peer
        self.isWebRTC = isWebRTC
        remoteAddress = remote
        localAddress = local
        self.eventLoop = eventLoop
        endPromise = eventLoop.makePromise()
        ended = endPromise.futureResult
        self.carrier = NIOLoopBound(carrier, eventLoop: eventLoop)
    }

    /// Bytes that have come from the peer, with those of the handshake.
    public var received: UInt64 { counts.received.load(ordering: .relaxed) }
    /// Bytes that have gone to the peer, with those of the handshake.
    public var sent: UInt64 { counts.sent.load(ordering: .relaxed) }

    func end(_ error: TransportError) {
        endPromise.succeed(error)
    }

    /// Opens a stream that speaks one of these protocols; with one alone, nothing is waited for.
    /// On the event loop only. Nil if there are too many streams, or the connection is ending.
    public func openStream(
        _ protocols: [ProtocolName], _ receiver: @escaping (PeerStream) -> StreamReceiver
    ) -> PeerStream? {
        carrier.value.open(protocols, receiver)
    }

    /// The smoothed time of a round trip, once it has been measured. On the event loop only.
    public var roundTrip: Duration? { carrier.value.roundTrip }

    /// Finds out whether the peer is there, because it should have sent something. If nothing at
    /// all comes for two seconds, or for four round trips, it is told to be silent, and to be
    /// awake should something come later. On the event loop only.
    public func check(_ onPresence: @escaping (PeerPresence) -> Void) {
        carrier.value.check(onPresence)
    }

    /// Says goodbye to the peer and closes the connection.
    public func close() {
        if eventLoop.inEventLoop {
            carrier.value.close()
        } else {
            eventLoop.execute { self.carrier.value.close() }
        }
    }

    /// Opens a stream that speaks one of these protocols, and waits until that is sure, or with
    /// one protocol until it has been asked for.
    public func open(
        _ protocols: [ProtocolName], within limit: TimeAmount = .seconds(15)
    ) async throws -> ByteStream {
        let opening = eventLoop.makePromise(of: ByteStream.self)
        eventLoop.execute {
            let timeout = self.eventLoop.scheduleTask(in: limit) {
                opening.fail(TransportError.timedOut)
            }
            opening.futureResult.whenComplete { _ in timeout.cancel() }
            let stream = self.openStream(protocols) { stream in
                let bytes = ByteStream(stream, on: self.eventLoop)
                return { notice in
                    switch notice {
                    case .opened: opening.succeed(bytes)
                    case .ended(let error):
                        opening.fail(error)
                        bytes.receive(notice)
                    default: bytes.receive(notice)
                    }
                }
            }
            if stream == nil { opening.fail(TransportError.overLimit) }
        }
        return try await opening.futureResult.get()
    }
}
