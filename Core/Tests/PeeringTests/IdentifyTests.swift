import Multiformats
import Peering
import TestSupport
import Testing
import Wire

@Suite struct IdentifyTests {
    static func own() throws -> IdentifyMessage {
        var own = IdentifyMessage()
        own.protocolVersion = Array("ipfs/0.1.0".utf8)
        own.agentVersion = Array("weft/test".utf8)
        own.protocols = [PeerProtocols.identify, PeerProtocols.ping]
        own.listenAddresses = [
            try address("/ip4/8.8.8.8/tcp/4001"), try address("/ip4/192.168.1.7/tcp/4001"),
        ]
        return own
    }

    /// A message survives being written and read, noise does not crash the reader, and what was
    /// read from noise is written and read the same.
    @Test func codec() throws {
        var message = try Self.own()
        message.observedAddress = try address("/ip4/9.9.9.9/tcp/1")
        let bytes = message.encoded
        #expect(try IdentifyMessage(decoding: bytes.rawSpan) == message)
        var noise = Noise(seed: 3)
        for _ in 0..<2_000 {
            let changed = noise.mutation(of: bytes)
            guard let read = try? IdentifyMessage(decoding: changed.rawSpan) else { continue }
            #expect(try IdentifyMessage(decoding: read.encoded.rawSpan) == read)
        }
    }

    /// However much there is to say, no message is longer than the strictest peers read.
    @Test func ownMessageIsSplit() throws {
        var own = try Self.own()
        own.listenAddresses = try (1...200).map { try address("/ip4/8.8.8.8/tcp/\($0)") }
        own.protocols = (0..<100).map {
            ProtocolName(utf8: Array("/a-rather-long-name-of-a-protocol/\($0)".utf8))
        }
        own.signedPeerRecord = [UInt8](repeating: 1, count: 2_000)
        let messages = own.messages
        #expect(messages.count == 3)
        #expect(messages.allSatisfy { $0.count <= 4_096 })
    }

    /// Moves the orders of one machine to the other until both are silent. Streams have the same
    /// number on both sides.
    static func run(
        _ one: inout Identify, _ oneID: PeerID, _ two: inout Identify, _ twoID: PeerID,
        _ book: inout AddressBook
    ) {
        var next: UInt32 = 1
        var side = 0
        for _ in 0..<100 {
            let order = side == 0 ? one.nextTransmit() : two.nextTransmit()
            guard let order else {
                side = 1 - side
                continue
            }
            func give(_ event: StreamEvent, to side: Int) {
                if side == 0 {
                    one.receive(event, addresses: &book, now: instant(1))
                } else {
                    two.receive(event, addresses: &book, now: instant(1))
                }
            }
            switch order {
            case .open(_, let names, let request):
                let stream = StreamID(connection: 1, stream: next)
                next += 1
                give(.opened(request: request, stream, names[0]), to: side)
                give(.accepted(stream, side == 0 ? oneID : twoID, names[0]), to: 1 - side)
            case .withdraw: break
            case .send(let stream, let bytes): give(.message(stream, bytes), to: 1 - side)
            case .finish(let stream): give(.finished(stream), to: 1 - side)
            case .reset(let stream): give(.reset(stream), to: 1 - side)
            }
        }
    }

    /// A peer on the internet learns no private address; one on the LAN does. What was learned is
    /// in the book. News of a change arrive.
    @Test(arguments: [("/ip4/9.9.9.9/tcp/9", 1), ("/ip4/192.168.1.9/tcp/9", 2)])
    func conversation(remote: String, known: Int) throws {
        let (a, b) = (try peer(1), try peer(2))
        var (asking, telling) = (Identify(own: IdentifyMessage()), Identify(own: try Self.own()))
        var book = AddressBook(limits: .home)
        asking.connected(to: b, over: PeerChannel(remoteAddress: try address(remote)))
        telling.connected(to: a, over: PeerChannel(remoteAddress: try address(remote)))
        asking.identify(b)
        Self.run(&asking, a, &telling, b, &book)
        guard case .identified(b, let message) = asking.nextEvent() else {
            Issue.record("nobody was identified")
            return
        }
        #expect(message.agentVersion == Array("weft/test".utf8))
        #expect(message.listenAddresses.count == known)
        #expect(message.observedAddress == (try address(remote)))
        #expect(book.addresses(of: b, now: instant(2)).count == known)

        telling.own.protocols = [PeerProtocols.kad]
        telling.push(to: a)
        Self.run(&asking, a, &telling, b, &book)
        guard case .changed(b, let change) = asking.nextEvent() else {
            Issue.record("no news came")
            return
        }
        #expect(change.protocols == [PeerProtocols.kad])
    }

