// What can be asked of a node, and what it answers.

public import Exchange
public import Multiformats
public import Peering

extension NodeCore {
    /// A block that a session wants.
    public struct Want: Sendable {
        /// Which block.
        public let cid: CID
        /// Where it comes in what is read, such as an offset; lower is wanted sooner.
        public let position: UInt64
        /// How long it probably is.
        public let size: Int?

        /// This block.
        public init(_ cid: CID, at position: UInt64, size: Int?) {
            self.cid = cid
            self.position = position
            self.size = size
        }
    }

    /// What can be asked of a node. The answers are in ``Answer``.
    public enum Command: Sendable {
        /// Connect to a peer by these addresses and by those that are known: `.connected`. The
        /// addresses come from a person and are believed; `dnsaddr` is resolved before.
        case connect(PeerID, [Multiaddr])
        /// A peer of the local network says that it is at these addresses. It is dialled, unless
        /// there is a connection or there are as many as wanted: `.done`.
        case meet(PeerID, [Multiaddr])
        /// Close all connections to a peer: `.done`.
        case disconnect(PeerID)
        /// Measure how far away a peer is: `.roundTrip`.
        case ping(PeerID)
        /// Who is connected: `.peers`.
        case peers
        /// What is known of where a peer is: `.addresses`.
        case addresses(PeerID)
        /// Use and limits: `.status`.
        case status
        /// These are now the addresses under which this node can be reached, from every network
        /// that it is in: `.done`. Each peer is told what it can reach. `sequence` is the Unix
        /// time, or anything else that grows.
        case listen([Multiaddr], sequence: UInt64)
        /// A router forwards these public addresses to this node, and no others: `.done`.
        case map([Multiaddr])
        /// Whether and how this node can be reached: `.reachability`.
        case reachability
        /// Begin to read something: `.session`. What is wanted is given up when nothing has come
        /// for as long as `patience`.
        case openSession(patience: Duration)
        /// A session wants a DAG, or a part of one, from whoever can send it in one request:
        /// `.done`, or `.failed` if it wants one already. It comes as
        /// ``Output/streamed(_:_:from:)``, at most `room` bytes before they are granted; when
        /// that is over, with ``Output/streamOver(_:)``, what has not come is to be wanted block
        /// by block.
        case stream(WantTable.SessionID, WeftDAG, room: Int)
        /// A session has taken so many bytes of that, and as many more may come: `.done`.
        case grant(WantTable.SessionID, bytes: Int)
        /// A session wants no more of it: `.done`. What is on its way comes before
        /// ``Output/streamOver(_:)``.
        case endStream(WantTable.SessionID)
        /// A session wants blocks: `.accepted`, with how many of them it may want. They come as
        /// ``Output/blocks(_:from:sessions:)`` or ``Output/missing(_:_:_:)``.
        case want(WantTable.SessionID, [Want])
        /// A session wants blocks no longer: `.done`.
        case unwant(WantTable.SessionID, [CID])
        /// End a session: `.done`.
        case closeSession(WantTable.SessionID)
        /// What a session received: `.tally`.
        case tally(WantTable.SessionID)
        /// Who has a block: each is told as ``Output/found(command:_:)``, then `.searched`. This
        /// and the next five are `.failed(.unavailable)` for a node without a DHT.
        case findProviders(CID, limit: Int)
        /// Where a peer is: `.searched`; what was heard is in the address book.
        case findPeer(PeerID)
        /// Which servers of the DHTs are nearest to a key, the bytes of a multihash or peer id:
        /// `.searched`, with them in the results; their addresses are in the book.
        case findClosest([UInt8])
        /// Tell the DHTs that this node has a block: `.searched`.
        case provide(CID)
        /// Announce all keys of this node in a DHT again and again, once in `cycle`, from a
        /// position on; without a position stop it: `.done`. The keys are asked for by
        /// ``Output/keys(of:request:from:through:limit:)``.
        case sweep(ProtocolName, from: Sweep.Position?, cycle: Duration)
        /// Where these walks are: `.sweeps`.
        case sweeps
        /// The best value under a key, such as `/ipns/` and a multihash: `.searched`.
        case getValue([UInt8])
        /// Put a value under a key: `.searched`.
        case putValue([UInt8], value: [UInt8])
        /// Take part in the DHTs by way of these peers, named by a person: `.done`.
        case join([(peer: PeerID, addresses: [Multiaddr])])
        /// How it stands with the DHTs: `.dhts`.
        case dhts
        /// The servers of the DHTs that are known best, for the next start: `.servers`.
        case servers(limit: Int)
        /// Whether this node answers others in the public DHT, which only one should that can be
        /// reached from everywhere: `.done`.
        case serve(KadConfiguration.Mode)
        /// Never trim connections to a peer, and let it in even when that costs another: `.done`.
        case protect(PeerID)
        /// Take that back: `.done`.
        case unprotect(PeerID)
        /// New ceilings. What is above them is trimmed: `.done`.
        case setLimits(NodeLimits)
        /// New rules. Connections that they do not allow are closed: `.done`.
        case setAccess(AccessRules)
        /// Ask a peer, over a connection to it, for the IPNS record of a name: `.record`, which is
        /// to be checked.
        case fetchRecord(PeerID, of: PeerID)
        /// Something about publish-subscribe: `.pubSub`, or as it says.
        case pubSub(PubSubCommand)
        /// Something about calls: `.call`, or as it says.
        case call(CallCommand)
        /// Give up an unanswered command, which is answered `.failed(.cancelled)`: `.done`.
        case cancel(UInt64)
    }

