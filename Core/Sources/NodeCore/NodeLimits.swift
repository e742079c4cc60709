// Every ceiling of a node, in one place. Machines below have constants of their own for what one
// stream or message may cost; here is what a person may want to change.

public import Exchange
public import Peering

/// The ceilings of a node. They can be changed while it runs (``Command/setLimits(_:)``).
public struct NodeLimits: Sendable {
    /// How many connections there are.
    public struct Connections: Hashable, Sendable {
        /// Down to how many connections trimming goes.
        public var low: Int
        /// From how many connections on the least useful are closed.
        public var high: Int
        /// More than this there never are, however they come.
        public var ceiling: Int
        /// How many of them others may have opened.
        public var inbound: Int
        /// How many of them this node may have opened, with those that it is about to: each costs
        /// the router an entry in its table.
        public var outbound: Int
        /// How many a single peer may have.
        public var perPeer: Int
        /// How many from one public IPv4 address or IPv6 /56 have a place of their own. What nobody
        /// else wants is given to more, who make room for others.
        public var perNetwork: Int
        /// How old a connection is before it may be trimmed.
        public var grace: Duration
        /// How long trimming rests after it has been done.
        public var pause: Duration

        /// The ceilings of Kubo's connection manager with harder ones around them.
        public init(
            low: Int, high: Int, ceiling: Int, inbound: Int, outbound: Int, perPeer: Int,
            perNetwork: Int, grace: Duration, pause: Duration
        ) {
            self.low = low
            self.high = high
            self.ceiling = ceiling
            self.inbound = inbound
            self.outbound = outbound
            self.perPeer = perPeer
            self.perNetwork = perNetwork
            self.grace = grace
            self.pause = pause
        }
    }

    /// How many streams there are.
    public struct Streams: Hashable, Sendable {
        /// How many streams peers may have opened, over all of them.
        public var accepted: Int
        /// How many of them one peer may have opened.
        public var acceptedPerPeer: Int
        /// How many of our own wait to be opened.
        public var opening: Int
        /// How many of them to one peer.
        public var openingPerPeer: Int

        /// These ceilings.
        public init(accepted: Int, acceptedPerPeer: Int, opening: Int, openingPerPeer: Int) {
            self.accepted = accepted
            self.acceptedPerPeer = acceptedPerPeer
            self.opening = opening
            self.openingPerPeer = openingPerPeer
        }
    }

    /// What publish-subscribe may take.
    public struct PublishSubscribe: Hashable, Sendable {
        /// How many subscriptions there are, to all topics.
        public var subscriptions: Int
        /// What topics and messages may take.
        public var machine: PubSub.Limits
        /// How many messages may wait for one subscriber that does not take them.
        public var waitingMessages: Int
        /// How many bytes of data may.
        public var waitingBytes: Int

        /// These ceilings.
        public init(
            subscriptions: Int, machine: PubSub.Limits, waitingMessages: Int, waitingBytes: Int
        ) {
            self.subscriptions = subscriptions
            self.machine = machine
            self.waitingMessages = waitingMessages
            self.waitingBytes = waitingBytes
        }

        /// 64 subscriptions to 32 topics, messages of 64 KiB.
        public static let home = PublishSubscribe(
            subscriptions: 64,
            machine: PubSub.Limits(topics: 32, messageBytes: 64 << 10, cachedBytes: 4 << 20),
            waitingMessages: 256, waitingBytes: 512 << 10)
    }

    /// Connections.
    public var connections: Connections
    /// Dials.
    public var dialing: Dialer.Limits
    /// Streams.
    public var streams: Streams
    /// Publish-subscribe.
    public var pubSub = PublishSubscribe.home
    /// How many commands may be unanswered.
    public var commands: Int
    /// How many bytes of peers' data the driver may hold: what has come and not been dealt with,
    /// and what waits to be sent.
    public var memory: Int
    /// How many keys of its content the node may announce.
    public var announcedKeys: Int
    /// What is kept of where peers are. Taken at the start only.
    public var addresses: AddressBook.Limits
    /// What peers may ask of this node, and how it asks. Taken at the start only.
    public var blocks: BlockExchange.Limits

