// What nodes want is done.

import Exchange
import IPLD
import Multiformats
import NodeCore
import Peering
import Wire

extension VirtualNetwork {
    /// How long a store takes to answer.
    private static let storeTime: Duration = .milliseconds(1)

    mutating func carryOut(_ output: NodeCore.Output, by host: Int) {
        switch output {
        case .dial(let attempt, let peer, let address, let timeout, let narrowest):
            if keepsNotes { hosts[host].dials.append((now, address, narrowest)) }
            hosts[host].running.insert(attempt)
            dial(from: host, attempt, peer, address, timeout)
        case .abandon(let attempt): hosts[host].running.remove(attempt)
        case .close(let connection, let reason):
            noteClosing(connection, reason, by: host)
            hangUp(connection)
        case .check(let connection): check(connection, for: host)
        case .open(let connection, let names, let request):
            guard let at = passage(from: connection, bytes: 64) else { return }
            events.add(
                .openStream(connection: connection ^ 1, names, request: request), at: at)
        case .send(let stream, let bytes): send(bytes, on: stream)
        case .transmit(let stream, let message, let number):
            guard let bytes = assemble(message, of: host) else {
                events.add(.input(host, .unsent(number)), at: now)
                return
            }
            send(bytes, on: stream)
            events.add(
                .input(host, .sent(number)), at: max(now + Self.storeTime, hosts[host].freeUp))
        case .ask(let stream, let command):
            intakes[stream]?.note(command)
            send(command.encoded, on: stream)
        case .finish(let stream): tell(.finished(Self.far(stream)), from: stream)
        case .reset(let stream):
            intakes[stream] = nil
            lines[stream.connection >> 1]?.lying.remove(stream.stream)
            tell(.reset(Self.far(stream)), from: stream)
        case .lookUp(let lookUp):
            let counts = lookUp.cids.map { hosts[host].store[$0.hash]?.count }
            events.add(.input(host, .lookedUp(lookUp, counts)), at: now + Self.storeTime)
        case .load(let load):
            let bytes = hosts[host].store[load.cid.hash]
            events.add(.input(host, .loaded(load, bytes)), at: now + Self.storeTime)
        case .blocks(let blocks, _, _), .streamed(_, let blocks, _):
            for block in blocks { keep(block, by: host) }
        case .streamOver(let session): hosts[host].streamsOver.append(session)
        case .news(_, let news): if keepsNotes { hosts[host].news.append(news) }
        case .reach(let order): carryOut(order, by: host)
        case .call(let order): carryOut(order, by: host)
        case .keys(let name, let request, let from, let through, let limit):
            let keys = hosts[host].store.map { (place: KadID(of: $0.key.bytes), hash: $0.key) }
                .filter { $0.place >= from && $0.place <= through }
                .sorted { $0.place < $1.place }
            let share = keys.prefix(limit).map { $0.hash }
            events.add(
                .input(host, .keys(of: name, request: request, share)), at: now + Self.storeTime)
        case .missing(_, _, let failure): hosts[host].missing.append(failure)
        case .answer(let id, let answer):
            hosts[host].answers[id, default: []].append(answer)
            if hosts[host].answeredAt[id] == nil { hosts[host].answeredAt[id] = now }
        // The answer has the best of them.
        case .value: break
        case .found(let id, let peer): hosts[host].found[id, default: []].append(peer)
        case .lookUpRecord(let number, let name):
            events.add(.input(host, .record(number, hosts[host].records[name])), at: now)
        case .message(let message, _, let subscriptions):
            hosts[host].received.append((message, subscriptions))
        case .validate(let id, let message, _, _):
            let verdict = hosts[host].judges?(message) ?? .accept
            order(host, .pubSub(.judge(id, verdict)))
        case .note(let note): if keepsNotes { hosts[host].notes.append(note) }
        }
    }

    private mutating func noteClosing(
        _ connection: UInt64, _ reason: NodeCore.CloseReason, by host: Int
    ) {
        guard keepsNotes, let peer = hosts[host].open[connection] else { return }
        hosts[host].closings.append((peer, reason))
    }

    private mutating func keep(_ block: ReceivedBlock, by host: Int) {
        let hash = block.cid.hash
        hosts[host].blocks[hash] = Array(block.bytes)
        hosts[host].store[hash] = Array(block.bytes)
        events.add(.input(host, .stored(hash, byteCount: block.bytes.count)), at: now)
    }

    /// The bytes of a message; nil if the store does not have what is in it.
    private func assemble(_ message: OutgoingMessage, of host: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        for piece in message.pieces {
            switch piece {
            case .bytes(let part): bytes += part
            case .block(let cid, let count):
                guard let block = hosts[host].store[cid.hash], block.count == count else {
                    return nil
                }
                bytes += block
            }
        }
        return bytes
    }

    mutating func send(_ bytes: [UInt8], on stream: StreamID) {
        guard lines[stream.connection >> 1] != nil else { return }
        counts.messages += 1
        counts.bytes += UInt64(bytes.count)
        if random.chance(conditions.breakage) {
            breakLine(of: stream.connection)
            return
        }
        guard let at = passage(from: stream.connection, bytes: bytes.count) else { return }
        events.add(.message(Self.far(stream), bytes), at: at)
    }

    private mutating func tell(_ event: StreamEvent, from stream: StreamID) {
        guard let at = passage(from: stream.connection, bytes: 12) else { return }
        events.add(.arrival(connection: stream.connection ^ 1, .stream(event)), at: at)
    }

    mutating func openStream(
        _ connection: UInt64, _ names: [ProtocolName], _ request: UInt64
    ) {
        guard let line = lines[connection >> 1] else { return }
        let host = line.host(at: connection)
        guard hosts[host].isAlive else { return }
        guard let back = passage(from: connection, bytes: 64) else { return }
        guard let name = Self.choice(of: names, by: &hosts[host].node) else {
            events.add(
                .arrival(
                    connection: connection ^ 1,
                    .stream(.refused(request: request, .unsupported))), at: back)
            return
        }
        let stream = StreamID(connection: connection, stream: line.nextStream)
        lines[connection >> 1]?.nextStream += 1
        let far = Self.far(stream)
        if let intake = ExchangeIntake(name, openedBy: .them) { intakes[stream] = intake }
        if let intake = ExchangeIntake(name, openedBy: .us) { intakes[far] = intake }
        if hosts[host].lie != nil, name == PeerProtocols.kad || name == PeerProtocols.lanKad {
            lines[connection >> 1]?.lying.insert(stream.stream)
        }
        events.add(
            .arrival(connection: connection ^ 1, .stream(.opened(request: request, far, name))),
            at: back)
        let opener = id(line.host(at: connection ^ 1))
        inject(host, .stream(.accepted(stream, opener, name)))
    }

    /// The first of these protocols that a node speaks.
    private static func choice(
        of names: [ProtocolName], by node: inout NodeCore
    ) -> ProtocolName? {
        names.first { node.accepts($0) }
    }

    static func far(_ stream: StreamID) -> StreamID {
        StreamID(connection: stream.connection ^ 1, stream: stream.stream)
    }
}
