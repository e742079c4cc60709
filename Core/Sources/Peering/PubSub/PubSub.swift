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
        /// A message of a topic that is subscribed to, once.
        case message(PubSubMessage, from: PeerID)
        /// A peer subscribed to a topic, in UTF-8, or ended it.
        case subscribed(PeerID, topic: [UInt8])
        case unsubscribed(PeerID, topic: [UInt8])
        /// A peer behaves so badly that it is no longer listened to. Its score so far.
        case shunned(PeerID)
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
    /// The longest data of a published message, in bytes.
    public static let maxDataBytes = 512 << 10
    /// How many topics are subscribed to, by us or by one peer.
    public static let maxTopics = 256
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
    /// A message that is longer is announced to peers of the mesh, so that they need not send it.
    static let dontWantBytes = 1_024
    /// How many messages are remembered, and how many of them are kept to be asked for.
    static let maxSeen = 65_536
    static let maxCachedBytes = 16 << 20
    static let maxHavesPerHeartbeat = 10
    static let maxWantsPerHeartbeat = 5_000
    static let maxResends = 3

    struct Peer: Sendable {
        let direction: Direction
        let ip: [UInt8]?
        var stream: StreamID?
        /// Which of ``PubSub/protocols`` the peer speaks; nil while that is not known.
        var version: Int?
        var topics: Set<[UInt8]> = []
        var score = PubSubScore()
        var backoff: [[UInt8]: Instant] = [:]
        var dontWant: Set<[UInt8]> = []
        var promised: Set<[UInt8]> = []
        var haves = 0
        var wants = 0
        var isShunned = false
        /// What is to be said at the next chance.
        var pending = PubSubRPC()
        var openings = 0
    }

    struct Cached: Sendable {
        let message: PubSubMessage
        var sent: [PeerID: Int] = [:]
    }

    let key: PrivateKey
    let own: PeerID
    var random: SeededGenerator
    var peers: [PeerID: Peer] = [:]
    /// In the order they came, so that one seed gives one run.
    var order: [PeerID] = []
    var incoming: [StreamID: PeerID] = [:]
    var opening: [UInt64: PeerID] = [:]
    var topics: Set<[UInt8]> = []
    var mesh: [[UInt8]: [PeerID]] = [:]
    var cache: [[UInt8]: Cached] = [:]
    var cachedBytes = 0
    /// The ids of the messages of the last heartbeats, the newest first.
    var history: [[(id: [UInt8], topic: [UInt8])]] = [[]]
    var seen: [[UInt8]: Instant] = [:]
    var seenOrder = BoundedQueue<(id: [UInt8], at: Instant)>(limit: PubSub.maxSeen)
    var nextSequence: UInt64
    var nextRequest: UInt64 = 1
    var nextHeartbeat: Instant?
    var orders = Outbox<StreamOrder>()
    var events = Outbox<Event>()

    /// A node without peers. The sequence has to be higher than any the key was used with before;
    /// the time in nanoseconds is usual.
    public init(key: PrivateKey, sequence: UInt64, seed: UInt64) {
        self.key = key
        own = PeerID(key.publicKey)
        nextSequence = sequence
        random = SeededGenerator(seed: seed)
    }

    /// A peer connected that speaks one of ``protocols``.
    public mutating func connected(
        to peer: PeerID, _ direction: Direction, remote: Multiaddr, now: Instant
    ) {
        guard peers[peer] == nil, peers.count < Self.maxPeers else { return }
        peers[peer] = Peer(direction: direction, ip: remote.ip)
        order.append(peer)
        countColocated()
        open(peer)
        if nextHeartbeat == nil { nextHeartbeat = now + Self.heartbeat }
    }

    /// The last connection to a peer ended.
    public mutating func disconnected(from peer: PeerID) {
        guard peers.removeValue(forKey: peer) != nil else { return }
        order.removeAll { $0 == peer }
        mesh = mesh.mapValues { members in members.filter { $0 != peer } }
        incoming = incoming.filter { $0.value != peer }
        countColocated()
    }

    /// Subscribes to a topic. Returns false if there are too many, or its name is too long.
    @discardableResult
    public mutating func subscribe(to topic: [UInt8], now: Instant) -> Bool {
        guard topics.count < Self.maxTopics, topic.count <= PubSubRPC.maxTopicBytes else {
            return false
        }
        guard topics.insert(topic).inserted else { return true }
        for peer in order { peers[peer]?.pending.subscriptions.append((topic, true)) }
        mesh[topic] = []
        fill(topic, to: Self.degree, now: now)
        flush()
        return true
    }

    /// Ends a subscription.
    public mutating func unsubscribe(from topic: [UInt8], now: Instant) {
        guard topics.remove(topic) != nil else { return }
        for peer in mesh.removeValue(forKey: topic) ?? [] {
            peers[peer]?.pending.prune.append(
                .init(topic: topic, backoffSeconds: Self.seconds(Self.unsubscribeBackoff)))
            peers[peer]?.backoff[topic] = now + Self.unsubscribeBackoff
        }
        for peer in order { peers[peer]?.pending.subscriptions.append((topic, false)) }
        flush()
    }

    /// Publishes to a topic, subscribed or not: to all peers in it that behave. Returns to how many
    /// it goes.
    @discardableResult
    public mutating func publish(
        _ data: [UInt8], to topic: [UInt8], now: Instant
    ) throws(PublishError) -> Int {
        guard data.count <= Self.maxDataBytes, topic.count <= PubSubRPC.maxTopicBytes else {
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
        remember(message, now: now)
        var count = 0
        for peer in order where peers[peer]?.topics.contains(topic) == true {
            guard score(of: peer) >= PubSubScore.publishThreshold else { continue }
            peers[peer]?.pending.messages.append(message)
            count += 1
        }
        flush()
        return count
    }

    /// Who has subscribed to a topic, as far as is known.
    public func subscribers(of topic: [UInt8]) -> [PeerID] {
        order.filter { peers[$0]?.topics.contains(topic) == true }
    }

    /// The topics that are subscribed to, sorted.
    public var subscriptions: [[UInt8]] {
        topics.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// A peer's score; zero for one that is not known.
    public func score(of peer: PeerID) -> Double { peers[peer]?.score.value ?? 0 }

    /// Adds to the application's opinion of a peer, for instance because of a message that was
    /// well-formed and wrong.
    public mutating func judge(_ peer: PeerID, by amount: Double) {
        peers[peer]?.score.opinion += amount
    }

    /// Takes what happened to a stream of the protocols.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, let name):
            guard let peer = opening.removeValue(forKey: request), peers[peer] != nil else {
                orders.append(.reset(stream))
                return
            }
            peers[peer]?.stream = stream
            peers[peer]?.version = Self.protocols.firstIndex(of: name) ?? 3
            greet(peer)
            for topic in subscriptions { fill(topic, to: Self.degree, now: now) }
            flush()
        case .refused(let request, let fault):
            guard let peer = opening.removeValue(forKey: request) else { return }
            if fault == .unsupported { disconnected(from: peer) }
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
        case .finished(let stream), .reset(let stream):
            if incoming.removeValue(forKey: stream) != nil { orders.append(.finish(stream)) }
            if let peer = order.first(where: { peers[$0]?.stream == stream }) {
                peers[peer]?.stream = nil
            }
        }
    }

    /// Runs the heartbeat when its time has come.
    public mutating func advance(to now: Instant) {
        guard let due = nextHeartbeat, due <= now else { return }
        beat(now: now)
        // Beats that were slept through are not made up for.
        nextHeartbeat = peers.isEmpty && cache.isEmpty ? nil : now + Self.heartbeat
        flush()
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { nextHeartbeat }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What happened.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    /// Opens a stream to say things on. A peer that keeps closing it is not pursued.
    mutating func open(_ peer: PeerID) {
        guard let openings = peers[peer]?.openings, openings < 4 else { return }
        peers[peer]?.openings = openings + 1
        let request = nextRequest
        nextRequest += 1
        opening[request] = peer
        orders.append(.open(peer, Self.protocols, request: request))
    }

    /// The first thing said on a stream: all subscriptions.
    private mutating func greet(_ peer: PeerID) {
        let all = subscriptions.map { (topic: $0, isOn: true) }
        peers[peer]?.pending.subscriptions = all
    }

    private mutating func countColocated() {
        for peer in order {
            guard let ip = peers[peer]?.ip else { continue }
            let count = peers.values.count { $0.ip == ip }
            peers[peer]?.score.colocated = count
        }
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
