import Multiformats
import TestSupport
import Wire

@testable import Peering

/// A DHT of many nodes in one process: messages take time, some are lost, some nodes lie, some
/// leave. One seed gives one run.
struct KadNetwork {
    final class Node {
        var kad: Kad
        var book = AddressBook(limits: .home)
        var isAlive = true
        var isLiar = false
        var events: [KadEvent] = []

        init(_ kad: Kad) { self.kad = kad }
    }

    enum Happening {
        case deliver(Int, StreamEvent)
        case wake(Int)
    }

    var nodes: [Node] = []
    var now = instant(1)
    var random: SeededGenerator
    /// Of a hundred messages, how many never arrive.
    var lossPercent = 0
    var messages = 0
    private var queue: [(at: Instant, order: Int, what: Happening)] = []
    private var indices: [PeerID: Int] = [:]
    private var streams: [StreamID: (Int, Int)] = [:]
    private var counter = 0

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    /// Adds a server that knows nobody.
    mutating func add(paths: Int = 1) throws -> Int {
        let index = nodes.count
        let id = try peer(random.next())
        var configuration = KadConfiguration.wide(.server, storage: .home)
        configuration.paths = paths
        var kad = Kad(
            own: id, configuration: configuration,
            clock: WallClock(Timestamp(seconds: 1_800_000_000), at: now), seed: random.next())
        kad.ownAddresses = [
            try address("/ip4/\(20 + index / 200).\(index % 200).1.1/tcp/4001")
        ]
        nodes.append(Node(kad))
        indices[id] = index
        return index
    }

    /// Tells one node where another is.
    mutating func introduce(_ other: Int, to node: Int) {
        nodes[node].book.add(
            nodes[other].kad.ownAddresses, of: nodes[other].kad.own, from: .itself, over: .world,
            for: .seconds(1_000_000), now: now)
    }

    /// Fills every routing table as a network that has run for long would have done.
    mutating func fill() {
        for node in nodes.indices {
            for other in nodes.indices.shuffled(using: &random).prefix(120) where other != node {
                settle(other, in: node)
            }
            let own = nodes[node].kad.ownID
            let near = nodes.indices.sorted {
                nodes[$0].kad.ownID.distance(to: own) < nodes[$1].kad.ownID.distance(to: own)
            }
            for other in near.dropFirst().prefix(25) { settle(other, in: node) }
        }
    }

    private mutating func settle(_ other: Int, in node: Int) {
        let kad = nodes[other].kad
        guard nodes[node].kad.table.hasRoom(for: kad.ownID, group: 0, now: now) else { return }
        introduce(other, to: node)
        nodes[node].kad.table.answered(
            kad.own, kad.ownID, group: nodes[other].kad.ownAddresses[0].networkGroup ?? 0, now: now)
    }

    /// Runs until nothing more happens, or until so much time has passed.
    mutating func run(for duration: Duration) {
        let end = now + duration
        for node in nodes.indices { drain(node) }
        while let index = queue.indices.first, queue[index].at <= end {
            let next = pop()
            now = max(now, next.at)
            switch next.what {
            case .deliver(let node, let event):
                guard nodes[node].isAlive else { continue }
                give(event, to: node)
                drain(node)
            case .wake(let node):
                guard nodes[node].isAlive else { continue }
                nodes[node].kad.advance(to: now, addresses: &nodes[node].book)
                drain(node)
            }
        }
        now = end
    }

    mutating func command(_ node: Int, _ body: (inout Kad, inout AddressBook, Instant) -> UInt64)
        -> UInt64
    {
        let number = body(&nodes[node].kad, &nodes[node].book, now)
        drain(node)
        return number
    }

    /// The result of a command, if it is finished.
    func result(_ command: UInt64, of node: Int) -> KadResult? {
        for event in nodes[node].events {
            if case .finished(command, let result) = event { return result }
        }
        return nil
    }

    /// The nodes that are really nearest to a key.
    func nearest(to key: [UInt8], count: Int) -> [PeerID] {
        let target = KadID(of: key)
        let alive = nodes.filter { $0.isAlive }
        let order = alive.sorted {
            $0.kad.ownID.distance(to: target) < $1.kad.ownID.distance(to: target)
        }
        return order.prefix(count).map { $0.kad.own }
    }

