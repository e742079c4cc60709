// A network of nodes that run calls for each other, on a virtual clock. It drives the
// `CallExchange` that a node on a real machine holds; streams, engine and keys are carried out
// here.

import Compute
import Cryptography
import Multiformats
import Wire

/// Nodes that call each other.
public struct CallNetwork {
    /// One node.
    struct Node {
        let key: PrivateKey
        let peer: PeerID
        var exchange: CallExchange
        let lie: CallLie?
        /// Half of the way to any other node.
        let distance: Duration
        let speed: UInt64
        /// When the work that waits here is done.
        var freeAt = Instant(nanoseconds: 0)
        /// The first answer, as those send it who always send the same.
        var firstAnswer: [CallReply] = []
        let credit: CreditLimits
        /// The hashes of what a forker has signed.
        var signed: [[UInt8]] = []
        var forgets = false
    }

    private enum Happening {
        case stream(StreamEvent, node: Int, isOurs: Bool)
        case ran(UInt64, CallRecord?, node: Int)
        case loaded(UInt64, [[UInt8]]?, node: Int)
        case replayed(UInt64, Replay?, node: Int)
        case found([Int], CID, node: Int)
        case examined(UInt64, ProofFinding, node: Int)
        case look(node: Int)
        case call(node: Int, Int)
    }

    /// The second at which virtual clocks begin, since 1970.
    static let epoch: UInt64 = 1_800_000_000

    private(set) var nodes: [Node] = []
    private var places: [PeerID: Int] = [:]
    private var queue = EventQueue<Happening>()
    /// The two ends of each stream: who opened it, and who answers.
    private var streams: [StreamID: (opener: Int, answerer: Int)] = [:]
    private var nextStream: UInt64 = 1
    private var looks: [Instant?] = []
    private(set) var engine = PretendEngine()
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var digest = EventDigest()
    /// How many messages went from one node to another.
    public private(set) var messages = 0
    /// How often nodes were asked to run a call.
    private(set) var runs = 0
    /// How often nodes looked for others that run a contract.
    private(set) var searches = 0
    /// Who is found then; nil for everybody.
    var findable: [Int]?
    /// Which runs were stopped, of whom.
    private(set) var stopped: [Int] = []
    /// What nodes remember of others' answers, which they pass on to whoever does not mind.
    var remembered: [Int: ResultHistory] = [:]
    /// When forkers have signed a second receipt for one place.
    private(set) var forkedAt: [PeerID: Instant] = [:]
    /// Events of nodes that the workload looks at.
    private(set) var reports: [(node: Int, event: CallExchange.Event)] = []

    /// What nodes are to remember, or to forget.
    private var memories: [(node: Int, event: CallExchange.Event)] = []

    /// Everything that happened, as a number.
    public var fingerprint: String { digest.text }

    /// Makes a node.
    mutating func add(
        _ lie: CallLie?, credit: CreditLimits = CreditLimits(), random: inout SeededGenerator
    ) throws(DecodeError) {
        let key = try Self.key(random.bytes(32))
        let peer = PeerID(key.publicKey)
        let speed = UInt64(100_000_000 + random.below(900_000_000))
        let offer = CallOffer(
            price: Price(rate: UInt32(500 + random.below(1_000))), speed: speed, slots: 1)
        nodes.append(
            Node(
                key: key, peer: peer,
                exchange: CallExchange(
                    offer: offer, book: CreditBook(of: peer, limits: credit),
                    secret: random.bytes(32)),
                lie: lie, distance: .microseconds(Int64(3_000 + random.below(19_000))),
                speed: speed, credit: credit))
        looks.append(nil)
        places[peer] = nodes.count - 1
    }

    private static func key(_ seed: [UInt8]) throws(DecodeError) -> PrivateKey {
        guard let half = try? SignatureScheme.ed25519.publicKey(of: seed) else {
            throw DecodeError(.unsupported, "this build has no keys")
        }
        var encoded: [UInt8] = []
        encoded.appendField(1, varint: KeyType.ed25519.rawValue)
        encoded.appendField(2, bytes: seed + half)
        return try PrivateKey(decoding: encoded.rawSpan)
    }

    /// Whether a record is not what an honest peer says.
    mutating func isWrong(_ record: CallRecord) -> Bool { engine.run(record.call) != record }

    /// Which node a peer is.
    func place(of peer: PeerID) -> Int? { places[peer] }

    /// Connects two nodes, which tell each other the news from then on.
    mutating func connect(_ one: Int, _ other: Int) {
        for (node, neighbour) in [(one, nodes[other].peer), (other, nodes[one].peer)] {
            with(node) { exchange, now in exchange.meet(neighbour, now: now) }
        }
    }

    /// Gives a node other work, for so long.
    mutating func occupy(_ node: Int, for time: Duration) { nodes[node].freeAt = now + time }

