// Measuring connections: between two of our nodes, and with py-libp2p both ways.

import Foundation
import Testing

@Suite(.serialized) struct PerfTests {
    private static func start(
        _ settings: [(String, String)] = []
    ) throws -> (place: Workplace, node: RunningNode, address: String) {
        let place = try Workplace()
        try place.isolate()
        for (key, value) in settings {
            #expect(try place.weft("config", "set", key, value).status == 0)
        }
        let node = try RunningNode(place, "--listen", "/ip4/127.0.0.1/tcp/0")
        let listening = node.announcement["listen"] as? [String]
        return (place, node, try #require(listening?.first))
    }

    @Test("nodes measure each other where that is allowed, within their limits")
    func ours() throws {
        let (here, mine, _) = try Self.start()
        let (_, theirs, address) = try Self.start([
            ("mesh.perf", "on"), ("mesh.bandwidth-other-out", "4MiB"),
        ])
        defer {
            mine.stop()
            theirs.stop()
        }
        let measured = try here.weft("perf", "--bytes", "8MiB", "--json", address)
        #expect(measured.status == 0, "\(measured.errors)")
        let speed = try measured.object()
        #expect(speed["sentBytes"] as? Int == 8 << 20)
        #expect(speed["receivedBytes"] as? Int == 8 << 20)
        #expect((speed["sentNanoseconds"] as? Int ?? 0) > 0)
        // An eighth of a second's worth may go at once.
        #expect((speed["receivedNanoseconds"] as? Int ?? 0) > 1_800_000_000)
        let shown = try here.weft("perf", "--bytes", "1MiB", address)
        #expect(shown.output.contains("/s, received "), "\(shown.output)")

        let (there, closed, other) = try Self.start()
        defer { closed.stop() }
        let refused = try here.weft("perf", "--bytes", "1MiB", other)
        #expect(refused.status == 1)
        #expect(refused.errors.contains("'mesh.perf'"), "\(refused.errors)")
        #expect(try here.weft("perf", "--bytes", "2GiB", other).status == 2)
        #expect(try !there.weft("id", "--json").output.contains("/perf/1.0.0"))
    }

    @Test("py-libp2p measures a node, and a node py-libp2p") func foreign() throws {
        let (place, node, address) = try Self.start([("mesh.perf", "on")])
        defer { node.stop() }
        let script = DocumentationTests.root.appending(path: "bench/libp2p_perf.py").path
        let python = try Workplace.interpreter()
        let dialled = try place.shell(
            "timeout 600 '\(python)' -W ignore '\(script)' dial '\(address)' \(4 << 20)")
        #expect(dialled.status == 0, "\(dialled.errors)")
        #expect(dialled.output.split(separator: "\n").count == 2)
        let measured = try place.shell(
            """
            coproc SERVER { exec timeout 600 '\(python)' -W ignore '\(script)' serve; }
            read -r address <&"${SERVER[0]}"
            weft perf --bytes 4MiB --json "$address"
            """)
        #expect(measured.status == 0, "\(measured.errors)")
        #expect(try measured.object()["receivedBytes"] as? Int == 4 << 20)
    }
}
