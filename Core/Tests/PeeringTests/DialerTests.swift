import Multiformats
import Peering
import Testing
import Wire

@Suite struct DialerTests {
    /// IPv6 before IPv4, QUIC before TCP, direct before relayed, private beside public.
    @Test func ranking() throws {
        let texts = [
            "/ip4/8.8.8.8/tcp/4001", "/ip6/2a00::1/tcp/4001", "/ip4/8.8.8.8/udp/4001/quic-v1",
            "/ip6/2a00::1/udp/4001/quic-v1", "/ip4/8.8.8.8/tcp/5001", "/ip4/192.168.1.1/tcp/4001",
            "/ip4/9.9.9.9/tcp/1/p2p/\(try peer(3))/p2p-circuit",
        ]
        let ranked = DialRanking.rank(try texts.map(address))
        let milliseconds = ranked.map { $0.delay.components.attoseconds / 1_000_000_000_000_000 }
        let order = ranked.map(\.address.description)
        #expect(
            order == [
                texts[5], texts[3], texts[2], texts[1], texts[6], texts[0], texts[4],
            ])
        #expect(milliseconds == [0, 0, 250, 500, 500, 750, 0])
    }

    /// One failure lets the next address begin at once; success ends the others.
    @Test func order() throws {
        var dialer = Dialer(transports: [.tcp], limits: .home)
        let one = try peer(1)
        let (a, b) = (try address("/ip6/2a00::1/tcp/1"), try address("/ip4/8.8.8.8/tcp/1"))
        dialer.dial(one, by: [b, a, try address("/ip4/8.8.8.8/udp/1/quic-v1")], now: instant(1))
        #expect(dialer.nextTransmit() == .attempt(1, one, a, timeout: Dialer.timeout))
        #expect(dialer.nextTransmit() == nil)
        #expect(dialer.deadline == instant(1.25))
        dialer.failed(1, .refused, now: instant(1.1))
        #expect(dialer.nextTransmit() == .attempt(2, one, b, timeout: Dialer.timeout))
        dialer.connected(2, now: instant(1.2))
        #expect(dialer.nextEvent() == .connected(one, b))
        #expect(!dialer.isDialling(one))
        // The failed address rests, the other one does not.
        dialer.dial(one, by: [a, b], now: instant(1.3))
        #expect(dialer.nextTransmit() == .attempt(3, one, b, timeout: Dialer.timeout))
        dialer.failed(3, .timedOut, now: instant(1.4))
        let trace = [
            DialAttempt(a, .backedOff), DialAttempt(b, .timedOut),
        ]
        #expect(dialer.nextEvent() == .failed(one, .failed(trace)))
    }

    /// The slower of two that run side by side is given up when the other connects.
    @Test func race() throws {
        var dialer = Dialer(transports: [.tcp], limits: .home)
        let one = try peer(1)
        let (a, b) = (try address("/ip6/2a00::1/tcp/1"), try address("/ip4/8.8.8.8/tcp/1"))
        dialer.dial(one, by: [a, b], now: instant(1))
        dialer.advance(to: instant(1.25))
        #expect(dialer.attemptCount == 2)
        dialer.connected(2, now: instant(1.3))
        var orders: [Dialer.Order] = []
        while let order = dialer.nextTransmit() { orders.append(order) }
        #expect(orders.last == .abandon(1))
        #expect(dialer.attemptCount == 0)
    }

    /// An attempt that was given up before its time says nothing of the address; one that was
    /// waited for in vain does.
    @Test(arguments: [(1.0, false), (3.0, true)]) func patience(_ wait: Double, isHeldAgainst: Bool)
        throws
    {
        var dialer = Dialer(transports: [.tcp], limits: .home)
        let one = try peer(1)
        let place = try address("/ip4/8.8.8.8/tcp/1")
        dialer.dial(one, by: [place], now: instant(1))
        dialer.cancel(one, now: instant(1 + wait))
        dialer.dial(one, by: [place], now: instant(1.5 + wait))
        let refusal = Dialer.Event.failed(one, .failed([DialAttempt(place, .backedOff)]))
        #expect(dialer.nextEvent() == (isHeldAgainst ? refusal : nil))
    }

    /// However many peers are asked for, the ceilings of dials at once and per second hold, and
    /// every dial is answered.
    @Test func ceilings() throws {
        let limits = Dialer.Limits(simultaneous: 8, perPeer: 2, perSecond: 10, waiting: 200)
        var dialer = Dialer(transports: [.tcp], limits: limits)
        var now = instant(1)
        for number in 0..<300 as Range<UInt64> {
            dialer.dial(
                try peer(number),
                by: [try address("/ip4/8.8.\(number / 256).\(number % 256)/tcp/1")],
                now: now)
        }
        var begun: [Instant] = []
        var running: [(UInt64, Instant)] = []
        var ended = 0
        var refused = 0
        for _ in 0..<20_000 {
            while let order = dialer.nextTransmit() {
                guard case .attempt(let number, _, _, _) = order else { continue }
                begun.append(now)
                running.append((number, now + .seconds(2)))
            }
            #expect(running.count <= 8)
            while let event = dialer.nextEvent() {
                if case .failed(_, .overLimit) = event { refused += 1 } else { ended += 1 }
            }
            let next = running.map(\.1).min().earlier(dialer.deadline)
            guard let next else { break }
            now = max(now, next)
            dialer.advance(to: now)
            if let due = running.firstIndex(where: { $0.1 <= now }) {
                dialer.failed(running.remove(at: due).0, .timedOut, now: now)
            }
        }
        #expect(ended == 200)
        #expect(refused == 100)
        #expect(begun.count == 200)
        for index in begun.indices.dropFirst(20) {
            #expect(begun[index].since(begun[index - 20]) >= .milliseconds(900))
        }
    }
}