    /// What a command is answered with.
    public enum Answer: Sendable {
        case done
        /// Connected, by this address.
        case connected(PeerID, Multiaddr)
        case roundTrip(Duration)
        case peers([PeerSnapshot])
        case addresses([Multiaddr])
        case status(NodeStatus)
        case reachability(ReachabilityStatus)
        case session(WantTable.SessionID)
        case accepted(Int)
        case tally(WantTable.Tally)
        case searched(SearchAnswer)
        case dhts([DHTStatus])
        case servers([(peer: PeerID, addresses: [Multiaddr])])
        /// What the peer has, or nothing.
        case record([UInt8]?)
        case sweeps([(name: ProtocolName, position: Sweep.Position)])
        case pubSub(PubSubAnswer)
        case call(CallReport)
        case failed(Failure)
    }

    /// What the DHTs said.
    public struct SearchAnswer: Sendable {
        /// Who was found, in the order of finding.
        public let peers: [PeerID]
        /// The best value.
        public let value: [UInt8]?
        /// How it went in each DHT, with who was asked. A search that has found enough does not
        /// wait for the end.
        public let results: [KadResult]
    }

    /// Why a command was not carried out.
    public enum Failure: Error, Hashable, Sendable {
        /// Every address failed; this is what became of each.
        case unreachable([DialAttempt])
        /// No address is known that this node may and can dial.
        case noAddress
        /// The rules do not allow the peer.
        case denied
        /// The peer is this node.
        case ourselves
        /// A ceiling of this node is reached.
        case overLimit
        /// There is no connection to the peer.
        case notConnected
        /// The peer is there and did not do it.
        case refused(StreamFault)
        /// The deadline of the command passed.
        case timedOut
        /// Somebody cancelled it.
        case cancelled
        /// This node cannot do it.
        case unavailable
    }
}

extension NodeCore.Failure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable(let attempts):
            "none of the peer's \(attempts.count) addresses led to it"
        case .noAddress: "no address of the peer is known that can be dialled from here"
        case .denied: "the rules of this node do not allow the peer"
        case .ourselves: "the peer is this node itself"
        case .overLimit: "a limit of this node is reached; see its status"
        case .notConnected: "there is no connection to the peer"
        case .refused(let fault): fault.description
        case .timedOut: "it was not done in time"
        case .cancelled: "it was cancelled"
        case .unavailable: "this node cannot do it"
        }
    }
}
