// Publishing to all who have subscribed to a topic (github.com/libp2p/specs, gossipsub 1.0 to 1.2):
// messages go at once through a sparse mesh of good peers, and their ids by gossip to others, who
// ask for what they missed.

public import Cryptography
public import Multiformats
public import Wire

/// One node's part in publish-subscribe.
///
/// All messages are signed, and checked before they are delivered or forwarded.
public struct PubSub: Sendable {
    public static let protocols = [
        ProtocolName("/meshsub/1.2.0"), ProtocolName("/meshsub/1.1.0"),
        ProtocolName("/meshsub/1.0.0"), ProtocolName("/floodsub/1.0.0"),
    ]

    /// What happened.
    public enum Event: Hashable, Sendable {
        /// A message of a topic that is subscribed to, once: the peer that brought it, or this node
        /// for what it published itself.
        case message(PubSubMessage, from: PeerID)
        /// A message that the application is to judge before anybody gets it, by ``decide(_:_:)``.
        case validate(ValidationID, PubSubMessage, from: PeerID)
        /// A peer in good standing names another one that has subscribed to a topic of ours, and
        /// which has signed where it is.
        case suggested(PeerRecord, by: PeerID)
        /// A peer behaves so badly that it is no longer listened to.
        case shunned(PeerID)
    }

    /// The ceilings that a person may want to change.
    public struct Limits: Hashable, Sendable {
        /// How many topics this node subscribes to.
        public var topics: Int
        /// The longest data of a message, in bytes. Longer ones are not published, delivered or
        /// passed on.
        public var messageBytes: Int
        /// How many bytes of messages are kept for a few seconds, for peers that missed them.
        public var cachedBytes: Int

        /// These ceilings.
        public init(topics: Int, messageBytes: Int, cachedBytes: Int) {
            self.topics = topics
            self.messageBytes = messageBytes
            self.cachedBytes = cachedBytes
        }
    }

    /// Who made the connection to a peer.
    public enum Direction: Hashable, Sendable {
        case outgoing
        case incoming
    }

    /// Why nothing was published.
    public enum PublishError: Error, Hashable, Sendable {
        /// The message or the topic's name is too long.
        case overLimit
        /// The key cannot sign in this build.
        case signing(SigningError)
    }

    /// The longest message between two peers, in bytes.
    public static let maxMessageBytes = PubSubRPC.maxBytes
    /// How many topics of one peer are known.
    public static let maxTopicsPerPeer = 256
    /// The longest name of a topic, in bytes.
    public static let maxTopicBytes = PubSubRPC.maxTopicBytes
    /// How many peers take part.
    public static let maxPeers = 1_024

    // The numbers of the specification.
    static let degree = 6
    static let degreeLow = 5
    static let degreeHigh = 12
    static let degreeScore = 4
    static let degreeOut = 2
    static let degreeLazy = 6
    static let gossipShare = 0.25
    static let heartbeat: Duration = .seconds(1)
    static let historyGossip = 3
    static let historyLength = 5
    static let seenFor: Duration = .seconds(120)
    static let pruneBackoff: Duration = .seconds(60)
    static let unsubscribeBackoff: Duration = .seconds(10)
    static let maxBackoffSeconds: UInt64 = 3_600
    /// How much later than agreed a peer is asked again, because clocks and ways differ.
    static let backoffSlack: Duration = .seconds(2)
    /// How long a peer has for sending what it said it has.
    static let promiseTime: Duration = .seconds(3)
    /// Every so many heartbeats a mesh that brings little is improved.
    static let opportunisticBeats = 60
    static let opportunisticPeers = 2
    /// A message that is longer is announced to peers of the mesh, so that they need not send it.
    static let dontWantBytes = 1_024
    /// A copy of a message that comes within this time counts as brought.
    static let copyTime: Duration = .seconds(2)
    /// How many messages are remembered.
    static let maxSeen = 16_384
    static let maxPromises = 4_096
    static let maxResends = 3

    // What one peer may cost between two heartbeats.
    static let maxHavesPerHeartbeat = 10
    static let maxWantsPerHeartbeat = 5_000
    static let maxDontWantsPerHeartbeat = 256
    static let maxMessagesPerHeartbeat = 2_048
    static let maxAnsweredBytesPerHeartbeat = 1 << 20

    /// How often a stream to a peer is opened again, and how long one lasts that works.
    static let maxOpenings = 4
    static let provenAfter: Duration = .seconds(60)
    /// For how long the score of a peer that left is remembered, and of how many.
    static let retention: Duration = .seconds(3_600)
    static let maxRetained = 1_024

