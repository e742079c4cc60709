import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

#if HostCrypto
    @Suite struct RelayTests {
        /// A relay and two clients, whose streams have the same number at both ends.
        struct Trio {
            var relay: RelayServer
            let relayID: PeerID
            var clients: [RelayClient]
            let ids: [PeerID]
            var remotes: [Multiaddr]
            /// At which client a stream ends.
            var ends: [StreamID: Int] = [:]
            var next: UInt32 = 1
            var now = instant(1)
            /// What arrived on circuits, per client.
            var arrived: [[[UInt8]]] = [[], []]
            var resets: [StreamID] = []
            var circuits: Set<StreamID> = []

            init(limits: RelayServer.Limits) throws {
                let key = PrivateKey.generateEd25519()
                let clock = WallClock(Timestamp(seconds: 1_800_000_000), at: instant(0))
                relay = RelayServer(key: key, limits: limits, clock: clock)
                relay.ownAddresses = [try address("/ip4/8.8.8.8/tcp/4001")]
                relayID = PeerID(key.publicKey)
                ids = [try peer(1), try peer(2)]
                clients = [RelayClient(clock: clock), RelayClient(clock: clock)]
                remotes = [
                    try address("/ip4/9.9.9.9/tcp/1"), try address("/ip4/9.9.9.10/tcp/1"),
                ]
            }

            mutating func run() {
                var isBusy = true
                while isBusy {
                    isBusy = false
                    for index in 0..<2 {
                        while let order = clients[index].nextTransmit() {
                            isBusy = true
                            carry(order, from: index)
                        }
                    }
                    while let order = relay.nextTransmit() {
                        isBusy = true
                        carryFromRelay(order)
                    }
                }
            }

            mutating func carry(_ order: StreamOrder, from index: Int) {
                switch order {
                case .open(_, let names, let request):
                    let stream = StreamID(connection: 1, stream: next)
                    next += 1
                    ends[stream] = index
                    relay.receive(
                        .accepted(stream, ids[index], names[0]), remote: remotes[index], now: now)
                    clients[index].receive(
                        .opened(request: request, stream, names[0]), now: now)
                case .withdraw: break
                case .send(let stream, let bytes):
                    relay.receive(.message(stream, bytes), remote: nil, now: now)
                case .finish(let stream): relay.receive(.finished(stream), remote: nil, now: now)
                case .reset(let stream): relay.receive(.reset(stream), remote: nil, now: now)
                }
            }

            mutating func carryFromRelay(_ order: StreamOrder) {
                switch order {
                case .open(let target, let names, let request):
                    guard let index = ids.firstIndex(of: target) else {
                        relay.receive(
                            .refused(request: request, .unreachable), remote: nil, now: now)
                        return
                    }
                    let stream = StreamID(connection: 1, stream: next)
                    next += 1
                    ends[stream] = index
                    clients[index].receive(.accepted(stream, relayID, names[0]), now: now)
                    relay.receive(
                        .opened(request: request, stream, names[0]), remote: nil, now: now)
                case .withdraw: break
                case .send(let stream, let bytes):
                    guard let index = ends[stream] else { return }
                    if circuits.contains(stream) {
                        arrived[index].append(bytes)
                    } else {
                        clients[index].receive(.message(stream, bytes), now: now)
                    }
                case .finish(let stream):
                    guard let index = ends[stream], !circuits.contains(stream) else { return }
                    clients[index].receive(.finished(stream), now: now)
                case .reset(let stream):
                    resets.append(stream)
                    guard let index = ends[stream] else { return }
                    clients[index].receive(.reset(stream), now: now)
                }
            }
        }

        /// A place is given with a signed voucher; a circuit carries bytes both ways up to its
        /// limit, and not a byte more.
        @Test func circuit() throws {
            var limits = RelayServer.Limits.usual
            limits.circuit = RelayLimit(duration: 60, data: 1_000)
            var trio = try Trio(limits: limits)
            trio.clients[0].reserve(at: trio.relayID, now: trio.now)
            trio.run()
            guard
                case .reserved(trio.relayID, let reservation, let limit) =
                    trio.clients[0].nextEvent()
            else {
                Issue.record("no place")
                return
            }
            #expect(limit == limits.circuit)
            #expect(reservation.expires == 1_800_000_001 + 3_600)
            #expect(
                reservation.addresses
                    == [try address("/ip4/8.8.8.8/tcp/4001/p2p/\(trio.relayID)")])
            let envelope = try SignedEnvelope(decoding: reservation.voucher.rawSpan)
            #expect(envelope.isValid(in: RelayVoucher.domain))

            let number = trio.clients[1].connect(to: trio.ids[0], via: trio.relayID, now: trio.now)
            trio.run()
            guard case .incoming(let there) = trio.clients[0].nextEvent(),
                case .connected(number, let here) = trio.clients[1].nextEvent()
            else {
                Issue.record("no circuit")
                return
            }
            #expect(there.peer == trio.ids[1] && here.peer == trio.ids[0])
            trio.circuits = [here.stream, there.stream]
            trio.carry(.send(here.stream, [1, 2, 3]), from: 1)
            trio.carry(.send(there.stream, [4]), from: 0)
            trio.run()
            #expect(trio.arrived == [[[1, 2, 3]], [[4]]])
            trio.carry(.send(here.stream, [UInt8](repeating: 0, count: 997)), from: 1)
            trio.run()
            #expect(trio.resets.isEmpty)
            trio.carry(.send(here.stream, [0]), from: 1)
            trio.run()
            #expect(Set(trio.resets) == trio.circuits)
            #expect(trio.relay.circuitCount == 0)
        }

        /// A circuit ends with its time; a place with the connection; and nobody is relayed to who
        /// has not asked for it.
        @Test func ends() throws {
            var trio = try Trio(limits: .usual)
            let number = trio.clients[1].connect(to: trio.ids[0], via: trio.relayID, now: trio.now)
            trio.run()
            #expect(trio.clients[1].nextEvent() == .failed(number, .refused(.noReservation)))
            trio.clients[0].reserve(at: trio.relayID, now: trio.now)
            trio.run()
            _ = trio.clients[1].connect(to: trio.ids[0], via: trio.relayID, now: trio.now)
            trio.run()
            #expect(trio.relay.circuitCount == 1)
            guard case .connected(_, let circuit) = trio.clients[1].nextEvent() else {
                Issue.record("no circuit")
                return
            }
            trio.circuits = [circuit.stream]
            trio.relay.advance(to: instant(122))
            trio.run()
            #expect(trio.relay.circuitCount == 0)
            trio.relay.disconnected(from: trio.ids[0])
            #expect(trio.relay.reservationCount == 0)
        }

        /// Places are renewed before they end, and who is itself relayed gets none.
        @Test func reservations() throws {
            var trio = try Trio(limits: .usual)
            trio.clients[0].reserve(at: trio.relayID, now: trio.now)
            trio.run()
            guard case .reserved = trio.clients[0].nextEvent() else {
                Issue.record("no place")
                return
            }
            for hour in 1...5 {
                trio.now = instant(Double(hour) * 2_701)
                trio.clients[0].advance(to: trio.now)
                trio.run()
                guard case .reserved = trio.clients[0].nextEvent() else {
                    Issue.record("not renewed after \(hour)")
                    return
                }
            }
            // One that was given up and had again is renewed once.
            trio.clients[0].release(trio.relayID)
            trio.clients[0].reserve(at: trio.relayID, now: trio.now)
            trio.run()
            while trio.clients[0].nextEvent() != nil {}
            trio.now = instant(6 * 2_701)
            trio.clients[0].advance(to: trio.now)
            trio.run()
            var renewals = 0
            while case .reserved = trio.clients[0].nextEvent() { renewals += 1 }
            #expect(renewals == 1)
            trio.remotes[1] = try address("/ip4/7.7.7.7/tcp/1/p2p/\(trio.ids[0])/p2p-circuit")
            trio.clients[1].reserve(at: trio.relayID, now: trio.now)
            trio.run()
            #expect(
                trio.clients[1].nextEvent()
                    == .lost(relay: trio.relayID, .refused(.permissionDenied)))
        }

        /// One address gets half of the places, as a school may need, and no more; noise costs its
        /// stream alone.
        @Test func bounds() throws {
            var limits = RelayServer.Limits.usual
            limits.reservations = 24
            var trio = try Trio(limits: limits)
            var refused = 0
            for index in 0..<24 as Range<UInt64> {
                let stream = StreamID(connection: 5, stream: UInt32(index))
                trio.relay.receive(
                    .accepted(stream, try peer(100 + index), PeerProtocols.relayHop),
                    remote: trio.remotes[index < 20 ? 0 : 1], now: trio.now)
                trio.relay.receive(
                    .message(stream, RelayMessage(.reserve).framed(.hop)), remote: nil,
                    now: trio.now)
                guard case .send(_, let bytes) = trio.relay.nextTransmit() else { continue }
                let answer = try RelayMessage(
                    decoding: Array(bytes.dropFirst(bytes[0] < 0x80 ? 1 : 2)).rawSpan, .hop)
                if answer.status == .reservationRefused { refused += 1 }
                while trio.relay.nextTransmit() != nil {}
            }
            #expect(refused == 8)
            var noise = Noise(seed: 3)
            var message = RelayMessage(.connect)
            message.peer = trio.ids[0]
            for index in 0..<500 as Range<UInt32> {
                let stream = StreamID(connection: 6, stream: index)
                trio.relay.receive(
                    .accepted(stream, trio.ids[1], PeerProtocols.relayHop),
                    remote: trio.remotes[1], now: trio.now)
                trio.relay.receive(
                    .message(stream, noise.mutation(of: message.framed(.hop))), remote: nil,
                    now: trio.now)
                trio.relay.receive(.reset(stream), remote: nil, now: trio.now)
                while trio.relay.nextTransmit() != nil {}
            }
            #expect(trio.relay.circuitCount == 0)
        }
    }
