// Topics: between two processes of ours, with peers that others wrote, and by clients of the RPC.

import Foundation
import Testing

@Suite(.serialized) struct PubSubTests {
    private static func start() throws -> (place: Workplace, node: RunningNode, address: String) {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place, "--listen", "/ip4/127.0.0.1/tcp/0")
        let listening = node.announcement["listen"] as? [String]
        return (place, node, try #require(listening?.first))
    }

    /// A subscriber in a process of its own, whose lines are read one by one.
    private final class Subscriber {
        let process: Process
        private let output = Pipe()
        private var text = Data()

        init(_ place: Workplace, _ arguments: String...) throws {
            process = place.process(["pubsub", "sub"] + arguments)
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            // A message that never comes is a failure, and keeps nobody waiting for ever.
            DispatchQueue.global().asyncAfter(deadline: .now() + 240) { [process] in
                if process.isRunning { process.terminate() }
            }
        }

        deinit { if process.isRunning { process.terminate() } }

        /// The next line; nil at the end.
        func line() -> String? {
            while true {
                if let end = text.firstIndex(of: 0x0a) {
                    defer { text = Data(text[(end + 1)...]) }
                    return String(decoding: text[..<end], as: UTF8.self)
                }
                let more = output.fileHandleForReading.availableData
                guard !more.isEmpty else { return nil }
                text += more
            }
        }
    }

    /// Asks until the answer is right, as the nodes find each other in their own time.
    private static func until(
        _ what: String, _ condition: () throws -> Bool
    ) throws {
        let deadline = ContinuousClock.now + .seconds(240)
        while try !condition() { try #require(ContinuousClock.now < deadline, "\(what)") }
    }

    @Test("pub, sub, ls, peers, Ctrl-C") func commands() throws {
        // Tests that are run in the background take no notice of Ctrl-C, and nor would what they
        // start.
        signal(SIGINT, SIG_DFL)
        let (here, mine, _) = try Self.start()
        let (there, theirs, address) = try Self.start()
        defer {
            mine.stop()
            theirs.stop()
        }
        #expect(try here.weft("connect", address).status == 0)
        let plain = try Subscriber(here, "news")
        let json = try Subscriber(here, "--json", "--count", "2", "news")
        try Self.until("both subscriptions") {
            try here.weft("pubsub", "ls", "--json").objects().first?["subscriptions"] as? Int == 2
        }
        // The other takes no part yet: what it publishes now still arrives.
        let first = try there.weft("pubsub", "pub", "news", "it rains", "--json")
        #expect(first.status == 0, "\(first.errors)")
        #expect(try first.object()["bytes"] as? Int == 8)
        let peer = try #require(theirs.announcement["peer"] as? String)
        #expect(plain.line() == "\(peer)  it rains")
        let binary = try there.weft("pubsub", "pub", "news", input: Data([0xff, 0, 0xfe]))
        #expect(binary.output == "published to 1 peer", "\(binary.errors)")
        #expect(plain.line() == "\(peer)  /wD+")

        let lines = try (0..<2).map { _ in
            let line = try #require(json.line())
            let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
            return try #require(value as? [String: Any])
        }
        #expect(lines.map { $0["data"] as? String } == ["aXQgcmFpbnM=", "/wD+"])
        #expect(lines.map { $0["text"] as? String } == ["it rains", nil])
        #expect(lines.allSatisfy { $0["author"] as? String == peer })
        #expect(lines.allSatisfy { $0["missed"] as? Int == 0 })
        json.process.waitUntilExit()
        #expect(json.process.terminationStatus == 0)

        let own = try #require(mine.announcement["peer"] as? String)
        #expect(try there.weft("pubsub", "peers", "news").output == own)
        let known = try there.weft("pubsub", "peers", "--json").object()
        #expect(known["peer"] as? String == own)
        #expect(try here.weft("pubsub", "peers", "elsewhere").output == "")

        // Ctrl-C ends the subscription too, though nothing more is published.
        kill(plain.process.processIdentifier, SIGINT)
        plain.process.waitUntilExit()
        #expect(plain.process.terminationStatus == SIGINT)
        try Self.until("no subscription") { try here.weft("pubsub", "ls").output.isEmpty }
        let ceilings = try here.weft("status", "--json").object()["limits"] as? [[String: Any]]
        let ceiling = ceilings?.first { $0["key"] as? String == "mesh.pubsub-subscriptions" }
        #expect(ceiling?["count"] as? Int == 0)
        #expect(ceiling?["limit"] as? Int == 64)
    }

    @Test("refusals") func refusals() throws {
        let place = try Workplace()
        try place.isolate()
        for words in [["pub", "news", "x"], ["sub", "news"], ["ls"], ["peers"]] {
            let process = place.process(["pubsub"] + words)
            let errors = Pipe()
            process.standardError = errors
            try process.run()
            let said = String(
                decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 1)
            #expect(said.contains("weft up"), "\(said)")
        }
        let node = try RunningNode(place)
        defer { node.stop() }
        let long = try place.weft("pubsub", "pub", "news", input: Data(count: 70_000))
        #expect(long.status == 1)
        #expect(long.errors.contains("mesh.pubsub-message"), "\(long.errors)")
        #expect(try place.weft("pubsub", "pub", "", "x").errors.contains("1 to 256 bytes"))
        for target in ["pub?arg=news", "sub?arg=news", "peers?arg=!"] {
            let answer = try RawHTTP.request(node.apiPort, "POST", "/api/v0/pubsub/" + target)
            #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(target)")
            #expect(answer.contains("multibase"), "\(target): \(answer)")
        }
    }

    /// py-libp2p 0.8.1 and a node exchange messages of several topics, whoever dials, and peers
    /// come and go.
    @Test(
        "py-libp2p publishes and subscribes",
        arguments: ["/meshsub/1.2.0", "/meshsub/1.1.0", "/meshsub/1.0.0"])
    func foreign(version: String) throws {
        let (place, node, address) = try Self.start()
        defer { node.stop() }
        let outcome = try place.python("libp2p_pubsub.py", [version, address, node.api])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        #expect(outcome.output == "ok")
    }

    /// py-libp2p gets the record of a name by the fetch protocol, and nothing else.
    @Test("a foreign peer fetches an IPNS record") func record() throws {
        let (place, node, address) = try Self.start()
        defer { node.stop() }
        #expect(try place.weft("name", "publish", "/ipfs/bafkqaaa").status == 0)
        let peer = try #require(node.announcement["peer"] as? String)
        let url = "\(node.gateway)/ipns/\(peer)?format=ipns-record"
        #expect(try place.shell("curl -sfL -o record '\(url)'").status == 0)
        let outcome = try place.python(
            "libp2p_fetch.py", [address, peer, place.path("record")])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        #expect(outcome.output == "ok")
    }
}
