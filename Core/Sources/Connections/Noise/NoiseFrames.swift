import Wire

/// Cuts a byte stream into messages with their length in two bytes before them. Only a message
/// that arrives in pieces is kept here, so at most 65,537 bytes.
struct NoiseFrames: Sendable {
    /// The longest message, in bytes.
    static let maxLength = Int(UInt16.max)

    /// A length and what has arrived behind it.
    private var pending: [UInt8] = []

    /// What `open` makes of the next whole message, which it is shown where it lies; nil if
    /// `input` has been used up before the message's end.
    mutating func next(
        _ input: inout ByteReader, open: (RawSpan) throws(NoiseFault) -> [UInt8]
    ) throws(NoiseFault) -> [UInt8]? {
        if pending.isEmpty, input.remaining >= 2 {
            let length = Self.length(input.bytes.extracting(input.offset..<(input.offset + 2)))
            if input.remaining >= 2 + length {
                _ = input.readSpan(upTo: 2)
                return try open(input.readSpan(upTo: length))
            }
        }
        while true {
            var wanted = 2
            if pending.count >= 2 {
                wanted += Self.length(pending.rawSpan.extracting(..<2))
                if pending.count == wanted { break }
            }
            guard !input.isAtEnd else { return nil }
            pending.append(input.readSpan(upTo: wanted - pending.count))
        }
        let message = try open(pending.rawSpan.extracting(2...))
        pending.removeAll(keepingCapacity: true)
        return message
    }

    private static func length(_ bytes: RawSpan) -> Int {
        var reader = ByteReader(bytes)
        // Two bytes are there.
        return Int((try? reader.readBigEndian(UInt16.self)) ?? 0)
    }
}
