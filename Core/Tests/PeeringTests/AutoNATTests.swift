import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

@Suite struct AutoNATTests {
    static let messages: [AutoNATMessage] = [
        .request([try? address("/ip4/8.8.8.8/tcp/1"), nil], nonce: 0x0102_0304_0506_0708),
        .response(.ok, index: 1, .dialError), .dataRequest(index: 0, bytes: 40_000),
        .data(count: 4_096),
    ]

    /// Messages of both versions read as written, and noise crashes nothing.
    @Test func codec() throws {
        let old: [AutoNATv1Message] = [
            .dial(try peer(1), [try address("/ip4/8.8.8.8/tcp/1")]), .response(.dialError, nil),
            .response(.ok, try address("/ip4/8.8.8.8/tcp/1")),
        ]
        for message in old {
            #expect(try AutoNATv1Message(decoding: message.encoded.rawSpan) == message)
        }
        var noise = Noise(seed: 1)
        for message in Self.messages {
            let bytes = message.encoded
            #expect(try AutoNATMessage(decoding: bytes.rawSpan) == message)
            for _ in 0..<300 {
                let changed = noise.mutation(of: bytes)
                _ = try? AutoNATMessage(decoding: changed.rawSpan)
                _ = try? AutoNATv1Message(decoding: changed.rawSpan)
            }
        }
    }

    private static let request = StreamID(connection: 1, stream: 1)
    private static let back = StreamID(connection: 2, stream: 1)

    /// What a server orders after a message of the client.
    private static func orders(_ server: inout AutoNATServer) -> [AutoNATServer.Order] {
        var orders: [AutoNATServer.Order] = []
        while let order = server.nextTransmit() { orders.append(order) }
        return orders
    }

    /// The whole conversation: the client pays for a dial to another address than the one it comes
    /// from, gets the nonce, and after three servers' word believes it.
    @Test func conversation() throws {
        let here = try address("/ip4/8.8.8.8/tcp/4001")
        var client = AutoNATClient(seed: 7)
        for round in 1...3 as ClosedRange<UInt64> {
            var server = AutoNATServer(transports: [.tcp], seed: round)
            client.probe([here], at: try peer(round), now: instant(1))
            guard case .open(_, _, let number) = client.nextTransmit() else {
                Issue.record("no stream was asked for")
                return
            }
            client.receive(
                .opened(request: number, Self.request, PeerProtocols.autoNATv2Request),
                now: instant(1))
            server.receive(
                .accepted(Self.request, try peer(99), PeerProtocols.autoNATv2Request),
                remote: try address("/ip4/9.9.9.9/tcp/77"), now: instant(1))
            var paid = 0
            var dial: (UInt64, UInt64)?
            while dial == nil, let order = client.nextTransmit() {
                guard case .send(_, let bytes) = order else { continue }
                paid += bytes.count
                server.receive(.message(Self.request, bytes), remote: nil, now: instant(1))
                for order in Self.orders(&server) {
                    switch order {
                    case .stream(.send(_, let bytes)):
                        client.receive(.message(Self.request, bytes), now: instant(1))
                    case .dialBack(let number, try peer(99), [here], .some(let nonce)):
                        dial = (number, nonce)
                    default: Issue.record("\(order)")
                    }
                }
            }
            let (dialNumber, nonce) = try #require(dial)
            #expect(paid >= 30_000)
            client.receive(
                .accepted(Self.back, try peer(round), PeerProtocols.autoNATv2DialBack),
                now: instant(2))
            client.receive(
                .message(Self.back, AutoNATMessage.dialBack(nonce: nonce)), now: instant(2))
            server.dialed(dialNumber, .reached(here))
            for case .stream(.send(_, let bytes)) in Self.orders(&server) {
                client.receive(.message(Self.request, bytes), now: instant(2))
            }
            while client.nextTransmit() != nil {}
            #expect(client.reachability(of: here) == (round == 3 ? .reachable : .unknown))
        }
        #expect(client.nextEvent() == .changed(here, .reachable))
        #expect(client.nextEvent() == nil)
    }

