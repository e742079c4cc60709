// The whole node as one value.
//
// NodeCore knows every peer, every stream and every command of a node, and does nothing by itself.
// It is told what happens (`Input`) and when, and says what is to be done (`Output`). Both are
// closed enums: the complete list of what can happen to a node, and of what it can want. Whoever
// drives it owns the sockets, the clock, the store and the randomness; a simulation or a test can
// drive a thousand of them.
//
// To drive it, from one event loop or under one lock:
//
//     node.receive(inputs, now: clock.now)                    // or node.advance(to: clock.now)
//     while let output = node.nextOutput() { carryOut(output) }
//     timer.arm(at: node.deadline)                            // then node.advance(to:)
//
// Outputs are carried out in their order, after all inputs that are there; nothing may be left in
// the node. What the driver owes:
//
// - Connections. Number them, never twice. Secure, multiplex and prove the peer before `connected`.
//   The protocols to accept are `protocols`, how each is cut into messages is `framing(of:)`. Ask
//   `access` before spending a handshake on an address. After `close`, the connection does not
//   exist for the node; saying `disconnected` of it is allowed and does nothing.
// - Dials. Every `dial` ends in `connected` or `dialFailed`, within its timeout (the node stops
//   waiting a little later), unless it was abandoned. A name is resolved by the driver, which
//   leaves out IP addresses that are nearer than `narrowest` or that `access` does not admit.
// - Streams. Every `open` ends in a `StreamEvent` with its number. A connection that ends takes its
//   streams with it without further words.
// - Blocks. Each stream of the exchange has an `ExchangeIntake` beside it, which reads and hashes
//   its messages; what it makes of them comes as `exchange` (or `malformed`), because that is work
//   for many threads. A `transmit` names the blocks in it; they are read from the store straight
//   into the memory that is sent from, and `sent` or `unsent` follows. A `lookUp` and a `load` are
//   answered. `blocks` have been checked and are stored and handed on; `stored` then lets them
//   reach the peers that wait.
// - Calls. A `call` order with a number is answered by a `CallCompletion` with it, unless `stop`
//   took it back. Signatures and runs belong on other threads than the node's.
// - Commands. Every command has a deadline and gets exactly one answer until then. Those that wait
//   for nobody are answered before `receive` returns.
//
// Inside, each protocol is a machine (Peering, Exchange) that takes stream events and gives stream
// orders. This module finds the connection an order goes to, dials if there is none, brings every
// event to the machine whose protocol it is, and holds the ceilings (`NodeLimits`). It contains no
// protocol. Without a DHT (`Configuration.routing`) a search for providers ends at once, with
// nobody found. A node asks all its DHTs at once; it serves the public one when it is told that it
// can be reached (`Command.serve`), and the local one always.

import Compute
import Exchange
public import Multiformats
public import Peering
public import Wire

/// A whole node. See the top of its file for how it is driven.
public struct NodeCore: Sendable {
    /// What a node is.
    public struct Configuration: Sendable {
        /// Who it is.
        public var identity: PrivateKey
        /// Its software, as other peers are told.
        public var agent: [UInt8]
        /// The transports that it can dial.
        public var transports: TransportSet
        /// Its ceilings.
        public var limits: NodeLimits
        /// Whom it has to do with.
        public var access: AccessRules
        /// The DHTs that it takes part in, none or several.
        public var routing: [KadConfiguration]
        /// How it is reached, and helps others to be.
        public var reachability = ReachabilityOptions()
        /// Protocols that the driver speaks by itself, so that peers are told of them. Their
        /// streams are unknown to the node.
        public var driverProtocols: [ProtocolName] = []
        /// When it takes part in publish-subscribe.
        public var pubSub = Participation.onDemand
        /// How it takes part in calls, if it does.
        public var calls: CallParticipation?
        /// What time of day it is, for records that expire.
        public var clock: WallClock
        /// Makes its choices, none of which is a secret.
        public var seed: UInt64

