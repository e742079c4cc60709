// A stream of a connection, as those see it who work on the connection's event loop.

public import Multiformats

/// What happens on a stream.
public enum StreamNotice {
    /// A stream that we opened speaks this protocol; from now on it may be written to.
    case opened(ProtocolName)
    /// Bytes. They count against the peer's window until ``PeerStream/consume(_:)``.
    case data(ArraySlice<UInt8>)
    /// The peer will send no more.
    case finished
    /// A write that was refused may be tried again.
    case room
    /// The stream is gone, and nothing more comes.
    case ended(TransportError)
}

/// What is done about a stream's notices, on the connection's event loop.
public typealias StreamReceiver = (StreamNotice) -> Void

/// A stream of a connection. All use is on the connection's event loop.
public struct PeerStream {
    let id: UInt32
    let carrier: any StreamCarrier

    /// Queues bytes to be sent. Returns false, and takes nothing, if too much waits; then
    /// ``StreamNotice/room`` tells when to try again.
    public func write(_ bytes: ArraySlice<UInt8>) -> Bool {
        carrier.write(bytes, to: id)
    }

    /// Ends our direction, after what waits.
    public func finish() {
        carrier.finish(id)
    }

    /// Gives the stream up. No notice comes any more.
    public func reset() {
        carrier.reset(id)
    }

    /// Says that whoever works with the stream holds so many bytes more for it, or fewer.
    public func hold(_ change: Int) {
        carrier.hold(change)
    }

    /// Says that `count` bytes of data are no longer in the way, so that the peer may send more.
    public func consume(_ count: Int) {
        carrier.consume(count, of: id)
    }
}

/// Decides what is done with a stream that a peer opened; nil gives it up. Called on the
/// connection's event loop.
public typealias StreamAcceptor =
    @Sendable (PeerConnection, PeerStream, ProtocolName) -> StreamReceiver?
