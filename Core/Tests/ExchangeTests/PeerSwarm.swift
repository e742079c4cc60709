// Whole block exchanges on a virtual network: lines with a rate and a delay, peers that lie, vanish
// or lose their streams. One seed replays one run.

import Exchange
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

/// A node of the virtual network.
struct SwarmNode {
    enum Temper {
        case honest
        /// Sends bytes that do not match, of the right length.
        case lies
        /// Falls silent for ever after it has sent so many bytes.
        case vanishes(afterBytes: Int)
    }

    /// What it can send, in bytes a second.
    var rate = 10_000_000.0
    /// One way, in seconds.
    var latency = 0.02
    var temper = Temper.honest
    /// The protocols it accepts, by the names that the opener offers.
    var speaks: [ProtocolName] = [BitswapVersion.v1_2_0.protocolName]
    /// The chance that a stream breaks after a message.
    var loss = 0.0
    var limits = BlockExchange.Limits()
}

/// A virtual network; node 0 reads.
struct PeerSwarm: CustomStringConvertible {
    private enum Occurrence {
        case event(Int, StreamEvent)
        case sent(Int, UInt64)
        case unsent(Int, UInt64)
        case answer(Int, LookUp)
        case load(Int, Load)
        case wake(Int)
    }

    private struct Scheduled {
        let at: Instant
        let number: UInt64
        let occurrence: Occurrence
    }

    private struct Far {
        let node: Int
        let stream: StreamID
    }

    let nodes: [SwarmNode]
    var exchanges: [BlockExchange]
    var stores: [[Multihash: [UInt8]]]
    var now = Instant(nanoseconds: 1_000_000_000)
    let session: WantTable.SessionID
    /// When each block came to the reader, in seconds.
    var arrivals: [Multihash: Double] = [:]
    var failures: [WantTable.Failure] = []
    var violations: [PeerID] = []
    var searches = 0
    /// What came of a whole, in this order, and how often that was over.
    var streamed: [CID] = []
    var streamsOver = 0
    /// How many bytes of blocks each peer brought.
    var broughtBytes: [PeerID: Int] = [:]
    /// Whether the reader takes what comes of it.
    var grants = true
    /// Bytes of messages that node 0 received.
    var receivedBytes = 0
    var messages = 0
    private var events: [Scheduled] = []
    private var nextNumber: UInt64 = 0
    private var far: [StreamID: Far] = [:]
    private var intakes: [StreamID: ExchangeIntake] = [:]
    private var lineFree: [Instant]
    private var sentBytes: [Int]
    private var wakeAt: [Instant?]
    private var random: SeededGenerator

    init(_ nodes: [SwarmNode], seed: UInt64) {
        self.nodes = nodes
        exchanges = nodes.map { node in
            var limits = node.limits
            limits.table.room = 64 << 20
            return BlockExchange(limits: limits)
        }
        stores = nodes.map { _ in [:] }
        lineFree = nodes.map { _ in Instant(nanoseconds: 0) }
        sentBytes = nodes.map { _ in 0 }
        wakeAt = nodes.map { _ in nil }
        random = SeededGenerator(seed: seed)
        session = exchanges[0].openSession(now: now)
        for number in nodes.indices.dropFirst() {
            exchanges[0].connected(Self.id(number), .direct, now: now)
            exchanges[number].connected(Self.id(0), .direct, now: now)
        }
    }

    static func id(_ node: Int) -> PeerID { peer(UInt8(node)) }

    var seconds: Double { Double(now.nanoseconds) / 1e9 - 1 }

    var description: String {
        "\(seconds) s, \(arrivals.count) blocks, \(exchanges[0].tally(of: session)), "
            + "\(violations.count) violations, \(failures.first.map { "\($0)" } ?? "no failures")"
    }

    /// How many bytes came of a whole.
    var streamedBytes: Int { streamed.reduce(0) { $0 + (stores[1][$1.hash]?.count ?? 0) } }

