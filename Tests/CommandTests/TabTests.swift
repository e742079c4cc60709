// Tabs of one site that share the connections of one of them.

import ContractText
import Foundation
import Testing

@Suite(.serialized) struct TabTests {
    init() throws { try Browser.check() }

    /// The second tab fetches through the first; in the middle of that the first is closed, and the
    /// second goes on where it was. What a tab has put is still there.
    @Test("the tab that has the connections is closed in the middle") func handOver() throws {
        let place = try Workplace()
        let (node, address, content, cid) = try PageTests.startWithFilm(place)
        defer { node.stop() }
        let page = try BrowserPage("visitors.html")
        let start: [String: Any] = ["tabs": "shared", "peers": [address]]
        func state(_ answer: [String: Any]) -> [String: Any] {
            answer["state"] as? [String: Any] ?? [:]
        }
        let first = try page.run(["visitor": 1, "start": start, "peers": 1])
        let second = try page.run([
            "visitor": 2, "start": start, "open": "ipfs://\(cid)", "put": "bread",
        ])
        let early = try #require(second["count"] as? Int, "\(second)")
        #expect(early > 0 && early < content.count)
        let put = try #require(second["cid"] as? String, "\(second)")
        // One of them is connected with the node, and the other says so.
        #expect(try place.weft("peers", "--json").objects().count == 1)
        #expect(state(second)["peer"] as? String == state(first)["peer"] as? String)
        _ = try page.run(["visitor": 1, "leaves": true])
        let rest = try page.run(["visitor": 2, "rest": true])
        #expect(rest["count"] as? Int == content.count, "\(rest)")
        #expect(rest["sha256"] as? String == PageTests.hash(content))
        #expect(state(rest)["peer"] as? String != state(first)["peer"] as? String)
        let third = try page.run(["visitor": 3, "start": start, "url": "ipfs://\(put)"])
        #expect(third["count"] as? Int == 5, "\(third)")
    }

    /// A reader that pauses for longer than the other tab waits goes on at its byte, and what fails
    /// there says why here.
    @Test("a tab that has paused goes on, and hears why something failed") func pause() throws {
        let place = try Workplace()
        let (node, address, content, cid) = try PageTests.startWithFilm(place)
        defer { node.stop() }
        let page = try BrowserPage("visitors.html")
        let start: [String: Any] = ["tabs": "shared", "patience": 3000, "peers": [address]]
        _ = try page.run(["visitor": 1, "start": start, "peers": 1, "hurries": 100_000])
        let early = try page.run(["visitor": 2, "start": start, "open": "ipfs://\(cid)"])
        #expect(early["count"] as? Int ?? .max < content.count, "\(early)")
        // Meanwhile the first tab gives the reader up.
        let absent = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        let failed = try page.run(["visitor": 2, "url": "ipfs://\(absent)"])
        #expect(failed["code"] as? String == "absent", "\(failed)")
        let rest = try page.run(["visitor": 2, "rest": true])
        #expect(rest["sha256"] as? String == PageTests.hash(content), "\(rest)")
    }

    /// A tab that has the connections and hangs, as in a debugger, keeps nobody waiting for ever;
    /// and when it is gone the next one has them.
    @Test("a tab that is silent is given up") func silence() throws {
        let place = try Workplace()
        let (node, address) = try PageTests.start(place)
        defer { node.stop() }
        let cid = try place.weft("add", "-q", place.write("file", Data("bread\n".utf8))).output
        let page = try BrowserPage("visitors.html")
        _ = try page.run(["visitor": 1, "holds": true])
        let failed = try page.run([
            "visitor": 2, "hurries": 4000, "start": ["tabs": "shared", "peers": [address]],
            "url": "ipfs://\(cid)",
        ])
        let message = "TypeError: the tab that has the connections does not answer"
        #expect(failed["error"] as? String == message, "\(failed)")
        let put = try page.run(["visitor": 2, "put": "cake"])
        #expect(put["error"] as? String == message, "\(put)")
        _ = try page.run(["visitor": 2, "hurries": NSNull()])
        _ = try page.run(["visitor": 1, "leaves": true])
        let next = try page.run(["visitor": 2, "peers": 1, "url": "ipfs://\(cid)"])
        #expect(next["count"] as? Int == 6, "\(next)")
    }

    /// A tab without connections has contracts called by the one that has them.
    @Test("a tab calls contracts through another") func calls() throws {
        let place = try Workplace()
        let (node, address) = try PageTests.start(place)
        defer { node.stop() }
        let text = try ContractText.assemble(ContractText.many)
        let module = try place.write("module.wasm", Data(text))
        let many = try place.weft("contract", "publish", "-q", module).output
        let page = try BrowserPage("visitors.html")
        let start: [String: Any] = [
            "tabs": "shared", "peers": [address], "contracts": ["run": false],
        ]
        _ = try page.run(["visitor": 1, "start": start, "peers": 1])
        let answer = try page.run([
            "visitor": 2, "start": start, "call": "weft://\(many)/hello",
        ])
        #expect(answer["text"] as? String == "hello page", "\(answer)")
        #expect(answer["responder"] as? String == node.announcement["peer"] as? String)
    }
}
