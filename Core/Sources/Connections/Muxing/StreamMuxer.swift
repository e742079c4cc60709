// What a connection needs of whatever gives it streams: yamux on a byte channel, or data channels.

import Multiformats
import Wire

/// What has happened on a muxer.
enum MuxerEvent {
    /// The peer opened a stream.
    case accepted(UInt32)
    case data(UInt32, ArraySlice<UInt8>)
    /// The peer will send no more on this stream.
    case finished(UInt32)
    /// The stream is gone.
    case reset(UInt32)
    /// A stream whose writes were refused has room again.
    case room(UInt32)
    case goAway(YamuxGoAway)
    /// Nothing has come since the peer was asked whether it is there.
    case silent
    /// Something has come after that.
    case awake
}

/// Streams by number. Those that the peer opens are told by ``MuxerEvent/accepted(_:)``.
protocol StreamMuxer {
    /// Queues bytes to be sent. Returns false, and takes nothing, if too much waits already.
    mutating func write(_ bytes: ArraySlice<UInt8>, to id: UInt32) -> Bool
    /// Gives a stream up, both directions, at once.
    mutating func reset(_ id: UInt32)
    /// The reader has consumed `count` bytes of a stream's data.
    mutating func consume(_ count: Int, of id: UInt32, now: Instant)
    /// Removes and returns what has happened since the last call.
    mutating func takeEvents() -> [MuxerEvent]
}

// A connection has its muxer only after its handshake; so that it can be worked on where it is.
extension StreamMuxer {
    /// Starts on the protocol of a stream that we have opened.
    mutating func propose(
        _ protocols: [ProtocolName], on id: UInt32, _ negotiations: inout StreamNegotiations,
        now: Instant, into events: inout [Connection.Event]
    ) {
        negotiations.open(id, protocols, on: &self, now: now, into: &events)
    }

    /// Passes on what has happened.
    mutating func drain(
        _ negotiations: inout StreamNegotiations, now: Instant,
        into events: inout [Connection.Event]
    ) {
        negotiations.drain(&self, now: now, into: &events)
    }

    /// Gives up streams whose protocol was not agreed on in time.
    mutating func endNegotiations(
        _ negotiations: inout StreamNegotiations, before now: Instant,
        into events: inout [Connection.Event]
    ) {
        negotiations.end(before: now, on: &self, into: &events)
    }
}
