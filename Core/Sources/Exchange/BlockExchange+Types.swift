// The vocabulary of the block exchange: what it wants done, and what it tells.

public import IPLD
public import Multiformats
public import Wire

extension BlockExchange {
    /// What the exchange wants done.
    public enum Order: Hashable, Sendable {
        /// Open a stream; the answer is a ``StreamEvent`` with the same number.
        case open(PeerID, [ProtocolName], request: UInt64)
        /// Send a message. When it has left, ``BlockExchange/sent(_:now:)`` is called with its
        /// number; if it cannot be sent, ``BlockExchange/unsent(_:now:)`` is.
        case send(StreamID, OutgoingMessage, id: UInt64)
        /// Send the one frame that this command makes on a stream of the Weft exchange, after
        /// ``ExchangeIntake/note(_:)``.
        case ask(StreamID, WeftCommand)
        /// Nothing more is going to be sent on this stream.
        case finish(StreamID)
        /// End this stream at once.
        case reset(StreamID)
        /// Find out how long these blocks are; answered with
        /// ``BlockExchange/lookedUp(_:byteCounts:now:)``.
        case lookUp(LookUp)
        /// Read a block; answered with ``BlockExchange/loaded(_:_:)``.
        case load(Load)
    }

    /// What happened.
    public enum Event: Sendable {
        /// Blocks came that these sessions wanted. They have been checked against their CIDs.
        case blocks([ReceivedBlock], from: PeerID, sessions: [WantTable.SessionID])
        /// The next blocks of what a session wants at once, in the order of a ``ScopeWalk``
        /// (``BlockExchange/stream(_:room:in:now:)``). They have been checked against their CIDs.
        case streamed(WantTable.SessionID, [ReceivedBlock], from: PeerID)
        /// Nothing more comes of that.
        case streamOver(WantTable.SessionID)
        /// A block cannot be had, and is no longer wanted.
        case failed(WantTable.SessionID, CID, WantTable.Failure)
        /// Look for providers of this block, offer them (``BlockExchange/offer(_:to:as:now:)``),
        /// and say when the search is over (``BlockExchange/discovered(_:now:)``).
        case discover(WantTable.SessionID, CID)
        /// A peer has not sent on this stream what it was asked for: find out whether it is there,
        /// and if not, say so (``BlockExchange/silent(_:on:now:)``).
        case overdue(PeerID, StreamID)
        /// A peer broke the rules. It is asked for nothing more.
        case violation(PeerID, Violation)
        /// Something about a peer that takes part in a session, for whoever wants to know why.
        case news(WantTable.SessionID, PeerID, News)
    }

    /// What became of a peer in a session, besides the blocks that it brought.
    public enum News: Hashable, Sendable {
        /// It is asked, for this block first.
        case asked(CID)
        /// It does not have a block that it was asked for; told of the first one.
        case lacks(CID, WantTable.Evidence)
        /// It asks to be left alone for so long.
        case busy(Duration)
        /// There is no stream to it, or not any longer.
        case unreachable(StreamFault)
        /// It broke the rules, and is asked for nothing more.
        case brokeRules(Violation)
    }

    /// What a peer did that it must not.
    public enum Violation: Hashable, Sendable {
        /// It sent what cannot be decoded, or is over a limit.
        case malformed(DecodeError)
        /// It sent a block that it was never asked for, which is what one with wrong bytes looks
        /// like.
        case unaskedBlock(CID)
    }

    /// How a peer is connected.
    public enum Route: Hashable, Sendable {
        case direct
        /// Through a relay that limits time and bytes: nothing is asked or served there.
        case limited
    }

    /// Ceilings and choices.
    public struct Limits: Sendable {
        /// Those of what is served over bitswap.
        public var server = BitswapServer.Limits()
        /// Those of what is served on the stream exchange.
        public var weftServer = WeftServer.Limits()
        /// Those of what is fetched.
        public var table = WantTable.Limits()
        /// How many streams of one peer are listened to.
        public var streamsPerPeer = 32
        /// How often a stream to a peer is opened again after it broke.
        public var attempts = 3
        /// How many peers that were lost are sought for one session at a time.
        public var sought = 8
        /// The longest pause before one that is sought is tried again.
        public var seekingPause: Duration = .milliseconds(500)
        /// Whether limited connections may be used as well.
        public var limitedConnections = LimitedConnections.unused

        /// What connections through relays, which bound their bytes, are good for.
        public enum LimitedConnections: Sendable {
            case unused
            case used
        }

        /// The defaults.
        public init() {}
    }
}
