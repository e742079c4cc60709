// Calls: this node has peers run some, and runs some for them. What takes time (running, signing,
// getting records) leaves as orders and comes back by their numbers.

import Compute
import Multiformats
import Peering
import Wire

/// A node's part in calls.
struct CallService: Sendable {
    /// Nil for a node that takes no part.
    var machine: CallExchange?
    let isServing: Bool
    private let clock: WallClock
    /// The commands that wait for calls, by the machine's number.
    var commands: [UInt64: UInt64] = [:]
    /// Who is connected and runs calls.
    private(set) var speakers: Set<PeerID> = []
    /// The calls that wait until connected peers have said what they speak, by their commands.
    fileprivate var early: [UInt64: NodeCore.CallCommand] = [:]
    /// How long they do.
    fileprivate static let introductionTime: Duration = .seconds(2)
    /// Which contracts the DHT is told of.
    var announcements = ContractAnnouncements()

    init(_ configuration: NodeCore.Configuration) {
        clock = configuration.clock
        isServing = configuration.calls?.isServing == true
        machine = configuration.calls.map {
            CallExchange(
                offer: $0.offer, book: $0.book, secret: $0.secret, responders: $0.responders,
                limits: $0.limits)
        }
    }

    /// The protocols that peers may open streams with.
    var protocols: [ProtocolName] { isServing ? [CallProtocol.name] : [] }

    /// A connected peer said what it speaks.
    mutating func note(_ peer: PeerID, speaks protocols: [ProtocolName], now: Instant) {
        guard protocols.contains(CallProtocol.name) else { return lost(peer) }
        speakers.insert(peer)
        machine?.meet(peer, now: now)
    }

    /// There is no connection to a peer any longer.
    mutating func lost(_ peer: PeerID) {
        speakers.remove(peer)
        machine?.lose(peer)
    }

    /// Seconds since 1970.
    func time(at now: Instant) -> UInt64 { UInt64(max(0, clock.time(at: now).seconds)) }
}

extension NodeCore {
    /// Whether a peer is connected that runs calls.
    public var hasResponders: Bool { calls.machine != nil && !calls.speakers.isEmpty }

    // MARK: Commands

    /// A call that somebody waits for.
    ///
    /// - Parameter mayWait: whether it may wait for the first peer that says that it runs calls.
    mutating func call(
        _ command: CallCommand, by id: UInt64, mayWait: Bool = true, now: Instant
    ) {
        guard case .fetch(let call, let terms, let audit, let named, let known, let here) = command
        else { return }
        if mayWait, named.isEmpty, here == nil, !hasResponders, hasStrangers {
            calls.early[id] = command
            timers.add(.earlyCall(id), at: now + CallService.introductionTime)
            return
        }
        let others = calls.speakers.subtracting(named).sorted {
            $0.bytes.lexicographicallyPrecedes($1.bytes)
        }
        let candidates = (named + others).filter { $0 != peer && access.admits($0) }
        guard
            let number = calls.machine?.fetch(
                call, terms: terms, audit: audit, candidates: candidates, known: known,
                here: here, now: now)
        else { return }
        calls.commands[number] = id
    }

    /// Whether a connected peer has yet to say what it speaks.
    private var hasStrangers: Bool { peers.values.contains { $0.isAsked } }

    /// Begins a call that has waited.
    mutating func beginEarlyCall(_ id: UInt64, now: Instant) {
        guard let command = calls.early.removeValue(forKey: id) else { return }
        call(command, by: id, mayWait: false, now: now)
    }

    /// Begins the calls that have waited, if there is nothing more to wait for.
    private mutating func beginEarlyCalls(now: Instant) {
        if calls.early.isEmpty || !hasResponders && hasStrangers { return }
        for id in calls.early.keys.sorted() { beginEarlyCall(id, now: now) }
    }

