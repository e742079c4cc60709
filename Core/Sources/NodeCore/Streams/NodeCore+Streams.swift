// Stream orders go to connections, stream events to the machine whose protocol it is.

import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// How long a stream may take to be opened once there is a connection.
    static let openingTimeout: Duration = .seconds(15)
    /// After how long it is found out whether the peer is there at all.
    static let checkingTime: Duration = .seconds(2)
    /// How long a stream may wait for a connection.
    static let reachingTimeout: Duration = .seconds(60)

    /// A stream that a machine asked for and that is not open yet.
    struct Request: Sendable {
        let service: Service
        /// The machine's own number.
        let local: UInt64
        let peer: PeerID
        let protocols: [ProtocolName]
        /// The connection that it is being opened on; nil while it waits for one.
        var connection: UInt64?
        /// When it is given up.
        var end: Instant
    }

    // MARK: Events

    mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, let name):
            opened(request, stream, name, now: now)
        case .refused(let number, let fault):
            guard let request = requests[number], let connection = request.connection else {
                return
            }
            if fault == .timedOut { connections.suspect(connection) }
            refuse(number, fault, now: now)
        case .accepted(let stream, let peer, let name): accept(stream, peer, name, now: now)
        case .message(let stream, _):
            guard let entry = streams[stream] else { return }
            connections.heard(on: stream.connection, now: now)
            deliver(event, to: entry.service, now: now)
        case .finished(let stream):
            guard let entry = streams[stream] else { return }
            let isOver = streams.finishThere(stream)
            deliver(event, to: entry.service, now: now)
            if isOver { removeStream(stream, now: now) }
        case .reset(let stream):
            guard let entry = streams[stream] else { return }
            removeStream(stream, now: now)
            deliver(event, to: entry.service, now: now)
        }
    }

    private mutating func opened(
        _ number: UInt64, _ stream: StreamID, _ name: ProtocolName, now: Instant
    ) {
        guard connections[stream.connection] != nil else { return }
        guard let request = requests[number], request.connection == stream.connection else {
            outputs.append(.reset(stream))
            return
        }
        forget(number)
        streams.add(
            stream, StreamTable.Entry(service: request.service, peer: request.peer, origin: .ours))
        connections.countStreams(1, on: stream.connection)
        connections.heard(on: stream.connection, now: now)
        deliver(
            .opened(request: request.local, stream, name), to: request.service, now: now)
    }

    private mutating func accept(
        _ stream: StreamID, _ peer: PeerID, _ name: ProtocolName, now: Instant
    ) {
        guard let connection = connections[stream.connection] else { return }
        guard connection.facts.peer == peer, streams[stream] == nil,
            let service = service(of: name),
            service != .relayServer || relays(for: peer),
            // Pages that meet here reach each other through this node.
            service != .meeting || reaching.options.relayService != .never,
            service != .signaling || reaching.own.listening.contains(where: \.isForBrowsers),
            service != .pubSub || pubSub.machine != nil,
            service != .callServer || calls.isServing
        else {
            outputs.append(.reset(stream))
            return
        }
        connections.heard(on: stream.connection, now: now)
        guard streams.accepted < limits.streams.accepted,
            streams.accepted(from: peer) < limits.streams.acceptedPerPeer
        else {
            tallies.streamsRefused += 1
            outputs.append(.reset(stream))
            outputs.append(.note(.streamRefused(peer, name)))
            return
        }
        streams.add(stream, StreamTable.Entry(service: service, peer: peer, origin: .theirs))
        connections.countStreams(1, on: stream.connection)
        deliver(.accepted(stream, peer, name), to: service, now: now)
    }

    /// Brings an event to its machine.
    private mutating func deliver(_ event: StreamEvent, to service: Service, now: Instant) {
        switch service {
        case .identify: identify.receive(event, addresses: &addresses, now: now)
        case .ping: ping.receive(event, now: now)
        case .exchange: exchange.receive(event, now: now)
        case .kad(let table):
            dhts[table].receive(event, addresses: &addresses, now: now)
        case .autoNATClient: reaching.prober.receive(event, now: now)
        case .autoNATServer: reaching.tester.receive(event, remote: remote(of: event), now: now)
        case .relayClient: reaching.relays.receive(event, now: now)
        case .relayServer: reaching.relay.receive(event, remote: remote(of: event), now: now)
        case .dcutr: reaching.dcutr.receive(event, now: now)
        case .pubSub: receivePubSub(event, now: now)
        case .keyFetch: keyFetch.receive(event, now: now)
        case .meeting: meeting.receive(event, now: now)
        case .signaling: reaching.signaling.receive(event, now: now)
        case .caller: receiveCalls(event, isOurs: true, now: now)
        case .callServer: receiveCalls(event, isOurs: false, now: now)
        case .circuit: break
        }
    }

    /// Where the peer is that opened a stream.
    private func remote(of event: StreamEvent) -> Multiaddr? {
        guard case .accepted(let stream, _, _) = event else { return nil }
        return connections[stream.connection]?.facts.remoteAddress
    }

    // MARK: Orders

    mutating func carryOut(_ order: StreamOrder, of service: Service, now: Instant) {
        switch order {
        case .open(let peer, let protocols, let local):
            open(peer, protocols, local, for: service, now: now)
        case .withdraw(let peer, let local): withdraw(peer, local, of: service, now: now)
        case .send(let stream, let bytes):
            guard streams[stream] != nil else { return }
            connections.use(stream.connection, now: now)
            outputs.append(.send(stream, bytes))
        case .finish(let stream): finish(stream, now: now)
        case .reset(let stream): reset(stream, now: now)
        }
    }

    mutating func finish(_ stream: StreamID, now: Instant) {
        guard let entry = streams[stream], !entry.isFinishedHere else { return }
        outputs.append(.finish(stream))
        if streams.finishHere(stream) { removeStream(stream, now: now) }
    }

    mutating func reset(_ stream: StreamID, now: Instant) {
        guard streams[stream] != nil else { return }
        outputs.append(.reset(stream))
        removeStream(stream, now: now)
    }

    mutating func open(
        _ peer: PeerID, _ protocols: [ProtocolName], _ local: UInt64, for service: Service,
        now: Instant
    ) {
        let fault: StreamFault? =
            if peer == self.peer || !access.admits(peer) {
                .denied
            } else if requests.count >= limits.streams.opening
                || (requestCounts[peer] ?? 0) >= limits.streams.openingPerPeer
            {
                .overLimit
            } else {
                nil
            }
        if let fault {
            if fault == .overLimit { tallies.openingsRefused += 1 }
            deliver(.refused(request: local, fault), to: service, now: now)
            return
        }
        let number = makeNumber()
        requests[number] = Request(
            service: service, local: local, peer: peer, protocols: protocols, connection: nil,
            end: now + Self.reachingTimeout)
        requestCounts[peer, default: 0] += 1
        if service == .identify { introductionCount += 1 }
        if place(number, now: now) { return }
        guard service.dials else {
            refuse(number, .disconnected, now: now)
            return
        }
        timers.add(.request(number), at: now + Self.reachingTimeout)
        waiting[peer, default: []].append(.request(number))
        reach(peer, now: now)
    }

    /// Forgets a stream that waits for a connection, and its dial with it.
    private mutating func withdraw(
        _ peer: PeerID, _ local: UInt64, of service: Service, now: Instant
    ) {
        let waiter = waiting[peer]?.first { waiter in
            guard case .request(let number) = waiter, let request = requests[number] else {
                return false
            }
            return request.service == service && request.local == local
        }
        guard let waiter, case .request(let number) = waiter else { return }
        forget(number)
        waiting[peer]?.removeAll { $0 == waiter }
        stopWaiting(for: peer, now: now)
    }

    /// Opens a stream on a connection, if there is one that will do.
    mutating func place(_ number: UInt64, now: Instant) -> Bool {
        guard let request = requests[number],
            let entry = connections.best(to: request.peer, limited: limitedUse(of: request.service))
        else { return false }
        let isExchange = request.service == .exchange
        // Who is sought is sought by another way than the one on which nothing comes.
        if isExchange, entry.isSilent, exchange.misses(request.peer) { return false }
        requests[number]?.connection = entry.number
        requests[number]?.end = now + Self.openingTimeout
        timers.add(.request(number), at: now + Self.openingTimeout)
        if isExchange { timers.add(.opening(number), at: now + Self.checkingTime) }
        connections.use(entry.number, now: now)
        outputs.append(
            .open(connection: entry.number, request.protocols, request: number))
        return true
    }

    private func limitedUse(of service: Service) -> LimitedUse {
        guard service == .exchange else { return service.limitedUse }
        return limits.blocks.limitedConnections == .used ? .allowed : .refused
    }

    /// Tells a machine that it does not get a stream.
    mutating func refuse(_ number: UInt64, _ fault: StreamFault, now: Instant) {
        guard let request = requests[number] else { return }
        forget(number)
        if request.connection == nil {
            waiting[request.peer]?.removeAll { $0 == .request(number) }
            stopWaiting(for: request.peer, now: now)
        }
        deliver(.refused(request: request.local, fault), to: request.service, now: now)
    }

    private mutating func forget(_ number: UInt64) {
        guard let request = requests.removeValue(forKey: number) else { return }
        let rest = (requestCounts[request.peer] ?? 1) - 1
        requestCounts[request.peer] = rest > 0 ? rest : nil
        if request.service == .identify { introductionCount -= 1 }
    }

    mutating func expire(request number: UInt64, now: Instant) {
        // A timer of the time before it had a connection may still come.
        guard let request = requests[number], request.end <= now else { return }
        if let connection = request.connection {
            connections.suspect(connection)
        }
        refuse(number, .timedOut, now: now)
    }

    /// A stream of the exchange is not open yet.
    mutating func checkOpening(of number: UInt64) {
        guard let connection = requests[number]?.connection else { return }
        outputs.append(.check(connection: connection))
    }

    /// Takes a stream that does not open off its connection, and lets it wait for another.
    mutating func displace(_ number: UInt64, now: Instant) {
        guard let request = requests[number] else { return }
        requests[number]?.connection = nil
        if place(number, now: now) { return }
        requests[number]?.end = now + Self.reachingTimeout
        timers.add(.request(number), at: now + Self.reachingTimeout)
        waiting[request.peer, default: []].append(.request(number))
        reach(request.peer, now: now)
    }

    /// A connection is gone, and its streams with it.
    mutating func loseStreams(on connection: UInt64, now: Instant) {
        for stream in streams.streams(on: connection) {
            guard let entry = streams[stream] else { continue }
            removeStream(stream, now: now)
            deliver(.reset(stream), to: entry.service, now: now)
        }
        let orphans = requests.filter { $0.value.connection == connection }.map { $0.key }
        for number in orphans.sorted() {
            requests[number]?.connection = nil
            if !place(number, now: now) { refuse(number, .disconnected, now: now) }
        }
    }

    mutating func removeStream(_ stream: StreamID, now: Instant) {
        guard let entry = streams.remove(stream) else { return }
        connections.countStreams(-1, on: stream.connection)
        guard entry.service == .exchange else { return }
        let lost = transmits.filter { $0.value == stream }.map { $0.key }
        for number in lost.sorted() {
            transmits[number] = nil
            exchange.unsent(number, now: now)
        }
    }
}
