// Nodes as peers: two processes of ours, and peers that others wrote (py-libp2p).

import Foundation
import Testing

@Suite(.serialized) struct MeshTests {
    private static let loopback = "/ip4/127.0.0.1/tcp/0"

    /// A node that listens for peers.
    private static func start(
        at listening: String = loopback, in place: Workplace? = nil
    ) throws -> (place: Workplace, node: RunningNode, address: String) {
        let place = try place ?? Workplace()
        try place.isolate()
        let node = try RunningNode(place, "--listen", listening)
        let announced = node.announcement["listen"] as? [String]
        let peer = try #require(node.announcement["peer"] as? String)
        let address = try #require(announced?.first)
        #expect(announced?.count == 1)
        let prefix = listening.components(separatedBy: "/0")[0]
        #expect(address.hasPrefix(prefix + "/") && address.hasSuffix("/p2p/\(peer)"))
        return (place, node, address)
    }

    private static func peer(of address: String) -> String {
        address.split(separator: "/").last.map(String.init) ?? ""
    }

    /// Two nodes connect, see each other with name and software, ping, part, and stop in time
    /// while they are connected.
    @Test("connect, peers, ping, disconnect, stop") func twoNodes() throws {
        let (here, mine, myAddress) = try Self.start()
        let (there, theirs, address) = try Self.start()
        let peer = Self.peer(of: address)
        let connected = try here.weft("connect", address, "--json")
        #expect(connected.status == 0, "\(connected.errors)")
        #expect(try connected.object()["peer"] as? String == peer)

        let ping = try here.weft("ping", "--count", "1", peer, "--json")
        #expect(ping.status == 0, "\(ping.errors)")
        #expect((try ping.object()["nanoseconds"] as? Int ?? 0) > 0)

        // Identify is over before the ping, or soon after.
        var agent: String?
        for _ in 0..<50 where agent?.isEmpty != false {
            agent = try here.weft("peers", "--json").object()["agent"] as? String
        }
        #expect(agent?.hasPrefix("weft/") == true)
        let seen = try there.weft("peers", "--json").object()
        #expect(seen["peer"] as? String == Self.peer(of: myAddress))
        let connections = try #require(seen["connections"] as? [[String: Any]])
        #expect(connections.map { $0["direction"] as? String } == ["inbound"])
        #expect(try there.weft("peers").output.contains(Self.peer(of: myAddress)))

        #expect(try here.weft("disconnect", peer).status == 0)
        #expect(try here.weft("peers").output == "")
        let again = try here.weft("disconnect", peer)
        #expect(again.status == 1)
        #expect(again.errors.contains("no connection"), "\(again.errors)")

        #expect(try here.weft("connect", address).status == 0)
        let listed = try here.weft("id", "--json").object()["addresses"] as? [String]
        #expect(listed == [myAddress])
        #expect(theirs.stop() < .seconds(20))
        #expect(mine.stop() < .seconds(20))
        #expect(theirs.process.terminationStatus == 0)
        #expect(mine.process.terminationStatus == 0)
    }

    /// What cannot be done is said in one line that tells what to do.
    @Test("refusals") func refusals() throws {
        let (place, node, address) = try Self.start()
        defer { node.stop() }
        let own = Self.peer(of: address)
        let stranger = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
        for (arguments, text) in [
            (["ping", "--count", "1", stranger], "no address"),
            (["connect", "/ip4/127.0.0.1/tcp/1/p2p/\(stranger)"], "did not accept a connection"),
            (["connect", "/ip4/127.0.0.1/tcp/1"], "/p2p/PEER"),
            (["connect", "/ip4/127.0.0.1/udp/1/quic-v1/p2p/\(stranger)"], "cannot be dialled"),
            (["connect", address], "this node itself"),
            (["connect", String(address.dropLast(own.count)) + stranger], "is somebody else"),
        ] {
            let process = place.process(arguments)
            let errors = Pipe()
            process.standardError = errors
            try process.run()
            let said = String(
                decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 1, "\(arguments)")
            #expect(said.contains(text), "\(arguments): \(said)")
        }
        let taken = try Workplace()
        try taken.isolate()
        let bound = address.components(separatedBy: "/p2p/")[0]
        let second = try taken.weft("up", "--gateway", "127.0.0.1:0", "--listen", bound)
        #expect(second.status == 1)
        #expect(second.errors.contains("cannot listen on \(bound)"), "\(second.errors)")
        #expect(try taken.weft("peers").errors.contains("weft up"))
    }

