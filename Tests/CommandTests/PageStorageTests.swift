// What pages keep on disk, in Chromium: it outlives a page, is checked when it is read, and stays
// within its bounds.

import Cryptography
import Foundation
import Testing
import Wire

@Suite(.serialized) struct PageStorageTests {
    init() throws { try Browser.check() }

    private static func content(_ seed: UInt64, _ count: Int) -> Data {
        var state = seed
        return Data(
            (0..<count).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: state >> 56)
            })
    }

    private static func hash(_ content: Data) -> String {
        SHA256.hash([UInt8](content).rawSpan).map { String(format: "%02x", $0) }.joined()
    }

    @Test("a page keeps blocks on disk, which survive it and are checked")
    func keeping() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place, "--listen", "/ip4/127.0.0.1/tcp/0/ws")
        defer { node.stop() }
        let address = try #require((node.announcement["listen"] as? [String])?.first)
        let (file, other) = (Self.content(1, 3 << 20), Self.content(2, 5 << 20))
        let cids = try [("file", file), ("other", other)].map {
            try place.weft("add", "-q", place.write($0.0, $0.1)).output
        }
        let argument = try JSONSerialization.data(withJSONObject: [
            "peer": address, "url": "ipfs://\(cids[0])", "other": "ipfs://\(cids[1])",
        ])
        let outcome = try place.python(
            "../Browsers/chromium.py", ["storage.html", String(decoding: argument, as: UTF8.self)])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let steps = try #require(try outcome.object() as? [String: [String: Any]])
        func step(_ name: String) -> (hash: String?, stored: Int, fetched: Int, fault: String?) {
            let step = steps[name] ?? [:]
            return (
                step["hash"] as? String, step["storedBytes"] as? Int ?? -1,
                step["bytesFetched"] as? Int ?? -1, step["storageFault"] as? String
            )
        }
        let fetched = step("fetched")
        #expect(fetched.hash == Self.hash(file), "\(steps)")
        #expect(fetched.stored > 3 << 20 && fetched.fetched > 3 << 20 && fetched.fault == nil)
        // Without a peer all of it comes from disk.
        let alone = step("alone")
        #expect(alone.hash == Self.hash(file) && alone.fetched == 0, "\(steps)")
        // Wrong bytes are not handed on, and nobody else is there.
        #expect(step("spoiled").hash == "unreachable", "\(steps)")
        let small = step("small")
        #expect(small.hash == Self.hash(other), "\(steps)")
        #expect((1...1_500_000).contains(small.stored), "\(steps)")
        let off = step("off")
        #expect(off.hash == Self.hash(file) && off.stored == 0 && off.fault == nil, "\(steps)")
        let without = step("without")
        #expect(without.hash == Self.hash(file) && without.stored == 0, "\(steps)")
        #expect(without.fault?.isEmpty == false, "\(steps)")
    }
}
