// Whole nodes on a virtual network: delays, refusals, connections that are lost. It is a driver of
// NodeCore as a shell is, with a virtual clock. One seed replays one run.

import Cryptography
import Exchange
import IPLD
import Multiformats
import NodeCore
import Peering
import Testing
import Wire

/// One machine on the virtual network.
struct Host {
    var node: NodeCore
    let address: Multiaddr
    /// What happens to those who dial it.
    var door = Door.open
    var store: [Multihash: [UInt8]] = [:]
    /// What the node said, in order.
    var answers: [UInt64: [NodeCore.Answer]] = [:]
    var answeredAt: [UInt64: Instant] = [:]
    var notes: [NodeCore.Note] = []
    var found: [UInt64: [PeerID]] = [:]
    var closings: [(peer: PeerID, reason: NodeCore.CloseReason)] = []
    var dials: [(at: Instant, address: Multiaddr, narrowest: AddressScope)] = []
    var blocks: [Multihash: [UInt8]] = [:]
    var missing: [WantTable.Failure] = []
    /// Whether a router in front of it lets nobody in whom it has not dialled.
    var isBehindNAT = false
    /// The addresses that it tells others.
    var told: [Multiaddr] = []
    var news: [NodeCore.SessionNews] = []
    /// The open connections that the driver holds, and the most there ever were.
    var open: [UInt64: PeerID] = [:]
    var mostOpen = 0
    fileprivate var running: Set<UInt64> = []
    fileprivate var wakeAt: Instant?

    enum Door {
        case open
        /// Connections are refused at once.
        case shut
        /// Nothing comes back.
        case silent
    }
}

/// The virtual network.
struct TestNetwork {
    private enum Occurrence {
        case input(Int, NodeCore.Input)
        case arrival(Int, connection: UInt64, NodeCore.Input)
        case message(Int, StreamID, [UInt8])
        case dialled(from: Int, attempt: UInt64, PeerID, Multiaddr)
        case openStream(Int, connection: UInt64, [ProtocolName], request: UInt64)
        case punched(from: Int, attempt: UInt64, PeerID, Multiaddr)
        case wake(Int)
    }

    private struct Scheduled {
        let at: Instant
        let number: UInt64
        let occurrence: Occurrence
    }

    var hosts: [Host] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    /// The chance that a message is the last of its connection.
    var loss = 0.0
    private var events: [Scheduled] = []
    private var number: UInt64 = 0
    /// The end of each connection: connections 2n and 2n+1 are two ends of one line.
    private var ends: [UInt64: Int] = [:]
    private var clear: [UInt64: Instant] = [:]
    private var intakes: [StreamID: ExchangeIntake] = [:]
    private var nextLine: UInt64 = 1
    private var nextStream: UInt32 = 1
    private var nextCommand: UInt64 = 1
    private var random: SeededGenerator
    /// One end of each circuit, by who is at the ends.
    private var circuits: [[Int]: CircuitUpgrade] = [:]
    private var punching: [UInt64: (host: Int, address: Multiaddr, at: Instant)] = [:]
    /// Whether routers let through what comes from where they sent something.
    var isPunchable = true

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    // MARK: Setting up

    /// Adds a node that listens on a public address, or on the one that is given.
    @discardableResult
    mutating func add(
        at text: String? = nil, limits: NodeLimits = .home, access: AccessRules = AccessRules(),
        routing: [KadConfiguration] = [], reachability: ReachabilityOptions? = nil
    ) throws -> Int {
        let index = hosts.count
        var secret = [UInt8](repeating: 7, count: 32)
        secret[0] = UInt8(index >> 8)
        secret[1] = UInt8(index & 255)
        let key = try PrivateKey(decoding: ([8, 2, 0x12, 32] + secret).rawSpan)
        let address = try Multiaddr(
            text: text ?? "/ip4/8.\(index % 200).\(index / 200).1/tcp/4001")
        var configuration = NodeCore.Configuration(
            identity: key, agent: Array("test/\(index)".utf8),
            transports: [.tcp, .webSocket, .quic, .relay], limits: limits, access: access,
            routing: routing, clock: WallClock(Timestamp(seconds: 1_800_000_000), at: now),
            seed: UInt64(index))
        // Servers that are asked dial back, which other tests do not count on.
        configuration.reachability.asksServers = false
        if let reachability { configuration.reachability = reachability }
        hosts.append(Host(node: NodeCore(configuration), address: address))
        let command = order(index, .listen([address], sequence: 1))
        #expect(isDone(index, command))
        return index
    }

