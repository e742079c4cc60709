// Ports that routers forward: the bytes of RFC 6887 and RFC 6886, and what becomes of answers.

import TestSupport
import Testing
import Wire

@testable import Peering

private let network = PortMapper.Network(router: [192, 168, 1, 1], host: [192, 168, 1, 7])
private let nonce: [UInt8] = Array(1...12)
private let outer: [UInt8] = [203, 0, 113, 9]

/// The start of an answer of PCP (RFC 6887, figure 3), with the mapping after it (figure 10).
private func pcp(
    result: UInt8 = 0, lifetime: UInt32 = 1_200, epoch: UInt32, port: UInt16 = 4_001,
    external: UInt16 = 4_001, nonce: [UInt8] = nonce
) -> [UInt8] {
    var out: [UInt8] = [2, 0x81, 0, result]
    out.appendBigEndian(lifetime)
    out.appendBigEndian(epoch)
    out += [UInt8](repeating: 0, count: 12) + nonce + [6, 0, 0, 0]
    out.appendBigEndian(port)
    out.appendBigEndian(external)
    return out + [UInt8](repeating: 0, count: 10) + [0xff, 0xff] + outer
}

private func natPMPAddress(_ address: [UInt8] = outer, epoch: UInt32) -> [UInt8] {
    var out: [UInt8] = [0, 128, 0, 0]
    out.appendBigEndian(epoch)
    return out + address
}

private func natPMP(
    lifetime: UInt32 = 1_200, epoch: UInt32, external: UInt16 = 4_001
) -> [UInt8] {
    var out: [UInt8] = [0, 130, 0, 0]
    out.appendBigEndian(epoch)
    out.appendBigEndian(UInt16(4_001))
    out.appendBigEndian(external)
    out.appendBigEndian(lifetime)
    return out
}

/// A mapper with a clock, and what it has ordered.
private struct Bench {
    var mapper = PortMapper(nonce: nonce, seed: 1)
    var now = Instant(nanoseconds: 1_000_000_000)

    init(ports: [UInt16] = [4_001]) { mapper.start(network, ports: ports, now: now) }

    mutating func orders() -> [PortMapper.Order] {
        var out: [PortMapper.Order] = []
        while let order = mapper.nextTransmit() { out.append(order) }
        return out
    }

    mutating func answer(_ bytes: [UInt8]) {
        mapper.receive(bytes, from: network.router, port: PortMapper.routerPort, now: now)
    }

    /// Lets time pass to the next deadline; answers how long that took.
    mutating func wait() -> Duration {
        guard let deadline = mapper.deadline else { return .zero }
        let passed = deadline.since(now)
        now = max(now, deadline)
        mapper.advance(to: now)
        return passed
    }

    mutating func news() -> [[PortMapping]] {
        var out: [[PortMapping]] = []
        while let event = mapper.nextEvent() { out.append(event) }
        return out
    }
}

@Suite struct PortMappingTests {
    /// The request has every field at its place (RFC 6887, 7.1 and 11.1).
    @Test("PCP, byte by byte") func pcpBytes() throws {
        var bench = Bench()
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
        let expected: [UInt8] =
            [2, 1, 0, 0, 0, 0, 0x04, 0xb0] + mapped + [192, 168, 1, 7] + nonce
            + [6, 0, 0, 0, 0x0f, 0xa1, 0x0f, 0xa1] + mapped + [0, 0, 0, 0]
        #expect(bench.orders() == [.send(expected)])
        bench.answer(pcp(epoch: 100, external: 40_000))
        let mapping = PortMapping(
            port: 4_001, external: IPv4Endpoint(address: outer, port: 40_000), way: .pcp)
        #expect(bench.news() == [[mapping]])
        #expect(bench.mapper.status == .mapped([mapping]))
        // A renewal asks for what there is (11.2.1).
        _ = bench.wait()
        guard case .send(let renewal) = bench.orders().first else {
            Issue.record("nothing was renewed")
            return
        }
        #expect(Array(renewal[42..<60]) == [0x9c, 0x40] + mapped + outer)
        // The end: a lifetime of zero, and nothing wanted (15).
        bench.mapper.stop()
        let release: [UInt8] =
            [2, 1, 0, 0, 0, 0, 0, 0] + mapped + [192, 168, 1, 7] + nonce
            + [6, 0, 0, 0, 0x0f, 0xa1, 0, 0] + mapped + [0, 0, 0, 0]
        #expect(bench.orders() == [.send(release)])
        #expect(bench.news() == [[]] && bench.mapper.deadline == nil)
    }

