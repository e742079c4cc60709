// Messages with their length as a varint before them, as most libp2p protocols send them
// (github.com/multiformats/unsigned-varint).

/// Cuts a stream of bytes into messages, whatever pieces it arrives in.
///
/// A length over the limit is refused before anything is allocated for it, and memory grows with
/// the bytes that have arrived, not with the length that was claimed.
public struct FrameReader: Sendable {
    /// The longest message that is accepted, in bytes.
    public let limit: Int
    /// The start of a length that has not ended yet.
    private var prefix: [UInt8] = []
    /// How many bytes the current message has; nil while its length is being read.
    private var length: Int?
    /// What has arrived of the current message.
    private var message: [UInt8] = []
    /// How long the longest message was that came whole.
    private var longest = 0

    /// Bytes that are set aside for a message at its start, however long it claims to be, unless
    /// one as long has come before. When they are full, four times as much is, so that a long
    /// message is moved once or twice.
    private static let firstReservation = 1 << 16

    /// A reader of messages of up to `limit` bytes.
    public init(limit: Int) {
        self.limit = limit
    }

    /// Whether the stream may end here, between two messages.
    public var isBetweenMessages: Bool { length == nil && prefix.isEmpty }

    /// How many bytes of a message are kept until the rest of it comes.
    public var heldBytes: Int { message.count }

    /// The next whole message, without its length; nil if `input` has been used up before its
    /// end. Call until it returns nil, then again with the bytes that follow.
    public mutating func next(_ input: inout ByteReader) throws(DecodeError) -> [UInt8]? {
        if length == nil {
            guard try readLength(&input) else { return nil }
        }
        guard let length else { return nil }
        let missing = length - message.count
        if message.isEmpty, input.remaining >= missing {
            // The usual case: the whole message is here, and is copied once.
            self.length = nil
            return try input.readBytes(missing)
        }
        let end = message.count + min(missing, input.remaining)
        if end > message.capacity {
            message.reserveCapacity(
                min(length, max(Self.firstReservation, longest, end, 4 * message.count)))
        }
        message.append(try input.readSpan(min(missing, input.remaining)))
        guard message.count == length else { return nil }
        self.length = nil
        longest = max(longest, length)
        let whole = message
        message = []
        return whole
    }

    /// Returns whether the length is complete.
    private mutating func readLength(_ input: inout ByteReader) throws(DecodeError) -> Bool {
        while !input.isAtEnd {
            let byte = try input.readByte()
            prefix.append(byte)
            if byte < 0x80 {
                var reader = ByteReader(prefix.rawSpan)
                length = try reader.readLength(limit: limit)
                prefix.removeAll(keepingCapacity: true)
                return true
            }
            guard prefix.count < Varint.maxLength else {
                throw input.error(.malformed, "the varint is too long")
            }
        }
        return false
    }
}
