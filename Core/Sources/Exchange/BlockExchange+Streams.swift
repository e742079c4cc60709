// What happens on streams, and what is said on them.

import IPLD
public import Multiformats
public import Wire

extension BlockExchange {
    /// Something happened to a stream. Its messages go through an ``ExchangeIntake``, and what that
    /// makes of them to ``receive(_:on:now:)``.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, let name):
            opened(request, stream, name, now: now)
        case .refused(let request, let fault):
            guard let (id, purpose) = opening.removeValue(forKey: request) else { return }
            if purpose == .asking { tell(.unreachable(fault), of: id) }
            lost(purpose, to: id, fault, now: now)
        case .accepted(let stream, let peer, let name): accepted(stream, peer, name)
        case .message: break
        case .finished(let stream): finished(stream, now: now)
        case .reset(let stream): ended(stream, now: now)
        }
    }

    /// A message came that has been read and whose blocks have been hashed.
    public mutating func receive(
        _ message: ReceivedExchange, on stream: StreamID, now: Instant
    ) {
        guard let id = peerOfStream[stream] else { return }
        restless.append(id)
        switch message {
        case .bitswap(let message): receive(message, from: id, now: now)
        case .answers(let outcomes): take(outcomes, from: id, now: now)
        case .commands(let commands): receive(commands, on: stream, now: now)
        }
    }

    // What pages that read from nodes of this exchange do without is not inlined.

    @inline(never)
    private mutating func receive(
        _ message: ReceivedBitswapMessage, from id: PeerID, now: Instant
    ) {
        server.receive(message.lists, from: id, now: now)
        take(peers[id]?.asks.receive(message, now: now) ?? [], from: id, now: now)
        watch(id)
    }

    @inline(never)
    private mutating func receive(
        _ commands: [WeftCommand], on stream: StreamID, now: Instant
    ) {
        do throws(DecodeError) {
            try weftServer.receive(commands, on: stream)
        } catch {
            malformed(error, on: stream, now: now)
        }
    }

    /// A message came that could not be decoded: its stream ends, and the peer is asked for
    /// nothing more.
    public mutating func malformed(_ error: DecodeError, on stream: StreamID, now: Instant) {
        guard let id = peerOfStream[stream] else { return }
        distrust(id, .malformed(error), now: now)
        emit(.reset(stream))
        ended(stream, now: now)
    }

    /// A message has left.
    @inline(never)
    public mutating func sent(_ number: UInt64, now: Instant) {
        switch sending.removeValue(forKey: number) {
        case .asks(let id, let stream):
            guard case .open(stream, _) = peers[id]?.link else { return }
            peers[id]?.asks.sent(now: now)
            watch(id)
            restless.append(id)
        case .answer(_, let transmit): server.sent(transmit)
        case .weftAnswer(let stream, let transmit):
            weftServer.sent(transmit)
            if let id = peerOfStream[stream] { endAnswered(of: id, now: now) }
        case nil: break
        }
    }

    /// A message could not be sent: its stream broke, or a block in it is gone from the store.
    @inline(never)
    public mutating func unsent(_ number: UInt64, now: Instant) {
        switch sending.removeValue(forKey: number) {
        case .asks: break
        case .answer(let id, let transmit):
            server.failed(transmit, now: now)
            restless.append(id)
        case .weftAnswer(let stream, let transmit):
            // The reader counts what comes, so that nothing may be left out.
            weftServer.failed(transmit)
            emit(.reset(stream))
            ended(stream, now: now)
        case nil: break
        }
    }

    // MARK: Streams

    private mutating func opened(
        _ request: UInt64, _ stream: StreamID, _ name: ProtocolName, now: Instant
    ) {
        let version = BitswapVersion(name)
        guard let (id, purpose) = opening.removeValue(forKey: request),
            version != nil || (name == WeftLimits.protocolName && purpose == .asking)
        else {
            emit(.reset(stream))
            return
        }
        peerOfStream[stream] = id
        restless.append(id)
        if let version { server.opened(id, version, now: now) }
        let link = Link.open(stream, version.map { .bitswap($0) } ?? .weft)
        guard purpose == .asking else {
            peers[id]?.answerLink = link
            return
        }
        peers[id]?.link = link
        let source = table.addSource(
            WantTable.Abilities(
                probing: version ?? .v1_2_0 >= .v1_2_0 ? .answersHave : .none,
                streaming: version == nil ? .wholes : .none,
                requests: version == nil ? WeftLimits.maxListed : BitswapLimits.maxWants / 2),
            now: now)
        peers[id]?.source = source
        peers[id]?.isMissed = false
        peerOfSource[source] = id
        for offer in peers[id]?.offers ?? [] {
            table.join(source, in: offer.session, as: offer.standing)
        }
        countProspects(of: (peers[id]?.offers ?? []).map { $0.session })
    }

    private mutating func accepted(_ stream: StreamID, _ id: PeerID, _ name: ProtocolName) {
        addPeer(id)
        peers[id]?.isConnected = true
        let isWeft = name == WeftLimits.protocolName
        guard isWeft || BitswapVersion(name) != nil, let peer = peers[id], mayUse(peer),
            peer.accepted.count < limits.streamsPerPeer
        else {
            emit(.reset(stream))
            return
        }
        peers[id]?.accepted.append(stream)
        // Whoever can reach us can probably be reached.
        peers[id]?.attempts = 0
        peerOfStream[stream] = id
        if isWeft { weftServer.opened(stream, by: id) }
    }

    /// A peer will say no more on a stream. What it asked for on it is still answered, and what it
    /// is told in bitswap needs no answer there.
    private mutating func finished(_ stream: StreamID, now: Instant) {
        guard let id = peerOfStream[stream], let peer = peers[id] else { return }
        for link in [peer.link, peer.answerLink] {
            if case .open(stream, .bitswap) = link { return }
        }
        if weftServer.isBusy(stream) {
            peers[id]?.halfClosed.append(stream)
            return
        }
        emit(.finish(stream))
        ended(stream, now: now)
    }

    /// Ends streams of a peer that asks no more on them and has been answered.
    mutating func endAnswered(of id: PeerID, now: Instant) {
        for stream in peers[id]?.halfClosed ?? []
        where !weftServer.isBusy(stream) {
            emit(.finish(stream))
            ended(stream, now: now)
        }
    }

    mutating func ended(_ stream: StreamID, now: Instant) {
        guard let id = peerOfStream.removeValue(forKey: stream) else { return }
        if case .open(stream, _) = peers[id]?.link {
            // Why it ended has been told, if this side had a reason.
            if peers[id]?.hasLied == false { tell(.unreachable(.disconnected), of: id) }
            lost(.asking, to: id, .disconnected, now: now)
        } else if case .open(stream, _) = peers[id]?.answerLink {
            lost(.answering, to: id, .disconnected, now: now)
        } else {
            peers[id]?.accepted.removeAll { $0 == stream }
            peers[id]?.halfClosed.removeAll { $0 == stream }
            weftServer.closed(stream)
        }
    }

    /// There is no stream to a peer; what it was asked for is asked of others.
    private mutating func lost(
        _ purpose: Purpose, to id: PeerID, _ fault: StreamFault, now: Instant
    ) {
        guard let peer = peers[id] else { return }
        peers[id]?.attempts += 1
        // A quarter of a second, then twice as long each time.
        var wait = Duration.milliseconds(250) * (1 << min(peer.attempts, 8))
        if peer.isMissed { wait = peer.attempts == 0 ? .zero : min(wait, limits.seekingPause) }
        let mayRetry =
            (peer.isMissed || peer.attempts + 1 < limits.attempts) && fault != .unsupported
        let next = mayRetry ? Link.waiting(until: now + wait) : .none
        watch(id)
        guard purpose == .asking else {
            server.closed(id)
            peers[id]?.answerLink = next
            return
        }
        if let source = peer.source {
            peerOfSource[source] = nil
            table.removeSource(source, now: now)
        }
        if case .open(_, .bitswap) = peer.link { server.closed(id) }
        peers[id]?.source = nil
        peers[id]?.asks = BitswapAsks()
        peers[id]?.weftAsks = WeftAsks()
        peers[id]?.link = next
        if !mayRetry { peers[id]?.offers = [] }
        // What it has brought is remembered in its name.
        if peer.hasBrought {
            for index in peers[id]?.offers.indices ?? 0..<0 {
                peers[id]?.offers[index].standing = .provider
            }
        }
        countProspects(of: peer.offers.map { $0.session })
        forgetIfIdle(id, now: now)
    }

    // MARK: Work

    /// Turns what is planned into orders.
    mutating func work(now: Instant) {
        while let action = table.nextAction(now: now) { carryOut(action, now: now) }
        while let lookUp = server.nextLookUp() {
            let number = makeNumber()
            questions[number] = .bitswap(lookUp)
            emit(.lookUp(LookUp(id: number, peer: lookUp.peer, cids: lookUp.cids)))
        }
        while let lookUp = weftServer.nextLookUp() {
            let number = makeNumber()
            questions[number] = .weft(lookUp.id)
            emit(.lookUp(LookUp(id: number, peer: lookUp.peer, cids: lookUp.cids)))
        }
        while let load = weftServer.nextLoad() {
            let number = makeNumber()
            questions[number] = .weft(load.id)
            emit(.load(Load(id: number, peer: load.peer, cid: load.cid)))
        }
        let waiting = restless
        restless = []
        for id in waiting { attend(to: id, now: now) }
        sendAnswers(now: now)
    }

    private mutating func sendAnswers(now: Instant) {
        while orders.count < orders.limit / 2, let transmit = server.nextTransmit() {
            guard let stream = answerStream(to: transmit.peer) else {
                server.failed(transmit.id, now: now)
                continue
            }
            let number = makeNumber()
            sending[number] = .answer(transmit.peer, transmit.id)
            emit(.send(stream, transmit.message, id: number))
        }
        while orders.count < orders.limit / 2, let transmit = weftServer.nextTransmit() {
            let number = makeNumber()
            sending[number] = .weftAnswer(transmit.stream, transmit.id)
            emit(.send(transmit.stream, transmit.message, id: number))
        }
    }

    private func answerStream(to id: PeerID) -> StreamID? {
        if case .open(let stream, .bitswap) = peers[id]?.link { return stream }
        if case .open(let stream, .bitswap) = peers[id]?.answerLink { return stream }
        return nil
    }

    private mutating func carryOut(_ action: WantTable.Action, now: Instant) {
        switch action {
        case .probe(let source, let cid): ask(source, cid, .have, now: now)
        case .request(let source, let cid): ask(source, cid, .block, now: now)
        case .cancel(let source, let cid):
            guard let id = peerOfSource[source] else { return }
            peers[id]?.asks.cancel(cid)
            peers[id]?.weftAsks.cancel(cid)
            restless.append(id)
        case .check(let source):
            guard let id = peerOfSource[source], case .open(let stream, _) = peers[id]?.link
            else { return }
            tell(.overdue(id, stream))
        case .stream, .cancelStream, .abandonStream, .streamOver: carryOut(stream: action)
        case .discover(let session, let cid): tell(.discover(session, cid))
        case .fail(let session, let cid, let failure): tell(.failed(session, cid, failure))
        }
    }

    /// What the table wants of wholes, for which pages do not ask.
    @inline(never)
    private mutating func carryOut(stream action: WantTable.Action) {
        switch action {
        case .stream(let source, let session):
            let room = table.streamRoom(of: session)
            guard let id = peerOfSource[source], let dag = dags[session],
                let command = peers[id]?.weftAsks.stream(dag, room: room, for: session)
            else { return }
            noteAsked(id, dag.root)
            ask(id, command)
        case .cancelStream(let source, let session):
            guard let id = peerOfSource[source],
                let command = peers[id]?.weftAsks.cancelStream(for: session)
            else { return }
            ask(id, command)
        case .abandonStream(let source, let session):
            guard let id = peerOfSource[source],
                let command = peers[id]?.weftAsks.abandonStream(for: session)
            else { return }
            ask(id, command)
        case .streamOver(let session):
            dags[session] = nil
            tell(.streamOver(session))
        default: break
        }
    }

    private mutating func ask(
        _ source: WantTable.SourceID, _ cid: CID, _ kind: BitswapMessage.Want.Kind, now: Instant
    ) {
        guard let id = peerOfSource[source], case .open(_, let speech) = peers[id]?.link else {
            return
        }
        restless.append(id)
        noteAsked(id, cid)
        switch speech {
        case .weft where kind == .have: peers[id]?.weftAsks.askWhether(cid)
        case .weft: peers[id]?.weftAsks.ask(cid)
        case .bitswap(let version):
            guard BitswapMessage.canName(cid, version) else {
                table.lacks(cid.hash, source, .answer, now: now)
                return
            }
            peers[id]?.asks.ask(cid, kind, priority: table.priority(of: cid.hash))
        }
    }

    /// Tells who reads that a peer is asked, once for each of the sessions.
    private mutating func noteAsked(_ id: PeerID, _ cid: CID) {
        for session in table.wants[cid.hash]?.sessions ?? [] {
            guard let index = peers[id]?.offers.firstIndex(where: { $0.session == session }),
                peers[id]?.offers[index].isAsked == false
            else { continue }
            peers[id]?.offers[index].isAsked = true
            tell(.news(session, id, .asked(cid)))
        }
    }

    /// Opens a stream to a peer if there is something to say, and says it.
    private mutating func attend(to id: PeerID, now: Instant) {
        guard let peer = peers[id] else { return }
        switch peer.link {
        case .none:
            let names = [WeftLimits.protocolName] + BitswapVersion.protocolNames
            if !peer.offers.isEmpty {
                guard !peer.isMissed || peer.offers.contains(where: { table.wantsMore($0.session) })
                else {
                    // Until somebody reads on.
                    peers[id]?.link = .waiting(until: now + limits.seekingPause)
                    return watch(id)
                }
                open(.asking, to: id, names)
            } else if server.hasAnswers(for: id) {
                open(.asking, to: id, BitswapVersion.protocolNames)
            }
        case .open(let stream, .bitswap(let version)):
            sendAsks(to: id, on: stream, version)
        case .open(_, .weft):
            while let command = peers[id]?.weftAsks.nextCommand() { ask(id, command) }
            if case .none = peer.answerLink, server.hasAnswers(for: id) {
                open(.answering, to: id, BitswapVersion.protocolNames)
            }
        case .waiting, .opening: break
        }
    }

    @inline(never)
    private mutating func sendAsks(
        to id: PeerID, on stream: StreamID, _ version: BitswapVersion
    ) {
        guard let message = peers[id]?.asks.nextMessage(version) else { return }
        let number = makeNumber()
        sending[number] = .asks(id, stream)
        emit(.send(stream, OutgoingMessage(message.encoded(version)), id: number))
    }

    private mutating func open(_ purpose: Purpose, to id: PeerID, _ names: [ProtocolName]) {
        guard let peer = peers[id], mayUse(peer), peer.isMissed || peer.attempts < limits.attempts
        else { return }
        let request = makeNumber()
        switch purpose {
        case .asking: peers[id]?.link = .opening(request: request)
        case .answering: peers[id]?.answerLink = .opening(request: request)
        }
        opening[request] = (id, purpose)
        emit(.open(id, names, request: request))
    }

    // Not inlined, as are those below, for pages' sake: they are called in many places.
    @inline(never)
    mutating func emit(_ order: Order) {
        // `work` leaves room for what a single input can cause; what would not fit is the order to
        // end a stream that is of no use anyway.
        _ = orders.append(order)
    }

    @inline(never)
    mutating func tell(_ event: Event) {
        _ = events.append(event)
    }

    /// Tells all that a peer takes part in.
    @inline(never)
    mutating func tell(_ news: News, of id: PeerID) {
        for offer in peers[id]?.offers ?? [] { tell(.news(offer.session, id, news)) }
    }
}
