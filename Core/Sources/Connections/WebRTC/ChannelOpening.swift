// How the other side learns of a data channel (RFC 8832): a message on it that names it, and one
// that says it is there.

public import Wire

/// What a message on a data channel is (RFC 8831, section 8).
public enum ChannelMessageKind: UInt32, Sendable {
    /// It is about the channel.
    case control = 50
    case text = 51
    case binary = 53
    /// No text; SCTP has no empty messages, so one byte stands for it.
    case emptyText = 56
    /// No bytes, as one byte.
    case emptyBinary = 57
}

/// A message about a data channel.
public enum ChannelOpening: Hashable, Sendable {
    /// The sender opens the channel.
    case open(isReliable: Bool, label: [UInt8], protocol: [UInt8])
    /// The sender has it, too.
    case acknowledge

    /// The longest label and protocol, in bytes.
    static let maxName = 1024
    /// The longest message.
    public static let maxLength = 12 + 2 * maxName

    /// Reads a message.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        switch try reader.readByte() {
        case 2: self = .acknowledge
        case 3:
            let type = try reader.readByte()
            _ = try reader.readBigEndian(UInt16.self)
            _ = try reader.readBigEndian(UInt32.self)
            let label = Int(try reader.readBigEndian(UInt16.self))
            let name = Int(try reader.readBigEndian(UInt16.self))
            guard label <= Self.maxName, name <= Self.maxName else {
                throw reader.error(.overLimit, "data channel: the name is too long")
            }
            self = .open(
                isReliable: type == 0, label: try reader.readBytes(label),
                protocol: try reader.readBytes(name))
        default: throw reader.error(.unsupported, "data channel: an unknown message")
        }
        guard reader.isAtEnd else {
            throw reader.error(.malformed, "data channel: something follows the message")
        }
    }

    /// The message.
    public var encoded: [UInt8] {
        switch self {
        case .acknowledge: return [2]
        case .open(let isReliable, let label, let name):
            // Unordered and unreliable as 0x81 would be, without retransmission.
            var bytes: [UInt8] = [3, isReliable ? 0 : 0x81, 0, 0, 0, 0, 0, 0]
            bytes.appendBigEndian(UInt16(label.count))
            bytes.appendBigEndian(UInt16(name.count))
            return bytes + label + name
        }
    }
}
