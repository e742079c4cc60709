// Agreeing on a protocol (github.com/libp2p/specs, connections, "multistream-select"): one side
// proposes names until the other echoes one.

public import Multiformats
public import Wire

/// One side of a negotiation at the start of a byte stream.
///
/// The dialer's header and first proposal are ready at once, and what it wants to say in the
/// proposed protocol may follow them without waiting.
public struct Multistream: Sendable {
    /// How a negotiation ended.
    public enum Outcome: Hashable, Sendable {
        /// Both sides will speak this protocol. Bytes that follow belong to it.
        case agreed(ProtocolName)
        /// The listener has none of the protocols that were proposed.
        case refused
    }

    /// The longest message, in bytes; names are far shorter.
    public static let maxMessageLength = 1024
    /// The most proposals that a listener answers.
    public static let maxProposals = 32

    private enum Role {
        case dialer, listener
    }

    private let role: Role
    /// What the dialer proposes, in this order, or what the listener supports.
    private let protocols: [ProtocolName]
    private var frames = FrameReader(limit: Self.maxMessageLength)
    private var isHeaderRead = false
    /// How many proposals have been answered.
    private var answered = 0
    /// Messages to send.
    private var output: [UInt8] = []

    private static let header = Array("/multistream/1.0.0".utf8)
    private static let notAvailable = Array("na".utf8)

    /// The side that proposes these protocols, the preferred one first.
    public init(proposing protocols: [ProtocolName]) {
        precondition(!protocols.isEmpty, "there is something to propose")
        role = .dialer
        self.protocols = protocols
        append(Self.header)
        append(protocols[0].utf8)
    }

    /// The side that supports these protocols.
    public init(supporting protocols: [ProtocolName]) {
        role = .listener
        self.protocols = protocols
        append(Self.header)
    }

    /// Removes and returns the bytes to send.
    public mutating func takeOutput() -> [UInt8] {
        let taken = output
        output = []
        return taken
    }

    /// Takes in what has arrived, up to the end of the negotiation. Returns nil when all of
    /// `input` has been used up before it. There may be output afterwards, also at the end.
    public mutating func receive(
        _ input: inout ByteReader
    ) throws(DecodeError) -> Outcome? {
        while let message = try frames.next(&input) {
            guard message.last == UInt8(ascii: "\n") else {
                throw DecodeError(.malformed, "multistream: a message without its line end")
            }
            let text = message.dropLast()
            guard isHeaderRead else {
                guard text.elementsEqual(Self.header) else {
                    throw DecodeError(.malformed, "multistream: not its header")
                }
                isHeaderRead = true
                continue
            }
            let outcome = role == .dialer ? try readAnswer(text) : try answer(text)
            if let outcome { return outcome }
        }
        return nil
    }

    private mutating func readAnswer(
        _ text: ArraySlice<UInt8>
    ) throws(DecodeError) -> Outcome? {
        if text.elementsEqual(protocols[answered].utf8) { return .agreed(protocols[answered]) }
        guard text.elementsEqual(Self.notAvailable) else {
            throw DecodeError(.malformed, "multistream: an answer to nothing that was proposed")
        }
        answered += 1
        guard answered < protocols.count else { return .refused }
        append(protocols[answered].utf8)
        return nil
    }

    private mutating func answer(_ text: ArraySlice<UInt8>) throws(DecodeError) -> Outcome? {
        if let name = protocols.first(where: { text.elementsEqual($0.utf8) }) {
            append(name.utf8)
            return .agreed(name)
        }
        append(Self.notAvailable)
        answered += 1
        guard answered < Self.maxProposals else {
            throw DecodeError(.overLimit, "multistream: too many proposals")
        }
        return nil
    }

    private mutating func append(_ text: [UInt8]) {
        output.appendVarint(UInt64(text.count + 1))
        output += text
        output.append(UInt8(ascii: "\n"))
    }
}