        /// A node like this.
        public init(
            identity: PrivateKey, agent: [UInt8], transports: TransportSet, limits: NodeLimits,
            access: AccessRules, routing: [KadConfiguration], clock: WallClock, seed: UInt64
        ) {
            self.identity = identity
            self.agent = agent
            self.transports = transports
            self.limits = limits
            self.access = access
            self.routing = routing
            self.clock = clock
            self.seed = seed
        }
    }

    /// What falls due.
    enum Timer: Sendable {
        case command(UInt64)
        case request(UInt64)
        /// A stream of the exchange that should be open by now.
        case opening(UInt64)
        case attempt(UInt64)
        case trim
        case look
        /// A call that waited to know who runs any.
        case earlyCall(UInt64)
    }

    /// Who this node is.
    public let peer: PeerID
    /// Its ceilings.
    public internal(set) var limits: NodeLimits
    /// Whom it has to do with.
    public internal(set) var access: AccessRules
    let identity: PrivateKey

    var addresses: AddressBook
    var identify: Identify
    var ping: Ping
    var exchange: BlockExchange
    var dialer: Dialer
    var dhts: [Kad] = []
    /// The walks that announce all keys, one for each DHT or none.
    var sweeps: [Sweep?] = []
    var reaching: Reaching
    let driverProtocols: [ProtocolName]
    var pubSub: PubSubService
    var calls: CallService
    var keyFetch = KeyFetch()
    /// Where the pages meet that are connected.
    var meeting: MeetingPlace
    /// The commands that wait for a record, by the number of the question.
    var recordQuestions: [UInt64: UInt64] = [:]
    var searches: [UInt64: Search] = [:]
    var searchOfPart: [Part: UInt64] = [:]

    var connections = ConnectionTable()
    var peers: [PeerID: Acquaintance] = [:]
    var protected: Set<PeerID> = []
    var banned: [PeerID: Instant] = [:]
    /// When trimming may be done again, and whether a timer is set for it.
    var trimming = (earliest: Instant(nanoseconds: 0), isDue: false)
    /// Peers that are to be asked who they are, or told who we are.
    var introductions: [PeerID] = []
    /// How many of those questions wait for their streams.
    var introductionCount = 0

    var streams = StreamTable()
    var requests: [UInt64: Request] = [:]
    var requestCounts: [PeerID: Int] = [:]
    /// Who waits for a connection to a peer.
    var waiting: [PeerID: [Waiter]] = [:]
    /// The peers that are being dialled, with the addresses that a person vouched for.
    var dialling: [PeerID: [Multiaddr]] = [:]
    var attempts: [UInt64: DialTarget] = [:]
    /// The messages on their way out, with their streams.
    var transmits: [UInt64: StreamID] = [:]

    var pending: [UInt64: Pending] = [:]
    /// The commands that wait for a round trip, by the number of the question.
    var pings: [UInt64: UInt64] = [:]
    /// The open sessions, the oldest first.
    var sessions: [WantTable.SessionID] = []

    var timers = DeadlineQueue<Timer>()
    var tallies = Tallies()
    var outputs = Outbox<Output>()
    private var nextNumber: UInt64 = 1

    /// A node that knows nobody.
    public init(_ configuration: Configuration) {
        identity = configuration.identity
        peer = PeerID(configuration.identity.publicKey)
        limits = configuration.limits
        access = configuration.access
        addresses = AddressBook(limits: configuration.limits.addresses)
        var own = IdentifyMessage()
        own.publicKey = configuration.identity.publicKey
        let name = peer
        for (index, routing) in configuration.routing.enumerated() {
            dhts.append(
                Kad(
                    own: name, configuration: routing, clock: configuration.clock,
                    seed: configuration.seed &+ UInt64(index) &+ 1))
        }
        sweeps = [Sweep?](repeating: nil, count: dhts.count)
        reaching = Reaching(configuration)
        driverProtocols = configuration.driverProtocols
        meeting = MeetingPlace(seed: configuration.seed &+ 0x63)
        pubSub = PubSubService(configuration)
        calls = CallService(configuration)
        own.protocols =
            Self.protocols(with: dhts, relays: reaching.servesRelay) + driverProtocols
            + pubSub.protocols + calls.protocols
        own.protocolVersion = Array("ipfs/0.1.0".utf8)
        own.agentVersion = configuration.agent
        identify = Identify(own: own)
        ping = Ping(seed: configuration.seed)
        exchange = BlockExchange(limits: configuration.limits.blocks)
        dialer = Dialer(
            transports: configuration.transports, limits: configuration.limits.dialing)
    }