    /// NAT-PMP's requests have their bytes (RFC 6886, 3.2 and 3.3), and a router that knows only
    /// that says so in its words (3.5).
    @Test("NAT-PMP, byte by byte") func natPMPBytes() throws {
        var bench = Bench()
        _ = bench.orders()
        bench.answer([0, 129, 0, 1, 0, 0, 0, 100])
        #expect(bench.orders() == [.send([0, 0])])
        bench.answer(natPMPAddress(epoch: 100))
        #expect(bench.orders() == [.send([0, 2, 0, 0, 0x0f, 0xa1, 0x0f, 0xa1, 0, 0, 0x04, 0xb0])])
        bench.answer(natPMP(epoch: 100))
        let endpoint = IPv4Endpoint(address: outer, port: 4_001)
        #expect(bench.news() == [[PortMapping(port: 4_001, external: endpoint, way: .natPMP)]])
        bench.mapper.stop()
        #expect(bench.orders() == [.send([0, 2, 0, 0, 0x0f, 0xa1, 0, 0, 0, 0, 0, 0])])
    }

    /// Nobody but the router is listened to, and the router only about this node's own mapping.
    @Test("foreign and malformed answers change nothing") func foreign() throws {
        var bench = Bench()
        _ = bench.orders()
        let good = pcp(epoch: 100)
        bench.mapper.receive(good, from: [192, 168, 1, 66], port: 5_351, now: bench.now)
        bench.mapper.receive(good, from: network.router, port: 53, now: bench.now)
        bench.answer(pcp(epoch: 100, nonce: [UInt8](repeating: 9, count: 12)))
        bench.answer(pcp(epoch: 100, port: 4_002))
        for count in 0..<good.count {
            bench.answer(Array(good[..<count]))
        }
        var udp = good
        udp[36] = 17
        bench.answer(udp)
        var request = good
        request[1] = 1
        bench.answer(request)
        var native = good
        native[44] = 0x20
        bench.answer(native)
        bench.answer(good + [UInt8](repeating: 0, count: 1_100))
        #expect(bench.mapper.mappings.isEmpty && bench.news().isEmpty)
        #expect(bench.mapper.status == .asking)
        bench.answer(good)
        #expect(bench.mapper.mappings.count == 1)
    }

    /// Whatever comes, the mapper stays within its bounds.
    @Test func noise() throws {
        var noise = Noise(seed: 3)
        var bench = Bench(ports: [4_001, 4_002])
        for round in 0..<5_000 {
            let good = round % 2 == 0 ? pcp(epoch: UInt32(round)) : natPMP(epoch: UInt32(round))
            bench.answer(noise.mutation(of: good))
            if round % 7 == 0 { _ = bench.wait() }
            #expect(bench.orders().count < 8)
            #expect(bench.mapper.mappings.count <= 2)
        }
    }

    /// Silence leads from way to way, each with its own patience, and then to a long pause.
    @Test("silence: PCP, NAT-PMP, UPnP, and later again") func silence() throws {
        var bench = Bench()
        var waits: [Duration] = []
        var sent: [Int] = []
        for _ in 0..<8 {
            sent.append(
                bench.orders().count {
                    if case .send = $0 { true } else { false }
                })
            if bench.mapper.status != .asking { break }
            waits.append(bench.wait())
        }
        // Twice PCP after 3 and 6 s, four times NAT-PMP from a quarter of a second on, then UPnP.
        let expected: [Double] = [3, 6, 0.25, 0.5, 1, 2, 30]
        #expect(waits.count == expected.count)
        for (wait, seconds) in zip(waits, expected) {
            #expect(abs(wait / .seconds(1) - seconds) <= seconds / 10)
        }
        #expect(sent == [1, 1, 1, 1, 1, 1, 0, 0])
        let failed = PortMappingProtocol.allCases.map {
            PortMappingStatus.Attempt(way: $0, failure: .silent)
        }
        #expect(bench.mapper.status == .failed(failed))
        #expect(bench.wait() == PortMapper.pause)
        #expect(bench.mapper.status == .asking && bench.orders().count == 1)
    }