    struct Peer: Sendable {
        let direction: Direction
        /// What it shares with its neighbours; nil where many share an address for good reason.
        let network: [UInt8]?
        var stream: StreamID?
        var streamSince = Instant(nanoseconds: 0)
        /// Which of ``PubSub/protocols`` the peer speaks; nil while that is not known.
        var version: Int?
        var topics: Set<[UInt8]> = []
        var score = PubSubScore()
        var backoff: [[UInt8]: Instant] = [:]
        /// What it need not be sent: said since the last heartbeat, and before.
        var dontWant: Set<[UInt8]> = []
        var dontWantBefore: Set<[UInt8]> = []
        // Since the last heartbeat.
        var haves = 0
        var suggestions = 0
        var wants = 0
        var messages = 0
        var answeredBytes = 0
        var isShunned = false
        /// Its signed record, to be told to others; empty if there is none.
        var record: [UInt8] = []
        /// What is to be said at the next chance.
        var pending = PubSubRPC()
        var openings = 0

        /// Whether it knows meshes, and not only floodsub.
        var knowsMeshes: Bool { version.map { $0 < 3 } ?? false }

        /// Adds to what it is told. Without a stream it is told nothing: once there is one, it
        /// hears all subscriptions, and what it missed by gossip.
        mutating func tell(_ change: (inout PubSubRPC) -> Void) {
            if stream != nil { change(&pending) }
        }

        func refuses(_ id: [UInt8]) -> Bool {
            dontWant.contains(id) || dontWantBefore.contains(id)
        }
    }

    struct Cached: Sendable {
        let message: PubSubMessage
        let at: Instant
        var sent: [PeerID: Int] = [:]
        /// Who brought it, of topics whose rate is known.
        var bearers: Set<PeerID> = []
    }

    /// A message that a peer said it has and was asked for.
    struct Promise: Sendable {
        let id: [UInt8]
        let peer: PeerID
        let due: Instant
    }

    /// What is remembered of a peer that left.
    struct Retained: Sendable {
        let score: PubSubScore
        let until: Instant
    }

    /// The ceilings. New ones hold for what comes.
    public var limits: Limits
    let key: PrivateKey
    let own: PeerID
    var random: SeededGenerator
    var peers: [PeerID: Peer] = [:]
    /// In the order they came, so that one seed gives one run.
    var order: [PeerID] = []
    /// How many peers are in each network.
    var neighbours: [[UInt8]: Int] = [:]
    var retained: [PeerID: Retained] = [:]
    var retainedOrder = BoundedQueue<PeerID>(limit: PubSub.maxRetained)
    var incoming: [StreamID: PeerID] = [:]
    var opening: [UInt64: PeerID] = [:]
    var topics: Set<[UInt8]> = []
    /// How many messages a heartbeat each peer of a mesh is to bring, where that is known.
    var rates: [[UInt8]: Double] = [:]
    var validations = Validations()
    var mesh: [[UInt8]: [PeerID]] = [:]
    var cache: [[UInt8]: Cached] = [:]
    var cachedBytes = 0
    /// The ids of the messages of the last heartbeats, the newest first.
    var history: [[(id: [UInt8], topic: [UInt8])]] = [[]]
    var seen: Set<[UInt8]> = []
    var seenOrder = BoundedQueue<(id: [UInt8], at: Instant)>(limit: PubSub.maxSeen)
    /// All wait equally long, so that the first is due first.
    var promises = BoundedQueue<Promise>(limit: PubSub.maxPromises)
    /// The sequence that the next message gets.
    public private(set) var nextSequence: UInt64
    var nextRequest: UInt64 = 1
    var nextHeartbeat: Instant?
    var beats = 0
    var orders = Outbox<StreamOrder>()
    var events = Outbox<Event>()

    /// A node without peers. The sequence has to be higher than any the key was used with before;
    /// the time in nanoseconds is usual.
    public init(key: PrivateKey, limits: Limits, sequence: UInt64, seed: UInt64) {
        self.key = key
        self.limits = limits
        own = PeerID(key.publicKey)
        nextSequence = sequence
        random = SeededGenerator(seed: seed)
    }

    // MARK: Peers

    /// A peer connected that speaks one of ``protocols``.
    public mutating func connected(
        to peer: PeerID, _ direction: Direction, remote: Multiaddr, now: Instant
    ) {
        guard peers[peer] == nil, peers.count < Self.maxPeers else { return }
        var new = Peer(direction: direction, network: remote.sharedNetwork)
        if let known = retained.removeValue(forKey: peer), known.until > now {
            new.score = known.score
        }
        if let network = new.network { neighbours[network, default: 0] += 1 }
        peers[peer] = new
        order.append(peer)
        open(peer)
        if nextHeartbeat == nil { nextHeartbeat = now + Self.heartbeat }
    }

