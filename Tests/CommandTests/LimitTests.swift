// Limits as a user sees and changes them: status, bandwidth, config set on a running node, private
// networks.

import Foundation
import Testing

@Suite(.serialized) struct LimitTests {
    private static let loopback = "/ip4/127.0.0.1/tcp/0"

    private static func start(
        _ more: String...
    ) throws -> (place: Workplace, node: RunningNode, address: String) {
        let place = try Workplace()
        try place.isolate()
        for line in more { #expect(try place.shell(line).status == 0, "\(line)") }
        let node = try RunningNode(place, "--listen", loopback)
        let listening = node.announcement["listen"] as? [String]
        return (place, node, try #require(listening?.first))
    }

    private static func limit(_ key: String, _ status: [String: Any]) throws -> [String: Any] {
        let limits = try #require(status["limits"] as? [[String: Any]])
        return try #require(limits.first { $0["key"] as? String == key })
    }

    /// A ceiling that is changed holds at once and is shown; a change that has to wait says so.
    @Test("status, and config set on a running node") func changing() throws {
        let (place, node, address) = try Self.start()
        defer { node.stop() }
        let before = try place.weft("status", "--json").object()
        #expect(before["profile"] as? String == "home")
        #expect(before["addresses"] as? [String] == [address])
        #expect(try Self.limit("mesh.connections-max", before)["limit"] as? Int == 128)

        let set = try place.weft("config", "set", "mesh.connections-max", "7")
        #expect(set.status == 0 && set.errors.isEmpty, "\(set.errors)")
        #expect(try place.weft("config", "set", "mesh.bandwidth-out", "64KiB").errors.isEmpty)
        let waits = try place.weft("config", "set", "mesh.known-peers", "100")
        #expect(waits.status == 0 && waits.errors.contains("starts again"), "\(waits.errors)")
        #expect(try place.weft("config", "set", "mesh.bandwidth-out", "fast").status == 1)
        #expect(try place.weft("config", "set", "mesh.deny-peers", "nobody").status == 1)

        let after = try place.weft("status", "--json").object()
        #expect(try Self.limit("mesh.connections-max", after)["limit"] as? Int == 7)
        let sent = (after["bandwidth"] as? [String: Any])?["sent"] as? [String: Any]
        #expect(sent?["limit"] as? Int == 65_536)
        let words = try place.weft("status").output
        for part in ["of 7 (mesh.connections-max)", "of 64.0 KiB/s", "everywhere", address] {
            #expect(words.contains(part), "\(part): \(words)")
        }
    }

    /// Bytes that a peer was sent are counted by peer and by protocol, and Kubo's call tells them.
    @Test("bandwidth, peers and stats/bw") func counting() throws {
        let (place, node, _) = try Self.start()
        defer { node.stop() }
        let (_, other, address) = try Self.start()
        defer { other.stop() }
        #expect(try place.weft("ping", "--count", "1", address).status == 0)
        let traffic = try place.weft("bandwidth", "--json").object()
        let names = (traffic["protocols"] as? [[String: Any]])?.map { $0["protocol"] as? String }
        #expect(names?.contains("/ipfs/ping/1.0.0") == true, "\(traffic)")
        let peer = try place.weft("peers", "--json").object()
        #expect((peer["receivedBytes"] as? Int ?? 0) > 500)
        let port = node.apiPort
        let kubo = try place.shell("curl -sf -X POST http://127.0.0.1:\(port)/api/v0/stats/bw")
        #expect((try kubo.object()["TotalIn"] as? Int ?? 0) >= (peer["receivedBytes"] as? Int ?? 1))
        let words = try place.weft("bandwidth").output
        #expect(words.contains("received") && words.contains("no limit"), "\(words)")
        // Watched by a program, it is one line a second.
        let script = "'\(DocumentationTests.executable.path)' peers --watch"
        let lines = try place.shell("timeout 10 \(script) | head -n 2").output
        #expect(
            lines.split(separator: "\n").allSatisfy { $0.hasPrefix("1 peers  in ") }, "\(lines)")
    }

    /// Members of a private network reach each other; nobody else is reached or reaches them, and
    /// a file that is no key is refused at the start.
    @Test("a private network") func privateNetwork() throws {
        let keys = try Workplace()
        let key = keys.path("swarm.key")
        #expect(try keys.weft("key", "private", key).status == 0)
        #expect(try keys.weft("key", "private", key).status == 1)
        let text = String(decoding: try keys.read("swarm.key"), as: UTF8.self)
        #expect(text.hasPrefix("/key/swarm/psk/1.0.0/\n/base16/\n"))
        let join = "weft config set mesh.private-key-file '\(key)'"
        let (here, mine, _) = try Self.start(join)
        defer { mine.stop() }
        let (there, theirs, member) = try Self.start(join)
        defer { theirs.stop() }
        let (_, stranger, outside) = try Self.start()
        defer { stranger.stop() }
        #expect(try here.weft("connect", member).status == 0)
        #expect(try here.weft("connect", outside).status == 1)
        #expect(try there.weft("peers", "--json").objects().count == 1)

        let place = try Workplace()
        try place.isolate()
        let bad = try place.weft(
            "up", "--gateway", "127.0.0.1:0", "--private", try place.write("bad", Data("x".utf8)))
        #expect(bad.status == 1)
        #expect(bad.errors.contains("mesh.private-key-file"), "\(bad.errors)")
    }
}
