// Has a router forward ports to this machine and keeps that up: by PCP (RFC 6887), else NAT-PMP
// (RFC 6886), else UPnP, whose calls are the shell's.
//
// The router is asked one thing at a time. A mapping is asked for again when half of its time is
// over, and at once when the router has forgotten it. Only the router's own address is listened to.

public import Wire

/// Maps TCP ports at the router of one network. What cannot be mapped is tried again later.
public struct PortMapper: Sendable {
    /// The router and this machine, as they see each other: IPv4 addresses of four bytes.
    public struct Network: Hashable, Sendable {
        /// The router.
        public let router: [UInt8]
        /// This machine.
        public let host: [UInt8]

        /// The network in which these two are.
        public init(router: [UInt8], host: [UInt8]) {
            self.router = router
            self.host = host
        }
    }

    /// What the shell has to do.
    public enum Order: Hashable, Sendable {
        /// Send a datagram to the router, to ``PortMapper/routerPort``.
        case send([UInt8])
        /// Ask the router by UPnP to forward this outer TCP port to an inner one, or any other
        /// outer port if that one is taken; answered by `receive` with the number.
        case forward(UInt64, port: UInt16, outer: UInt16, lifetime: UInt32)
        /// Ask it by UPnP to forward this outer TCP port no longer. Nothing answers.
        case release(outer: UInt16)
    }

    /// What came of asking by UPnP.
    public enum Answer: Hashable, Sendable {
        case forwarded(IPv4Endpoint)
        case failed(PortMappingFailure)
    }

    /// The UDP port where routers listen.
    public static let routerPort: UInt16 = 5_351
    /// For how many seconds a port is asked for. A node that is killed leaves it for so long.
    public static let lifetime: UInt32 = 1_200
    /// How many ports are mapped.
    public static let maxPorts = 4
    /// How long UPnP may take.
    public static let upnpTimeout: Duration = .seconds(30)
    /// How long nothing is asked after everything has failed.
    public static let pause: Duration = .seconds(600)
    /// The least time between two renewals.
    static let leastInterval: Duration = .seconds(4)

    /// One thing that a router is asked.
    enum Question: Hashable, Sendable {
        /// NAT-PMP does not say the outer address with a mapping.
        case address
        case map(UInt16)
    }

    /// What is being asked.
    struct Asking: Sendable {
        let question: Question
        let number: UInt64
        let order: Order
        var sends = 1
        var interval: Duration
        var next: Instant
    }

    /// What is known of a port.
    struct Port: Sendable {
        let number: UInt16
        var external: IPv4Endpoint?
        /// When the router ends it.
        var end = Instant(nanoseconds: 0)
        /// When it is asked for again.
        var renewal: Instant
    }

    /// What tells this node's mappings from those of others.
    private let nonce: [UInt8]
    var random: SeededGenerator
    var network: Network?
    var way = PortMappingProtocol.pcp
    var ports: [Port] = []
    var queue: [Question] = []
    var asking: Asking?
    var attempts: [PortMappingStatus.Attempt] = []
    /// When everything is tried again after it failed.
    var retry: Instant?
    /// The router's outer address, by NAT-PMP.
    var outerAddress: [UInt8]?
    var epoch = ServerEpoch()
    private var lastNumber: UInt64 = 0
    private var told: [PortMapping] = []
    private var orders = Outbox<Order>()
    private var events = Outbox<[PortMapping]>()

    /// A mapper that does nothing yet.
    ///
    /// - Parameters:
    ///   - nonce: 12 secret bytes, the same after a restart, because a router gives a mapping back
    ///     to nobody but its owner.
    ///   - seed: spreads requests over time.
    public init(nonce: [UInt8], seed: UInt64) {
        self.nonce = nonce
        random = SeededGenerator(seed: seed)
    }

    /// Begins to map these ports, at most ``maxPorts`` of them, and no others any more.
    public mutating func start(_ network: Network, ports: [UInt16], now: Instant) {
        stop()
        guard network.router.count == 4, network.host.count == 4 else { return }
        self.network = network
        self.ports = ports.prefix(Self.maxPorts).map { Port(number: $0, renewal: now) }
        epoch = ServerEpoch()
        begin(now: now)
    }