    /// Lets a node begin a call at a time.
    mutating func plan(_ number: Int, at node: Int, at time: Instant) {
        queue.add(.call(node: node, number), at: time)
    }

    /// Does something with a node, and carries out what follows.
    mutating func with<Result>(
        _ node: Int, _ body: (inout CallExchange, Instant) -> Result
    ) -> Result {
        let result = body(&nodes[node].exchange, now)
        drain(node)
        return result
    }

    /// Lets the next thing happen that is due by `end`. Returns the number of the call that is to
    /// be begun, and where, if it is that; false if nothing is left.
    mutating func step(by end: Instant) -> (goesOn: Bool, call: (node: Int, number: Int)?) {
        guard let (time, happening) = queue.popFirst(by: end) else { return (false, nil) }
        now = max(now, time)
        digest.add(now.nanoseconds)
        let seconds = self.seconds
        switch happening {
        case .call(let node, let number): return (true, (node, number))
        case .stream(let event, let node, let isOurs):
            digest.add(UInt64(node))
            nodes[node].exchange.receive(event, isOurs: isOurs, now: now, time: seconds)
            drain(node)
        case .ran(let order, let record, let node):
            nodes[node].exchange.ran(order, record, now: now, time: seconds)
            drain(node)
        case .loaded(let order, let blocks, let node):
            nodes[node].exchange.loaded(order, blocks, now: now)
            drain(node)
        case .replayed(let order, let replay, let node):
            nodes[node].exchange.replayed(order, replay, now: now)
            drain(node)
        case .found(let found, let contract, let node):
            for other in found {
                nodes[node].exchange.found(nodes[other].peer, running: contract, now: now)
            }
            nodes[node].exchange.searched(contract, now: now)
            drain(node)
        case .examined(let order, let finding, let node):
            nodes[node].exchange.examined(order, finding, now: now)
            drain(node)
        case .look(let node):
            looks[node] = nil
            nodes[node].exchange.advance(to: now)
            drain(node)
        }
        return (true, nil)
    }

    /// Takes what nodes are to remember or to forget since the last time.
    mutating func takeMemories() -> [(node: Int, event: CallExchange.Event)] {
        defer { memories = [] }
        return memories
    }

    /// Takes what nodes have reported since the last time.
    mutating func takeReports() -> [(node: Int, event: CallExchange.Event)] {
        defer { reports = [] }
        return reports
    }

    private var seconds: UInt64 { Self.epoch + now.nanoseconds / 1_000_000_000 }

    // MARK: Carrying out

    private mutating func drain(_ node: Int) {
        while true {
            if let event = nodes[node].exchange.nextEvent(now: now, time: seconds) {
                carryOut(event, of: node)
            } else if let order = nodes[node].exchange.nextTransmit() {
                carryOut(order, of: node)
            } else {
                break
            }
        }
        if nodes[node].forgets { forget(node) }
        guard let deadline = nodes[node].exchange.deadline else { return }
        if let look = looks[node], look <= deadline { return }
        looks[node] = deadline
        queue.add(.look(node: node), at: max(deadline, now))
    }

    private mutating func carryOut(_ event: CallExchange.Event, of node: Int) {
        switch event {
        case .verify(let order, let peer, let message, let signature):
            let isValid = peer.publicKey?.verify(signature: signature, of: message) ?? false
            nodes[node].exchange.verified(order, isValid, now: now)
        case .sign(let order, let message):
            nodes[node].exchange.signed(order, try? nodes[node].key.sign(message))
        case .run(let order, let call, let purpose):
            if case .peer(_, mayRecall: true) = purpose, let history = remembered[node],
                history.record.call == call
            {
                nodes[node].exchange.recalled(order, history)
            } else {
                run(order, call, purpose, node)
            }
        case .examine(let order, let file):
            queue.add(
                .examined(order, PretendEngine.examine(file), node: node),
                at: now + .milliseconds(5))
        case .stop: stopped.append(node)
        case .search(let contract): search(for: contract, by: node)
        case .load(let order, let cids, let peer):
            let isWithheld = peer.flatMap { places[$0] }.map { nodes[$0].lie == .withholding }
            let blocks = cids.compactMap { engine.blocks[$0] }
            let answer = isWithheld == true || blocks.count < cids.count ? nil : blocks
            queue.add(.loaded(order, answer, node: node), at: now + .milliseconds(50))
        case .replay(let order, let task):
            queue.add(
                .replayed(order, PretendEngine.replay(task), node: node),
                at: now + .milliseconds(5))
        case .keep(let order, let receipt): keep(order, receipt, node)
        case .changed: break
        case .vouched, .disbelieve: memories.append((node, event))
        case .answered, .failed, .refuted, .convicted: reports.append((node, event))
        }
    }

