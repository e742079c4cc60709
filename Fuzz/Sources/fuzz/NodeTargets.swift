// What is fuzzed of whole machines: a node to which anything happens in any order, and
// publish-subscribe and hole punching with peers that say anything.

import Exchange
import Multiformats
import Wire

@testable import NodeCore
@testable import Peering

/// The machines by name.
let nodeTargets: [String: Target] = [
    "node": { bytes in
        var run = NodeRun([UInt8](bytes))
        run.play()
        run.end()
    },
    "pubsub": pubsub,
    "dcutr": { bytes in
        var machine = DCUtR()
        let (peer, now) = (NodeRun.peers[0], Instant(nanoseconds: 1))
        let stream = StreamID(connection: 1, stream: 1)
        machine.receive(.accepted(stream, peer, PeerProtocols.dcutr), now: now)
        for piece in pieces(of: bytes) { machine.receive(.message(stream, piece), now: now) }
        machine.advance(to: now + .seconds(600))
        if machine.deadline != nil { violated("everything has an end") }
    },
    "signaling": { bytes in
        if let message = try? SignalingMessage(decoding: bytes),
            (try? SignalingMessage(decoding: message.encoded.rawSpan)) != message
        {
            violated("what is said about a connection round-trips")
        }
        // One that the peer began, and one that we began and have offered.
        var machine = Signaling()
        let (peer, now) = (NodeRun.peers[0], Instant(nanoseconds: 1))
        let (theirs, ours) = (
            StreamID(connection: 1, stream: 1), StreamID(connection: 1, stream: 2)
        )
        machine.receive(.accepted(theirs, peer, PeerProtocols.signaling), now: now)
        let call = machine.call(peer, now: now)
        machine.receive(.opened(request: call, ours, PeerProtocols.signaling), now: now)
        machine.offer(call, [1])
        var candidates = 0
        for (index, piece) in pieces(of: bytes).enumerated() {
            let stream = index.isMultiple(of: 2) ? theirs : ours
            machine.receive(.message(stream, piece), now: now)
            while let event = machine.nextEvent() {
                if case .offered(let number, _, _) = event { machine.answer(number, [2]) }
                if case .candidate = event { candidates += 1 }
            }
        }
        if candidates > 2 * Signaling.maxCandidates { violated("ways are limited") }
        machine.advance(to: now + Signaling.timeout)
        if machine.count != 0 { violated("every call ends") }
    },
    "meeting": { bytes in
        if let message = try? MeetingMessage(decoding: bytes),
            (try? MeetingMessage(decoding: message.encoded.rawSpan)) != message
        {
            violated("what is said where pages meet round-trips")
        }
        var (place, guest) = (almostFull, MeetingGuest())
        let (now, stream) = (Instant(nanoseconds: 1), meetingStream)
        guest.join(NodeRun.peers[0])
        guest.receive(.opened(request: 1, stream, PeerProtocols.meeting), now: now)
        for piece in pieces(of: bytes) {
            place.receive(.message(stream, piece), now: now)
            guest.receive(.message(stream, piece), now: now)
            while case .send(_, let answer)? = place.nextTransmit() {
                guest.receive(.message(stream, answer), now: now)
            }
        }
        if place.hashTotal > MeetingPlace.maxHashesPerGuest { violated("hashes are limited") }
        for hash in (try? MeetingMessage(decoding: bytes))?.asked ?? [] {
            guest.askAside(hash, now: now)
        }
        guest.advance(to: now + MeetingGuest.gathering)
        while let order = guest.nextTransmit() {
            guard case .send(_, let question) = order else { continue }
            if (try? MeetingMessage(decoding: question.rawSpan)) == nil {
                violated("questions can be read")
            }
        }
        place.receive(.reset(stream), now: now)
        if place.count != 0 || place.hashTotal != 0 { violated("who leaves is forgotten") }
    },
    "fetch": { bytes in
        if let request = try? FetchRequest(decoding: bytes),
            (try? FetchRequest(decoding: request.encoded.rawSpan)) != request
        {
            violated("a request round-trips")
        }
        guard let response = try? FetchResponse(decoding: bytes) else { return }
        if (try? FetchResponse(decoding: response.encoded.rawSpan)) != response {
            violated("a response round-trips")
        }
    },
    "signed-envelope": { bytes in
        guard let envelope = try? SignedEnvelope(decoding: bytes) else { return }
        if (try? SignedEnvelope(decoding: envelope.encoded.rawSpan)) != envelope {
            violated("an envelope round-trips")
        }
        _ = try? PeerRecord(verifying: envelope)
    },
]

