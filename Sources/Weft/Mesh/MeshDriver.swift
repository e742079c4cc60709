// Drives NodeCore: hands it what happens and the time, and carries out what it wants.

import Cryptography
import Exchange
import Logging
import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Peering
import Transports
import Wire

/// What belongs to the mesh's event loop. All use is there.
final class MeshDriver {
    private var core: NodeCore
    private let identity: PrivateKey
    let mesh: Mesh
    private let eventLoops: MultiThreadedEventLoopGroup
    let logger: Logger
    /// Made when it is first needed, because a certificate costs more than most commands.
    private var transport: Transport?
    private(set) var connections: [UInt64: MeshConnection] = [:]
    /// The dials through relays that have come to the handshake.
    var upgrades: Set<UInt64> = []
    /// The associations that pages offer; no more than `Signaling.maxCalls`.
    var associations: [UInt64: WebRTCCall] = [:]
    /// The dials under way; no more than NodeCore's ceilings allow.
    private var dials: [UInt64: Task<Void, Never>] = [:]
    /// Who waits for a command; no more than NodeCore's ceiling allows.
    private var replies: [UInt64: Reply] = [:]
    typealias Reply = CheckedContinuation<NodeCore.Answer, any Error>
    /// Those who are told when all that their commands led to at once is carried out.
    private var answered: [(reply: Reply, answer: NodeCore.Answer)] = []
    private var listeners: [Listener] = []
    /// Where they listen.
    private var listening: [Multiaddr] = []
    /// Has the router let others in.
    let forwarder: PortForwarder
    private var timer: (at: Instant, task: Scheduled<Void>)?
    /// Who looks for peers of the local network; nil if nobody does.
    var discovery: LocalDiscovery?
    /// What retrievals read.
    var sessions: [WantTable.SessionID: MeshSession] = [:]
    /// Who receives what is published to topics.
    var subscriptions: [SubscriptionID: SubscriptionQueue] = [:]
    /// How many messages subscribers are judging.
    var judging = 0
    /// Carries out what calls need.
    let calls: CallDesk
    /// Who is told what a command finds, until it is answered.
    private var finders: [UInt64: @Sendable (Mesh.Finding) -> Void] = [:]
    /// The commands that are being answered at once; one can be given while another is carried out.
    private var prompts: [UInt64: NodeCore.Answer?] = [:]
    /// How many turns are under way, one within the other.
    private var depth = 0
    /// What happened while orders were carried out, no more than there were orders.
    private var next: [NodeCore.Input] = []

    init(
        _ core: NodeCore, _ identity: PrivateKey, mesh: Mesh,
        eventLoops: MultiThreadedEventLoopGroup
    ) {
        self.core = core
        self.identity = identity
        self.mesh = mesh
        self.eventLoops = eventLoops
        logger = mesh.logger
        calls = CallDesk(mesh, identity)
        forwarder = PortForwarder(mesh, nonce: identity.portMappingNonce)
    }

    /// Whom the node has to do with.
    var access: AccessRules { core.access }

