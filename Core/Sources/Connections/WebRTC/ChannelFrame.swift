// What goes over a data channel that is a stream of libp2p (github.com/libp2p/specs, webrtc,
// "Multiplexing"): bytes of the stream, and how far its directions have come.

public import Wire

/// One frame. Frames follow each other with their length before them; they need not line up with
/// the channel's messages.
public struct ChannelFrame: Hashable, Sendable {
    /// What the sender says of the stream.
    public enum Flag: UInt8, Sendable {
        /// It will send no more.
        case fin = 0
        /// It will read no more.
        case stopSending = 1
        /// It has given the stream up.
        case reset = 2
        /// It has everything up to the other side's end.
        case finAck = 3
    }

    /// The longest frame, in bytes, with its length.
    public static let maxLength = 16 << 10
    /// How much a frame adds to the bytes of the stream that it carries, at most.
    static let overhead = 8
    /// The most bytes of a stream that one frame carries.
    static let maxMessage = maxLength - overhead

    /// What is said of the stream, besides.
    public var flag: Flag?
    /// Bytes of the stream.
    public var message: [UInt8] = []

    /// A frame that only says something.
    public init(_ flag: Flag) { self.flag = flag }

    /// Reads a frame without its length. A flag that is not known here says nothing.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        var reader = ByteReader(bytes.rawSpan)
        while let tag = try reader.readTag() {
            switch tag {
            case ProtobufTag(1, .varint):
                let value = try reader.readVarint()
                flag = value > UInt64(UInt8.max) ? nil : Flag(rawValue: UInt8(value))
            case ProtobufTag(2, .bytes): message = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    /// The frame with its length.
    public var encoded: [UInt8] {
        Self.encode(message.isEmpty ? [] : [message[...]], flag: flag)
    }

    /// A frame that carries these pieces, at most ``maxMessage`` bytes together.
    static func encode(_ pieces: [ArraySlice<UInt8>], flag: Flag? = nil) -> [UInt8] {
        var count = 0
        for piece in pieces { count += piece.count }
        var header: [UInt8] = []
        if let flag { header += [0x08, flag.rawValue] }
        if count > 0 {
            header.append(0x12)
            header.appendVarint(UInt64(count))
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + overhead)
        bytes.appendVarint(UInt64(header.count + count))
        bytes += header
        for piece in pieces { bytes += piece }
        return bytes
    }
}