    /// Runs until the reader has `count` blocks, or something failed, or time is up.
    mutating func run(blocks count: Int, until limit: Double = 300) {
        run(until: limit) { $0.arrivals.count >= count || !$0.failures.isEmpty }
    }

    /// Runs until something is so, or time is up.
    mutating func run(until limit: Double = 300, _ isDone: (Self) -> Bool) {
        for node in nodes.indices { drain(node) }
        while !isDone(self), seconds < limit, let next = events.popLast() {
            now = max(now, next.at)
            drain(handle(next.occurrence))
        }
    }

    /// The node that something happened to.
    private mutating func handle(_ occurrence: Occurrence) -> Int {
        switch occurrence {
        case .event(let node, let event):
            occur(event, at: node)
            return node
        case .sent(let node, let id):
            exchanges[node].sent(id, now: now)
            return node
        case .unsent(let node, let id):
            exchanges[node].unsent(id, now: now)
            return node
        case .answer(let node, let lookUp):
            let counts = lookUp.cids.map { stores[node][$0.hash]?.count }
            exchanges[node].lookedUp(lookUp, byteCounts: counts, now: now)
            return node
        case .load(let node, let load):
            exchanges[node].loaded(load, stores[node][load.cid.hash])
            return node
        case .wake(let node):
            wakeAt[node] = nil
            exchanges[node].advance(to: now)
            return node
        }
    }

    private mutating func occur(_ event: StreamEvent, at node: Int) {
        switch event {
        case .opened(_, let stream, let name):
            intakes[stream] = ExchangeIntake(name, openedBy: .us)
        case .accepted(let stream, _, let name):
            intakes[stream] = ExchangeIntake(name, openedBy: .them)
        case .message(let stream, let bytes):
            if node == 0 {
                receivedBytes += bytes.count
                messages += 1
            }
            do {
                guard let message = try intakes[stream]?.receive(bytes) else { return }
                exchanges[node].receive(message, on: stream, now: now)
            } catch {
                exchanges[node].malformed(error, on: stream, now: now)
            }
            return
        case .refused, .finished, .reset: break
        }
        exchanges[node].receive(event, now: now)
    }

    private mutating func drain(_ node: Int) {
        while let order = exchanges[node].nextOrder(now: now) { carryOut(order, by: node) }
        while let event = exchanges[node].nextEvent() {
            guard node == 0 else { continue }
            switch event {
            case .blocks(let blocks, let peer, _): take(blocks, from: peer)
            case .streamed(session, let blocks, let peer):
                take(blocks, from: peer)
                streamed += blocks.map(\.cid)
                if grants {
                    let bytes = blocks.reduce(0) { $0 + $1.bytes.count }
                    exchanges[0].grant(bytes, in: session, now: now)
                    while let order = exchanges[0].nextOrder(now: now) { carryOut(order, by: 0) }
                }
            case .streamed: Issue.record("nobody asked for this")
            case .streamOver: streamsOver += 1
            case .failed(_, _, let failure): failures.append(failure)
            case .discover(let session, _):
                searches += 1
                exchanges[0].discovered(session, now: now)
                while let order = exchanges[0].nextOrder(now: now) { carryOut(order, by: 0) }
            case .violation(let peer, _): violations.append(peer)
            case .overdue, .news: break
            }
        }
        guard let deadline = exchanges[node].deadline,
            wakeAt[node].map({ deadline < $0 || $0 <= now }) ?? true
        else { return }
        wakeAt[node] = max(deadline, now)
        schedule(.wake(node), at: max(deadline, now))
    }

    private mutating func take(_ blocks: [ReceivedBlock], from peer: PeerID) {
        for block in blocks {
            broughtBytes[peer, default: 0] += block.bytes.count
            #expect(Multihash.sha2_256(of: block.bytes.rawSpan) == block.cid.hash)
            arrivals[block.cid.hash] = seconds
        }
    }

