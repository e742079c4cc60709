// A DHT of whole nodes: it grows, content is provided in it, some of its peers leave and others
// come, and then content and peers are looked for. Some of the peers lie from the first day.

import Multiformats
import NodeCore
import Peering
public import Wire

/// One run of a DHT. Its steps are taken in their order.
public struct DHTRun {
    /// What is to be run.
    public struct Settings: Sendable {
        /// How many peers there are.
        public var peers = 1_000
        /// The share of them that lies.
        public var liars = 0.0
        /// The share of packets that is lost.
        public var loss = 0.0
        /// The share of the peers that leaves after content was provided, and is replaced.
        public var churn = 0.0
        /// How many pieces of content are provided.
        public var contents = 200
        /// How many searches there are of each kind.
        public var searches = 500
        /// How many disjoint paths a lookup takes.
        public var paths: Int?
        /// Where all chance comes from.
        public var seed: UInt64 = 1

        /// A thousand honest peers.
        public init() {}
    }

    /// Of many results of a kind, how many were right and what they cost.
    public struct Outcome: Sendable {
        /// How many there were.
        public var count = 0
        /// How many were right.
        public var right = 0
        /// How many questions each took, summed.
        public var questions = 0
        /// How many peers lay on the way to the nearest, summed.
        public var hops = 0
        /// How many peers took the record, summed.
        public var stored = 0
        /// How long each took, the shortest first.
        public var times: [Duration] = []

        /// The share that was right.
        public var success: Double { count == 0 ? 1 : Double(right) / Double(count) }

        /// The mean of a sum.
        public func mean(_ sum: Int) -> Double { count == 0 ? 0 : Double(sum) / Double(count) }

        /// The time that this share of them did not exceed.
        public func time(within share: Double) -> Duration {
            guard !times.isEmpty else { return .zero }
            return times[min(times.count - 1, Int(Double(times.count) * share))]
        }
    }

    /// How many virtual seconds a network takes to grow, at two peers a second at least.
    private static let growth = 300
    /// How long it is left alone after that.
    private static let rest: Duration = .seconds(60)
    /// How many virtual seconds peers come and go.
    private static let change = 120
    /// How many peers a newcomer is told of.
    private static let seeds = 3
    /// How many commands begin per virtual second.
    private static let pace = 10
    /// How long a command may take.
    private static let patience: Duration = .seconds(90)
    /// How many providers a search wants.
    private static let wanted = 10

    /// What is run.
    public let settings: Settings
    /// The network.
    public private(set) var network: VirtualNetwork
    /// How content was provided.
    public private(set) var provided = Outcome()
    /// How content was found.
    public private(set) var foundContent = Outcome()
    /// How peers were found.
    public private(set) var foundPeers = Outcome()
    private var random: SeededGenerator
    private var contents: [(cid: CID, provider: Int)] = []

    /// A network without peers.
    public init(_ settings: Settings) {
        self.settings = settings
        var conditions = Conditions()
        conditions.loss = settings.loss
        network = VirtualNetwork(
            seed: settings.seed, conditions: conditions, keepsNotes: false)
        random = SeededGenerator(seed: settings.seed ^ 0x5eed)
    }

    // MARK: Steps

    /// The peers come, one after another.
    public mutating func grow() throws(DecodeError) {
        let pace = max(2, (settings.peers + Self.growth - 1) / Self.growth)
        while network.hosts.count < settings.peers {
            for _ in 0..<min(pace, settings.peers - network.hosts.count) { try join() }
            network.run(for: .seconds(1))
        }
        network.run(for: Self.rest)
    }

    /// Honest peers provide content.
    public mutating func provide() {
        var orders: [(host: Int, id: UInt64, begun: Instant)] = []
        for number in 0..<settings.contents {
            let digest = random.bytes(32)
            let cid = CID(.raw, Multihash(code: .sha2_256, digest: digest))
            let host = honestHost()
            contents.append((cid, host))
            orders.append(
                (host, network.order(host, .provide(cid), within: Self.patience), network.now))
            if number % Self.pace == Self.pace - 1 { network.run(for: .seconds(1)) }
        }
        network.run(for: Self.patience)
        for order in orders {
            provided.take(order, from: network) { answer in
                (answer.results.map { $0.stored }.max() ?? 0) > 0
            }
        }
        provided.times.sort()
    }