    /// Commands that are answered at once.
    mutating func carryOut(_ command: CallCommand, now: Instant) -> Answer {
        guard let machine = calls.machine else { return .failed(.unavailable) }
        switch command {
        case .fetch: break
        case .accuse(let evidence): calls.machine?.accuse(evidence, now: now)
        case .know(let evidence): calls.machine?.know(evidence)
        case .setOffer(let offer): calls.machine?.setOffer(offer)
        case .setQueue(let queue): calls.machine?.setQueue(queue)
        case .announce(let contract):
            guard calls.isServing else { return .failed(.unavailable) }
            calls.announcements.add(contract, now: now)
            announceContracts(now: now)
        case .book: return .call(.book(machine.book, machine.responders))
        }
        return .done
    }

    /// Nobody waits for a call any more.
    mutating func cancelCall(of id: UInt64, now: Instant) {
        if calls.early.removeValue(forKey: id) != nil { return }
        guard let number = calls.commands.first(where: { $0.value == id })?.key else { return }
        calls.commands[number] = nil
        calls.machine?.cancel(number, now: now)
    }

    // MARK: The machine

    mutating func receive(_ completion: CallCompletion, now: Instant) {
        switch completion {
        case .verified(let order, let isValid):
            calls.machine?.verified(order, isValid, now: now)
        case .signed(let order, let signature): calls.machine?.signed(order, signature)
        case .ran(let order, let record):
            let time = calls.time(at: now)
            calls.machine?.ran(order, record, now: now, time: time)
        case .loaded(let order, let blocks): calls.machine?.loaded(order, blocks, now: now)
        case .replayed(let order, let replay): calls.machine?.replayed(order, replay, now: now)
        case .recalled(let order, let history): calls.machine?.recalled(order, history)
        case .used(let gas, let call):
            let time = calls.time(at: now)
            calls.machine?.used(gas, by: call, now: now, time: time)
        case .examined(let order, let finding):
            calls.machine?.examined(order, finding, now: now)
        case .kept(let order, let isKept): calls.machine?.kept(order, isKept)
        }
    }

    mutating func receiveCalls(_ event: StreamEvent, isOurs: Bool, now: Instant) {
        let time = calls.time(at: now)
        calls.machine?.receive(event, isOurs: isOurs, now: now, time: time)
    }

    /// Carries its orders and events. Returns whether there were any.
    mutating func settleCalls(now: Instant) -> Bool {
        guard calls.machine != nil else { return false }
        beginEarlyCalls(now: now)
        var isQuiet = true
        let time = calls.time(at: now)
        while let event = calls.machine?.nextEvent(now: now, time: time) {
            take(event, now: now)
            isQuiet = false
        }
        while let order = calls.machine?.nextTransmit() {
            carryOut(order, of: .caller, now: now)
            isQuiet = false
        }
        return !isQuiet
    }

    private mutating func take(_ event: CallExchange.Event, now: Instant) {
        switch event {
        case .verify(let order, let peer, let message, let signature):
            want(.verify(order, peer, message: message, signature: signature))
        case .sign(let order, let message): want(.sign(order, message))
        case .run(let order, let call, let purpose): want(.run(order, call, purpose))
        case .stop(let order, let call): want(.stop(order, takenBack: call))
        case .search(let contract): seekResponders(of: contract, now: now)
        case .load(let order, let cids, let peer): want(.load(order, cids, from: peer))
        case .replay(let order, let activation): want(.replay(order, activation))
        case .answered(let number, let result): report(number, .result(result))
        case .failed(let number, let error): report(number, .failed(error))
        case .refuted(_, let record): want(.refuted(record))
        case .convicted(let peer, let evidence): want(.convicted(peer, evidence))
        case .examine(let order, let file): want(.examine(order, file))
        case .vouched(let answer, let via): want(.vouched(answer, via: via))
        case .disbelieve(let record): want(.disbelieve(record))
        case .keep(let order, let receipt): want(.keep(order, receipt))
        case .changed(let change): want(.changed(change))
        }
    }

    private mutating func want(_ order: CallOrder) { outputs.append(.call(order)) }

    private mutating func report(_ number: UInt64, _ report: CallReport) {
        guard let id = calls.commands.removeValue(forKey: number) else { return }
        answer(id, .call(report))
    }
}
