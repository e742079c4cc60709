// What happens on streams, and what is said on them.

public import Multiformats
public import Wire

extension BlockExchange {
    /// Something happened to a stream. Messages are hashed here; a driver that hashes them on the
    /// connection's event loop calls ``receive(_:on:now:)`` instead.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, let name):
            opened(request, stream, name, now: now)
        case .refused(let request, _):
            guard let id = opening.removeValue(forKey: request) else { return }
            lostLink(to: id, now: now)
        case .accepted(let stream, let peer, let name): accepted(stream, peer, name)
        case .message(let stream, let bytes):
            do throws(DecodeError) {
                receive(try ReceivedBitswapMessage(verifying: bytes), on: stream, now: now)
            } catch {
                malformed(error, on: stream, now: now)
            }
        case .finished(let stream), .reset(let stream): ended(stream, now: now)
        }
    }

    /// A bitswap message came whose blocks have been hashed.
    public mutating func receive(
        _ message: ReceivedBitswapMessage, on stream: StreamID, now: Instant
    ) {
        guard let id = peerOfStream[stream] else { return }
        server.receive(message.lists, from: id, now: now)
        restless.append(id)
        let outcomes = peers[id]?.asks.receive(message, now: now) ?? []
        take(outcomes, from: id, now: now)
    }

    /// A message came that could not be decoded: its stream ends, and the peer is asked for
    /// nothing more.
    public mutating func malformed(_ error: DecodeError, on stream: StreamID, now: Instant) {
        guard let id = peerOfStream[stream] else { return }
        emit(.reset(stream))
        ended(stream, now: now)
        distrust(id, .malformed(error), now: now)
    }

    /// A message has left.
    public mutating func sent(_ number: UInt64, now: Instant) {
        switch sending.removeValue(forKey: number) {
        case .asks(let id, let stream):
            guard case .open(stream, _) = peers[id]?.link else { return }
            peers[id]?.asks.sent(now: now)
            restless.append(id)
        case .answer(_, let transmit): server.sent(transmit)
        case nil: break
        }
    }

    /// A message could not be sent: its stream broke, or a block in it is gone from the store.
    public mutating func unsent(_ number: UInt64, now: Instant) {
        switch sending.removeValue(forKey: number) {
        case .asks: break
        case .answer(let id, let transmit):
            server.failed(transmit, now: now)
            restless.append(id)
        case nil: break
        }
    }

    // MARK: Streams

    private mutating func opened(
        _ request: UInt64, _ stream: StreamID, _ name: ProtocolName, now: Instant
    ) {
        guard let id = opening.removeValue(forKey: request), let version = BitswapVersion(name)
        else {
            emit(.reset(stream))
            return
        }
        peers[id]?.link = .open(stream, version)
        peers[id]?.asks = BitswapAsks()
        peerOfStream[stream] = id
        server.opened(id, version, now: now)
        restless.append(id)
        let source = table.addSource(
            WantTable.Abilities(
                probing: version >= .v1_2_0 ? .answersHave : .none, streaming: .none,
                requests: BitswapLimits.maxWants / 2), now: now)
        peers[id]?.source = source
        peerOfSource[source] = id
        for offer in peers[id]?.offers ?? [] {
            table.join(source, in: offer.session, as: offer.standing)
        }
        countProspects(of: (peers[id]?.offers ?? []).map { $0.session })
    }

    private mutating func accepted(_ stream: StreamID, _ id: PeerID, _ name: ProtocolName) {
        addPeer(id, .direct)
        guard BitswapVersion(name) != nil, let peer = peers[id], mayUse(peer),
            peer.accepted.count < limits.streamsPerPeer
        else {
            emit(.reset(stream))
            return
        }
        peers[id]?.accepted.append(stream)
        // Whoever can reach us can probably be reached.
        peers[id]?.attempts = 0
        peerOfStream[stream] = id
    }

    private mutating func ended(_ stream: StreamID, now: Instant) {
        guard let id = peerOfStream[stream] else { return }
        if case .open(stream, _) = peers[id]?.link {
            peerOfStream[stream] = nil
            lostLink(to: id, now: now)
        } else {
            peerOfStream[stream] = nil
            peers[id]?.accepted.removeAll { $0 == stream }
        }
    }

    /// There is no stream to a peer; what it was asked for is asked of others.
    private mutating func lostLink(to id: PeerID, now: Instant) {
        guard let peer = peers[id] else { return }
        if let source = peer.source {
            peerOfSource[source] = nil
            table.removeSource(source, now: now)
        }
        peers[id]?.source = nil
        peers[id]?.asks = BitswapAsks()
        server.closed(id)
        peers[id]?.attempts += 1
        if peer.attempts + 1 < limits.attempts {
            // A quarter of a second, then twice as long each time.
            peers[id]?.link = .waiting(until: now + .milliseconds(250) * (1 << peer.attempts))
        } else {
            peers[id]?.link = .none
            peers[id]?.offers = []
        }
        countProspects(of: peer.offers.map { $0.session })
    }

    // MARK: Answers

    mutating func take(_ outcomes: [BitswapAsks.Outcome], from id: PeerID, now: Instant) {
        guard let source = peers[id]?.source else { return }
        for outcome in outcomes {
            switch outcome {
            case .has(let hash): table.has(hash, source, now: now)
            case .lacks(let hash, let evidence):
                table.lacks(hash, source, evidence, now: now)
            case .block(let cid, let bytes):
                peers[id]?.attempts = 0
                let arrival = table.arrived(
                    cid.hash, byteCount: bytes.count, from: source, now: now)
                if case .wanted(let sessions) = arrival {
                    tell(.block(cid, bytes, from: id, sessions: sessions))
                }
            case .unasked(let cid):
                distrust(id, .unaskedBlock(cid), now: now)
                return
            }
        }
    }

    /// Asks a peer for nothing more.
    private mutating func distrust(_ id: PeerID, _ violation: Violation, now: Instant) {
        peers[id]?.hasLied = true
        if let source = peers[id]?.source { table.failed(source, .lied, now: now) }
        tell(.violation(id, violation))
    }

    // MARK: Work

    /// Turns what is planned into orders.
    mutating func work(now: Instant) {
        while let action = table.nextAction(now: now) { carryOut(action, now: now) }
        while let lookUp = server.nextLookUp() { emit(.lookUp(lookUp)) }
        let waiting = restless
        restless = []
        for id in waiting { attend(to: id, now: now) }
        while orders.count < orders.limit / 2, let transmit = server.nextTransmit() {
            guard case .open(let stream, _) = peers[transmit.peer]?.link else {
                server.failed(transmit.id, now: now)
                continue
            }
            let number = makeNumber()
            sending[number] = .answer(transmit.peer, transmit.id)
            emit(.send(stream, transmit.message, id: number))
        }
    }

    private mutating func carryOut(_ action: WantTable.Action, now: Instant) {
        switch action {
        case .probe(let source, let cid): ask(source, cid, .have, now: now)
        case .request(let source, let cid): ask(source, cid, .block, now: now)
        case .cancel(let source, let cid):
            guard let id = peerOfSource[source] else { return }
            peers[id]?.asks.cancel(cid)
            restless.append(id)
        case .stream, .cancelStream: break
        case .discover(let session, let cid): tell(.discover(session, cid))
        case .fail(let session, let cid, let failure): tell(.failed(session, cid, failure))
        }
    }

    private mutating func ask(
        _ source: WantTable.SourceID, _ cid: CID, _ kind: BitswapMessage.Want.Kind, now: Instant
    ) {
        guard let id = peerOfSource[source], case .open(_, let version) = peers[id]?.link else {
            return
        }
        guard BitswapMessage.canName(cid, version) else {
            table.lacks(cid.hash, source, .answer, now: now)
            return
        }
        peers[id]?.asks.ask(cid, kind, priority: table.priority(of: cid.hash))
        restless.append(id)
    }

    /// Opens a stream to a peer if there is something to say, and says it.
    private mutating func attend(to id: PeerID, now: Instant) {
        guard let peer = peers[id] else { return }
        switch peer.link {
        case .none:
            guard mayUse(peer), peer.attempts < limits.attempts,
                !peer.offers.isEmpty || server.hasAnswers(for: id)
            else {
                return
            }
            let request = makeNumber()
            peers[id]?.link = .opening(request: request)
            opening[request] = id
            emit(.open(id, BitswapVersion.protocolNames, request: request))
        case .open(let stream, let version):
            guard let message = peers[id]?.asks.nextMessage(version) else { return }
            let number = makeNumber()
            sending[number] = .asks(id, stream)
            emit(.send(stream, OutgoingMessage(message.encoded(version)), id: number))
        case .waiting, .opening: break
        }
    }

    mutating func emit(_ order: Order) {
        // `work` leaves room for what a single input can cause; what would not fit is the order to
        // end a stream that is of no use anyway.
        _ = orders.append(order)
    }

    private mutating func tell(_ event: Event) {
        _ = events.append(event)
    }
}
