import Connections
import Exchange
import IPLD
import Multiformats
import Peering
import Wire

extension ContentPeer {
    // MARK: Streams

    func carryOut(_ order: StreamOrder, of machine: Machine, now: Instant) {
        switch order {
        case .open(let peer, let names, let number):
            open(peer, names, for: machine, number, now: now)
        case .withdraw: break
        case .send(let id, let bytes):
            guard let channel = channels[UInt32(id.connection)] else { return }
            channel.send(bytes, on: id.stream)
            pump(id.stream, of: channel, now: now)
        case .finish(let id): finish(id, now: now)
        case .reset(let id): reset(id, now: now)
        }
    }

    private func open(
        _ peer: PeerID, _ names: [ProtocolName], for machine: Machine, _ number: UInt64,
        now: Instant
    ) {
        let request = makeRequest(machine, number)
        let way = machine == .signaling ? circuit(to: peer) : channel(to: peer)
        guard let channel = way else {
            if machine == .exchange, wait(request, names, for: peer, now: now) { return }
            return refused(request, .unreachable, now: now)
        }
        guard let stream = channel.open(names, now: now) else {
            return refused(request, .overLimit, now: now)
        }
        channel.opening[stream] = request
    }

    func opened(_ request: UInt64, _ id: StreamID, _ name: ProtocolName, now: Instant) {
        guard let (machine, number) = requests.removeValue(forKey: request) else { return }
        tell(machine, .opened(request: number, id, name), now: now)
    }

    func refused(_ request: UInt64, _ fault: StreamFault, now: Instant) {
        guard let (machine, number) = requests.removeValue(forKey: request) else { return }
        tell(machine, .refused(request: number, fault), now: now)
    }

    func tell(_ machine: Machine, _ event: StreamEvent, now: Instant) {
        switch machine {
        case .exchange: exchange.receive(event, now: now)
        case .identify: identify.receive(event, now: now)
        case .ping: ping.receive(event, now: now)
        case .page: tell(.page(.stream(event)))
        case .meeting, .relays, .signaling:
            if let visitors { visitors.receive(event, for: machine, now: now) }
        case .names: names?.fetch.receive(event, now: now)
        }
    }

    private func finish(_ id: StreamID, now: Instant) {
        guard let channel = channels[UInt32(id.connection)] else { return }
        channel.streams[id.stream]?.outgoing.append(.finish)
        pump(id.stream, of: channel, now: now)
    }

    func reset(_ id: StreamID, now: Instant) {
        guard let channel = channels[UInt32(id.connection)],
            let state = channel.streams.removeValue(forKey: id.stream)
        else { return }
        channel.reset(id.stream)
        for case .end(let number) in state.outgoing { exchange.unsent(number, now: now) }
    }

    func pump(_ stream: UInt32, of channel: PageChannel, now: Instant) {
        for number in channel.pump(stream) { exchange.sent(number, now: now) }
        channel.forgetIfOver(stream)
        guard let state = channel.streams[stream], state.waiting > PageChannel.maxWaiting else {
            return
        }
        channel.reset(stream)
        tell(.reset(channel.id(of: stream)), of: stream, channel, now: now)
        channel.streams[stream] = nil
    }

    // MARK: The exchange

    func carryOut(_ order: BlockExchange.Order, now: Instant) {
        switch order {
        case .open(let peer, let names, let number):
            open(peer, names, for: .exchange, number, now: now)
        case .send(let id, let message, let number): send(message, number, on: id, now: now)
        case .ask(let id, let command):
            guard let channel = channels[UInt32(id.connection)],
                let stream = channel.streams[id.stream]
            else { return }
            stream.intake?.note(command)
            channel.send(command.encoded, on: id.stream)
            pump(id.stream, of: channel, now: now)
        case .finish(let id): finish(id, now: now)
        case .reset(let id): reset(id, now: now)
        case .lookUp(let lookUp):
            let counts = lookUp.cids.map { isServing ? cache.byteCount(of: $0.hash) : nil }
            exchange.lookedUp(lookUp, byteCounts: counts, now: now)
        case .load(let load):
            exchange.loaded(load, isServing ? cache.bytes(of: load.cid.hash) : nil)
        }
    }

