// The numbers of the DHT (specs.ipfs.tech/routing/kad-dht; where go-libp2p-kad-dht differs, its).

public import Multiformats
public import Wire

/// What distinguishes one DHT, and one node's part in it, from another.
public struct KadConfiguration: Sendable {
    /// Whether others may ask us.
    public enum Mode: Hashable, Sendable {
        /// We only ask. For nodes that cannot be reached from everywhere.
        case client
        /// We answer, and keep what others store.
        case server
    }

    /// How many peers of one network (/16 of IPv4, /32 of IPv6) the routing table takes.
    public struct Diversity: Hashable, Sendable {
        /// In the whole table.
        public var overall: Int
        /// In one bucket of it.
        public var perBucket: Int

        /// These limits.
        public init(overall: Int, perBucket: Int) {
            self.overall = overall
            self.perBucket = perBucket
        }
    }

    /// How much is kept for others.
    public struct Storage: Hashable, Sendable {
        /// How many provider records.
        public var providers: Int
        /// How many values.
        public var records: Int

        /// These limits.
        public init(providers: Int, records: Int) {
            self.providers = providers
            self.records = records
        }

        /// Some 20 MiB at most.
        public static let home = Storage(providers: 65_536, records: 2_048)
        /// Some 400 MiB at most.
        public static let server = Storage(providers: 1_048_576, records: 32_768)
    }

    /// The name of the protocol, which is that of the DHT.
    public var name: ProtocolName
    /// Addresses that reach less far are neither believed nor told in this DHT.
    public var scope: AddressScope
    /// Whether it answers others.
    public var mode: Mode
    /// nil where all peers share a network.
    public var diversity: Diversity?
    /// How much is kept for others.
    public var storage: Storage
    /// How many disjoint paths a lookup takes. More withstand more liars, and cost more messages.
    public var paths: Int
    /// Whether records are announced as soon as a peer is near enough by the estimated size of the
    /// network, instead of after the whole lookup.
    public var announcing: Announcing

    /// When a provider record is sent.
    public enum Announcing: Hashable, Sendable {
        case afterLookup
        case optimistic
    }

    /// A configuration in full.
    public init(
        name: ProtocolName, scope: AddressScope, mode: Mode, diversity: Diversity?,
        storage: Storage, paths: Int, announcing: Announcing
    ) {
        self.name = name
        self.scope = scope
        self.mode = mode
        self.diversity = diversity
        self.storage = storage
        self.paths = max(1, min(paths, Kad.alpha))
        self.announcing = announcing
    }

    /// The public DHT of IPFS.
    public static func wide(_ mode: Mode, storage: Storage) -> KadConfiguration {
        KadConfiguration(
            name: PeerProtocols.kad, scope: .world, mode: mode,
            diversity: Diversity(overall: 3, perBucket: 2), storage: storage, paths: 1,
            announcing: .optimistic)
    }

    /// The DHT among the peers of a private network, whose members are all servers.
    public static func lan(storage: Storage) -> KadConfiguration {
        KadConfiguration(
            name: PeerProtocols.lanKad, scope: .host, mode: .server, diversity: nil,
            storage: storage, paths: 1, announcing: .afterLookup)
    }
}

/// The time of day, for machines that only know how much time has passed.
public struct WallClock: Hashable, Sendable {
    private let time: Timestamp
    private let instant: Instant

    /// It is `time` at `instant`.
    public init(_ time: Timestamp, at instant: Instant) {
        self.time = time
        self.instant = instant
    }

    /// What time it is at `now`, to the second.
    public func time(at now: Instant) -> Timestamp {
        time.adding(seconds: now.since(instant).components.seconds)
    }
}

extension Kad {
    /// k: how many peers keep a record, and how many a bucket holds.
    public static let bucketSize = 20
    /// α: how many peers a lookup asks at once.
    public static let alpha = 10
    /// β: a lookup ends when so many of the closest peers have answered.
    public static let beta = 3
    /// A lookup that has asked so many peers asks only those that it cannot end without.
    public static let maxAsked = 128
    /// How long a stream may take to open, and how long an answer may take.
    public static let answerTimeout: Duration = .seconds(10)
    /// A peer that has not answered for so long is waited for no longer, though its answer counts
    /// when it comes; and one that has not even been reached is given up. Where peers are known to
    /// answer sooner, the first happens sooner (``AnswerTimes``).
    public static let patience: Duration = .seconds(3)
    /// Nobody is waited for for less than this: a lost packet of a dial comes after a second, and
    /// dials wait for their turn.
    public static let shortestPatience: Duration = .milliseconds(1_250)
    /// When a question is tried again that a limit of this node, such as that of its dials, did not
    /// let through.
    public static let holdTime: Duration = .milliseconds(250)
    /// How many providers one answer can name, and how many one search can find: more than anyone
    /// wants, so that the false ones of a few liars leave room for the true ones.
    public static let maxProvidersPerAnswer = 20
    public static let maxProvidersFound = 256
    /// How long a whole command may take.
    public static let commandTimeout: Duration = .seconds(60)
    /// How long a stream that a peer opened may be silent.
    public static let incomingTimeout: Duration = .seconds(60)
    /// How long a stream of ours is kept for the next question.
    public static let idleTimeout: Duration = .seconds(10)
    /// How many streams peers may have opened at once, and one of them.
    public static let maxIncoming = 1_024
    public static let maxIncomingPerPeer = 16
    /// How many streams of ours are kept for the next question.
    public static let maxIdle = 16
    /// How many commands run at once.
    public static let maxCommands = 128
    /// How many peers are asked at once whether they answer.
    public static let maxChecks = 32
    /// How often the routing table is refreshed.
    public static let refreshInterval: Duration = .seconds(600)
    /// How long a provider record is kept.
    public static let providerValidity: Duration = .seconds(48 * 3_600)
    /// How long a value is kept.
    public static let recordValidity: Duration = .seconds(48 * 3_600)
    /// An optimistic announcement is reported when so many peers have it.
    public static let enoughAnnounced = 15
    /// A value is reported when so many peers agree on it.
    public static let quorum = 16
}