    /// What a DHT would find, in which all are that are there.
    private mutating func search(for contract: CID, by node: Int) {
        searches += 1
        let others = findable ?? (1...8).map { (node + searches * $0) % nodes.count }
        queue.add(
            .found(others.filter { $0 != node }, contract, node: node),
            at: now + .milliseconds(300))
    }

    private mutating func run(
        _ order: UInt64, _ call: Call, _ purpose: RunPurpose, _ node: Int
    ) {
        runs += 1
        let lie = purpose.isOwn ? nil : nodes[node].lie
        var asked = call
        if lie == .otherQuestion, let other = try? PretendEngine.call(depth: 0, number: 1) {
            asked = other
        }
        let isQuiet = lie?.isQuiet ?? false
        guard lie != .stall,
            let record = engine.run(asked, isQuiet ? lie.map { .lying($0) } ?? .honest : .honest)
        else { return }
        let work = Duration.microseconds(
            Int64(clamping: record.gas * 1_000_000 / nodes[node].speed))
        nodes[node].freeAt = max(nodes[node].freeAt, now) + work
        queue.add(.ran(order, record, node: node), at: nodes[node].freeAt)
    }

    private mutating func keep(_ order: UInt64, _ receipt: Receipt, _ node: Int) {
        nodes[node].exchange.kept(order, true)
        let entry = receipt.entry(of: nodes[node].peer)
        guard nodes[node].lie == .fork, let entry, !nodes[node].signed.contains(entry.hash) else {
            return
        }
        nodes[node].signed.append(entry.hash)
        if nodes[node].signed.count == 2 { forkedAt[nodes[node].peer] = now }
        nodes[node].forgets = true
    }

    /// A forker goes on as if it had never signed anything.
    private mutating func forget(_ node: Int) {
        nodes[node].forgets = false
        let book = nodes[node].exchange.book
        nodes[node].exchange.book = CreditBook(
            of: book.owner, accounts: book.accounts, limits: nodes[node].credit)
    }

    private mutating func carryOut(_ order: StreamOrder, of node: Int) {
        switch order {
        case .open(let peer, let names, let request):
            guard let other = places[peer], let name = names.first else { return }
            let stream = StreamID(connection: nextStream, stream: 1)
            nextStream += 1
            streams[stream] = (node, other)
            let way = nodes[node].distance + nodes[other].distance
            queue.add(
                .stream(.accepted(stream, nodes[node].peer, name), node: other, isOurs: false),
                at: now + way)
            queue.add(
                .stream(
                    .opened(request: request, stream, name), node: node, isOurs: true),
                at: now + way + way)
        case .withdraw: break
        case .send(let stream, let message):
            guard let ends = streams[stream] else { return }
            let isOpener = ends.opener == node
            let bytes =
                isOpener ? silenced(message, of: node) : changed(message, by: node)
            guard !bytes.isEmpty else { return }
            messages += 1
            digest.add(UInt64(bytes.count))
            send(.message(stream, bytes), from: node, ends)
        case .finish(let stream):
            guard let ends = streams[stream] else { return }
            send(.finished(stream), from: node, ends)
        case .reset(let stream):
            guard let ends = streams.removeValue(forKey: stream) else { return }
            send(.reset(stream), from: node, ends)
        }
    }

    private mutating func send(
        _ event: StreamEvent, from node: Int, _ ends: (opener: Int, answerer: Int)
    ) {
        let isOpener = ends.opener == node
        let other = isOpener ? ends.answerer : ends.opener
        queue.add(
            .stream(event, node: other, isOurs: !isOpener),
            at: now + nodes[node].distance + nodes[other].distance)
    }

    /// What an asker really sends: liars do not pass on what is known of liars.
    private func silenced(_ message: [UInt8], of node: Int) -> [UInt8] {
        guard nodes[node].lie != nil, let commands = try? CallCommand.decode(message.rawSpan)
        else { return message }
        return commands.filter { if case .news = $0 { false } else { true } }
            .flatMap { $0.encoded }
    }

    /// What a responder really sends.
    private mutating func changed(_ message: [UInt8], by node: Int) -> [UInt8] {
        guard let lie = nodes[node].lie, let replies = try? CallReply.decode(message.rawSpan)
        else { return message }
        var sent: [CallReply] = []
        for reply in replies {
            switch (lie, reply) {
            case (_, .news): break
            case (.vanish, .reveal): break
            case (.replay, .headers(let headers, _, _)):
                if nodes[node].firstAnswer.isEmpty { nodes[node].firstAnswer = replies }
                guard
                    case .headers(let old, let signature, let queue)? =
                        nodes[node].firstAnswer.first
                else { continue }
                for (id, _) in headers {
                    sent.append(
                        .headers([(id, old[0].header)], signature: signature, queue: queue))
                }
            default: sent.append(reply)
            }
        }
        return sent.flatMap { $0.encoded }
    }
}