    /// The last connection to a peer ended.
    public mutating func disconnected(from peer: PeerID, now: Instant) {
        let score = score(of: peer)
        guard var gone = peers.removeValue(forKey: peer) else { return }
        order.removeAll { $0 == peer }
        for topic in subscriptions where mesh[topic]?.contains(peer) == true {
            gone.score.left(topic)
        }
        mesh = mesh.mapValues { members in members.filter { $0 != peer } }
        incoming = incoming.filter { $0.value != peer }
        if let network = gone.network {
            let rest = (neighbours[network] ?? 1) - 1
            neighbours[network] = rest > 0 ? rest : nil
        }
        // Coming back must not be a way to be thought well of again.
        guard score < 0 else { return }
        if retainedOrder.isFull, let oldest = retainedOrder.popFirst() { retained[oldest] = nil }
        if retained[peer] == nil { _ = retainedOrder.append(peer) }
        retained[peer] = Retained(score: gone.score, until: now + Self.retention)
    }

    // MARK: Topics

    /// Subscribes to a topic. Returns false if there are too many, or its name is too long.
    @discardableResult
    public mutating func subscribe(to topic: [UInt8], now: Instant) -> Bool {
        if topics.contains(topic) { return true }
        guard topics.count < limits.topics, topic.count <= Self.maxTopicBytes else {
            return false
        }
        topics.insert(topic)
        for peer in order { peers[peer]?.tell { $0.subscriptions.append((topic, true)) } }
        mesh[topic] = []
        fill(topic, to: Self.degree, now: now)
        flush()
        return true
    }

    /// Ends a subscription.
    public mutating func unsubscribe(from topic: [UInt8], now: Instant) {
        guard topics.remove(topic) != nil else { return }
        for peer in mesh[topic] ?? [] { prune(peer, topic, for: Self.unsubscribeBackoff, now: now) }
        mesh[topic] = nil
        rates[topic] = nil
        setValidation(of: topic, false)
        for peer in order { peers[peer]?.tell { $0.subscriptions.append((topic, false)) } }
        flush()
    }

    /// Publishes to a topic, subscribed or not: to all peers in it that behave. That goes beyond
    /// the mesh, so that no peer in a mesh can keep a message back. Returns to how many it goes at
    /// once; those that subscribe within the next seconds get it too.
    @discardableResult
    public mutating func publish(
        _ data: [UInt8], to topic: [UInt8], now: Instant
    ) throws(PublishError) -> Int {
        guard data.count <= limits.messageBytes, topic.count <= Self.maxTopicBytes else {
            throw .overLimit
        }
        let message: PubSubMessage
        do throws(SigningError) {
            message = try PubSubMessage(
                data, topic: topic, sequence: nextSequence, signingWith: key)
        } catch {
            throw .signing(error)
        }
        nextSequence += 1
        see(message.id, now: now)
        keep(message, now: now)
        if topics.contains(topic) { events.append(.message(message, from: own)) }
        var count = 0
        for peer in order where peers[peer]?.topics.contains(topic) == true {
            guard peers[peer]?.stream != nil,
                score(of: peer) >= PubSubScore.publishThreshold
            else { continue }
            cache[message.id]?.sent[peer] = 1
            peers[peer]?.tell { $0.messages.append(message) }
            count += 1
        }
        flush()
        return count
    }

    /// Who has subscribed to a topic, as far as is known.
    public func subscribers(of topic: [UInt8]) -> [PeerID] {
        order.filter { peers[$0]?.topics.contains(topic) == true }
    }

    /// Who takes part in publish-subscribe at all.
    public var participants: [PeerID] { order }

    /// Who is in the mesh of a topic.
    public func meshPeers(of topic: [UInt8]) -> [PeerID] { mesh[topic] ?? [] }

    /// Whether messages come from or go to a peer through a mesh.
    public func isInMesh(_ peer: PeerID) -> Bool {
        topics.contains { mesh[$0]?.contains(peer) == true }
    }

