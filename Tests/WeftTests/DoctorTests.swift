// What the doctor says: each thing that can be wrong is a problem with advice, and nothing else is.

import Multiformats
import Peering
import Testing

@testable import BlockStore
@testable import NodeCore
@testable import Weft

@Suite struct DoctorTests {
    private func gauge(_ count: Int = 0, refused: UInt64 = 0) -> Gauge {
        Gauge(count: count, limit: 10, refused: refused)
    }

    private func reachability(
        _ verdict: Reachability, _ mapping: NATMapping = .unknown, relays: [PeerID] = []
    ) -> ReachabilityStatus {
        ReachabilityStatus(
            reachability: verdict, mapping: mapping, addresses: [], relays: relays,
            servesRelay: false, reservations: gauge(), circuits: gauge(), relayedConnections: 0,
            holesPunched: 0, holesFailed: 0)
    }

    @Test("Not being reached is a problem unless a relay helps") func reached() throws {
        let relay = try PeerID(text: "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")
        let found = [
            Finding.reachability(reachability(.reachable), isListening: true),
            .reachability(reachability(.unknown), isListening: true),
            .reachability(reachability(.unreachable), isListening: true),
            .reachability(reachability(.unreachable, relays: [relay]), isListening: true),
            .reachability(reachability(.unknown), isListening: false),
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
        let late = Finding.clock([("a", -300)])
        #expect(late.verdict == .problem && late.summary.contains("300 seconds behind"))

        let status = NodeStatus(
            connections: gauge(3), inbound: gauge(), outbound: gauge(10, refused: 4),
            dials: gauge(), acceptedStreams: gauge(), openingStreams: gauge(), commands: gauge(),
            knownPeers: gauge(), peers: 0, crowded: 0, denied: 0, trimmed: 0, dialled: 0,
            dialFailures: 0, violations: 0)
        #expect(
            Finding.limits(status).details == [
                "connections to others: 10 of 10 now, held back 4 times"
            ])
        #expect(Finding.peers(status, isOnline: true).verdict == .problem)
        #expect(Finding.peers(status, isOnline: false).verdict == .note)
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