    func id(_ host: Int) -> PeerID { hosts[host].node.peer }

    // MARK: Commands

    /// Gives a command; the number names its answer.
    @discardableResult
    mutating func order(
        _ host: Int, _ command: NodeCore.Command, within: Duration = .seconds(60)
    ) -> UInt64 {
        nextCommand += 1
        let id = nextCommand
        hosts[host].answers[id] = []
        hosts[host].node.receive(.command(id, command, deadline: now + within), now: now)
        drain(host)
        return id
    }

    /// Connects two nodes and lets them speak.
    mutating func connect(_ from: Int, _ to: Int) -> UInt64 {
        let id = order(from, .connect(self.id(to), [hosts[to].address]))
        run(for: .seconds(3))
        return id
    }

    func answer(_ host: Int, _ id: UInt64) -> NodeCore.Answer? {
        hosts[host].answers[id]?.first
    }

    func isDone(_ host: Int, _ id: UInt64) -> Bool {
        if case .done = answer(host, id) { return true }
        return false
    }

    func failure(_ host: Int, _ id: UInt64) -> NodeCore.Failure? {
        if case .failed(let failure) = answer(host, id) { return failure }
        return nil
    }

    mutating func status(_ host: Int) throws -> NodeStatus {
        let id = order(host, .status)
        guard case .status(let status) = answer(host, id) else { throw Unanswered() }
        return status
    }

    mutating func peers(_ host: Int) throws -> [PeerSnapshot] {
        let id = order(host, .peers)
        guard case .peers(let peers) = answer(host, id) else { throw Unanswered() }
        return peers
    }

    mutating func session(_ host: Int) throws -> WantTable.SessionID {
        let id = order(host, .openSession(nil))
        guard case .session(let session) = answer(host, id) else { throw Unanswered() }
        order(host, .setRoom(session, bytes: 16 << 20))
        return session
    }

    struct Unanswered: Error {}

    // MARK: Time

    mutating func run(for time: Duration) {
        let end = now + time
        while let next = events.last, next.at <= end {
            events.removeLast()
            now = max(now, next.at)
            handle(next.occurrence)
        }
        now = end
    }

    /// Breaks every connection between two nodes, as a cable does: both notice.
    mutating func cut(_ one: Int, _ two: Int) {
        for (number, peer) in hosts[one].open.sorted(by: { $0.key < $1.key })
        where peer == id(two) {
            breakLine(of: number)
        }
    }

    /// Lets a connection come in from nowhere: a peer with this identity, from this address.
    mutating func knock(_ host: Int, as peer: PeerID, from address: Multiaddr) -> UInt64 {
        let number = nextLine * 2 + 1
        nextLine += 1
        ends[number] = host
        hosts[host].open[number] = peer
        hosts[host].mostOpen = max(hosts[host].mostOpen, hosts[host].open.count)
        let facts = ConnectionFacts(
            peer: peer, direction: .inbound, remoteAddress: address, route: .direct, attempt: nil)
        hosts[host].node.receive(.connected(number, facts), now: now)
        drain(host)
        return number
    }

    /// Lets a node hear of a stream event that nobody on the network caused.
    mutating func inject(_ host: Int, _ input: NodeCore.Input) {
        hosts[host].node.receive(input, now: now)
        drain(host)
    }

    private mutating func handle(_ occurrence: Occurrence) {
        switch occurrence {
        case .input(let host, let input): inject(host, input)
        case .arrival(let host, let connection, let input):
            guard ends[connection] != nil else { return }
            inject(host, input)
        case .message(let host, let stream, let bytes): deliver(bytes, on: stream, to: host)
        case .dialled(let from, let attempt, let peer, let address):
            dialled(from: from, attempt, peer, address)
        case .openStream(let host, let connection, let names, let request):
            openStream(host, connection, names, request)
        case .punched(let from, let attempt, let peer, let address):
            punched(from: from, attempt, peer, address)
        case .wake(let host):
            hosts[host].wakeAt = nil
            hosts[host].node.advance(to: now)
            drain(host)
        }
    }

