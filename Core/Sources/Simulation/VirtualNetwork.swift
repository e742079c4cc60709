// Whole nodes on a network that is not there: a virtual clock, links that take time and lose what
// goes over them, machines that come, go and lie. It drives NodeCore as a shell does, and contains
// no protocol. One seed replays one run, which a digest over all events proves.

public import Compute
import Exchange
public import Multiformats
public import NodeCore
public import Peering
public import Wire

/// Many nodes and what lies between them.
public struct VirtualNetwork {
    enum Occurrence {
        /// Something that a host hears of itself.
        case input(Int, NodeCore.Input)
        /// Something that comes over a connection, if that is still there.
        case arrival(connection: UInt64, NodeCore.Input)
        case message(StreamID, [UInt8])
        case dialled(from: Int, attempt: UInt64, PeerID, Multiaddr)
        case openStream(connection: UInt64, [ProtocolName], request: UInt64)
        case punched(from: Int, attempt: UInt64, PeerID, Multiaddr)
        case breakage(connection: UInt64)
        case wake(Int)
        /// The node hears of what has been gathered.
        case hearing(Int)
    }

    /// A connection. Its two ends have the numbers 2n and 2n + 1.
    struct Line {
        /// The hosts of the even and the odd end.
        let hosts: (even: Int, odd: Int)
        /// Nothing arrives before what was sent before: when the last thing does, at each end.
        var clear = (even: Instant(nanoseconds: 0), odd: Instant(nanoseconds: 0))
        var nextStream: UInt32 = 1
        /// The streams that a liar answers.
        var lying: Set<UInt32> = []

        func host(at end: UInt64) -> Int { end & 1 == 0 ? hosts.even : hosts.odd }
    }

    /// What has been counted so far.
    public struct Counts: Hashable, Sendable {
        /// Everything that happened.
        public var events: UInt64 = 0
        /// Messages on streams.
        public var messages: UInt64 = 0
        /// Their bytes.
        public var bytes: UInt64 = 0
        /// Attempts to dial.
        public var dials: UInt64 = 0
        /// Connections.
        public var connections: UInt64 = 0
    }

    /// The hosts, by number.
    public var hosts: [Host] = []
    /// What time it is.
    public internal(set) var now = Instant(nanoseconds: 1_000_000_000)
    /// What the links are like.
    public var conditions: Conditions
    /// What has been counted so far.
    public internal(set) var counts = Counts()
    /// Whether hosts keep what their nodes tell, close and dial.
    public let keepsNotes: Bool
    var events = EventQueue<Occurrence>()
    var lines: [UInt64: Line] = [:]
    var intakes: [StreamID: ExchangeIntake] = [:]
    var hostAt: [Multiaddr: Int] = [:]
    /// One end of each circuit, by who is at the ends.
    var circuits: [[Int]: CircuitUpgrade] = [:]
    /// The holes that are being punched, by host.
    var punching: [Int: (attempt: UInt64, address: Multiaddr, at: Instant)] = [:]
    /// Whether routers let through what comes from where they sent something.
    public var isPunchable = true
    var hostOf: [PeerID: Int] = [:]
    var liars: [(id: KadID, peer: KadPeer)] = []
    var inventions: [(id: KadID, peer: KadPeer)] = []
    private var digest = EventDigest()
    private var nextLine: UInt64 = 1
    private var nextCommand: UInt64 = 1
    var random: SeededGenerator
    var engine = PretendEngine()

    /// An empty network.
    public init(seed: UInt64, conditions: Conditions = Conditions(), keepsNotes: Bool = true) {
        random = SeededGenerator(seed: seed)
        self.conditions = conditions
        self.keepsNotes = keepsNotes
    }

    /// What all events so far come to; two runs with the same text were the same.
    public var fingerprint: String { digest.text }

    // MARK: Hosts

    /// Adds a node that listens on a public address, or on the one that is given.
    @discardableResult
    public mutating func add(
        at text: String? = nil, limits: NodeLimits = .home, access: AccessRules = AccessRules(),
        routing: [KadConfiguration] = [], reachability: ReachabilityOptions? = nil,
        pubSub: NodeCore.Participation = .onDemand, offer: CallOffer? = nil
    ) throws(DecodeError) -> Int {
        let index = hosts.count
        // The first hosts of two networks are the same, so that tests can name them.
        var chance = SeededGenerator(seed: UInt64(index))
        var secret = chance.bytes(32)
        secret[0] = 7
        let key = try PrivateKey(decoding: ([8, 2, 0x12, 32] + secret).rawSpan)
        let address = try Multiaddr(text: text ?? Self.address(of: index))
        var configuration = NodeCore.Configuration(
            identity: key, agent: Array("simulated/\(index)".utf8),
            transports: [.tcp, .webSocket, .quic, .relay], limits: limits, access: access,
            routing: routing, clock: WallClock(Timestamp(seconds: 1_800_000_000), at: now),
            seed: random.next())
        // Servers that are asked dial back, which most do not count on.
        configuration.reachability.asksServers = false
        configuration.pubSub = pubSub
        if let offer {
            configuration.calls = CallParticipation(
                offer: offer, isServing: true, book: CreditBook(of: PeerID(key.publicKey)),
                secret: random.bytes(SecretGenerator.secretBytes))
        }
        if let reachability { configuration.reachability = reachability }
        let node = NodeCore(configuration)
        let spread = conditions.distance.upperBound - conditions.distance.lowerBound + 1
        let distance = conditions.distance.lowerBound + Int64(random.below(Int(spread)))
        hosts.append(
            Host(
                node: node, peer: node.peer, address: address, key: key,
                distance: .milliseconds(distance)))
        hostAt[address] = index
        hostOf[node.peer] = index
        order(index, .listen([address], sequence: 1))
        return index
    }