private let meetingStream = StreamID(connection: 1, stream: 1)

/// A place where pages meet, with a guest that has almost as much as it may. Made once: it takes
/// longer than all else that an input does.
private let almostFull: MeetingPlace = {
    var place = MeetingPlace(seed: 1)
    let now = Instant(nanoseconds: 1)
    place.receive(.accepted(meetingStream, NodeRun.peers[0], PeerProtocols.meeting), now: now)
    for number in UInt8(1)..<UInt8(MeetingPlace.maxHashesPerGuest - 1) {
        var message = MeetingMessage()
        message.have = [Multihash.sha2_256(of: [number].rawSpan)]
        place.receive(.message(meetingStream, message.encoded), now: now)
    }
    return place
}()

/// The input in pieces, each as long as the byte before it says.
private func pieces(of bytes: RawSpan) -> [[UInt8]] {
    var rest = [UInt8](bytes)[...]
    var found: [[UInt8]] = []
    while let length = rest.popFirst(), found.count < 64 {
        found.append(Array(rest.prefix(Int(length) * 4)))
        rest = rest.dropFirst(Int(length) * 4)
    }
    return found
}

/// A node with two peers that say what the input holds, among topics that it subscribes to.
@Sendable private func pubsub(_ bytes: RawSpan) {
    if let rpc = try? PubSubRPC(decoding: bytes), rpc.encoded.count <= PubSubRPC.maxBytes,
        (try? PubSubRPC(decoding: rpc.encoded.rawSpan)) != rpc
    {
        violated("what is read can be written and read again")
    }
    let key = NodeRun.key
    let limits = PubSub.Limits(topics: 4, messageBytes: 1 << 10, cachedBytes: 64 << 10)
    var machine = PubSub(key: key, limits: limits, sequence: 1, seed: 1)
    var now = Instant(nanoseconds: 1)
    for topic in [[1], [2]] as [[UInt8]] { machine.subscribe(to: topic, now: now) }
    machine.setValidation(of: [2], true)
    machine.expect(perMinute: 60, of: [1])
    for (index, peer) in NodeRun.peers.prefix(2).enumerated() {
        machine.connected(
            to: peer, index == 0 ? .incoming : .outgoing, remote: NodeRun.address, now: now)
        let number = UInt32(index)
        machine.receive(
            .opened(
                request: UInt64(index + 1), StreamID(connection: 1, stream: number),
                PubSub.protocols[index]), now: now)
        machine.receive(
            .accepted(StreamID(connection: 2, stream: number), peer, PubSub.protocols[0]),
            now: now)
    }
    for (index, piece) in pieces(of: bytes).enumerated() {
        let stream = StreamID(connection: 2, stream: UInt32(index & 1))
        machine.receive(.message(stream, piece), now: now)
        if index % 4 == 3 {
            now = now + .seconds(1)
            machine.advance(to: now)
        }
        while let event = machine.nextEvent() {
            if case .validate(let id, _, _) = event {
                machine.decide(id, index % 2 == 0 ? .accept : .reject, now: now)
            }
            guard case .message(let message, _) = event else { continue }
            if !message.isValid { violated("what is not signed is not delivered") }
            if message.data.count > limits.messageBytes { violated("messages are limited") }
        }
        var sent = 0
        while let order = machine.nextTransmit() {
            if case .send(_, let bytes) = order { sent += bytes.count }
        }
        if sent > 4 << 20 { violated("what one message leads to is limited") }
    }
    if machine.seen.count > PubSub.maxSeen || machine.cachedBytes > limits.cachedBytes {
        violated("what is kept is limited")
    }
}