    /// These ceilings.
    public init(
        connections: Connections, dialing: Dialer.Limits, streams: Streams, commands: Int,
        memory: Int, announcedKeys: Int, addresses: AddressBook.Limits,
        blocks: BlockExchange.Limits
    ) {
        self.connections = connections
        self.dialing = dialing
        self.streams = streams
        self.commands = commands
        self.memory = memory
        self.announcedKeys = announcedKeys
        self.addresses = addresses
        self.blocks = blocks
    }
}

extension NodeLimits {
    /// For a computer behind a home router.
    public static let home = NodeLimits(
        connections: Connections(
            low: 32, high: 96, ceiling: 128, inbound: 96, outbound: 64, perPeer: 4,
            perNetwork: 8, grace: .seconds(20), pause: .seconds(10)),
        dialing: .home,
        streams: Streams(accepted: 2_048, acceptedPerPeer: 64, opening: 1_024, openingPerPeer: 64),
        commands: 1_024, memory: 64 << 20, announcedKeys: 1_000_000, addresses: .home,
        blocks: BlockExchange.Limits())

    /// For a phone, a single-board computer, or a metered line.
    public static let lowpower: NodeLimits = {
        var blocks = BlockExchange.Limits()
        blocks.server.unacknowledgedBytes = 4 << 20
        blocks.server.requestsPerSecond = 2_000
        blocks.server.lookUps = 4
        var limits = NodeLimits(
            connections: Connections(
                low: 8, high: 20, ceiling: 24, inbound: 12, outbound: 16, perPeer: 2,
                perNetwork: 4, grace: .seconds(20), pause: .seconds(10)),
            dialing: Dialer.Limits(simultaneous: 6, perPeer: 2, perSecond: 4, waiting: 64),
            streams: Streams(
                accepted: 256, acceptedPerPeer: 32, opening: 256, openingPerPeer: 32),
            commands: 256, memory: 24 << 20, announcedKeys: 50_000,
            addresses: AddressBook.Limits(
                peers: 512, addressesPerPeer: 16, bytesPerPeer: 4 << 10),
            blocks: blocks)
        limits.pubSub = PublishSubscribe(
            subscriptions: 16,
            machine: PubSub.Limits(topics: 16, messageBytes: 64 << 10, cachedBytes: 1 << 20),
            waitingMessages: 128, waitingBytes: 256 << 10)
        return limits
    }()

    /// For a machine in a data centre.
    public static let server: NodeLimits = {
        var blocks = BlockExchange.Limits()
        blocks.server.unacknowledgedBytes = 256 << 20
        blocks.server.unacknowledgedBytesPerPeer = 4 << 20
        blocks.server.lookUps = 64
        var limits = NodeLimits(
            connections: Connections(
                low: 600, high: 900, ceiling: 2_000, inbound: 1_600, outbound: 800, perPeer: 8,
                perNetwork: 32, grace: .seconds(20), pause: .seconds(10)),
            dialing: .server,
            streams: Streams(
                accepted: 32_768, acceptedPerPeer: 128, opening: 8_192, openingPerPeer: 128),
            commands: 8_192, memory: 1 << 30, announcedKeys: 100_000_000,
            addresses: AddressBook.Limits(
                peers: 32_768, addressesPerPeer: 32, bytesPerPeer: 8 << 10),
            blocks: blocks)
        limits.pubSub = PublishSubscribe(
            subscriptions: 1_024,
            machine: PubSub.Limits(topics: 512, messageBytes: 64 << 10, cachedBytes: 32 << 20),
            waitingMessages: 1_024, waitingBytes: 1 << 20)
        return limits
    }()
}