    /// Every host is in a network of its own, as the rules of diversity ask for.
    private static func address(of index: Int) -> String {
        let (network, place) = (index % 40_000, index / 40_000)
        return "/ip4/\(20 + network / 200).\(network % 200).\(place / 200).\(place % 200)/tcp/4001"
    }

    /// Who a host is.
    public func id(_ host: Int) -> PeerID { hosts[host].peer }

    // MARK: Commands

    /// Gives a command; the number names its answer.
    @discardableResult
    public mutating func order(
        _ host: Int, _ command: NodeCore.Command, within: Duration = .seconds(60)
    ) -> UInt64 {
        nextCommand += 1
        let id = nextCommand
        inject(host, .command(id, command, deadline: now + within))
        return id
    }

    /// Connects two nodes and lets them speak.
    public mutating func connect(_ from: Int, _ to: Int) -> UInt64 {
        let id = order(from, .connect(self.id(to), [hosts[to].address]))
        run(for: .seconds(3))
        return id
    }

    /// What a command was answered with, if it was.
    public func answer(_ host: Int, _ id: UInt64) -> NodeCore.Answer? {
        hosts[host].answers[id]?.first
    }

    /// Lets a node hear of something that nobody on the network caused.
    public mutating func inject(_ host: Int, _ input: NodeCore.Input) {
        guard hosts[host].isAlive else { return }
        guard conditions.gathering > .zero else {
            hosts[host].node.receive(input, now: now)
            return drain(host)
        }
        hosts[host].gathered.append(input)
        if hosts[host].gathered.count == 1 {
            events.add(.hearing(host), at: now + conditions.gathering)
        }
    }

    // MARK: Time

    /// Lets time pass.
    public mutating func run(for time: Duration) {
        let end = now + time
        while let next = events.popFirst(by: end) {
            now = max(now, next.at)
            counts.events += 1
            digest.add(now.nanoseconds)
            handle(next.event)
        }
        now = end
    }

    private mutating func handle(_ occurrence: Occurrence) {
        switch occurrence {
        case .input(let host, let input):
            digest.add(1 << 32 | UInt64(host))
            inject(host, input)
        case .arrival(let connection, let input):
            digest.add(2 << 32 | connection)
            guard let line = lines[connection >> 1] else { return }
            inject(line.host(at: connection), input)
        case .message(let stream, let bytes):
            digest.add(3 << 32 | stream.connection)
            digest.add(UInt64(stream.stream))
            digest.add(bytes)
            deliver(bytes, on: stream)
        case .dialled(let from, let attempt, let peer, let address):
            digest.add(4 << 32 | UInt64(from))
            guard hosts[from].isAlive else { return }
            dialled(from: from, attempt, peer, address)
        case .openStream(let connection, let names, let request):
            digest.add(5 << 32 | connection)
            for name in names { digest.add(name.utf8) }
            openStream(connection, names, request)
        case .punched(let from, let attempt, let peer, let address):
            digest.add(8 << 32 | UInt64(from))
            punched(from: from, attempt, peer, address)
        case .breakage(let connection):
            digest.add(6 << 32 | connection)
            breakLine(of: connection)
        case .wake(let host):
            digest.add(7 << 32 | UInt64(host))
            guard hosts[host].isAlive, hosts[host].wakeAt == now else { return }
            hosts[host].wakeAt = nil
            hosts[host].node.advance(to: now)
            drain(host)
        case .hearing(let host):
            digest.add(9 << 32 | UInt64(host))
            let inputs = hosts[host].gathered
            hosts[host].gathered = []
            guard hosts[host].isAlive else { return }
            hosts[host].node.receive(inputs, now: now)
            drain(host)
        }
    }

    private mutating func deliver(_ bytes: [UInt8], on stream: StreamID) {
        guard let line = lines[stream.connection >> 1] else { return }
        let host = line.host(at: stream.connection)
        guard hosts[host].isAlive else { return }
        if line.lying.contains(stream.stream), let lie = hosts[host].lie {
            if let answer = self.lie(lie, about: bytes) { send(answer, on: stream) }
            return
        }
        guard var intake = intakes.removeValue(forKey: stream) else {
            inject(host, .stream(.message(stream, bytes)))
            return
        }
        do throws(DecodeError) {
            let read = try intake.receive(bytes)
            intakes[stream] = intake
            inject(host, .exchange(stream, read))
        } catch {
            inject(host, .malformed(stream, error))
        }
    }

    /// Carries out what a node wants, and arms its timer.
    mutating func drain(_ host: Int) {
        while let output = hosts[host].node.nextOutput() { carryOut(output, by: host) }
        guard let deadline = hosts[host].node.deadline else { return }
        let at = max(deadline, now)
        guard hosts[host].wakeAt.map({ at < $0 }) ?? true else { return }
        hosts[host].wakeAt = at
        events.add(.wake(host), at: at)
    }

    mutating func makeLine() -> UInt64 {
        nextLine += 1
        return nextLine
    }
}