    private mutating func give(_ event: StreamEvent, to node: Int) {
        if nodes[node].isLiar, case .message(let stream, let bytes) = event,
            nodes[node].kad.incoming[stream] != nil
        {
            if let lie = lie(bytes, of: node) {
                post(.message(stream, lie), to: other(stream, node))
            }
            return
        }
        nodes[node].kad.receive(event, addresses: &nodes[node].book, now: now)
        if case .accepted(_, let peer, _) = event, let other = indices[peer] {
            // Identify would say so.
            introduce(other, to: node)
            nodes[node].kad.noteServer(peer, addresses: &nodes[node].book, now: now)
        }
    }

    /// What a liar answers: peers that do not exist, quite near to the key; or a provider that does
    /// not exist; or nothing.
    private mutating func lie(_ bytes: [UInt8], of node: Int) -> [UInt8]? {
        guard let message = try? KadMessage(decoding: bytes.rawSpan) else { return nil }
        var answer = KadMessage(message.kind, key: message.key)
        let target = KadID(of: message.key)
        var made: [(KadID, KadPeer)] = []
        for _ in 0..<100 {
            guard let id = try? peer(random.next() | 1 << 63),
                let place = try? address("/ip4/99.\(random.next() % 200).1.1/tcp/1")
            else { continue }
            made.append((KadID(id).distance(to: target), KadPeer(id, [place])))
        }
        made.sort { $0.0 < $1.0 }
        switch message.kind {
        case .addProvider: return nil
        case .getValue:
            answer.record = KadRecord(key: message.key, value: [1, 2, 3])
            fallthrough
        default: answer.closerPeers = made.prefix(20).map { $0.1 }
        }
        return answer.encoded
    }

    private func other(_ stream: StreamID, _ node: Int) -> Int {
        guard let (one, two) = streams[stream] else { return node }
        return one == node ? two : one
    }

    private mutating func post(_ event: StreamEvent, to node: Int, after: Duration? = nil) {
        let delay = after ?? .milliseconds(Int.random(in: 10...100, using: &random))
        push(now + delay, .deliver(node, event))
    }

    private mutating func drain(_ node: Int) {
        while let order = nodes[node].kad.nextTransmit() {
            switch order {
            case .open(let peer, let names, let request):
                guard let target = indices[peer], nodes[target].isAlive else {
                    post(.refused(request: request, .unreachable), to: node, after: .seconds(2))
                    continue
                }
                counter += 1
                let stream = StreamID(connection: UInt64(counter), stream: 1)
                streams[stream] = (node, target)
                post(.accepted(stream, nodes[node].kad.own, names[0]), to: target, after: .zero)
                post(.opened(request: request, stream, names[0]), to: node)
            // Nobody is dialled here.
            case .withdraw: break
            case .send(let stream, let bytes):
                messages += 1
                guard Int.random(in: 0..<100, using: &random) >= lossPercent else { continue }
                post(.message(stream, bytes), to: other(stream, node))
            case .finish(let stream):
                post(.finished(stream), to: other(stream, node), after: .milliseconds(101))
            case .reset(let stream):
                post(.reset(stream), to: other(stream, node), after: .milliseconds(101))
            }
        }
        while let event = nodes[node].kad.nextEvent() { nodes[node].events.append(event) }
        if let deadline = nodes[node].kad.deadline { push(deadline, .wake(node)) }
    }

    private mutating func push(_ at: Instant, _ what: Happening) {
        counter += 1
        if case .wake(let node) = what {
            // One wake-up per node and time is enough.
            guard wakes[node] != at else { return }
            wakes[node] = at
        }
        queue.append((at, counter, what))
        var child = queue.count - 1
        while child > 0, before(child, (child - 1) / 2) {
            queue.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private var wakes: [Int: Instant] = [:]

    private func before(_ one: Int, _ two: Int) -> Bool {
        (queue[one].at, queue[one].order) < (queue[two].at, queue[two].order)
    }

    private mutating func pop() -> (at: Instant, order: Int, what: Happening) {
        queue.swapAt(0, queue.count - 1)
        let first = queue.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < queue.count && before(child, least) {
                least = child
            }
            if least == parent { break }
            queue.swapAt(parent, least)
            parent = least
        }
        if case .wake(let node) = first.what, wakes[node] == first.at { wakes[node] = nil }
        return first
    }
}
