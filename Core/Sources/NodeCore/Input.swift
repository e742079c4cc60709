// Everything that can happen to a node.

public import Exchange
public import Multiformats
public import Peering
public import Wire

/// What is known of a connection when it is there: secured, with a multiplexer, its peer proven.
public struct ConnectionFacts: Hashable, Sendable {
    /// Who opened it.
    public enum Direction: Hashable, Sendable {
        case inbound
        case outbound
    }

    /// Whose it is.
    public let peer: PeerID
    /// Who opened it.
    public let direction: Direction
    /// Where the other end is; relayed if it is relayed.
    public let remoteAddress: Multiaddr
    /// Whether a relay on the way limits it.
    public let route: BlockExchange.Route
    /// The attempt that led to it (``NodeCore/Output/dial(attempt:_:_:timeout:narrowest:)``).
    public let attempt: UInt64?
    /// Whether this node opened it from the port that it listens on, so that what the peer sees of
    /// it may be where others reach this node.
    public var isFromListeningPort = false

    /// These facts.
    public init(
        peer: PeerID, direction: Direction, remoteAddress: Multiaddr,
        route: BlockExchange.Route, attempt: UInt64?
    ) {
        self.peer = peer
        self.direction = direction
        self.remoteAddress = remoteAddress
        self.route = route
        self.attempt = attempt
    }
}

extension NodeCore {
    /// What can happen to a node. Time passes by ``NodeCore/advance(to:)``.
    public enum Input: Sendable {
        /// A connection is there. Its number is the shell's and is never used again.
        case connected(UInt64, ConnectionFacts)
        /// A connection ended, from which side ever. Its streams need not be reset one by one.
        case disconnected(UInt64)
        /// Nothing has come over a connection since its peer was asked for a sign of life
        /// (``Output/check(connection:)``).
        case silent(UInt64)
        /// Something has come over a connection that was said to be silent.
        case awake(UInt64)
        /// An attempt to dial did not lead to a connection.
        case dialFailed(attempt: UInt64, DialFailure)
        /// Something happened to a stream.
        case stream(StreamEvent)
        /// A message of the block exchange came, read and hashed by the stream's `ExchangeIntake`.
        case exchange(StreamID, ReceivedExchange)
        /// A message of the block exchange came that the intake could not read.
        case malformed(StreamID, DecodeError)
        /// A message of ``Output/transmit(_:_:number:)`` has left.
        case sent(UInt64)
        /// It could not be sent.
        case unsent(UInt64)
        /// The answer to ``Output/lookUp(_:)``: how long each block is, nil for one that is not
        /// there or not to be given away.
        case lookedUp(LookUp, [Int?])
        /// The answer to ``Output/load(_:)``: nil for a block that is not there or not to be given
        /// away.
        case loaded(Load, [UInt8]?)
        /// A block has come into the store by whatever way.
        case stored(Multihash, byteCount: Int)
        /// The answer to ``Output/lookUpRecord(_:of:)``: a valid record, or nil.
        case record(UInt64, [UInt8]?)
        /// What came of an ``Output/call(_:)``.
        case call(CallCompletion)
        /// The answer to ``Output/keys(of:request:from:through:limit:)``, with its name and number.
        case keys(of: ProtocolName, request: UInt64, [Multihash])
        /// The answer to ``ReachabilityOrder/dialBack(_:_:_:nonce:)``.
        case dialedBack(UInt64, AutoNATServer.Outcome)
        /// What is told of an association (``ReachabilityOrder/associate(_:_:)``).
        case association(UInt64, AssociationStep)
        /// Somebody wants something. The number is the caller's choice and is not in use. There is
        /// exactly one answer, not later than `deadline`.
        case command(UInt64, Command, deadline: Instant)
    }
}