    private mutating func deliver(_ bytes: [UInt8], on stream: StreamID, to host: Int) {
        guard ends[stream.connection] != nil else { return }
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

    // MARK: Outputs

    private mutating func drain(_ host: Int) {
        while let output = hosts[host].node.nextOutput() { carryOut(output, by: host) }
        guard let deadline = hosts[host].node.deadline,
            hosts[host].wakeAt.map({ deadline < $0 }) ?? true
        else { return }
        hosts[host].wakeAt = max(deadline, now)
        schedule(.wake(host), at: max(deadline, now))
    }

    private mutating func carryOut(_ output: NodeCore.Output, by host: Int) {
        switch output {
        case .dial(let attempt, let peer, let address, let timeout, let narrowest):
            hosts[host].dials.append((now, address, narrowest))
            hosts[host].running.insert(attempt)
            dial(from: host, attempt, peer, address, timeout)
        case .abandon(let attempt): hosts[host].running.remove(attempt)
        case .close(let connection, let reason):
            if let peer = hosts[host].open[connection] {
                hosts[host].closings.append((peer, reason))
            }
            hangUp(connection)
        case .open(let connection, let names, let request):
            guard let far = ends[connection ^ 1] else { return }
            schedule(
                .openStream(far, connection: connection ^ 1, names, request: request),
                at: passage(from: connection))
        case .send(let stream, let bytes): send(bytes, on: stream)
        case .transmit(let stream, let message, let number):
            send(assemble(message, of: host), on: stream)
            schedule(.input(host, .sent(number)), at: now + .milliseconds(1))
        case .ask(let stream, let command):
            intakes[stream]?.note(command)
            send(command.encoded, on: stream)
        case .finish(let stream): tell(.finished(Self.far(stream)), from: stream)
        case .reset(let stream):
            intakes[stream] = nil
            tell(.reset(Self.far(stream)), from: stream)
        case .lookUp(let lookUp):
            let counts = lookUp.cids.map { hosts[host].store[$0.hash]?.count }
            schedule(.input(host, .lookedUp(lookUp, counts)), at: now + .milliseconds(1))
        case .load(let load):
            let bytes = hosts[host].store[load.cid.hash]
            schedule(.input(host, .loaded(load, bytes)), at: now + .milliseconds(1))
        case .block(let block, _, _):
            let hash = block.cid.hash
            hosts[host].blocks[hash] = Array(block.bytes)
            hosts[host].store[hash] = Array(block.bytes)
            schedule(.input(host, .stored(hash, byteCount: block.bytes.count)), at: now)
        case .news(_, let news): hosts[host].news.append(news)
        case .missing(_, _, let failure): hosts[host].missing.append(failure)
        case .reach(let order): carryOut(order, by: host)
        case .answer(let id, let answer):
            hosts[host].answers[id, default: []].append(answer)
            hosts[host].answeredAt[id] = now
        case .found(let id, let peer): hosts[host].found[id, default: []].append(peer)
        case .note(let note): hosts[host].notes.append(note)
        }
    }

    private mutating func carryOut(_ order: ReachabilityOrder, by host: Int) {
        switch order {
        case .dialBack(let number, let peer, let addresses, let nonce):
            dialBack(from: host, number, peer, addresses, nonce)
        case .upgrade(let upgrade): self.upgrade(upgrade, of: host)
        case .punch(let attempt, let peer, let address, _, _):
            hosts[host].running.insert(attempt)
            punching[attempt] = (host, address, now)
            schedule(
                .punched(from: host, attempt: attempt, peer, address), at: now + .milliseconds(200))
        case .addresses(let addresses): hosts[host].told = addresses
        }
    }

    /// Both ends of a circuit become a line of their own when both have been told.
    private mutating func upgrade(_ upgrade: CircuitUpgrade, of host: Int) {
        let key = [host, hosts.firstIndex { $0.node.peer == upgrade.peer } ?? -1]
        guard let other = circuits.removeValue(forKey: key.reversed()) else {
            circuits[key] = upgrade
            return
        }
        let (dialer, dialled) =
            upgrade.attempt != nil ? ((host, upgrade), other) : ((key[1], other), upgrade)
        link(
            dialer.0, dialer.0 == host ? key[1] : host, attempt: dialer.1.attempt,
            over: (dialer.1.address, dialled.address, upgrade.route))
    }

    /// A hole is there when both have dialled each other within a second.
    private mutating func punched(
        from host: Int, _ attempt: UInt64, _ peer: PeerID, _ address: Multiaddr
    ) {
        guard hosts[host].running.remove(attempt) != nil, let mine = punching[attempt] else {
            return
        }
        let far = hosts.firstIndex { $0.node.peer == peer } ?? -1
        let theirs = punching.values.contains {
            $0.host == far && $0.address == hosts[host].address
                && $0.at + .seconds(1) > mine.at && mine.at + .seconds(1) > $0.at
        }
        guard theirs, isPunchable, hosts[far].address == address else {
            inject(host, .dialFailed(attempt: attempt, .timedOut))
            return
        }
        let other = punching.first { $0.value.host == far }?.key
        if let other { hosts[far].running.remove(other) }
        link(host, far, attempt: attempt)
    }

    private mutating func dialBack(
        from host: Int, _ number: UInt64, _ peer: PeerID, _ addresses: [Multiaddr],
        _ nonce: UInt64?
    ) {
        let far = hosts.firstIndex { $0.node.peer == peer && $0.address == addresses.first }
        guard let far, !hosts[far].isBehindNAT, hosts[far].door == .open, let nonce else {
            let failed = NodeCore.Input.dialedBack(number, .unreachable)
            schedule(.input(host, failed), at: now + .seconds(2))
            return
        }
        let line = knock(far, as: id(host), from: hosts[host].address)
        let stream = StreamID(connection: line, stream: nextStream)
        nextStream += 1
        inject(far, .stream(.accepted(stream, id(host), PeerProtocols.autoNATv2DialBack)))
        inject(far, .stream(.message(stream, AutoNATMessage.dialBack(nonce: nonce))))
        breakLine(of: line)
        schedule(
            .input(host, .dialedBack(number, .reached(addresses[0]))),
            at: now + .milliseconds(100))
    }

    private mutating func dial(
        from host: Int, _ attempt: UInt64, _ peer: PeerID, _ address: Multiaddr,
        _ timeout: Duration
    ) {
        let far = hosts.firstIndex { $0.address == address }
        switch far.map({ hosts[$0].isBehindNAT ? .silent : hosts[$0].door }) {
        case .open:
            schedule(
                .dialled(from: host, attempt: attempt, peer, address), at: now + latency() * 3)
        case .shut, nil:
            schedule(
                .input(host, .dialFailed(attempt: attempt, .refused)), at: now + latency())
        case .silent:
            schedule(
                .input(host, .dialFailed(attempt: attempt, .timedOut)), at: now + timeout)
        }
    }

    private mutating func dialled(
        from host: Int, _ attempt: UInt64, _ peer: PeerID, _ address: Multiaddr
    ) {
        guard hosts[host].running.remove(attempt) != nil else { return }
        guard let far = hosts.firstIndex(where: { $0.address == address }), id(far) == peer else {
            inject(host, .dialFailed(attempt: attempt, .wrongPeer))
            return
        }
        link(host, far, attempt: attempt)
    }

    /// A line from one node to another.
    mutating func link(
        _ host: Int, _ far: Int, attempt: UInt64? = nil,
        over circuit: (there: Multiaddr, back: Multiaddr, route: BlockExchange.Route)? = nil
    ) {
        let here = nextLine * 2
        nextLine += 1
        ends[here] = host
        ends[here + 1] = far
        for (number, owner) in [(here, host), (here + 1, far)] {
            hosts[owner].open[number] = id(owner == host ? far : host)
            hosts[owner].mostOpen = max(hosts[owner].mostOpen, hosts[owner].open.count)
        }
        var out = ConnectionFacts(
            peer: id(far), direction: .outbound,
            remoteAddress: circuit?.there ?? hosts[far].address, route: circuit?.route ?? .direct,
            attempt: attempt)
        out.isFromListeningPort = circuit == nil
        inject(host, .connected(here, out))
        guard ends[here + 1] != nil else { return }
        let back = ConnectionFacts(
            peer: id(host), direction: .inbound,
            remoteAddress: circuit?.back ?? hosts[host].address, route: circuit?.route ?? .direct,
            attempt: nil)
        inject(far, .connected(here + 1, back))
    }

    private mutating func openStream(
        _ host: Int, _ connection: UInt64, _ names: [ProtocolName], _ request: UInt64
    ) {
        guard ends[connection] != nil else { return }
        let back = passage(from: connection)
        guard let name = names.first(where: { hosts[host].node.acceptedProtocols.contains($0) })
        else {
            arrive(.stream(.refused(request: request, .unsupported)), connection ^ 1, at: back)
            return
        }
        let stream = StreamID(connection: connection, stream: nextStream)
        nextStream += 1
        let far = Self.far(stream)
        if let intake = ExchangeIntake(name, openedBy: .them) { intakes[stream] = intake }
        if let intake = ExchangeIntake(name, openedBy: .us) { intakes[far] = intake }
        arrive(.stream(.opened(request: request, far, name)), connection ^ 1, at: back)
        let opener = hosts[host].open[connection] ?? id(host)
        inject(host, .stream(.accepted(stream, opener, name)))
    }

    private func assemble(_ message: OutgoingMessage, of host: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for piece in message.pieces {
            switch piece {
            case .bytes(let part): bytes += part
            case .block(let cid, let count):
                let block = hosts[host].store[cid.hash] ?? []
                #expect(block.count == count)
                bytes += block
            }
        }
        return bytes
    }

    private mutating func send(_ bytes: [UInt8], on stream: StreamID) {
        guard let far = ends[stream.connection ^ 1] else { return }
        if loss > 0, Double.random(in: 0..<1, using: &random) < loss {
            breakLine(of: stream.connection)
            return
        }
        let at = passage(from: stream.connection)
        schedule(.message(far, Self.far(stream), bytes), at: at)
    }

    private mutating func tell(_ event: StreamEvent, from stream: StreamID) {
        arrive(.stream(event), stream.connection ^ 1, at: passage(from: stream.connection))
    }

    private mutating func arrive(_ input: NodeCore.Input, _ connection: UInt64, at: Instant) {
        guard let host = ends[connection] else { return }
        schedule(.arrival(host, connection: connection, input), at: at)
    }

    /// One side closes; the other notices later.
    private mutating func hangUp(_ connection: UInt64) {
        if let host = ends.removeValue(forKey: connection) {
            hosts[host].open[connection] = nil
        }
        if let far = ends.removeValue(forKey: connection ^ 1) {
            hosts[far].open[connection ^ 1] = nil
            schedule(.input(far, .disconnected(connection ^ 1)), at: now + latency())
        }
    }

    private mutating func breakLine(of connection: UInt64) {
        for number in [connection, connection ^ 1] {
            guard let host = ends.removeValue(forKey: number) else { continue }
            hosts[host].open[number] = nil
            schedule(.input(host, .disconnected(number)), at: now)
        }
    }

    private static func far(_ stream: StreamID) -> StreamID {
        StreamID(connection: stream.connection ^ 1, stream: stream.stream)
    }

    private mutating func latency() -> Duration {
        .milliseconds(Int64.random(in: 5...50, using: &random))
    }

    /// When something arrives that leaves now; nothing overtakes on a connection.
    private mutating func passage(from connection: UInt64) -> Instant {
        let at = max(now + latency(), clear[connection] ?? now)
        clear[connection] = at
        return at
    }

    private mutating func schedule(_ occurrence: Occurrence, at time: Instant) {
        number += 1
        var low = 0
        var high = events.count
        // The soonest is last.
        while low < high {
            let middle = (low + high) / 2
            if (events[middle].at, events[middle].number) > (time, number) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        events.insert(Scheduled(at: time, number: number, occurrence: occurrence), at: low)
    }
}
