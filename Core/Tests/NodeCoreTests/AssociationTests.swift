// Associations that pages offer over relays: which are taken, what the driver has to know of them,
// and how they end.

import Exchange
import Multiformats
import NodeCore
import Peering
import Simulation
import Testing
import Wire

@Suite struct AssociationTests {
    private static let relay = PeerID(PrivateKey.test(1).publicKey)
    private static let page = PeerID(PrivateKey.test(2).publicKey)
    private static let hash = "uEiBkLn0Nn8mGxZ9Yd1FZzN8cQjB2v7mC0gq6m5Z8d1eQ3g"
    private static let stream = StreamID(connection: 7, stream: 1)

    /// A node, and what it has wanted.
    private struct Run {
        var node: NodeCore
        var now = Instant(nanoseconds: 1_000_000_000)
        var reached: [ReachabilityOrder] = []
        var sent: [[UInt8]] = []
        var resets: [StreamID] = []
        var finished: [StreamID] = []

        init() {
            node = NodeCore(
                .init(
                    identity: .test(0), agent: [], transports: [.tcp], limits: .home,
                    access: AccessRules(), routing: [],
                    clock: WallClock(Timestamp(seconds: 1_800_000_000), at: now), seed: 1))
        }

        mutating func receive(_ input: NodeCore.Input) {
            node.receive(input, now: now)
            drain()
        }

        mutating func drain() {
            while let output = node.nextOutput() {
                switch output {
                case .reach(.addresses): break
                case .reach(let order): reached.append(order)
                case .send(stream, let bytes): sent.append(bytes)
                case .reset(let stream): resets.append(stream)
                case .finish(let stream): finished.append(stream)
                default: break
                }
            }
        }

        mutating func connect(
            _ number: UInt64, _ peer: PeerID, _ address: String,
            _ direction: ConnectionFacts.Direction = .inbound
        ) throws {
            receive(
                .connected(
                    number,
                    ConnectionFacts(
                        peer: peer, direction: direction,
                        remoteAddress: try Multiaddr(text: address),
                        route: .direct, attempt: nil)))
        }

        mutating func hear(_ message: SignalingMessage) {
            receive(.stream(.message(stream, message.encoded)))
        }

        /// How many pages the driver was told to look for.
        var lookedFor: Int {
            reached.count { if case .associate = $0 { true } else { false } }
        }

        /// A page offers an association through a relay, on a connection of this number and a
        /// stream of it. Returns whether it is looked for; else the stream has to be gone.
        mutating func isTaken(
            _ connection: UInt64, _ number: UInt32 = 1, from page: PeerID, via relay: PeerID
        ) throws -> Bool {
            let (before, stream) = (lookedFor, StreamID(connection: connection, stream: number))
            if number == 1 {
                try connect(connection, page, "/ip4/5.1.0.2/tcp/4001/p2p/\(relay)/p2p-circuit")
            }
            receive(.stream(.accepted(stream, page, PeerProtocols.signaling)))
            receive(.stream(.message(stream, SignalingMessage.offer([1]).encoded)))
            #expect((lookedFor > before) != resets.contains(stream))
            return lookedFor > before
        }
    }

    /// A node with a page on a circuit, which has opened a stream for signalling.
    private func run(
        listening: [String] = ["/ip4/192.168.1.2/udp/4001/webrtc-direct/certhash/\(hash)"],
        at way: String = "/ip4/5.1.0.2/tcp/4001"
    ) throws -> Run {
        var run = Run()
        run.receive(
            .command(
                1, .listen(try listening.map { try Multiaddr(text: $0) }, sequence: 1),
                deadline: run.now))
        try run.connect(6, Self.relay, "\(way)", .outbound)
        try run.connect(7, Self.page, "\(way)/p2p/\(Self.relay)/p2p-circuit")
        run.receive(.stream(.accepted(Self.stream, Self.page, PeerProtocols.signaling)))
        return run
    }