    /// Some peers leave, every second of them without a word, and others take their places.
    public mutating func change() throws(DecodeError) {
        let total = Int(Double(settings.peers) * settings.churn)
        for second in 0..<Self.change where total > 0 {
            let count = total * (second + 1) / Self.change - total * second / Self.change
            for number in 0..<count {
                network.remove(livingHost(), silently: number & 1 == 0)
                try join()
            }
            network.run(for: .seconds(1))
        }
    }

    /// Honest peers look for content whose provider is still there, and for honest peers.
    public mutating func search() {
        let living = contents.filter { network.hosts[$0.provider].isAlive }
        var content: [(order: (host: Int, id: UInt64, begun: Instant), wanted: Int)] = []
        var peers = content
        for number in 0..<settings.searches where !living.isEmpty {
            let piece = living[random.below(living.count)]
            let (one, two, target) = (honestHost(), honestHost(), honestHost())
            let first = network.order(
                one, .findProviders(piece.cid, limit: Self.wanted), within: Self.patience)
            content.append(((one, first, network.now), piece.provider))
            if two != target {
                let second = network.order(
                    two, .findPeer(network.id(target)), within: Self.patience)
                peers.append(((two, second, network.now), target))
            }
            if number % Self.pace == Self.pace - 1 { network.run(for: .seconds(1)) }
        }
        network.run(for: Self.patience)
        for (order, wanted) in content {
            let peer = network.id(wanted)
            let isFound = network.hosts[order.host].found[order.id]?.contains(peer) ?? false
            foundContent.take(order, from: network) { _ in isFound }
        }
        for (order, wanted) in peers {
            let question = network.order(order.host, .addresses(network.id(wanted)))
            var isFound = false
            if case .addresses(let known) = network.answer(order.host, question) {
                isFound = known.contains(network.hosts[wanted].address)
            }
            foundPeers.take(order, from: network) { _ in isFound }
        }
        foundContent.times.sort()
        foundPeers.times.sort()
    }

    // MARK: Peers

    /// A newcomer, which knows a few honest peers. Who lies is drawn here.
    private mutating func join() throws(DecodeError) {
        var configuration = KadConfiguration.wide(.server, storage: .home)
        if let paths = settings.paths { configuration.paths = paths }
        let host = try network.add(routing: [configuration])
        if host > Self.seeds, random.chance(settings.liars) {
            network.corrupt(host, Lie.allCases[random.below(Lie.allCases.count)])
        }
        guard host > 0 else { return }
        var seeds: [(peer: PeerID, addresses: [Multiaddr])] = []
        for _ in 0..<Self.seeds {
            let other = honestHost()
            guard other != host else { continue }
            seeds.append((network.id(other), [network.hosts[other].address]))
        }
        network.order(host, .join(seeds))
    }

    private mutating func livingHost() -> Int {
        var host: Int
        repeat { host = random.below(network.hosts.count) } while !network.hosts[host].isAlive
        return host
    }

    private mutating func honestHost() -> Int {
        var host: Int
        repeat { host = livingHost() } while network.hosts[host].lie != nil
        return host
    }
}

extension DHTRun.Outcome {
    /// Takes the answer to a command.
    fileprivate mutating func take(
        _ order: (host: Int, id: UInt64, begun: Instant), from network: VirtualNetwork,
        isRight: (NodeCore.SearchAnswer) -> Bool
    ) {
        count += 1
        guard case .searched(let answer) = network.answer(order.host, order.id) else { return }
        if isRight(answer) { right += 1 }
        questions += answer.results.map { $0.asked }.max() ?? 0
        hops += answer.results.map { $0.hops }.max() ?? 0
        stored += answer.results.map { $0.stored }.max() ?? 0
        if let end = network.hosts[order.host].answeredAt[order.id] {
            times.append(end.since(order.begun))
        }
    }
}
