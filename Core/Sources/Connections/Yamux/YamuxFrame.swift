// The frames of yamux (github.com/libp2p/specs, yamux): twelve bytes, and data behind some.

import Wire

/// The head of a frame.
struct YamuxHeader: Equatable {
    enum Kind: UInt8 {
        case data = 0
        case windowUpdate = 1
        case ping = 2
        case goAway = 3
    }

    struct Flags: OptionSet {
        let rawValue: UInt16

        /// Starts a stream, or asks with a ping.
        static let syn = Flags(rawValue: 1)
        /// Accepts a stream, or answers a ping.
        static let ack = Flags(rawValue: 2)
        /// The sender will send no more.
        static let fin = Flags(rawValue: 4)
        /// The stream is given up.
        static let rst = Flags(rawValue: 8)
    }

    /// How many bytes a head has.
    static let size = 12

    var kind: Kind
    var flags: Flags
    /// Zero for what concerns the connection.
    var stream: UInt32
    /// Bytes that follow, bytes added to the window, a ping's number, or a reason.
    var length: UInt32

    init(_ kind: Kind, _ flags: Flags = [], stream: UInt32, length: UInt32) {
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.length = length
    }

    /// Reads a head of ``size`` bytes.
    init(decoding bytes: RawSpan) throws(YamuxFault) {
        var reader = ByteReader(bytes)
        do throws(DecodeError) {
            let version = try reader.readByte()
            let type = try reader.readByte()
            flags = Flags(rawValue: try reader.readBigEndian())
            stream = try reader.readBigEndian()
            length = try reader.readBigEndian()
            guard version == 0 else { throw reader.error(.unsupported, "yamux: version") }
            guard let kind = Kind(rawValue: type) else {
                throw reader.error(.unsupported, "yamux: type")
            }
            self.kind = kind
        } catch {
            throw .unknownFrame
        }
    }

    /// The head's bytes.
    var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(Self.size)
        out.append(0)
        out.append(kind.rawValue)
        out.appendBigEndian(flags.rawValue)
        out.appendBigEndian(stream)
        out.appendBigEndian(length)
        return out
    }
}

/// How a peer broke the rules of yamux, which ends the connection.
public enum YamuxFault: Error, Hashable, Sendable {
    /// A frame of another version or type.
    case unknownFrame
    /// A frame of the connection for a stream, or the other way round.
    case misaddressed
    /// A stream was opened with a number that is not the peer's to give.
    case wrongStreamNumber
    /// More data than the window allowed.
    case windowExceeded
    /// The peer asks faster than it takes in the answers.
    case tooManyAnswers
    /// The peer has been silent although it was asked.
    case keepAliveTimedOut
}

extension YamuxFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unknownFrame: "the peer sent a frame of an unknown kind"
        case .misaddressed: "the peer sent a frame for the wrong stream"
        case .wrongStreamNumber: "the peer opened a stream with a number that is not its own"
        case .windowExceeded: "the peer sent more than its window allows"
        case .tooManyAnswers: "the peer does not take in the answers it asks for"
        case .keepAliveTimedOut: "the peer has gone silent"
        }
    }
}

/// Why a peer ends its connection.
public enum YamuxGoAway: UInt32, Hashable, Sendable {
    case normal = 0
    case protocolError = 1
    case internalError = 2
}

/// How much a connection's streams may take.
public struct YamuxLimits: Sendable {
    /// The window that every stream starts with, in bytes; fixed by the specification.
    public static let firstWindow = 256 * 1024

    /// The most streams that the peer may have open at once.
    public var incomingStreams = 256
    /// The most streams that we may have open at once.
    public var outgoingStreams = 1024
    /// The most streams that we open before the peer has accepted one of them.
    public var unacknowledgedStreams = 256
    /// How far a stream's receive window may grow, in bytes.
    public var maxWindow = 16 << 20
    /// How far all windows of a connection may grow together beyond the first, in bytes.
    public var windowGrowth = 64 << 20
    /// How many bytes of a stream may wait to be sent before writing is refused.
    public var sendQueue = 1 << 20
    /// How often the peer is asked whether it is there, which also measures the round trip.
    public var pingInterval = Duration.seconds(30)
    /// How long the peer may be silent when it was asked.
    public var pingTimeout = Duration.seconds(20)
    /// How long the peer may be silent when somebody waits for it and it was asked.
    public var checkTimeout = Duration.seconds(2)

    /// The most short answers that wait to be sent.
    static let answers = 4096
    /// The largest data frame that is sent, in bytes; one Noise frame holds it.
    static let maxFrame = 65_519 - YamuxHeader.size

    /// The usual limits.
    public init() {}
}