    /// A server that claims to have dialled, and did not, counts for nothing.
    @Test func falseClaim() throws {
        let here = try address("/ip4/8.8.8.8/tcp/4001")
        var client = AutoNATClient(seed: 7)
        client.probe([here, try address("/ip4/10.0.0.1/tcp/1")], at: try peer(1), now: instant(1))
        client.receive(
            .opened(request: 1, Self.request, PeerProtocols.autoNATv2Request), now: instant(1))
        _ = client.nextTransmit()
        // No private address is asked about.
        guard case .send(_, let bytes) = client.nextTransmit(),
            case .request(let asked, _) = try AutoNATMessage(decoding: bytes.rawSpan)
        else {
            Issue.record("nothing was asked")
            return
        }
        #expect(asked == [here])
        let claim = AutoNATMessage.response(.ok, index: 0, .ok).encoded
        client.receive(.message(Self.request, claim), now: instant(1))
        #expect(client.nextEvent() == .failed(try peer(1)))
    }

    /// Private addresses are never dialled, a peer gets twelve dials a minute, and version 1 dials
    /// nobody but the one who asks.
    @Test func serverRules() throws {
        var server = AutoNATServer(transports: [.tcp], seed: 1)
        let remote = try address("/ip4/9.9.9.9/tcp/77")
        func ask(_ index: UInt32, _ name: ProtocolName, _ bytes: [UInt8]) throws
            -> AutoNATServer.Order?
        {
            let stream = StreamID(connection: 1, stream: index)
            server.receive(.accepted(stream, try peer(1), name), remote: remote, now: instant(1))
            server.receive(.message(stream, bytes), remote: nil, now: instant(1))
            return Self.orders(&server).first
        }
        let near = AutoNATMessage.request([try address("/ip4/192.168.1.1/tcp/1")], nonce: 1)
        let first = try ask(1, PeerProtocols.autoNATv2Request, near.encoded)
        let refusal = AutoNATMessage.response(.refused, index: 0, .unused).encoded
        #expect(first == .stream(.send(StreamID(connection: 1, stream: 1), refusal)))
        let foreign = AutoNATv1Message.dial(try peer(1), [try address("/ip4/8.8.8.8/tcp/1")])
        guard
            case .stream(.send(_, let bytes)) = try ask(2, PeerProtocols.autoNATv1, foreign.encoded)
        else {
            Issue.record("no answer")
            return
        }
        #expect(
            try AutoNATv1Message(decoding: bytes.rawSpan) == .response(.dialRefused, nil))
        let own = AutoNATv1Message.dial(try peer(1), [try address("/ip4/9.9.9.9/tcp/5")])
        guard
            case .dialBack(let number, _, let addresses, nil) = try ask(
                3, PeerProtocols.autoNATv1, own.encoded)
        else {
            Issue.record("not dialled")
            return
        }
        #expect(addresses == [try address("/ip4/9.9.9.9/tcp/5")])
        server.dialed(number, .unreachable)
        _ = Self.orders(&server)
        var rejected = 0
        var underWay: [UInt64] = []
        for index in 10..<40 as Range<UInt32> {
            let same = AutoNATMessage.request([try address("/ip4/9.9.9.9/tcp/5")], nonce: 1)
            switch try ask(index, PeerProtocols.autoNATv2Request, same.encoded) {
            case .dialBack(let number, _, _, _): underWay.append(number)
            default: rejected += 1
            }
            // Only so many at once, and only so many in a minute.
            if underWay.count == AutoNATServer.maxDials {
                for number in underWay { server.dialed(number, .unreachable) }
                underWay = []
                _ = Self.orders(&server)
            }
        }
        #expect(rejected == 30 - (AutoNATServer.perMinuteAndPeer - 3))
        var busy = AutoNATServer(transports: [.tcp], seed: 1)
        var dials = 0
        for index in 0..<20 as Range<UInt32> {
            let stream = StreamID(connection: 1, stream: index)
            let asker = try peer(UInt64(index % 10))
            let place = AutoNATMessage.request([try address("/ip4/9.9.9.9/tcp/5")], nonce: 1)
            busy.receive(
                .accepted(stream, asker, PeerProtocols.autoNATv2Request), remote: remote,
                now: instant(1))
            busy.receive(.message(stream, place.encoded), remote: nil, now: instant(1))
            dials += Self.orders(&busy).count {
                if case .dialBack = $0 { return true }
                return false
            }
        }
        #expect(dials == AutoNATServer.maxDials)
    }
}