    /// The protocols that peers may open streams with now, as they are told.
    public var protocols: [ProtocolName] { identify.own.protocols }

    /// How the streams of a protocol are cut up; nil for one that no node speaks. Those of the
    /// exchange go through an `ExchangeIntake`, whose limit may be lower.
    public static func framing(of name: ProtocolName) -> StreamFraming? {
        if name == CallProtocol.name { return CallProtocol.framing }
        if let intake = ExchangeIntake(name, openedBy: .us) {
            return .messages(limit: intake.maxMessageBytes)
        }
        return PeerProtocols.framing(of: name)
    }

    /// Something happened.
    public mutating func receive(_ input: Input, now: Instant) {
        take(input, now: now)
        settle(now: now)
    }

    /// All of this happened, in this order, before anything that follows from it could be carried
    /// out. It costs less than to tell it one by one, and what answers it goes out together.
    public mutating func receive(_ inputs: [Input], now: Instant) {
        for input in inputs { take(input, now: now) }
        settle(now: now)
    }

    private mutating func take(_ input: Input, now: Instant) {
        if pubSub.participation == .always, pubSub.machine == nil { takePart(now: now) }
        switch input {
        case .connected(let number, let facts): connected(number, facts, now: now)
        case .disconnected(let number):
            if let entry = connections.remove(number) { lost(entry, isBroken: true, now: now) }
        case .silent(let number): fellSilent(number, now: now)
        case .awake(let number): wokeUp(number, now: now)
        case .dialFailed(let attempt, let failure): dialFailed(attempt, failure, now: now)
        case .stream(let event): receive(event, now: now)
        case .exchange(let stream, let message):
            guard streams[stream]?.service == .exchange else { break }
            connections.heard(on: stream.connection, now: now)
            exchange.receive(message, on: stream, now: now)
        case .malformed(let stream, let error):
            guard streams[stream]?.service == .exchange else { break }
            exchange.malformed(error, on: stream, now: now)
        case .sent(let number):
            guard let stream = transmits.removeValue(forKey: number) else { break }
            connections.use(stream.connection, now: now)
            exchange.sent(number, now: now)
        case .unsent(let number):
            guard transmits.removeValue(forKey: number) != nil else { break }
            exchange.unsent(number, now: now)
        case .lookedUp(let lookUp, let counts):
            exchange.lookedUp(lookUp, byteCounts: counts, now: now)
        case .loaded(let load, let bytes): exchange.loaded(load, bytes)
        case .stored(let hash, let count): exchange.stored(hash, byteCount: count)
        case .call(let completion): receive(completion, now: now)
        case .record(let number, let record): keyFetch.answer(number, record)
        case .keys(let name, let request, let hashes):
            take(hashes, for: request, of: name, now: now)
        case .dialedBack(let number, let outcome): reaching.tester.dialed(number, outcome)
        case .association(let number, let step): told(step, of: number)
        case .command(let id, let command, let deadline):
            receive(command, id: id, deadline: deadline, now: now)
        }
    }

    /// Time passed.
    public mutating func advance(to now: Instant) {
        while let timer = timers.popDue(at: now) {
            switch timer {
            case .command(let id): expire(command: id, now: now)
            case .request(let number): expire(request: number, now: now)
            case .opening(let number): checkOpening(of: number)
            case .attempt(let number): expire(attempt: number, now: now)
            case .trim: trim(now: now)
            case .look: look(now: now)
            case .earlyCall(let id): beginEarlyCall(id, now: now)
            }
        }
        identify.advance(to: now)
        ping.advance(to: now)
        exchange.advance(to: now)
        for table in dhts.indices { advance(dht: table, to: now) }
        reaching.advance(to: now)
        pubSub.machine?.advance(to: now)
        calls.machine?.advance(to: now)
        keyFetch.advance(to: now)
        restFromPubSub(now: now)
        meetAtTopics(now: now)
        announceContracts(now: now)
        dialer.advance(to: now)
        addresses.sweep(now: now)
        settle(now: now)
    }

