// Blocks between a node and a peer that others wrote (py-libp2p), both ways, over bitswap.

import Foundation
import Testing

@Suite(.serialized) struct BitswapTests {
    private static func content(_ count: Int) -> Data {
        var state: UInt64 = 88
        var data = Data(capacity: count)
        while data.count < count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            withUnsafeBytes(of: state) { data.append(contentsOf: $0.suffix(4)) }
        }
        return data
    }

    /// 64 MiB come from a foreign peer.
    @Test("a node fetches from py-libp2p") func fetching() throws {
        let place = try Workplace()
        try place.isolate()
        let content = Self.content(64 << 20)
        let owner = try ForeignOwner(place, "serve", place.write("file", content))
        let node = try RunningNode(place)
        defer { node.stop() }
        let connected = try place.weft("connect", owner.address)
        #expect(connected.status == 0, "\(connected.errors)")
        let got = try place.weft("fetch", "--trace", "ipfs://\(owner.root)", "-o", "got")
        #expect(got.status == 0, "\(got.errors)")
        #expect(try place.read("got") == content)
        let peer = owner.address.split(separator: "/").last.map(String.init) ?? "?"
        #expect(got.errors.contains(peer), "\(got.errors)")
    }

    /// A foreign peer fetches 64 MiB.
    @Test("py-libp2p fetches from a node") func serving() throws {
        let place = try Workplace()
        try place.isolate()
        let content = Self.content(64 << 20)
        // Its blocks are 512 KiB long at most.
        let added = try place.weft(
            "add", "-q", "--chunker", "size-262144", place.write("file", content))
        #expect(added.status == 0, "\(added.errors)")
        let node = try RunningNode(place, "--listen", "/ip4/127.0.0.1/tcp/0")
        defer { node.stop() }
        let address = try #require((node.announcement["listen"] as? [String])?.first)
        let outcome = try place.python(
            "libp2p_bitswap.py", ["fetch", address, added.output, place.path("got")])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        #expect(try place.read("got") == content)
    }

    /// A foreign peer with wrong bytes is found out, and the failure says so.
    @Test("py-libp2p lies") func lying() throws {
        let place = try Workplace()
        try place.isolate()
        let owner = try ForeignOwner(place, "lie", place.write("file", Self.content(1 << 20)))
        let node = try RunningNode(place)
        defer { node.stop() }
        #expect(try place.weft("connect", owner.address).status == 0)
        let got = try place.weft("fetch", "ipfs://\(owner.root)", "-o", "got")
        #expect(got.status != 0)
        #expect(got.errors.contains("wrong bytes"), "\(got.errors)")
    }
}

/// A foreign peer that has a file.
final class ForeignOwner {
    private let process = Process()
    private let input = Pipe()
    let address: String
    let root: String

    init(
        _ place: Workplace, _ part: String, _ file: String, over transport: String = "tcp"
    ) throws {
        process.executableURL = URL(filePath: "/usr/bin/timeout")
        process.arguments =
            ["300", try Workplace.interpreter(), "-W", "ignore"]
            + [Workplace.script("libp2p_bitswap.py"), part, file, transport]
        process.standardInput = input
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var line = Data()
        while !line.contains(0x0a) {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            line += more
        }
        let report = try JSONSerialization.jsonObject(with: line) as? [String: String]
        address = try #require(report?["address"])
        root = try #require(report?["root"])
    }

    deinit {
        input.fileHandleForWriting.closeFile()
        process.terminate()
    }
}
