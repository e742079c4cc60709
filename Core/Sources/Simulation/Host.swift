// One machine on a virtual network: a node, a store, and what the node said.

public import Compute
public import Exchange
public import Multiformats
public import NodeCore
public import Peering
public import Wire

/// One machine on a virtual network.
public struct Host: Sendable {
    /// What happens to those who dial an address.
    public enum Door: Sendable {
        /// They are let in.
        case open
        /// They are refused at once.
        case shut
        /// Nothing comes back.
        case silent
    }

    /// The node.
    public var node: NodeCore
    /// Who it is.
    public let peer: PeerID
    /// Where it listens.
    public let address: Multiaddr
    /// What happens to those who dial it.
    public var door = Door.open
    /// Whether a router in front of it lets nobody in whom it has not dialled.
    public var isBehindNAT = false
    /// How it lies about the DHT, if it does.
    public var lie: Lie?
    /// What its node has not heard of yet (``Conditions/gathering``).
    var gathered: [NodeCore.Input] = []
    /// Whether it is there at all.
    public internal(set) var isAlive = true
    /// The blocks that it has.
    public var store: [Multihash: [UInt8]] = [:]

    /// The IPNS records that it has, by their names.
    public var records: [PeerID: [UInt8]] = [:]
    /// What each command was answered with.
    public var answers: [UInt64: [NodeCore.Answer]] = [:]
    /// Whom each search found.
    public var found: [UInt64: [PeerID]] = [:]
    /// When each command was answered first.
    public internal(set) var answeredAt: [UInt64: Instant] = [:]
    /// What became of the blocks that it wanted.
    public internal(set) var blocks: [Multihash: [UInt8]] = [:]
    /// The sessions that got what they wanted in one request, or do not.
    public internal(set) var streamsOver: [WantTable.SessionID] = []
    /// What it did not get.
    public internal(set) var missing: [WantTable.Failure] = []
    /// What was done for its sessions, if the network keeps that.
    public internal(set) var news: [NodeCore.SessionNews] = []
    /// What it received of the topics that it subscribed to.
    public internal(set) var received: [(message: PubSubMessage, subscriptions: [SubscriptionID])] =
        []
    /// What it thinks of messages that it is to judge; it accepts all if nil.
    public var judges: (@Sendable (PubSubMessage) -> PubSub.Verdict)?
    /// How it lies when it runs calls, if it does.
    public var callLie: CallLie?
    /// The peers that it caught lying about calls, with the proofs.
    public internal(set) var convicted: [(peer: PeerID, evidence: Evidence)] = []
    /// The receipts that it keeps.
    public internal(set) var receipts: [Receipt] = []
    /// The addresses that it tells others, if it was told to find out.
    public internal(set) var told: [Multiaddr] = []
    /// The open connections.
    public internal(set) var open: [UInt64: PeerID] = [:]
    /// The most connections there ever were.
    public internal(set) var mostOpen = 0

    /// What the node told, closed and dialled, if the network keeps that.
    public internal(set) var notes: [NodeCore.Note] = []
    /// The connections that the node closed.
    public internal(set) var closings: [(peer: PeerID, reason: NodeCore.CloseReason)] = []
    /// The addresses that the node dialled.
    public internal(set) var dials: [(at: Instant, address: Multiaddr, narrowest: AddressScope)] =
        []

    let key: PrivateKey
    let distance: Duration
    /// Hosts on different islands do not hear each other.
    var island = 0
    /// When what has been sent so far is through its line, each way.
    var freeUp = Instant(nanoseconds: 0)
    var freeDown = Instant(nanoseconds: 0)
    var running: Set<UInt64> = []
    var wakeAt: Instant?
}