    /// Ends all mappings. The router is told once; what it does not hear ends by itself.
    public mutating func stop() {
        guard let network else { return }
        for port in ports {
            guard let external = port.external else { continue }
            switch way {
            case .pcp: orders.append(.send(request(port.number, nil, lifetime: 0, network).encoded))
            case .natPMP:
                orders.append(.send(NATPMP.mapRequest(port.number, outer: 0, lifetime: 0)))
            case .upnp: orders.append(.release(outer: external.port))
            }
        }
        self.network = nil
        ports = []
        queue = []
        asking = nil
        attempts = []
        retry = nil
        outerAddress = nil
        tell()
    }

    /// What the router forwards.
    public var mappings: [PortMapping] {
        ports.compactMap { port in
            port.external.map { PortMapping(port: port.number, external: $0, way: way) }
        }
    }

    /// How it stands; `asking` before the first start.
    public var status: PortMappingStatus {
        let mappings = mappings
        if !mappings.isEmpty { return .mapped(mappings) }
        return retry == nil ? .asking : .failed(attempts)
    }

    /// When `advance` has something to do.
    public var deadline: Instant? {
        guard network != nil else { return nil }
        if let asking { return asking.next }
        if let retry { return retry }
        return ports.reduce(nil) { first, port in
            let due = port.external == nil ? port.renewal : min(port.renewal, port.end)
            return first.earlier(due)
        }
    }

    /// Asks again what was not answered, and for what is due.
    public mutating func advance(to now: Instant) {
        guard network != nil else { return }
        if let current = asking, current.next <= now { repeatOrFail(current, now: now) }
        if let retry, retry <= now { begin(now: now) }
        let hadMappings = !mappings.isEmpty
        for index in ports.indices where ports[index].external != nil && ports[index].end <= now {
            ports[index].external = nil
            ports[index].renewal = now
        }
        tell()
        // The router has let everything go: perhaps it is another one.
        if hadMappings, mappings.isEmpty { begin(now: now) }
        renew(now: now)
        askNext(now: now)
    }

    /// The next thing to be done.
    public mutating func nextTransmit() -> Order? { orders.popFirst() }

    /// What the router forwards now, when that has changed.
    public mutating func nextEvent() -> [PortMapping]? { events.popFirst() }

    // MARK: Asking

    /// Asks for everything, from the first way on.
    mutating func begin(now: Instant) {
        attempts = []
        begin(.pcp, now: now)
    }

    private mutating func begin(_ next: PortMappingProtocol, now: Instant) {
        retry = nil
        way = next
        asking = nil
        outerAddress = nil
        for index in ports.indices { ports[index].renewal = now }
        queue = []
        renew(now: now)
        askNext(now: now)
    }

    /// Puts what is due into the queue.
    private mutating func renew(now: Instant) {
        guard retry == nil, asking == nil, queue.isEmpty else { return }
        let due = ports.filter { $0.renewal <= now }
        guard !due.isEmpty else { return }
        queue = (way == .natPMP ? [.address] : []) + due.map { .map($0.number) }
    }

    private mutating func askNext(now: Instant) {
        guard let network, asking == nil, !queue.isEmpty else { return }
        let question = queue.removeFirst()
        lastNumber += 1
        let order: Order
        switch (question, way) {
        case (.address, _): order = .send(NATPMP.addressRequest)
        case (.map(let port), .pcp):
            let wanted = external(of: port)
            order = .send(request(port, wanted, lifetime: Self.lifetime, network).encoded)
        case (.map(let port), .natPMP):
            let outer = external(of: port)?.port ?? port
            order = .send(NATPMP.mapRequest(port, outer: outer, lifetime: Self.lifetime))
        case (.map(let port), .upnp):
            let outer = external(of: port)?.port ?? port
            order = .forward(lastNumber, port: port, outer: outer, lifetime: Self.lifetime)
        }
        let interval = way.firstInterval
        asking = Asking(
            question: question, number: lastNumber, order: order, interval: interval,
            next: now + jittered(interval))
        orders.append(order)
    }