    @Test("an offer is answered, and what is said afterwards goes back and forth")
    func answered() throws {
        var run = try run()
        run.hear(.offer([1, 2]))
        guard case .associate(let number, let offer)? = run.reached.first else {
            Issue.record("nothing is wanted of the driver")
            return
        }
        #expect(offer.peer == Self.page && offer.description == [1, 2])
        // The page came by a relay of the world, and has no use for what is in our network, nor may
        // it send us anywhere there.
        #expect(offer.addresses.isEmpty && offer.narrowest == .world)
        run.receive(.association(number, .answer([3])))
        run.receive(.association(number, .candidate([4])))
        #expect(
            run.sent == [
                SignalingMessage.answer([3]).encoded, SignalingMessage.candidate([4]).encoded,
            ])
        run.hear(.candidate([5]))
        guard case .candidate(number, [5])? = run.reached.last else {
            Issue.record("a way to the page is not handed on")
            return
        }
        try run.connect(8, Self.page, "/ip4/5.2.0.2/udp/50000/webrtc-direct")
        guard case .endAssociation(number)? = run.reached.last else {
            Issue.record("what is there goes on being looked for")
            return
        }
        #expect(run.finished.contains(Self.stream) && run.resets.isEmpty)
    }

    @Test("who is reached within a network is told of addresses there") func near() throws {
        var run = try run(at: "/ip4/192.168.1.9/tcp/4001")
        run.hear(.offer([1]))
        guard case .associate(_, let offer)? = run.reached.first else {
            Issue.record("nothing is wanted of the driver")
            return
        }
        #expect(offer.addresses.count == 1 && offer.narrowest == .site)
    }

    /// A relay in this network may be reached by everybody, and bring pages from anywhere.
    @Test("a page by a relay that is in the world as well learns nothing of this network")
    func open() throws {
        var run = try run(at: "/ip4/192.168.1.9/tcp/4001")
        run.receive(
            .command(
                2, .connect(Self.relay, [try Multiaddr(text: "/ip4/5.1.0.2/tcp/4001")]),
                deadline: run.now + .seconds(5)))
        run.hear(.offer([1]))
        guard case .associate(_, let offer)? = run.reached.last else {
            Issue.record("nothing is wanted of the driver")
            return
        }
        #expect(offer.addresses.isEmpty && offer.narrowest == .world)
    }

    @Test("a page that makes no offer does not keep its place") func silence() throws {
        var run = try run()
        run.node.advance(to: run.now + Signaling.offerTimeout)
        run.drain()
        #expect(run.resets == [Self.stream])
    }

    @Test("a failure ends the stream, from either side") func failures() throws {
        var run = try run()
        run.hear(.offer([1]))
        guard case .associate(let number, _)? = run.reached.first else {
            Issue.record("nothing is wanted of the driver")
            return
        }
        run.receive(.association(number, .failed))
        #expect(run.resets == [Self.stream])
        var other = try self.run()
        other.hear(.offer([1]))
        other.receive(.stream(.reset(Self.stream)))
        guard case .endAssociation? = other.reached.last else {
            Issue.record("a page that has gone is still looked for")
            return
        }
        // Nor for longer than agreeing may take.
        var slow = try self.run()
        slow.hear(.offer([1]))
        slow.node.advance(to: slow.now + Signaling.timeout)
        slow.drain()
        guard case .endAssociation? = slow.reached.last else {
            Issue.record("a page that does not come is looked for without end")
            return
        }
    }

    /// docs/limits.md, "connections that pages offer over relays".
    @Test("so many pages are looked for: of one page, through one relay, and through all")
    func budgets() throws {
        func name(_ number: UInt8) -> PeerID { PeerID(PrivateKey.test(number).publicKey) }
        var run = try run()
        run.receive(.stream(.reset(Self.stream)))
        var connection: UInt64 = 100
        func offer(_ page: UInt8, via relay: UInt8) throws -> Bool {
            connection += 1
            return try run.isTaken(connection, from: name(page), via: name(relay))
        }
        for relay in UInt8(10)..<14 {
            try run.connect(UInt64(relay), name(relay), "/ip4/5.1.0.2/tcp/4001", .outbound)
        }
        // However often it is there, a page is looked for twice.
        for number in UInt32(1)...4 {
            let isTaken = try run.isTaken(99, number, from: name(20), via: name(10))
            #expect(isTaken == (number <= Signaling.maxCallsPerPeer))
        }
        for page in UInt8(21)..<30 {
            let isTaken = try offer(page, via: 10)
            #expect(isTaken == (page < 27), "page \(page)")
        }
        for page in UInt8(30)..<46 {
            let isTaken = try offer(page, via: page < 38 ? 11 : 12)
            #expect(isTaken, "page \(page)")
        }
        #expect(run.lookedFor == Signaling.maxForeignCalls)
        var isTaken = try offer(50, via: 13)
        #expect(!isTaken)
        // When one comes to nothing there is room for another, through its own relay.
        guard case .associate(let first, _)? = run.reached.first else { return }
        run.receive(.association(first, .failed))
        isTaken = try offer(51, via: 13)
        #expect(isTaken)
        isTaken = try offer(52, via: 10)
        #expect(!isTaken)
    }

    @Test("nothing is taken by a node that does not listen, nor from a page that is there")
    func refused() throws {
        var deaf = try run(listening: ["/ip4/192.168.1.2/tcp/4001"])
        #expect(deaf.resets == [Self.stream])
        deaf.hear(.offer([1]))
        #expect(deaf.reached.isEmpty)
        var twice = try run()
        try twice.connect(9, Self.page, "/ip4/5.2.0.2/udp/50000/webrtc-direct")
        twice.hear(.offer([1]))
        #expect(twice.reached.isEmpty && twice.resets == [Self.stream])
    }
}

extension PrivateKey {
    fileprivate static func test(_ number: UInt8) -> PrivateKey {
        // Any 32 bytes are a seed.
        (try? PrivateKey(ed25519Seed: [UInt8](repeating: number, count: 32))) ?? test(number)
    }
}