/// A node, and a script of what happens to it.
struct NodeRun {
    static let key = PrivateKey.generateEd25519()
    static let peers: [PeerID] = (0..<6).map { _ in
        PeerID(PrivateKey.generateEd25519().publicKey)
    }
    static let address: Multiaddr = {
        guard let address = try? Multiaddr(text: "/ip4/9.9.9.9/tcp/4001") else {
            violated("this is an address")
        }
        return address
    }()
    /// Messages as peers send them, for chance would seldom find one.
    private static let templates: [[UInt8]] = {
        var rpc = PubSubRPC()
        rpc.subscriptions = [([1], true)]
        rpc.graft = [[1]]
        rpc.have = [.init(topic: [1], ids: [[7], [8]])]
        rpc.want = [[7]]
        rpc.prune = [.init(topic: [1], backoffSeconds: 3)]
        var identify = IdentifyMessage()
        identify.protocols = Service.protocols + PubSub.protocols + [PeerProtocols.lanKad]
        identify.listenAddresses = [address]
        var reserve = RelayMessage(.reserve)
        reserve.peer = peers[1]
        var connect = RelayMessage(.connect)
        connect.peer = peers[2]
        var kad = KadMessage(.findNode, key: peers[3].bytes)
        kad.closerPeers = [KadPeer(peers[2], [address])]
        return [
            rpc.encoded, identify.encoded, reserve.framed(.hop), connect.framed(.hop),
            connect.framed(.stop), kad.encoded,
            AutoNATMessage.request([address], nonce: 7).encoded,
            AutoNATv1Message.dial(peers[1], [address]).encoded,
        ]
    }()

    private var input: ArraySlice<UInt8>
    private var node: NodeCore
    private var now = Instant(nanoseconds: 1_000_000_000)
    private let limits: NodeLimits
    private var lastConnection: UInt64 = 0
    private var lastStream: UInt32 = 0
    private var lastCommand: UInt64 = 0
    /// What is there, as the driver knows it.
    private var connections: [UInt64: PeerID] = [:]
    private var streams: [StreamID: ProtocolName] = [:]
    private var intakes: [StreamID: ExchangeIntake] = [:]
    private var openings: [(connection: UInt64, names: [ProtocolName], request: UInt64)] = []
    private var dials: [(attempt: UInt64, peer: PeerID, address: Multiaddr)] = []
    private var transmits: [UInt64] = []
    private var lookUps: [LookUp] = []
    private var loads: [Load] = []
    private var waiting: Set<UInt64> = []
    private var sessions: [WantTable.SessionID] = []
    private var subscriptions: [SubscriptionID] = []

    init(_ bytes: [UInt8]) {
        input = bytes[...]
        var limits = NodeLimits.lowpower
        limits.connections.ceiling = 8
        limits.connections.inbound = 5
        limits.connections.outbound = 5
        limits.commands = 16
        limits.streams.accepted = 24
        limits.streams.acceptedPerPeer = 8
        limits.pubSub.subscriptions = 3
        self.limits = limits
        var configuration = NodeCore.Configuration(
            identity: Self.key, agent: Array("fuzz".utf8), transports: [.tcp, .relay],
            limits: limits, access: AccessRules(),
            routing: [.wide(.server, storage: .home), .lan(storage: .home)],
            clock: WallClock(Timestamp(seconds: 1_800_000_000), at: now), seed: 1)
        configuration.reachability.relayService = .always
        node = NodeCore(configuration)
    }

    private mutating func byte() -> Int { input.popFirst().map(Int.init) ?? 0 }

    private mutating func pick<Element>(_ all: [Element]) -> Element? {
        all.isEmpty ? nil : all[byte() % all.count]
    }

    mutating func play() {
        for _ in 0..<512 where !input.isEmpty {
            step()
            drain()
        }
    }

    private mutating func step() {
        switch byte() % 12 {
        case 0: connect()
        case 1:
            guard let number = pick(connections.keys.sorted()) else { return }
            forget(number)
            node.receive(.disconnected(number), now: now)
        case 2: accept()
        case 3, 4, 5: say()
        case 6:
            guard let stream = pick(sortedStreams) else { return }
            let isReset = byte() & 1 == 0
            if isReset { streams[stream] = nil }
            node.receive(.stream(isReset ? .reset(stream) : .finished(stream)), now: now)
        case 7:
            let deadline = byte() & 1 == 0 ? node.deadline : nil
            now = max(now + .milliseconds(byte() * 100), deadline ?? now)
            node.advance(to: now)
        case 8: answerDial()
        case 9: answerOpening()
        case 10: answerStore()
        default: command()
        }
    }

