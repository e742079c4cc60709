// What a node shows of itself.

public import Multiformats
import Wire

/// How much of something there is, how much there may be, and how often that was not enough.
public struct Gauge: Hashable, Sendable {
    /// How much there is.
    public let count: Int
    /// How much there may be.
    public let limit: Int
    /// How often the limit held something back since the start.
    public let refused: UInt64
}

/// Use, limits, and what has happened since the start.
public struct NodeStatus: Hashable, Sendable {
    /// Connections of all kinds, dials under way among them.
    public let connections: Gauge
    /// Connections that peers opened.
    public let inbound: Gauge
    /// Connections that this node opened or is opening.
    public let outbound: Gauge
    /// Attempts to dial that are under way.
    public let dials: Gauge
    /// Streams that peers opened.
    public let acceptedStreams: Gauge
    /// Streams of ours that are not open yet.
    public let openingStreams: Gauge
    /// Commands without an answer.
    public let commands: Gauge
    /// Peers whose addresses are known.
    public let knownPeers: Gauge
    /// Subscriptions to topics.
    public let subscriptions: Gauge
    /// Peers that are connected.
    public let peers: Int
    /// Connections refused because their peer or network had too many.
    public let crowded: UInt64
    /// Connections refused or closed because the rules do not allow them.
    public let denied: UInt64
    /// Connections closed because there were more than wanted.
    public let trimmed: UInt64
    /// Attempts to dial.
    public let dialled: UInt64
    /// Attempts to dial that failed.
    public let dialFailures: UInt64
    /// How often peers broke the rules.
    public let violations: UInt64
}

/// What is counted since the start.
struct Tallies: Sendable {
    var overTotal: UInt64 = 0
    var overInbound: UInt64 = 0
    var overOutbound: UInt64 = 0
    var crowded: UInt64 = 0
    var denied: UInt64 = 0
    var trimmed: UInt64 = 0
    var dialled: UInt64 = 0
    var dialFailures: UInt64 = 0
    var dialsHeldBack: UInt64 = 0
    var streamsRefused: UInt64 = 0
    var openingsRefused: UInt64 = 0
    var commandsRefused: UInt64 = 0
    var violations: UInt64 = 0
    var subscriptionsRefused: UInt64 = 0
}

/// A connected peer.
public struct PeerSnapshot: Hashable, Sendable {
    /// One connection to it.
    public struct Connection: Hashable, Sendable {
        /// The number that its owner counts it by.
        public let number: UInt64
        /// What was known of it when it began.
        public let facts: ConnectionFacts
        /// How long it has been there.
        public let age: Duration
        /// How many streams are on it.
        public let streams: Int
    }

    /// Who it is.
    public let peer: PeerID
    /// The oldest first.
    public let connections: [Connection]
    /// What it says of its software, in UTF-8, to be shown with care.
    public let agent: [UInt8]
    /// The protocols that it speaks; empty before it has said so.
    public let protocols: [ProtocolName]
    /// The round trip that was last measured.
    public let roundTrip: Duration?
    /// The number of the signed record of its addresses, which grows with each, and with most
    /// software is the time at which it was signed; nil if it has none.
    public let recordSequence: UInt64?
    /// Whether it is never trimmed.
    public let isProtected: Bool
}