    private mutating func repeatOrFail(_ current: Asking, now: Instant) {
        guard current.sends < way.sends else { return fail(.silent, now: now) }
        var again = current
        again.sends += 1
        again.interval = current.interval * 2
        again.next = now + jittered(again.interval)
        asking = again
        orders.append(again.order)
    }

    private func request(
        _ port: UInt16, _ wanted: IPv4Endpoint?, lifetime: UInt32, _ network: Network
    ) -> PCPRequest {
        let any = IPv4Endpoint(address: [0, 0, 0, 0], port: lifetime == 0 ? 0 : port)
        return PCPRequest(
            client: network.host, nonce: nonce, port: port, wanted: wanted ?? any,
            lifetime: lifetime)
    }

    /// Whether an answer is about our mapping.
    func isOurs(_ mapping: PCPResponse.Mapping, _ port: UInt16) -> Bool {
        mapping.nonce == nonce && mapping.port == port
    }

    /// The time with up to a tenth more or less, as RFC 6887 wants it.
    private mutating func jittered(_ time: Duration) -> Duration {
        let part = time / 10
        return time - part + part * Int(random.next() % 1_000) / 500
    }

    // MARK: What came of it

    private func external(of port: UInt16) -> IPv4Endpoint? {
        ports.first { $0.number == port }?.external
    }

    /// The question is not answered, or not as wanted.
    mutating func fail(_ failure: PortMappingFailure, now: Instant) {
        guard let current = asking else { return }
        asking = nil
        if mappings.isEmpty {
            attempts.append(.init(way: way, failure: failure))
            guard let next = way.next else {
                retry = now + Self.pause
                queue = []
                return
            }
            return begin(next, now: now)
        }
        // What is there stays until it ends, and is asked for again before.
        for index in ports.indices
        where current.question == .address || current.question == .map(ports[index].number) {
            ports[index].renewal =
                ports[index].external == nil
                ? now + Self.pause
                : now + max(Self.leastInterval, ports[index].end.since(now) / 2)
        }
        if current.question == .address { queue = [] }
        askNext(now: now)
    }

    /// The router forwards a port.
    mutating func mapped(
        _ number: UInt16, _ external: IPv4Endpoint, lifetime: UInt32, now: Instant
    ) {
        guard let index = ports.firstIndex(where: { $0.number == number }) else { return }
        guard external.port != 0, lifetime > 0 else { return fail(.refused(0), now: now) }
        asking = nil
        let seconds = Int64(min(lifetime, Self.lifetime))
        // Between half of the time and a little more, so that many do not ask at once.
        let half = Duration.seconds(seconds) / 2
        let wait = half + half * Int(random.next() % 1_000) / 8_000
        ports[index].external = external
        ports[index].end = now + .seconds(seconds)
        ports[index].renewal = now + max(Self.leastInterval, wait)
        tell()
        askNext(now: now)
    }

    /// Says what is mapped, if that has changed.
    mutating func tell() {
        let mappings = mappings
        guard mappings != told else { return }
        told = mappings
        events.append(mappings)
    }
}

extension PortMappingProtocol {
    /// What is tried after this.
    fileprivate var next: PortMappingProtocol? {
        switch self {
        case .pcp: .natPMP
        case .natPMP: .upnp
        case .upnp: nil
        }
    }

    /// How long the first answer is waited for; each time after it is twice as long.
    fileprivate var firstInterval: Duration {
        switch self {
        case .pcp: .seconds(3)
        case .natPMP: .milliseconds(250)
        case .upnp: PortMapper.upnpTimeout
        }
    }

    /// How often something is asked. The specifications go on for minutes; but most routers that
    /// are silent speak something else.
    fileprivate var sends: Int {
        switch self {
        case .pcp: 2
        case .natPMP: 4
        case .upnp: 1
        }
    }
}