    /// A refusal and a closed port are not waited for.
    @Test("refusals lead on at once") func refusals() throws {
        var bench = Bench()
        bench.answer(pcp(result: 2, epoch: 1))
        bench.mapper.unreachable(now: bench.now)
        let orders = bench.orders()
        guard case .forward(let number, 4_001, outer: 4_001, lifetime: 1_200) = orders.last else {
            Issue.record("UPnP was not tried: \(orders)")
            return
        }
        // Not the one that was asked.
        bench.mapper.receive(.failed(.noNetwork), to: number + 1, now: bench.now)
        #expect(bench.mapper.status == .asking)
        bench.mapper.receive(.failed(.noNetwork), to: number, now: bench.now)
        #expect(
            bench.mapper.status
                == .failed([
                    .init(way: .pcp, failure: .notAuthorized),
                    .init(way: .natPMP, failure: .unreachable),
                    .init(way: .upnp, failure: .noNetwork),
                ]))
    }

    /// UPnP's mappings are renewed and released like the others.
    @Test func upnp() throws {
        var bench = Bench()
        bench.mapper.unreachable(now: bench.now)
        bench.mapper.unreachable(now: bench.now)
        guard case .forward(let number, _, _, _) = bench.orders().last else {
            Issue.record("UPnP was not tried")
            return
        }
        let endpoint = IPv4Endpoint(address: outer, port: 5_000)
        bench.mapper.receive(.forwarded(endpoint), to: number, now: bench.now)
        #expect(bench.news() == [[PortMapping(port: 4_001, external: endpoint, way: .upnp)]])
        let wait = bench.wait()
        #expect(wait >= .seconds(600) && wait <= .seconds(675))
        guard case .forward(_, 4_001, outer: 5_000, _) = bench.orders().last else {
            Issue.record("nothing was renewed")
            return
        }
        bench.mapper.stop()
        #expect(bench.orders() == [.release(outer: 5_000)])
    }

    /// A mapping is renewed from half of its time on, then at ever shorter times, and is gone when
    /// its time is over; then every way is tried again.
    @Test("renewal and end") func renewal() throws {
        var bench = Bench()
        bench.answer(pcp(lifetime: 400, epoch: 100))
        _ = bench.orders()
        _ = bench.news()
        let granted = bench.now
        let wait = bench.wait()
        #expect(wait >= .seconds(200) && wait <= .seconds(225))
        #expect(bench.orders().count == 1)
        var sends = 1
        while bench.news().isEmpty {
            _ = bench.wait()
            sends += bench.orders().count
            #expect(bench.now.since(granted) < .seconds(420))
        }
        #expect(bench.now.since(granted) >= .seconds(400) && sends > 8 && sends < 24)
        #expect(bench.mapper.status == .asking)
        bench.answer(pcp(lifetime: 400, epoch: 500))
        #expect(bench.mapper.mappings.count == 1)
        // A longer time than was asked for is not relied on.
        _ = bench.wait()
        bench.answer(pcp(lifetime: 1 << 30, epoch: 700))
        #expect(bench.wait() <= .seconds(675))
    }

    /// A router that was restarted has forgotten all ports, and is asked for all of them at once.
    @Test("a restarted router is asked for everything again") func restart() throws {
        var bench = Bench(ports: [4_001, 4_002])
        bench.answer(pcp(epoch: 100))
        bench.answer(pcp(epoch: 100, port: 4_002, external: 4_002))
        #expect(bench.mapper.mappings.count == 2)
        _ = bench.orders()
        _ = bench.wait()
        #expect(bench.orders().count == 1)
        let first: UInt16 = bench.mapper.asking?.question == .map(4_001) ? 4_001 : 4_002
        bench.answer(pcp(epoch: 5, port: first, external: first))
        #expect(bench.orders().count == 1 && bench.mapper.asking != nil)
        #expect(bench.mapper.asking?.question != .map(first))
    }

    /// The rules of RFC 6887, 8.5: what a clock of a router that kept its state may show.
    @Test func epoch() {
        func continues(_ seconds: UInt32, after client: Int) -> Bool {
            var epoch = ServerEpoch()
            _ = epoch.continues(with: 1_000, now: instant(1))
            return epoch.continues(with: seconds, now: instant(1) + .seconds(client))
        }
        #expect(continues(1_000, after: 0) && continues(999, after: 0))
        #expect(
            continues(1_100, after: 100) && continues(1_092, after: 100)
                && continues(1_108, after: 100))
        #expect(!continues(998, after: 0) && !continues(1_000, after: 100))
        #expect(!continues(1_091, after: 100) && !continues(1_200, after: 100))
    }

    /// The provider gives the router another address: what is told to others follows.
    @Test("another outer address") func moved() throws {
        var bench = Bench()
        bench.answer([0, 129, 0, 1, 0, 0, 0, 100])
        bench.answer(natPMPAddress(epoch: 100))
        bench.answer(natPMP(epoch: 100))
        _ = bench.news()
        let wait = bench.wait()
        let later = 100 + UInt32(wait.components.seconds)
        bench.answer(natPMPAddress([198, 18, 0, 3], epoch: later))
        #expect(bench.news().last?.first?.external.address == [198, 18, 0, 3])
    }
}
