// The seam between connections and what peers say on them: streams by number, whole messages, no
// bytes of the wire. Whoever owns the connections keeps the order of each stream.

import Wire

/// The name of a protocol as multistream-select agrees on it, such as `/ipfs/id/1.0.0`.
public struct ProtocolName: Hashable, Sendable {
    /// The longest name that is read, in bytes.
    public static let maxLength = 256

    /// The name in UTF-8.
    public let utf8: [UInt8]

    /// The name with these bytes.
    public init(utf8: [UInt8]) {
        self.utf8 = utf8
    }

    /// The name as text.
    public init(_ text: StaticString) {
        self.utf8 = Array(text.description.utf8)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(contentsOf: utf8) }
}

extension ProtocolName: CustomStringConvertible {
    public var description: String { String(decoding: utf8, as: UTF8.self) }
}

/// A stream of a connection. Neither number is ever used again while the node runs.
public struct StreamID: Hashable, Sendable {
    /// Which connection, as the owner of the connections counts them.
    public let connection: UInt64
    /// Which stream of it.
    public let stream: UInt32

    /// The stream with these numbers.
    public init(connection: UInt64, stream: UInt32) {
        self.connection = connection
        self.stream = stream
    }
}

/// How the bytes of a protocol's streams are cut up before they reach its machine.
public enum StreamFraming: Hashable, Sendable {
    /// Messages of up to `limit` bytes with their length as a varint before them. Machines see and
    /// send them without the length.
    case messages(limit: Int)
    /// Bytes in pieces as they come, as ping, perf and relayed circuits have them.
    case raw
}

/// Why a stream was not opened.
public enum StreamFault: UInt8, Error, Hashable, Sendable {
    /// The peer could not be reached: every address failed, or none is known.
    case unreachable
    /// The peer speaks none of the protocols that were offered.
    case unsupported
    /// The peer did not answer in time.
    case timedOut
    /// A ceiling of this node (connections, streams, dials) would be exceeded.
    case overLimit
    /// The peer is on the deny list, or not on the allow list.
    case denied
    /// The connection ended before the stream was there.
    case disconnected
}

extension StreamFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable: "the peer cannot be reached"
        case .unsupported: "the peer does not speak the protocol"
        case .timedOut: "the peer did not answer in time"
        case .overLimit: "a limit of this node was reached"
        case .denied: "the peer is not allowed here"
        case .disconnected: "the connection ended"
        }
    }
}

/// What a machine wants done with streams.
public enum StreamOrder: Hashable, Sendable {
    /// Open a stream to a peer, dialling it if need be, on the first of these protocols that it
    /// speaks. Answered by `opened` or `refused` with the same number.
    case open(PeerID, [ProtocolName], request: UInt64)
    /// A stream that was asked for is not wanted any more; if nobody else waits for the peer, it is
    /// no longer dialled. Nothing answers. A stream that is there already comes all the same.
    case withdraw(PeerID, request: UInt64)
    /// Send one message, or raw bytes on a raw protocol.
    case send(StreamID, [UInt8])
    /// Nothing more is going to be sent; the other direction stays open.
    case finish(StreamID)
    /// End both directions at once. No more events come of this stream.
    case reset(StreamID)
}

/// What happened to streams.
public enum StreamEvent: Hashable, Sendable {
    /// The stream that a machine asked for is there.
    case opened(request: UInt64, StreamID, ProtocolName)
    /// The stream that a machine asked for is not going to come.
    case refused(request: UInt64, StreamFault)
    /// A peer opened a stream.
    case accepted(StreamID, PeerID, ProtocolName)
    /// One whole message without its length, or raw bytes on a raw protocol.
    case message(StreamID, [UInt8])
    /// The peer is not going to send anything more.
    case finished(StreamID)
    /// The stream is gone: the peer reset it, broke a rule, or the connection ended.
    case reset(StreamID)
}