    private var sortedStreams: [StreamID] {
        streams.keys.sorted { ($0.connection, $0.stream) < ($1.connection, $1.stream) }
    }

    private mutating func forget(_ connection: UInt64) {
        connections[connection] = nil
        streams = streams.filter { $0.key.connection != connection }
        openings.removeAll { $0.connection == connection }
    }

    // MARK: What happens

    private mutating func connect(
        _ dial: (attempt: UInt64, peer: PeerID, address: Multiaddr)? = nil
    ) {
        lastConnection += 1
        let choice = byte()
        let peer = dial?.peer ?? Self.peers[choice % Self.peers.count]
        connections[lastConnection] = peer
        node.receive(
            .connected(
                lastConnection,
                ConnectionFacts(
                    peer: peer, direction: dial == nil ? .inbound : .outbound,
                    remoteAddress: dial?.address ?? Self.address,
                    route: choice & 64 == 0 ? .direct : .limited, attempt: dial?.attempt)),
            now: now)
    }

    private mutating func accept() {
        guard let connection = pick(connections.keys.sorted()), let peer = connections[connection],
            let name = pick(node.acceptedProtocols)
        else { return }
        lastStream += 1
        let stream = StreamID(connection: connection, stream: lastStream)
        streams[stream] = name
        intakes[stream] = ExchangeIntake(name, openedBy: .them)
        node.receive(.stream(.accepted(stream, peer, name)), now: now)
    }

    private mutating func say() {
        guard let stream = pick(sortedStreams) else { return }
        let choice = byte()
        var message: [UInt8]
        if choice & 1 == 0 {
            message = Self.templates[(choice >> 1) % Self.templates.count]
            if choice & 128 != 0, !message.isEmpty {
                let place = byte() % message.count
                message[place] = UInt8(truncatingIfNeeded: byte())
            }
        } else {
            message = Array(input.prefix(choice))
            input = input.dropFirst(choice)
        }
        guard var intake = intakes[stream] else {
            node.receive(.stream(.message(stream, message)), now: now)
            return
        }
        do throws(DecodeError) {
            let received = try intake.receive(message)
            node.receive(.exchange(stream, received), now: now)
        } catch {
            node.receive(.malformed(stream, error), now: now)
        }
        intakes[stream] = intake
    }

    private mutating func answerDial() {
        guard !dials.isEmpty else { return }
        let dial = dials.remove(at: byte() % dials.count)
        if byte() & 1 == 0 {
            connect(dial)
        } else {
            node.receive(.dialFailed(attempt: dial.attempt, .refused), now: now)
        }
    }

    private mutating func answerOpening() {
        guard !openings.isEmpty else { return }
        let opening = openings.remove(at: byte() % openings.count)
        guard byte() & 3 != 0, let name = pick(opening.names) else {
            node.receive(.stream(.refused(request: opening.request, .unsupported)), now: now)
            return
        }
        lastStream += 1
        let stream = StreamID(connection: opening.connection, stream: lastStream)
        streams[stream] = name
        intakes[stream] = ExchangeIntake(name, openedBy: .us)
        node.receive(.stream(.opened(request: opening.request, stream, name)), now: now)
    }

    private mutating func answerStore() {
        if let lookUp = lookUps.popLast() {
            let count = byte()
            node.receive(
                .lookedUp(lookUp, lookUp.cids.map { _ in count & 1 == 0 ? count : nil }), now: now)
        } else if let load = loads.popLast() {
            node.receive(.loaded(load, byte() & 1 == 0 ? [1, 2, 3] : nil), now: now)
        } else if let number = transmits.popLast() {
            node.receive(byte() & 1 == 0 ? .sent(number) : .unsent(number), now: now)
        }
    }