    static func now() -> Instant {
        Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds)
    }

    // MARK: Inputs

    /// Something happened.
    func receive(_ inputs: [NodeCore.Input]) {
        turn { $0.receive(inputs, now: Self.now()) }
    }

    /// Has the machine do something, and carries out what it wants. What it is asked within this is
    /// answered when the outermost turn is over, and all is done that came first.
    private func turn(_ step: (inout NodeCore) -> Void) {
        depth += 1
        take(step)
        while depth == 1, !next.isEmpty {
            let inputs = next
            next = []
            take { $0.receive(inputs, now: Self.now()) }
        }
        depth -= 1
        guard depth == 0 else { return }
        let answered = answered
        self.answered = []
        // Before those who are answered can ask what it says.
        calls.turnIsOver()
        for (reply, answer) in answered { reply.resume(returning: answer) }
        setTimer()
    }

    /// Something happened while an order of the machine is carried out: it hears of it when this
    /// turn's outputs are done, or in a turn of its own.
    func receiveNext(_ input: NodeCore.Input) {
        guard depth > 0 else { return receive([input]) }
        next.append(input)
    }

    private func take(_ step: (inout NodeCore) -> Void) {
        step(&core)
        mesh.setAwaited(core.isAwaited)
        mesh.setResponders(core.hasResponders)
        carryOut()
    }

    /// Asks for something; the answer comes within `limit`.
    func ask(
        _ id: UInt64, _ command: NodeCore.Command, within limit: Duration,
        _ reply: Reply, found: (@Sendable (Mesh.Finding) -> Void)? = nil
    ) {
        replies[id] = reply
        finders[id] = found
        receive([.command(id, command, deadline: Self.now() + limit)])
    }

    /// Asks for something that is answered at once.
    func perform(_ command: NodeCore.Command) -> NodeCore.Answer? {
        let id = mesh.makeCommand()
        prompts[id] = .some(nil)
        receive([.command(id, command, deadline: Self.now())])
        return prompts.removeValue(forKey: id) ?? nil
    }

    /// A connection is there: its peer has proven who it is.
    func connected(_ connection: MeshConnection, _ facts: ConnectionFacts) {
        connections[connection.number] = connection
        receive([.connected(connection.number, facts)])
        connection.release()
    }

    /// A connection ended.
    func disconnected(_ number: UInt64) {
        guard connections.removeValue(forKey: number) != nil else { return }
        receive([.disconnected(number)])
    }

    /// A dial came to its end.
    func dialled(_ attempt: UInt64, _ address: Multiaddr, _ outcome: DialOutcome) {
        let isWanted = dials.removeValue(forKey: attempt) != nil
        switch outcome {
        case .connected(let peer):
            guard isWanted else { return peer.close() }
            var facts = ConnectionFacts(
                peer: peer.peer, direction: .outbound, remoteAddress: address, route: .direct,
                attempt: attempt)
            facts.isFromListeningPort = transport?.isListening(at: peer.localAddress) ?? false
            connected(mesh.connection(of: peer), facts)
        case .failed(let failure, let reason):
            guard isWanted else { return }
            logger.debug(
                "a dial failed", metadata: ["address": "\(address)", "reason": "\(reason)"])
            receive([.dialFailed(attempt: attempt, failure)])
        }
    }

    private func setTimer() {
        guard let deadline = core.deadline else { return }
        if let timer {
            // A timer that is too early sets the next one when it fires.
            guard deadline < timer.at else { return }
            timer.task.cancel()
        }
        let at = NIODeadline.uptimeNanoseconds(deadline.nanoseconds)
        let task = mesh.eventLoop.assumeIsolated().scheduleTask(deadline: at) { [weak self] in
            guard let self else { return }
            timer = nil
            turn { $0.advance(to: Self.now()) }
        }
        timer = (deadline, task)
    }

    // MARK: Outputs

    private func carryOut() {
        while let output = core.nextOutput() { carryOut(output) }
    }

    private func carryOut(_ output: NodeCore.Output) {
        switch output {
        case .dial(let attempt, let peer, let address, let timeout, let narrowest):
            dial(attempt, peer, address, within: timeout, narrowest: narrowest)
        case .abandon(let attempt):
            upgrades.remove(attempt)
            dials.removeValue(forKey: attempt)?.cancel()
        case .close(let number, let reason):
            logger.debug("closing a connection", metadata: ["reason": "\(reason)"])
            connections.removeValue(forKey: number)?.peer.close()
        case .check(let number): connections[number]?.check()
        case .open(let number, let protocols, let request):
            connections[number]?.open(protocols, request: request)
        case .send(let stream, let bytes): tell(stream, .send(bytes))
        case .transmit(let stream, let message, let number):
            tell(stream, .transmit(message, number: number))
        case .ask(let stream, let command): tell(stream, .ask(command))
        case .finish(let stream): tell(stream, .finish)
        case .reset(let stream): tell(stream, .reset)
        case .lookUp(let lookUp) where !mesh.serves(lookUp.peer):
            mesh.receive([.lookedUp(lookUp, [Int?](repeating: nil, count: lookUp.cids.count))])
        case .lookUp(let lookUp):
            mesh.reads.sizes(of: lookUp.cids) { [mesh] sizes in
                mesh.receive([.lookedUp(lookUp, sizes)])
            }
        case .load(let load) where !mesh.serves(load.peer): mesh.receive([.loaded(load, nil)])
        case .load(let load):
            mesh.reads.blocks([load.cid]) { [mesh] blocks in
                let bytes = blocks.first.flatMap { $0 }.map { Array($0) }
                mesh.receive([.loaded(load, bytes)])
            }
        case .lookUpRecord(let number, let name): mesh.lookUpRecord(number, of: name)
        case .reach(let order): carryOut(order)
        case .call(let order): calls.carryOut(order, for: self)
        case .blocks(let blocks, let peer, let ids): deliver(blocks, from: peer, to: ids)
        case .streamed(let id, let blocks, let peer): sessions[id]?.streamed(blocks, from: peer)
        case .streamOver(let id): sessions[id]?.wholeIsOver()
        case .missing(let session, let cid, let failure):
            sessions[session]?.missing(cid, failure)
        case .news(let session, let news): sessions[session]?.note(news)
        case .message(let message, let peer, let ids): deliver(message, from: peer, to: ids)
        case .validate(let id, let message, let peer, let ids):
            judge(message, id, from: peer, by: ids)
        case .found(let id, let peer):
            guard let tell = finders[id] else { break }
            guard case .addresses(let known) = perform(.addresses(peer)) else { break }
            tell(.peer(FoundPeer(peer: peer, addresses: known)))
        case .value(let id, let value): finders[id]?(.value(value))
        case .answer(let id, let answer):
            if prompts[id] != nil {
                prompts[id] = answer
            } else {
                finders[id] = nil
                if let reply = replies.removeValue(forKey: id) { answered.append((reply, answer)) }
            }
        case .keys(let name, let request, let from, let through, let limit):
            Task { [mesh] in
                let found = await mesh.announcer?.keys(from: from, through: through, limit: limit)
                mesh.receive([.keys(of: name, request: request, found ?? [])])
            }
        case .note(let note):
            mesh.announcer?.take(note)
            mesh.counts.count(note, logger)
        }
    }

    private func tell(_ stream: StreamID, _ work: StreamWork) {
        connections[stream.connection]?.carryOut(work, on: stream.stream)
    }

    // MARK: Sockets

    private func sockets() throws -> Transport {
        if let transport { return transport }
        let options = try mesh.transportOptions(identity, accepting: core.acceptedProtocols)
        // Where cores are few, waking a thread for each message costs more than sharing one.
        let loops: any EventLoopGroup = System.coreCount <= 2 ? mesh.eventLoop : eventLoops
        let new = try Transport(options, group: loops) { [mesh] peer, stream, name in
            mesh.connection(of: peer).accept(stream, name)
        }
        transport = new
        return new
    }

    func dial(
        _ attempt: UInt64, _ peer: PeerID, _ address: Multiaddr, within timeout: Duration? = nil,
        narrowest: AddressScope, way: Transport.Way? = nil
    ) {
        let access = core.access
        let sockets = prepare()
        dials[attempt] = Task { [mesh] in
            let outcome = await DialOutcome.dial(
                address, peer, within: timeout, narrowest: narrowest, access: access,
                by: sockets, way: way)
            mesh.run {
                $0.dialled(attempt, address, outcome)
            } stopped: {
                if case .connected(let peer) = outcome { peer.close() }
            }
        }
    }

    /// The sockets, made now if need be.
    func prepare() -> Result<Transport, any Error> { Result { try sockets() } }

    /// These sockets listen, under these addresses.
    func listens(_ new: [Listener], _ addresses: [Multiaddr], sequence: UInt64) {
        listeners += new
        discovery?.setAddresses(addresses)
        _ = perform(.listen(addresses, sequence: sequence))
        listening = addresses
        forwardPorts()
    }

    /// New sockets that nobody is told of.
    func listensForPages(_ new: [Listener]) { listeners += new }

    /// Has the router forward the ports where sockets listen, if that is wanted now.
    func forwardPorts() { forwarder.update(listening, isOn: mesh.forwardsPorts) }

    // MARK: The end

    /// Ends everything but the connections, and answers everyone who waits. The future is complete
    /// when the router knows.
    func stop() -> EventLoopFuture<Void> {
        let released = forwarder.stop()
        timer?.task.cancel()
        timer = nil
        for (_, dial) in dials { dial.cancel() }
        for (_, call) in associations { call.end() }
        for listener in listeners { listener.closeSoon() }
        calls.stop()
        discovery?.stop()
        discovery = nil
        for (_, reply) in replies { reply.resume(throwing: MeshError.stopped) }
        for (_, queue) in subscriptions { queue.end() }
        subscriptions = [:]
        for (_, session) in sessions { session.end(.unreachable("the node stops")) }
        dials = [:]
        associations = [:]
        replies = [:]
        finders = [:]
        sessions = [:]
        connections = [:]
        listeners = []
        transport = nil
        return released
    }
}
