// What the doctor says: each thing that can be wrong is a problem with advice, and nothing else is.

import Multiformats
import Testing
import Wire

@testable import BlockStore
@testable import NodeCore
@testable import Peering
@testable import Weft

@Suite struct DoctorTests {
    private func gauge(_ count: Int = 0, refused: UInt64 = 0) -> Gauge {
        Gauge(count: count, limit: 10, refused: refused)
    }

    private func reachability(
        _ verdict: Reachability, _ mapping: NATMapping = .unknown, relays: [PeerID] = []
    ) -> ReachabilityStatus {
        ReachabilityStatus(
            reachability: verdict, mapping: mapping, addresses: [], sightings: [], relays: relays,
            servesRelay: false, reservations: gauge(), circuits: gauge(), relayedConnections: 0,
            holesPunched: 0, holesFailed: 0)
    }

    @Test("Not being reached is a problem unless a relay helps") func reached() throws {
        let relay = try PeerID(text: "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")
        let asking = PortMappingStatus.asking
        let found = [
            Finding.reachability(reachability(.reachable), asking, isListening: true),
            .reachability(reachability(.unknown), asking, isListening: true),
            .reachability(reachability(.unreachable), asking, isListening: true),
            .reachability(reachability(.unreachable, relays: [relay]), asking, isListening: true),
            .reachability(reachability(.unknown), asking, isListening: false),
        ]
        #expect(found.map(\.verdict) == [.good, .note, .problem, .note, .note])
        #expect(found.map { $0.advice != nil } == [false, true, true, true, true])
        #expect(found[2].advice?.contains("forward TCP port 4001") == true)
        let mappings: [NATMapping] = [.none, .endpointIndependent, .endpointDependent, .unknown]
        #expect(
            mappings.map { Finding.router(reachability(.unknown, $0)).verdict }
                == [.good, .good, .note, .note])
        let named = ["/ip4/203.0.113.7/tcp/4001/p2p/\(relay)"]
        #expect(Finding.relays(reachability(.unknown), named: named).verdict == .problem)
        #expect(Finding.relays(reachability(.reachable), named: named).verdict == .good)
    }

    private func mapped(_ address: [UInt8]) -> PortMappingStatus {
        let endpoint = IPv4Endpoint(address: address, port: 4_001)
        return .mapped([PortMapping(port: 4_001, external: endpoint, way: .natPMP)])
    }

    /// A forwarded port is of use on the internet alone; what is in the way has its name.
    @Test("The router's part") func forwarding() {
        let open = Finding.portMapping(mapped([8, 8, 4, 4]))
        #expect(open.verdict == .good && open.advice == nil)
        #expect(open.summary.contains("8.8.4.4, port 4001"))
        #expect(open.details.first?.hasSuffix("NAT-PMP") == true)
        let twice = Finding.portMapping(mapped([192, 168, 0, 2]))
        #expect(twice.verdict == .problem && twice.advice?.contains("bridge mode") == true)
        let shared = Finding.portMapping(mapped([100, 64, 0, 2]))
        #expect(shared.advice?.contains("CGNAT") == true)
        #expect(Finding.portMapping(mapped([0, 0, 0, 0])).verdict == .problem)
        let failed: [PortMappingStatus.Attempt] = [
            .init(way: .pcp, failure: .notAuthorized), .init(way: .natPMP, failure: .silent),
            .init(way: .upnp, failure: .refused(501)),
        ]
        let refused = Finding.portMapping(.failed(failed))
        #expect(refused.verdict == .note && refused.summary.contains("refuses"))
        #expect(
            refused.details == [
                "PCP: the router is told to refuse", "NAT-PMP: no answer",
                "UPnP: refused, with number 501",
            ])
        for reason: PortMappingStatus.Idle in [.off, .notListening, .noRouter] {
            #expect(Finding.portMapping(.idle(reason)).verdict != .problem)
        }
        // Whoever is not reached although the router does its part has to look elsewhere.
        let blocked = Finding.reachability(
            reachability(.unreachable), mapped([8, 8, 4, 4]), isListening: true)
        #expect(blocked.advice?.contains("firewall") == true)
    }

    /// Of several ways out, the one that the system prefers.
    @Test("The default route, as Linux tells it") func route() {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n"
        let table =
            head + "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
            + "eth0\t00000000\tFE00000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
            + "eth0\t0000000A\t00000000\t0001\t0\t0\t100\t000000FF\t0\t0\t0\n"
        let best = DefaultRoute.best(in: table)
        #expect(best?.device == "eth0" && best?.router == [10, 0, 0, 254])
        for bad in ["", head, head + "eth0\t00000000\tx\t0003\t0\t0\t100\t00000000\n"] {
            #expect(DefaultRoute.best(in: bad) == nil)
        }
    }

    @Test("Disk, clock and limits") func rest() {
        var store = StoreStatistics()
        store.maxBytes = 10 << 30
        store.usedBytes = 1 << 30
        #expect(Finding.disk(store, free: 1 << 40, directory: "/x").verdict == .good)
        #expect(Finding.disk(store, free: 1 << 20, directory: "/x").verdict == .problem)
        // A store that is full has all it may have, whatever is free besides.
        store.usedBytes = 10 << 30
        #expect(Finding.disk(store, free: 1 << 20, directory: "/x").verdict == .good)
        store.pinnedBytes = 10 << 30
        #expect(Finding.disk(store, free: 1 << 40, directory: "/x").verdict == .note)

        #expect(Finding.clock([]).verdict == .note)
        #expect(Finding.clock([("a", 2), ("b", 7_000), ("c", -1)]).verdict == .good)
        let signed = Finding.clock([], signed: [3_700, 3_600, -40])
        #expect(signed.verdict == .problem && signed.summary.contains("at least 3600 seconds"))
        #expect(Finding.clock([], signed: [3_700, -2, -40]).verdict == .good)
        #expect(Finding.clock([], signed: [3_700]).verdict == .note)
        #expect(Finding.clock([("a", 0)], signed: [3_700, 3_600]).verdict == .good)
        for number: UInt64 in [1_800_000_000, 1_800_000_000_123, 1_800_000_000_123_456_789] {
            #expect(Finding.signingTime(number) == 1_800_000_000)
        }
        #expect(Finding.signingTime(17) == nil && Finding.signingTime(.max) == nil)
        let late = Finding.clock([("a", -300)])
        #expect(late.verdict == .problem && late.summary.contains("300 seconds behind"))

        let status = NodeStatus(
            connections: gauge(3), inbound: gauge(), outbound: gauge(10, refused: 4),
            dials: gauge(), acceptedStreams: gauge(), openingStreams: gauge(), commands: gauge(),
            knownPeers: gauge(), subscriptions: gauge(), peers: 0, crowded: 0, denied: 0,
            trimmed: 0, dialled: 0,
            dialFailures: 0, violations: 0)
        #expect(
            Finding.limits(status).details == [
                "connections to others: 10 of 10 now, held back 4 times (mesh.connections-out)"
            ])
        let held = Finding.limits(status, knocks: 3, held: (1 << 20, 64 << 20, 2))
        #expect(held.details.count == 3 && held.details[1].hasSuffix("3 (mesh.connections-in)"))
        #expect(Finding.peers(status, isOnline: true).verdict == .problem)
        #expect(Finding.peers(status, isOnline: false).verdict == .note)
    }

    private func dht(_ peers: Int, _ lookups: [(asked: Int, answered: Int)]) -> DHTStatus {
        let done = lookups.map {
            KadLookup(
                end: .complete, asked: $0.asked, answered: $0.answered,
                duration: .milliseconds(700), at: Instant(nanoseconds: 0))
        }
        return DHTStatus(
            name: PeerProtocols.kad, isServer: false, peers: peers, estimatedSize: nil,
            providerRecords: 0, valueRecords: 0, lookups: done,
            lastLookupAge: done.isEmpty ? nil : .seconds(90))
    }

    @Test("What is announced, and what there is no room for") func announcing() {
        var status = AnnouncingStatus(strategy: .all)
        (status.keys, status.limit, status.last) = (99, 100, .now)
        #expect(Finding.announcing(status).verdict == .good)
        status.keys = 100
        let full = Finding.announcing(status)
        #expect(full.verdict == .note && full.advice?.contains("mesh.announced-keys") == true)
    }

    /// Servers that are known and do not answer are no help.
    @Test("The DHT and its last lookups") func lookups() {
        let joining = Joining()
        #expect(Finding.dht(dht(0, []), joining).verdict == .problem)
        #expect(Finding.dht(dht(0, []), nil).verdict == .note)
        #expect(Finding.dht(dht(20, []), joining).verdict == .good)
        let well = Finding.dht(dht(20, [(30, 24), (20, 18)]), joining)
        #expect(well.verdict == .good)
        #expect(
            well.details == [
                "last 2 lookups: 42 of 50 peers answered, 700ms in the middle, 0 not done in time; "
                    + "the last one 1m30s ago"
            ])
        let silent = Finding.dht(dht(20, [(40, 3)]), joining)
        #expect(silent.verdict == .note && silent.advice != nil)
    }

    @Test("The time of an HTTP answer") func date() {
        for seconds: Int64 in [0, 784_111_777, 1_800_000_000, 951_782_400] {
            #expect(HTTPDate.text(seconds).flatMap(HTTPDate.seconds) == seconds)
        }
        for text in [
            "", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT", "a b Nov d e GMT",
        ] {
            #expect(HTTPDate.seconds(text) == nil)
        }
    }
}
