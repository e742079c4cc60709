// The node of a town: pages meet at it, it relays between them, and it gives what blocks it has.

import Connections
import Cryptography
import Multiformats
import Peering
import Wire

@testable import BrowserCore
@testable import Exchange

/// A node with a connection to each page.
final class TownNode {
    private struct Request: Hashable {
        let stream: UInt32
        let id: UInt64
    }

    private final class Line {
        var connection: Connection
        var frames: [UInt32: FrameReader] = [:]
        /// What waits for room, by stream.
        var waiting: [UInt32: [ArraySlice<UInt8>]] = [:]
        var opening: [UInt32: UInt64] = [:]
        /// What is asked for and has not been given yet.
        var open: [Request: (cids: [CID], credit: Int)] = [:]

        init(_ connection: consuming Connection) { self.connection = consume connection }
    }

    let peer: PeerID
    /// What it has, how many blocks were asked of it, and how many of their bytes have left.
    var blocks: [Multihash: [UInt8]]
    private(set) var asked = 0
    private(set) var given: [Int: Int] = [:]
    /// How many hashes pages have asked about where they meet, and in how many messages.
    private(set) var questions = (hashes: 0, messages: 0)
    private var options: ConnectionOptions
    private var lines: [Int: Line] = [:]
    private var peers: [Int: PeerID] = [:]
    private var names: [StreamID: ProtocolName] = [:]
    private var place = MeetingPlace(seed: 1)
    private var relay: RelayServer

    init(blocks: [Multihash: [UInt8]], now: Instant) throws {
        self.blocks = blocks
        let key = try PrivateKey(ed25519Seed: Array(repeating: 9, count: 32))
        let identity = try NoiseIdentity(key, staticKey: Array(repeating: 7, count: 32))
        peer = identity.peer
        options = ConnectionOptions(
            identity: identity,
            protocols: [PeerProtocols.meeting, PeerProtocols.relayHop, WeftLimits.protocolName])
        var limits = RelayServer.Limits.usual
        limits.reservationsPerIP = 100
        relay = RelayServer(
            key: key, limits: limits,
            clock: WallClock(Timestamp(seconds: 1_700_000_000, nanoseconds: 0), at: now))
    }

    func accept(_ page: Int, secrets: ConnectionSecrets, now: Instant) throws {
        lines[page] = Line(
            try Connection(.listener, options: options, secrets: secrets, now: now))
    }

    var deadline: Instant? {
        lines.values.map { $0.connection.deadline }.reduce(relay.deadline) { $0.earlier($1) }
    }

    func advance(to now: Instant) {
        relay.advance(to: now)
        for line in lines.values { try? line.connection.advance(to: now) }
    }

    /// It is gone.
    func stop() { lines = [:] }

    func receive(_ bytes: [UInt8], from page: Int, now: Instant) {
        guard let line = lines[page] else { return }
        try? line.connection.receive(bytes.rawSpan, now: now)
        work(now: now)
    }

    /// Sends what there is for a page; answers whether that was anything.
    func carry(to page: Int, _ peer: ContentPeer, _ channel: UInt32, now: Instant) -> Bool {
        guard let line = lines[page] else {
            guard peer.channels[channel] != nil else { return false }
            peer.closed(channel, now: now)
            return true
        }
        var hasSent = false
        while line.connection.wantsToTransmit {
            let room = line.connection.transmitSize
            let bytes = [UInt8](capacity: room) { (output: inout OutputRawSpan) in
                line.connection.transmit(into: &output)
            }
            guard !bytes.isEmpty else { break }
            hasSent = true
            peer.receive(bytes.rawSpan, on: channel, now: now)
            work(now: now)
        }
        return hasSent
    }

    /// Does what the pages want, until they want nothing more.
    private func work(now: Instant) {
        var isBusy = true
        while isBusy {
            isBusy = false
            for (page, line) in lines.sorted(by: { $0.key < $1.key }) {
                while let event = line.connection.nextEvent() {
                    take(event, page, line, now: now)
                    isBusy = true
                }
            }
            while let order = place.nextTransmit() ?? relay.nextTransmit() {
                carryOut(order, now: now)
                isBusy = true
            }
        }
    }

    private func take(_ event: Connection.Event, _ page: Int, _ line: Line, now: Instant) {
        switch event {
        case .ready(let peer): peers[page] = peer
        case .accepted(let stream, let name), .opened(let stream, let name):
            let id = StreamID(connection: UInt64(page), stream: stream)
            names[id] = name
            if name == WeftLimits.protocolName {
                line.frames[stream] = FrameReader(limit: WeftLimits.maxRequestFrame)
            } else if case .messages(let limit)? = PeerProtocols.framing(of: name) {
                line.frames[stream] = FrameReader(limit: limit)
            }
            if let request = line.opening.removeValue(forKey: stream) {
                tell(.opened(request: request, id, name), name, page, now: now)
            } else if let peer = peers[page] {
                tell(.accepted(id, peer, name), name, page, now: now)
            }
        case .refused(let stream):
            guard let request = line.opening.removeValue(forKey: stream) else { return }
            relay.receive(.refused(request: request, .unsupported), remote: nil, now: now)
        case .data(let stream, let bytes):
            line.connection.consume(bytes.count, of: stream, now: now)
            receive(bytes, on: stream, page, line, now: now)
        case .finished(let stream): end(stream, page, now: now) { .finished($0) }
        case .reset(let stream): end(stream, page, now: now) { .reset($0) }
        case .room(let stream): pump(stream, page, line)
        default: break
        }
    }

