// What reads the messages of one stream of the exchange and checks the blocks in them. It belongs
// to whoever has the stream's bytes (the connection's event loop), so that blocks are hashed there
// and many connections use many cores; what it makes of a message goes to `BlockExchange`.

public import Multiformats
public import Wire

/// A message of the exchange that has been read, its blocks checked.
public enum ReceivedExchange: Sendable {
    /// A message of bitswap.
    case bitswap(ReceivedBitswapMessage)
    /// Answers to what was asked on this stream.
    case answers([WeftRequests.Outcome])
    /// What a peer asks for on this stream.
    case commands([WeftCommand])
}

/// The reader of one stream's messages.
public struct ExchangeIntake: Sendable {
    /// Who opened the stream.
    public enum Opener: Sendable {
        case us
        case them
    }

    private enum Kind {
        case bitswap
        case asking(WeftRequests)
        case serving
    }

    private var kind: Kind

    /// The intake of a new stream; nil if the protocol is none of the exchange.
    public init?(_ name: ProtocolName, openedBy opener: Opener) {
        if name == WeftLimits.protocolName {
            switch opener {
            case .us: kind = .asking(WeftRequests())
            case .them: kind = .serving
            }
        } else if BitswapVersion(name) != nil {
            kind = .bitswap
        } else {
            return nil
        }
    }

    /// The longest message that is accepted, in bytes.
    public var maxMessageBytes: Int {
        switch kind {
        case .bitswap: BitswapLimits.maxMessageBytes
        case .asking: WeftLimits.maxAnswerFrame
        case .serving: WeftLimits.maxRequestFrame
        }
    }

    /// Notes a command that is being sent (``BlockExchange/Order/ask(_:_:)``).
    public mutating func note(_ command: WeftCommand) {
        guard case .asking(var requests) = kind else { return }
        kind = .bitswap
        requests.note(command)
        kind = .asking(requests)
    }

    /// Whether what comes are answers of the Weft exchange.
    var isAsking: Bool {
        if case .asking = kind { true } else { false }
    }

    /// Whether blocks may come for a request of this number.
    func isAwaiting(_ request: UInt64) -> Bool {
        guard case .asking(let requests) = kind else { return false }
        return requests.credit(of: request) > 0
    }

    /// Reads a whole message, whose blocks are hashed but for those whose digests are known. What
    /// it throws is given to ``BlockExchange/malformed(_:on:now:)``.
    public mutating func receive(
        _ message: [UInt8], digests: [BlockDigest] = []
    ) throws(DecodeError) -> ReceivedExchange {
        switch kind {
        case .bitswap: return .bitswap(try ReceivedBitswapMessage(verifying: message))
        case .serving: return .commands(try WeftCommand.decode(message.rawSpan))
        case .asking(var requests):
            kind = .bitswap
            defer { kind = .asking(requests) }
            return .answers(try requests.receive(message, digests: digests))
        }
    }
}