    /// The topics that are subscribed to, sorted.
    public var subscriptions: [[UInt8]] {
        topics.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// A peer's score; zero for one that is not known.
    public func score(of peer: PeerID) -> Double {
        guard let state = peers[peer] else { return 0 }
        let others = state.network.map { neighbours[$0] ?? 1 } ?? 1
        return state.score.value(colocated: others)
    }

    /// Adds to the application's opinion of a peer, for instance because of a message that was
    /// well-formed and wrong. It is bounded, and fades.
    public mutating func judge(_ peer: PeerID, by amount: Double) {
        peers[peer]?.score.judge(by: amount)
    }

    // MARK: Streams and time

    /// Takes what happened to a stream of the protocols.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, let name):
            guard let peer = opening.removeValue(forKey: request), peers[peer] != nil else {
                orders.append(.reset(stream))
                return
            }
            peers[peer]?.stream = stream
            peers[peer]?.streamSince = now
            peers[peer]?.version = Self.protocols.firstIndex(of: name) ?? 3
            peers[peer]?.pending = PubSubRPC()
            greet(peer)
            catchUp(peer) { _ in true }
            for topic in subscriptions { fill(topic, to: Self.degree, now: now) }
            flush()
        case .refused(let request, let fault):
            guard let peer = opening.removeValue(forKey: request) else { return }
            if fault == .unsupported { disconnected(from: peer, now: now) }
        case .accepted(let stream, let peer, _):
            guard peers[peer] != nil, incoming.values.count(where: { $0 == peer }) < 2 else {
                orders.append(.reset(stream))
                return
            }
            incoming[stream] = peer
        case .message(let stream, let bytes):
            guard let peer = incoming[stream] else { return }
            take(bytes, from: peer, on: stream, now: now)
            flush()
        case .finished(let stream):
            // Nothing is ever said on a stream of ours, so that its end says nothing either.
            if incoming.removeValue(forKey: stream) != nil { orders.append(.finish(stream)) }
        case .reset(let stream):
            if incoming.removeValue(forKey: stream) != nil { return }
            if let peer = order.first(where: { peers[$0]?.stream == stream }) {
                lostStream(to: peer)
            }
        }
    }

    /// A peer cannot be told anything for the moment, so that it is no use in a mesh.
    private mutating func lostStream(to peer: PeerID) {
        peers[peer]?.stream = nil
        peers[peer]?.pending = PubSubRPC()
        for topic in subscriptions { leave(peer, topic) }
    }

    /// Runs the heartbeat when its time has come.
    public mutating func advance(to now: Instant) {
        giveUpValidations(now: now)
        guard let due = nextHeartbeat, due <= now else { return }
        beat(now: now)
        // Beats that were slept through are not made up for.
        nextHeartbeat = peers.isEmpty && cache.isEmpty ? nil : now + Self.heartbeat
        flush()
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { nextHeartbeat.earlier(validations.deadline) }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What happened.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    /// Opens a stream to say things on. A peer that keeps closing it is not pursued.
    mutating func open(_ peer: PeerID) {
        guard let openings = peers[peer]?.openings, openings < Self.maxOpenings else { return }
        peers[peer]?.openings = openings + 1
        let request = nextRequest
        nextRequest += 1
        opening[request] = peer
        orders.append(.open(peer, Self.protocols, request: request))
    }

    /// The first thing said on a stream: all subscriptions.
    private mutating func greet(_ peer: PeerID) {
        let all = subscriptions.map { (topic: $0, isOn: true) }
        peers[peer]?.tell { $0.subscriptions = all }
    }

    /// Sends what has come together for each peer, in RPCs that it accepts.
    mutating func flush() {
        for peer in order {
            guard let state = peers[peer], !state.pending.isEmpty, let stream = state.stream else {
                continue
            }
            peers[peer]?.pending = PubSubRPC()
            var rest = state.pending
            let messages = rest.messages
            rest.messages = []
            if !rest.isEmpty { orders.append(.send(stream, rest.encoded)) }
            // Each message for itself: none is over the limit alone, and none waits for another.
            for message in messages {
                var rpc = PubSubRPC()
                rpc.messages = [message]
                orders.append(.send(stream, rpc.encoded))
            }
        }
    }

    static func seconds(_ duration: Duration) -> UInt64 {
        UInt64(clamping: duration.components.seconds)
    }
}

extension Multiaddr {
    /// What peers share that one machine may have made: a public IPv4 address, or a /64 of IPv6.
    /// Nil within private networks and through relays, where many share an address.
    fileprivate var sharedNetwork: [UInt8]? {
        guard scope == .world, !isRelayed, let first = components.first,
            first.protocol == .ip4 || first.protocol == .ip6
        else { return nil }
        return Array(first.value.prefix(first.protocol == .ip4 ? 4 : 8))
    }
}