    private func end(
        _ stream: UInt32, _ page: Int, now: Instant, _ event: (StreamID) -> StreamEvent
    ) {
        let id = StreamID(connection: UInt64(page), stream: stream)
        guard let name = names[id] else { return }
        tell(event(id), name, page, now: now)
    }

    private func receive(
        _ bytes: ArraySlice<UInt8>, on stream: UInt32, _ page: Int, _ line: Line, now: Instant
    ) {
        let id = StreamID(connection: UInt64(page), stream: stream)
        guard let name = names[id] else { return }
        guard line.frames[stream] != nil else {
            return tell(.message(id, Array(bytes)), name, page, now: now)
        }
        var reader = ByteReader(bytes.rawSpan)
        while let message = try? line.frames[stream]?.next(&reader) {
            if name == PeerProtocols.meeting,
                let count = try? MeetingMessage(decoding: message.rawSpan).asked.count, count > 0
            {
                questions.hashes += count
                questions.messages += 1
            }
            guard name == WeftLimits.protocolName else {
                tell(.message(id, message), name, page, now: now)
                continue
            }
            for command in (try? WeftCommand.decode(message.rawSpan)) ?? [] {
                answer(command, stream, page, line)
            }
        }
    }

    private func tell(_ event: StreamEvent, _ name: ProtocolName, _ page: Int, now: Instant) {
        switch name {
        case PeerProtocols.meeting: place.receive(event, now: now)
        case PeerProtocols.relayHop, PeerProtocols.relayStop:
            // Each page comes from a network of its own.
            let remote = try? Multiaddr(text: "/ip4/20.\(page).0.1/tcp/4001")
            relay.receive(event, remote: remote, now: now)
        default: break
        }
    }

    /// Gives the blocks that are asked for, as far as there is credit.
    private func answer(_ command: WeftCommand, _ stream: UInt32, _ page: Int, _ line: Line) {
        let request: Request
        switch command {
        case .list(let id, let credit, let cids):
            asked += cids.count
            request = Request(stream: stream, id: id)
            line.open[request] = (cids, Int(credit))
        case .credit(let id, let bytes):
            request = Request(stream: stream, id: id)
            line.open[request]?.credit += Int(bytes)
        default: return
        }
        while let (cids, credit) = line.open[request], credit > 0 {
            guard let cid = cids.first else {
                line.open[request] = nil
                return send(WeftAnswer.end(id: request.id, .complete), stream, page, line)
            }
            var part = WeftAnswer.missing(1)
            if let block = blocks[cid.hash] {
                part = WeftAnswer.blockHead(byteCount: block.count) + block
                line.open[request]?.credit -= block.count
            }
            line.open[request]?.cids.removeFirst()
            let head = WeftAnswer.blocksHead(id: request.id, byteCount: part.count)
            send(head + part, stream, page, line)
        }
    }

    private func send(_ message: [UInt8], _ stream: UInt32, _ page: Int, _ line: Line) {
        var framed: [UInt8] = []
        framed.appendVarint(UInt64(message.count))
        framed += message
        // In pieces, as nothing is taken of one for which there is no room.
        for start in stride(from: 0, to: framed.count, by: 32 << 10) {
            let end = min(start + 32 << 10, framed.count)
            line.waiting[stream, default: []].append(framed[start..<end])
        }
        pump(stream, page, line)
    }

    private func pump(_ stream: UInt32, _ page: Int, _ line: Line) {
        while let first = line.waiting[stream]?.first, line.connection.write(first, to: stream) {
            line.waiting[stream]?.removeFirst()
            given[page, default: 0] += first.count
        }
    }

    private func carryOut(_ order: StreamOrder, now: Instant) {
        switch order {
        case .open(let peer, let names, let request):
            guard let page = peers.first(where: { $0.value == peer })?.key, let line = lines[page],
                let stream = line.connection.open(names, now: now)
            else {
                return relay.receive(
                    .refused(request: request, .unreachable), remote: nil, now: now)
            }
            line.opening[stream] = request
        case .withdraw: break
        case .send(let id, let bytes):
            guard let line = lines[Int(id.connection)] else { return }
            if line.frames[id.stream] != nil {
                send(bytes, id.stream, Int(id.connection), line)
            } else {
                line.waiting[id.stream, default: []].append(bytes[...])
                pump(id.stream, Int(id.connection), line)
            }
        case .finish(let id): lines[Int(id.connection)]?.connection.finish(id.stream)
        case .reset(let id): lines[Int(id.connection)]?.connection.reset(id.stream)
        }
    }
}