    private func send(
        _ message: OutgoingMessage, _ number: UInt64, on id: StreamID, now: Instant
    ) {
        guard let channel = channels[UInt32(id.connection)],
            let stream = channel.streams[id.stream]
        else { return exchange.unsent(number, now: now) }
        var prefix: [UInt8] = []
        prefix.appendVarint(UInt64(message.byteCount))
        var pieces = [prefix]
        var given = 0
        for piece in message.pieces {
            switch piece {
            case .bytes(let bytes): pieces.append(bytes)
            case .block(let cid, let count):
                guard isServing, let block = cache.bytes(of: cid.hash), block.count == count
                else {
                    return exchange.unsent(number, now: now)
                }
                given += count
                pieces.append(block)
            }
        }
        tellGift(of: given, on: channel)
        for piece in pieces { channel.append(piece, to: id.stream) }
        stream.outgoing.append(.end(number: number))
        pump(id.stream, of: channel, now: now)
    }

    func take(_ event: BlockExchange.Event, now: Instant) {
        switch event {
        case .blocks(let blocks, let peer, let sessions):
            for block in blocks { keep(block, now: now) }
            tellArrival(of: blocks, from: peer, in: sessions.first)
            for session in sessions { arrived(blocks, in: session, now: now) }
        case .streamed(let session, let blocks, let peer):
            for block in blocks { keep(block, now: now) }
            tellArrival(of: blocks, from: peer, in: session)
            arrived(blocks, in: session, now: now)
        case .streamOver: break
        case .failed(let session, let cid, let failure):
            failed(cid, failure, in: session, now: now)
        case .discover(let session, let cid):
            if look(for: cid.hash, session, now: now) { return }
            searching.append(session)
            endSearch(now: now)
        case .overdue(_, let stream):
            channels[UInt32(stream.connection)]?.check(now: now)
        case .violation(let peer, _):
            while let channel = channel(to: peer) {
                if channel.isVisitor { visitors?.note(liar: peer) }
                channel.close()
                end(channel, because: "the peer broke the rules", now: now)
            }
        case .news(let session, let peer, let news):
            guard let reading = reading(of: session) else { return }
            tell(.news(reading, peer, news))
        }
    }

    /// A page looks for providers among the peers that it is told of and the other pages that they
    /// know of, and no further.
    func endSearch(now: Instant) {
        guard dialling == 0 else { return }
        for session in searching { exchange.discovered(session, now: now) }
        searching = []
    }

    /// So many peers are being dialled.
    func isDialling(_ count: Int, now: Instant) {
        dialling = count
        endSearch(now: now)
        settle(now: now)
    }

    /// Keeps a block that the page has made and that has been checked. Peers who know of it, as of
    /// the record of an answer, ask for it a little later: new content does not drive out the
    /// newest of these.
    func keep(_ cid: CID, _ bytes: [UInt8]) {
        if cache.pin(cid.hash, bytes) {
            if made.isFull { letGo() }
            // There is room, as was just seen to.
            _ = made.append((cid.hash, bytes.count))
            madeBytes += bytes.count
            while madeBytes > cache.limit / Self.madeShare { letGo() }
        }
        if isServing { exchange.stored(cid.hash, byteCount: bytes.count) }
    }

    private func letGo() {
        guard let (hash, count) = made.popFirst() else { return }
        madeBytes -= count
        cache.unpin(hash)
    }

    private func keep(_ block: ReceivedBlock, now: Instant) {
        traffic.fetched += UInt64(block.bytes.count)
        cache.insert(block.cid.hash, block.bytes)
        DiskBlocks.insert(block.cid.hash, block.bytes)
        guard exchange.isAwaited, isServing else { return }
        exchange.stored(block.cid.hash, byteCount: block.bytes.count)
    }
}