    private mutating func command() {
        let peer = Self.peers[byte() % Self.peers.count]
        let cid = CID(.raw, Multihash.sha2_256(of: [UInt8(truncatingIfNeeded: byte())].rawSpan))
        let choices: [NodeCore.Command] = [
            .connect(peer, [Self.address]), .disconnect(peer), .ping(peer), .peers, .status,
            .addresses(peer), .listen([Self.address], sequence: lastCommand), .reachability,
            .openSession(patience: .seconds(30)), .findProviders(cid, limit: 3), .findPeer(peer),
            .provide(cid),
            .getValue([1, 2]), .join([(peer, [Self.address])]), .dhts, .servers(limit: 4),
            .protect(peer), .unprotect(peer), .cancel(UInt64(byte())), .setLimits(limits),
            .pubSub(.subscribe([1])),
            .pubSub(.publish([UInt8(truncatingIfNeeded: byte())], to: [1])),
            .pubSub(.topics), .pubSub(.peers(topic: nil)), .serve(.server), .serve(.client),
            .sweep(
                PeerProtocols.kad, from: Sweep.Position(place: 0, elapsed: .zero),
                cycle: .seconds(60)),
            .sweep(PeerProtocols.kad, from: nil, cycle: .seconds(60)), .sweeps,
        ]
        var command = choices[byte() % choices.count]
        switch (byte() % 8, sessions.last, subscriptions.last) {
        case (0, let session?, _): command = .want(session, [NodeCore.Want(cid, at: 1, size: nil)])
        case (1, let session?, _): command = .closeSession(session)
        case (2, let session?, _): command = .grant(session, bytes: 1 << 20)
        case (4, let session?, _):
            let dag = WeftDAG(root: cid, path: [], scope: .all)
            command = .stream(session, dag, room: 1 << 20)
        case (5, let session?, _): command = .endStream(session)
        case (3, _, let subscription?): command = .pubSub(.unsubscribe(subscription))
        default: break
        }
        lastCommand += 1
        waiting.insert(lastCommand)
        let deadline = now + .milliseconds(byte() * 100)
        node.receive(.command(lastCommand, command, deadline: deadline), now: now)
    }

    // MARK: What the node wants

    private mutating func drain() {
        var count = 0
        while let output = node.nextOutput() {
            take(output)
            count += 1
        }
        if count > 20_000 { violated("one step leads to few orders") }
        let ceiling = limits.connections.ceiling
        if connections.count > ceiling { violated("no more than \(ceiling) connections") }
        if waiting.count > limits.commands { violated("commands are limited") }
    }

    private mutating func take(_ output: NodeCore.Output) {
        switch output {
        case .dial(let attempt, let peer, let address, _, _):
            dials.append((attempt, peer, address))
        case .abandon(let attempt): dials.removeAll { $0.attempt == attempt }
        case .close(let number, _):
            if connections[number] == nil { violated("what is not there is not closed") }
            forget(number)
        case .open(let connection, let names, let request):
            if connections[connection] == nil { violated("streams are opened on connections") }
            openings.append((connection, names, request))
        case .check(let connection): node.receive(.silent(connection), now: now)
        case .transmit(_, _, let number): transmits.append(number)
        case .ask(let stream, let command): intakes[stream]?.note(command)
        case .reset(let stream): streams[stream] = nil
        case .lookUp(let lookUp): lookUps.append(lookUp)
        case .load(let load): loads.append(load)
        case .answer(let id, let answer):
            if waiting.remove(id) == nil { violated("a command has one answer") }
            if case .session(let session) = answer { sessions.append(session) }
            if case .pubSub(.subscribed(let id)) = answer { subscriptions.append(id) }
        case .lookUpRecord(let number, _):
            node.receive(.record(number, byte() & 1 == 0 ? [1] : nil), now: now)
        case .keys(let name, let request, _, _, _):
            let hash = Multihash.sha2_256(of: [UInt8(truncatingIfNeeded: byte())].rawSpan)
            node.receive(.keys(of: name, request: request, [hash]), now: now)
        case .send, .finish, .blocks, .streamed, .streamOver, .missing, .news, .message, .validate,
            .found, .value, .reach, .call, .note:
            break
        }
    }

    /// Lets all time pass: everybody who waits is answered.
    mutating func end() {
        for _ in 0..<10_000 where !waiting.isEmpty {
            guard let deadline = node.deadline else { break }
            now = max(now, deadline)
            node.advance(to: now)
            drain()
        }
        if !waiting.isEmpty { violated("every command is answered before its deadline") }
    }
}