    private mutating func carryOut(_ order: BlockExchange.Order, by node: Int) {
        switch order {
        case .open(let peer, let names, let request):
            guard let other = nodes.indices.first(where: { Self.id($0) == peer }) else { return }
            let there = now + .fraction(nodes[node].latency)
            let back = there + .fraction(nodes[other].latency)
            guard !isGone(other), !isGone(node) else { return }
            guard let name = names.first(where: { nodes[other].speaks.contains($0) }) else {
                schedule(.event(node, .refused(request: request, .unsupported)), at: back)
                return
            }
            nextNumber += 2
            let mine = StreamID(connection: nextNumber, stream: 0)
            let theirs = StreamID(connection: nextNumber, stream: 1)
            far[mine] = Far(node: other, stream: theirs)
            far[theirs] = Far(node: node, stream: mine)
            schedule(.event(other, .accepted(theirs, Self.id(node), name)), at: there)
            schedule(.event(node, .opened(request: request, mine, name)), at: back)
        case .send(let stream, let message, let id): send(message, on: stream, id, by: node)
        case .ask(let stream, let command):
            intakes[stream]?.note(command)
            send(OutgoingMessage(command.encoded), on: stream, nil, by: node)
        case .finish(let stream):
            guard let other = far[stream] else { return }
            let there = now + .fraction(nodes[node].latency)
            schedule(.event(other.node, .finished(other.stream)), at: there)
        case .reset(let stream): breakStream(stream, besides: node)
        case .lookUp(let lookUp):
            schedule(.answer(node, lookUp), at: now + .microseconds(100))
        case .load(let load): schedule(.load(node, load), at: now + .microseconds(100))
        }
    }

    private func isGone(_ node: Int) -> Bool {
        if case .vanishes(let count) = nodes[node].temper { return sentBytes[node] >= count }
        return false
    }

    private mutating func send(
        _ message: OutgoingMessage, on stream: StreamID, _ id: UInt64?, by node: Int
    ) {
        guard let other = far[stream] else {
            if let id { schedule(.unsent(node, id), at: now) }
            return
        }
        guard !isGone(node), !isGone(other.node) else { return }
        var bytes: [UInt8] = []
        for piece in message.pieces {
            switch piece {
            case .bytes(let part): bytes += part
            case .block(let cid, let count):
                var block = stores[node][cid.hash] ?? []
                #expect(block.count == count)
                if case .lies = nodes[node].temper, !block.isEmpty { block[0] ^= 1 }
                bytes += block
            }
        }
        sentBytes[node] += bytes.count
        let start = max(now, lineFree[node])
        lineFree[node] = start + .fraction(Double(bytes.count) / nodes[node].rate)
        if let id { schedule(.sent(node, id), at: lineFree[node]) }
        let there = lineFree[node] + .fraction(nodes[node].latency)
        schedule(.event(other.node, .message(other.stream, bytes)), at: there)
        if nodes[node].loss > Double.random(in: 0..<1, using: &random) {
            schedule(.event(other.node, .reset(other.stream)), at: there)
            schedule(.event(node, .reset(stream)), at: there)
            far[stream] = nil
            far[other.stream] = nil
        }
    }

    private mutating func breakStream(_ stream: StreamID, besides node: Int) {
        guard let other = far.removeValue(forKey: stream) else { return }
        far[other.stream] = nil
        let there = now + .fraction(nodes[node].latency)
        schedule(.event(other.node, .reset(other.stream)), at: there)
    }

    private mutating func schedule(_ occurrence: Occurrence, at time: Instant) {
        nextNumber += 1
        let entry = Scheduled(at: time, number: nextNumber, occurrence: occurrence)
        var low = 0
        var high = events.count
        // The soonest is last.
        while low < high {
            let middle = (low + high) / 2
            if (events[middle].at, events[middle].number) > (time, nextNumber) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        events.insert(entry, at: low)
    }
}

extension Duration {
    static func fraction(_ seconds: Double) -> Duration { .nanoseconds(Int64(seconds * 1e9)) }
}