    /// When ``advance(to:)`` has something to do.
    public var deadline: Instant? {
        // Reading it would copy the whole node, wherever that is kept.
        mutating get {
            dhts.indices.reduce(
                timers.first.earlier(identify.deadline).earlier(ping.deadline)
                    .earlier(exchange.deadline).earlier(dialer.deadline)
                    .earlier(reaching.deadline).earlier(pubSub.deadline)
                    .earlier(keyFetch.deadline).earlier(calls.machine?.deadline)
                    .earlier(announcementDeadline)
            ) { $0.earlier(dhts[$1].deadline).earlier(sweepDeadline(of: $1)) }
        }
    }

    /// The next thing to be done.
    public mutating func nextOutput() -> Output? { outputs.popFirst() }

    /// A number that was not used before.
    mutating func makeNumber() -> UInt64 {
        nextNumber += 1
        return nextNumber
    }

    /// Carries orders and events between the machines until nothing is left. It ends, because no
    /// machine answers a refusal by asking again at once.
    private mutating func settle(now: Instant) {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            introduce()
            while let order = identify.nextTransmit() {
                carryOut(order, of: .identify, now: now)
                isQuiet = false
            }
            while let event = identify.nextEvent() {
                take(event, now: now)
                isQuiet = false
            }
            while let order = ping.nextTransmit() {
                carryOut(order, of: .ping, now: now)
                isQuiet = false
            }
            while let event = ping.nextEvent() {
                take(event)
                isQuiet = false
            }
            while let order = exchange.nextOrder(now: now) {
                carryOut(order, now: now)
                isQuiet = false
            }
            while let event = exchange.nextEvent() {
                take(event, now: now)
                isQuiet = false
            }
            for table in dhts.indices {
                while let order = dhts[table].nextTransmit() {
                    carryOut(order, of: .kad(table), now: now)
                    isQuiet = false
                }
                while let event = dhts[table].nextEvent() {
                    take(event, from: table, now: now)
                    isQuiet = false
                }
                if settleSweep(of: table) { isQuiet = false }
            }
            if settleReaching(now: now) { isQuiet = false }
            if settlePubSub(now: now) { isQuiet = false }
            if settleFetch(now: now) { isQuiet = false }
            while let order = meeting.nextTransmit() {
                carryOut(order, of: .meeting, now: now)
                isQuiet = false
            }
            if settleCalls(now: now) { isQuiet = false }
            while let order = dialer.nextTransmit() {
                carryOut(order, now: now)
                isQuiet = false
            }
            while let event = dialer.nextEvent() {
                take(event, now: now)
                isQuiet = false
            }
        }
    }

    /// The same for what makes this node and others reachable. Returns whether there was anything.
    private mutating func settleReaching(now: Instant) -> Bool {
        var isQuiet = true
        while let order = reaching.prober.nextTransmit() {
            carryOut(order, of: .autoNATClient, now: now)
            isQuiet = false
        }
        while let event = reaching.prober.nextEvent() {
            take(event, now: now)
            isQuiet = false
        }
        while let order = reaching.tester.nextTransmit() {
            carryOut(order, now: now)
            isQuiet = false
        }
        while let order = reaching.relays.nextTransmit() {
            carryOut(order, of: .relayClient, now: now)
            isQuiet = false
        }
        while let event = reaching.relays.nextEvent() {
            take(event, now: now)
            isQuiet = false
        }
        while let order = reaching.relay.nextTransmit() {
            carryOut(order, of: .relayServer, now: now)
            isQuiet = false
        }
        while let order = reaching.dcutr.nextTransmit() {
            carryOut(order, of: .dcutr, now: now)
            isQuiet = false
        }
        while let event = reaching.dcutr.nextEvent() {
            take(event, now: now)
            isQuiet = false
        }
        while let order = reaching.signaling.nextTransmit() {
            carryOut(order, of: .signaling, now: now)
            isQuiet = false
        }
        while let event = reaching.signaling.nextEvent() {
            take(event, now: now)
            isQuiet = false
        }
        return !isQuiet
    }
}