    /// A peer that says nothing, or too much, or nonsense, costs its stream and an answer.
    @Test(arguments: 0..<3)
    func badPeers(kind: Int) throws {
        let b = try peer(2)
        var asking = Identify(own: IdentifyMessage())
        var book = AddressBook(limits: .home)
        asking.connected(to: b, over: PeerChannel(remoteAddress: try address("/ip4/9.9.9.9/tcp/9")))
        asking.identify(b)
        let stream = StreamID(connection: 1, stream: 1)
        asking.receive(
            .opened(request: 1, stream, PeerProtocols.identify), addresses: &book, now: instant(1))
        switch kind {
        case 0:
            #expect(asking.deadline == instant(6))
            asking.advance(to: instant(6))
            #expect(asking.nextEvent() == .failed(b, .timedOut))
        case 1:
            let message = try Self.own().encoded
            for _ in 0...IdentifyMessage.maxMessages {
                asking.receive(.message(stream, message), addresses: &book, now: instant(2))
            }
            guard case .violation(b, _) = asking.nextEvent() else {
                Issue.record("too many messages were taken")
                return
            }
        default:
            asking.receive(.message(stream, [1, 2, 3]), addresses: &book, now: instant(2))
            guard case .violation(b, _) = asking.nextEvent() else {
                Issue.record("nonsense was taken")
                return
            }
        }
        var orders: [StreamOrder] = []
        while let order = asking.nextTransmit() { orders.append(order) }
        #expect(orders.last == .reset(stream))
    }

    /// Ping echoes every 32 bytes in whatever pieces they come, and measures the answer.
    @Test func ping() throws {
        let b = try peer(2)
        var machine = Ping(seed: 1)
        let stream = StreamID(connection: 1, stream: 1)
        machine.receive(.accepted(stream, b, PeerProtocols.ping), now: instant(1))
        let bytes = (0..<64).map { UInt8($0) }
        machine.receive(.message(stream, Array(bytes[..<20])), now: instant(1))
        #expect(machine.nextTransmit() == nil)
        machine.receive(.message(stream, Array(bytes[20...])), now: instant(1))
        #expect(machine.nextTransmit() == .send(stream, bytes))

        let number = machine.ping(b, now: instant(2))
        #expect(machine.nextTransmit() == .open(b, [PeerProtocols.ping], request: number))
        let own = StreamID(connection: 1, stream: 2)
        machine.receive(.opened(request: number, own, PeerProtocols.ping), now: instant(3))
        guard case .send(own, let sent) = machine.nextTransmit() else {
            Issue.record("nothing was sent")
            return
        }
        machine.receive(.message(own, sent), now: instant(3.5))
        #expect(machine.nextEvent() == .answered(number, b, .milliseconds(500)))

        // The third stream of a peer is refused, and silence ends a stream.
        for index in 3...4 as ClosedRange<UInt32> {
            let more = StreamID(connection: 1, stream: index)
            machine.receive(.accepted(more, b, PeerProtocols.ping), now: instant(4))
        }
        #expect(machine.nextTransmit() == .finish(own))
        #expect(machine.nextTransmit() == .reset(StreamID(connection: 1, stream: 4)))
        machine.advance(to: instant(62))
        #expect(machine.nextTransmit() == .reset(stream))
    }
}
