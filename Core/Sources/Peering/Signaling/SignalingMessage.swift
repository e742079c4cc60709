// What two peers tell each other to connect over WebRTC (github.com/libp2p/specs, webrtc/webrtc.md,
// "Signaling").

public import Wire

/// One message about a connection that is being made.
public enum SignalingMessage: Hashable, Sendable {
    /// What the peer offers that has opened the stream: a session description.
    case offer([UInt8])
    /// What the other one answers.
    case answer([UInt8])
    /// One more way to the sender, as browsers write it in JSON.
    case candidate([UInt8])

    /// The longest message, in bytes.
    public static let maxBytes = 16 << 10

    /// Reads a message.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var type: UInt64 = 0
        var data: [UInt8] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): type = try reader.readProtobufVarint()
            case (2, .bytes): data = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        switch type {
        case 0: self = .offer(data)
        case 1: self = .answer(data)
        case 2: self = .candidate(data)
        default: throw reader.error(.unsupported, "signaling: a message of no known kind")
        }
    }

    /// The message.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        let data: [UInt8]
        switch self {
        case .offer(let bytes):
            out.appendField(1, varint: 0)
            data = bytes
        case .answer(let bytes):
            out.appendField(1, varint: 1)
            data = bytes
        case .candidate(let bytes):
            out.appendField(1, varint: 2)
            data = bytes
        }
        out.appendField(2, bytes: data)
        return out
    }
}
