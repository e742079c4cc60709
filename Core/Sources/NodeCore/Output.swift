// Everything that a node can want.

public import Exchange
public import IPLD
public import Multiformats
public import Peering
public import Wire

extension NodeCore {
    /// What a node wants done, in this order.
    public enum Output: Sendable {
        /// Connect to a peer, secure and multiplex, and prove that it is this peer. Answered by
        /// `connected` or `dialFailed` with the number; an address that does not accept a
        /// connection in a third of the time leads nowhere. A name in it must not lead to an IP
        /// address whose scope is less than `narrowest`, because a stranger may have named it.
        case dial(
            attempt: UInt64, PeerID, Multiaddr, timeout: Duration, narrowest: AddressScope)
        /// Give an attempt up. It is not answered.
        case abandon(attempt: UInt64)
        /// Close a connection, which does not exist for this node any more.
        case close(connection: UInt64, CloseReason)
        /// Find out whether the peer of a connection is there, because it should have sent
        /// something. Answered by `silent` if nothing comes for a few seconds, and otherwise not.
        case check(connection: UInt64)
        /// Open a stream on a connection; answered by a `StreamEvent` with the number.
        case open(connection: UInt64, [ProtocolName], request: UInt64)
        /// Send a message, or raw bytes on a raw protocol (``NodeCore/framing(of:)``).
        case send(StreamID, [UInt8])
        /// Send a message of pieces, some of them blocks to be read from the store; answered by
        /// `sent` or `unsent` with the number.
        case transmit(StreamID, OutgoingMessage, number: UInt64)
        /// Tell the stream's `ExchangeIntake` of this command, then send it as one message.
        case ask(StreamID, WeftCommand)
        /// Nothing more is going to be sent on a stream.
        case finish(StreamID)
        /// End a stream at once.
        case reset(StreamID)
        /// Find out which of these blocks are in the store; answered by `lookedUp`.
        case lookUp(LookUp)
        /// Read a block from the store; answered by `loaded`.
        case load(Load)
        /// A peer asks for the IPNS record of a name; answered by `record` with the number.
        case lookUpRecord(UInt64, of: PeerID)
        /// Blocks that these sessions wanted, checked against their CIDs. Who stores them says so
        /// with `stored`.
        case blocks([ReceivedBlock], from: PeerID, sessions: [WantTable.SessionID])
        /// The next blocks of what a session wants in one request, in the order of a `ScopeWalk`
        /// over it, checked against their CIDs.
        case streamed(WantTable.SessionID, [ReceivedBlock], from: PeerID)
        /// Nothing more comes of that.
        case streamOver(WantTable.SessionID)
        /// A session does not get a block that it wanted.
        case missing(WantTable.SessionID, CID, WantTable.Failure)
        /// What is done for a session, for its trace.
        case news(WantTable.SessionID, SessionNews)
        /// A message of a topic that these subscriptions are for, its signature checked, from a
        /// peer, or from this node itself.
        case message(PubSubMessage, from: PeerID, subscriptions: [SubscriptionID])
        /// These subscriptions are to judge a message before anybody gets it, by
        /// ``PubSubCommand/judge(_:_:)`` within ``Peering/PubSub/validationTime``.
        case validate(
            PubSub.ValidationID, PubSubMessage, from: PeerID, subscriptions: [SubscriptionID])
        /// A peer that a command looks for was found, or one that has what it looks for. Its
        /// addresses are in the book. The answer comes later.
        case found(command: UInt64, PeerID)
        /// Give the first `limit` keys that the node announces, from one place in the key space of
        /// a DHT through another, in the order of their places; answered by `keys`.
        case keys(
            of: ProtocolName, request: UInt64, from: KadID, through: KadID, limit: Int)
        /// A value that a command looks for was found, better than those before. The answer, with
        /// the best of all, comes later.
        case value(command: UInt64, [UInt8])
        /// Do something for calls.
        case call(CallOrder)
        /// Do something for reaching others or being reached.
        case reach(ReachabilityOrder)
        /// The answer to a command.
        case answer(UInt64, Answer)
        /// Something that is worth a line in a log or a count.
        case note(Note)
    }

    /// What is done for a session.
    public enum SessionNews: Hashable, Sendable {
        /// The DHTs are asked who has a block.
        case searching(CID)
        /// They named so many peers.
        case searched(found: Int)
        /// Something about one of the peers.
        case peer(PeerID, BlockExchange.News)
    }

    /// Why a connection is closed.
    public enum CloseReason: Hashable, Sendable {
        /// The rules do not allow the peer or the address.
        case denied
        /// A ceiling would be exceeded.
        case overLimit(ConnectionCeiling)
        /// There were more connections than wanted, and this one was of the least use.
        case trimmed
        /// Somebody asked for it.
        case requested
        /// Its peer has fallen silent, and there is a newer connection to it.
        case silent
        /// The peer broke the rules too often.
        case violations
        /// The other end is this node.
        case ourselves
    }

    /// The ceilings that a connection can meet.
    public enum ConnectionCeiling: Hashable, Sendable {
        case total
        case inbound
        case outbound
        case perPeer
        case perNetwork
    }

    /// What is worth telling, for logs and metrics.
    public enum Note: Hashable, Sendable {
        case connected(PeerID, ConnectionFacts.Direction, Multiaddr)
        /// The last connection to a peer ended.
        case disconnected(PeerID)
        /// This node closed a connection, or did not let it come.
        case closed(PeerID, Multiaddr, CloseReason)
        case identified(PeerID, agent: [UInt8])
        /// A peer did not say who it is.
        case unidentified(PeerID, StreamFault)
        /// A peer was dialled in vain.
        case dialFailed(PeerID, DialError)
        /// How a peer sees this node's address.
        case observed(Multiaddr, by: PeerID)
        /// Whether this node can be reached from everywhere is known, or not any more.
        case reachability(Reachability)
        /// This node can be reached through a relay.
        case reserved(PeerID)
        /// It cannot, or not any more.
        case unreserved(PeerID, RelayFailure)
        /// A relayed connection was followed by a direct one.
        case upgraded(PeerID)
        /// It was not, and that is not tried any more.
        case notUpgraded(PeerID)
        /// A part of the node's keys was announced in a DHT to so many servers.
        case announced(ProtocolName, keys: Int, servers: Int)
        /// All of them were, as far as servers were found.
        case swept(ProtocolName)
        /// A peer broke the rules.
        case violation(PeerID, Violation)
        /// A stream of a peer was refused because it has too many.
        case streamRefused(PeerID, ProtocolName)
    }

    /// What a peer did that it must not.
    public enum Violation: Hashable, Sendable {
        case identify(DecodeError)
        case blocks(BlockExchange.Violation)
        case routing(KadViolation)
        /// What it published or passed on was so often bad that it is not listened to any more.
        case pubSub
    }
}