    /// py-libp2p does the same as below over WebRTC; the address names the same certificate after
    /// the node was stopped and started.
    @Test("py-libp2p uses a node over WebRTC") func servedOverWebRTC() throws {
        let listening = "/ip4/127.0.0.1/udp/0/webrtc-direct"
        let (place, node, address) = try Self.start(at: listening)
        defer { node.stop() }
        let content = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
        let added = try place.weft("block", "put", try place.write("block", content))
        let outcome = try place.python(
            "libp2p_client.py", [address, place.path("got"), added.output])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        #expect(try place.read("got") == content)
        #expect(node.stop() < .seconds(20))
        let (_, again, newAddress) = try Self.start(at: listening, in: place)
        defer { again.stop() }
        func name(_ address: String) -> String? {
            address.components(separatedBy: "/certhash/").last
        }
        #expect(address.contains("/certhash/u") && name(address) == name(newAddress))
    }

    /// A page in Chromium dials the node without a change to its own session description, which
    /// browsers are about to forbid, and talks to it. It shares no code with the node.
    @Test("a page in Chromium uses a node over WebRTC") func page() throws {
        let place = try Workplace()
        try place.isolate()
        #expect(try place.weft("config", "set", "mesh.perf", "on").status == 0)
        let (_, node, address) = try Self.start(at: "/ip4/127.0.0.1/udp/0/webrtc-direct", in: place)
        defer { node.stop() }
        let outcome = try place.python(
            "../Browsers/chromium.py", ["webrtc-direct.html", address])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let report = try outcome.object()
        #expect(report["error"] == nil, "\(report)")
        // The page has checked that the node holds this Ed25519 key.
        let key = try #require(report["key"] as? [Int])
        #expect(key.count == 36 && key.prefix(4) == [8, 1, 18, 32])
    }

    /// py-libp2p identifies and pings a node and fetches its blocks over bitswap.
    @Test("py-libp2p uses a node") func served() throws {
        let (place, node, address) = try Self.start()
        defer { node.stop() }
        var cids: [String] = []
        var content = Data()
        for (name, size) in [("small", 1_000), ("block", 1 << 20), ("empty", 0)] {
            let bytes = Data((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
            content += bytes
            let file = try place.write(name, bytes)
            let added = try place.weft("block", "put", file)
            #expect(added.status == 0, "\(added.errors)")
            cids.append(added.output)
        }
        let outcome = try place.python("libp2p_client.py", [address, place.path("got")] + cids)
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        #expect(try place.read("got") == content)
        let report = try outcome.object()
        #expect((report["agent"] as? String)?.hasPrefix("weft/") == true)
        let protocols = try #require(report["protocols"] as? [String])
        #expect(protocols.contains("/ipfs/bitswap/1.2.0"))
        #expect(protocols.contains("/ipfs/ping/1.0.0"))
        let bare = address.components(separatedBy: "/p2p/")[0]
        // Where its own pages connect is told to nobody.
        #expect(report["addresses"] as? [String] == [bare])
    }
}

extension Workplace {
    /// The Python with the clients that are installed for the tests.
    static func interpreter() throws -> String {
        let python = DocumentationTests.root.appending(path: ".build/venv/bin/python").path
        try #require(
            FileManager.default.isExecutableFile(atPath: python),
            "the Python clients are missing: run 'Scripts/install-packages test'")
        return python
    }

    /// A script of Tests/Interop.
    static func script(_ name: String) -> String {
        DocumentationTests.root.appending(path: "Tests/Interop/\(name)").path
    }

    /// Runs a script of Tests/Interop.
    func python(_ script: String, _ arguments: [String]) throws -> Outcome {
        let words = [try Self.interpreter(), "-W", "ignore", Self.script(script)] + arguments
        return try shell("exec timeout 600 " + words.map { "'\($0)'" }.joined(separator: " "))
    }
}