#endif

@Suite struct DCUtRTests {
    /// Both dial at the same moment, one round trip after the addresses were exchanged; after
    /// failures it is tried anew on the same stream, three times in all.
    @Test func attempts() throws {
        let (a, b) = (try peer(1), try peer(2))
        var leader = DCUtR()
        var follower = DCUtR()
        leader.ownAddresses = [
            try address("/ip4/8.8.8.8/tcp/1"), try address("/ip4/10.0.0.1/tcp/1"),
        ]
        follower.ownAddresses = [try address("/ip4/9.9.9.9/tcp/1")]
        leader.upgrade(a, now: instant(1))
        let stream = StreamID(connection: 1, stream: 1)
        #expect(leader.nextTransmit() == .open(a, [PeerProtocols.dcutr], request: 1))
        leader.receive(.opened(request: 1, stream, PeerProtocols.dcutr), now: instant(1))
        follower.receive(.accepted(stream, b, PeerProtocols.dcutr), now: instant(1))
        var now = instant(1)
        for attempt in 1...3 {
            // The addresses go over in 100 ms and come back in 100 ms.
            guard case .send(_, let connect) = leader.nextTransmit() else {
                Issue.record("no addresses in attempt \(attempt)")
                return
            }
            now = now + .milliseconds(100)
            follower.receive(.message(stream, connect), now: now)
            guard case .send(_, let reply) = follower.nextTransmit() else {
                Issue.record("no reply in attempt \(attempt)")
                return
            }
            now = now + .milliseconds(100)
            leader.receive(.message(stream, reply), now: now)
            guard case .send(_, let sync) = leader.nextTransmit() else {
                Issue.record("no signal in attempt \(attempt)")
                return
            }
            #expect(leader.deadline.map { $0 <= now + .milliseconds(100) } ?? false)
            now = now + .milliseconds(100)
            follower.receive(.message(stream, sync), now: now)
            leader.advance(to: now)
            #expect(leader.nextEvent() == .dial(a, follower.ownAddresses, .listener))
            #expect(follower.nextEvent() == .dial(b, [leader.ownAddresses[0]], .dialer))
            follower.dialed(b, .failed, now: now)
            leader.dialed(a, .failed, now: now)
        }
        #expect(leader.nextEvent() == .failed(a))
        #expect(leader.nextTransmit() == .finish(stream))
    }

    /// Success ends it; silence, nonsense and answers out of turn do, too.
    @Test(arguments: 0..<4)
    func ends(kind: Int) throws {
        let a = try peer(1)
        var machine = DCUtR()
        machine.upgrade(a, now: instant(1))
        let stream = StreamID(connection: 1, stream: 1)
        machine.receive(.opened(request: 1, stream, PeerProtocols.dcutr), now: instant(1))
        let connect: [UInt8] = [0x08, 100]
        let sync: [UInt8] = [0x08, 0xac, 2]
        switch kind {
        case 0:
            machine.receive(.message(stream, connect), now: instant(1.2))
            machine.advance(to: instant(1.3))
            machine.dialed(a, .connected, now: instant(1.4))
            #expect(machine.nextEvent() == .dial(a, [], .listener))
            #expect(machine.nextEvent() == .upgraded(a))
        case 1:
            machine.advance(to: instant(17))
            #expect(machine.nextEvent() == .failed(a))
        case 2:
            machine.receive(.message(stream, [7]), now: instant(2))
            #expect(machine.nextEvent() == .failed(a))
        default:
            machine.receive(.message(stream, sync), now: instant(2))
            #expect(machine.nextEvent() == .failed(a))
        }
    }
}
