// What a page's node does in its worker while the page has no time, and how it does without what
// some browsers lack.

import Foundation
import Testing

@Suite(.serialized) struct PageWorkerTests {
    init() throws { try Browser.check() }

    /// A page between two nodes, of which one has what the page reads.
    private struct Between {
        let here: Workplace
        let there: Workplace
        let owner: (node: RunningNode, address: String)
        let asker: (node: RunningNode, address: String)
        let content = PageTests.content(3 << 20)
        let large: String
        let small: String

        init(listening: String) throws {
            (here, there) = (try Workplace(), try Workplace())
            owner = try PageTests.start(here)
            asker = try PageTests.start(there, at: listening)
            large = try here.weft("add", "-q", here.write("large", content)).output
            small = try here.weft("add", "-q", here.write("small", Data("bread".utf8))).output
        }

        /// A page that has read both.
        func show(_ terms: [String: Any]) throws -> OpenPage {
            let argument: [String: Any] = [
                "peers": [owner.address, asker.address],
                "urls": ["ipfs://\(large)", "ipfs://\(small)"],
            ]
            let page = try OpenPage("busy.html", argument.merging(terms) { $1 })
            let hashes = page.report["hashes"] as? [String]
            #expect(hashes?.first == PageTests.hash(content), "\(page.report)")
            owner.node.stop()
            return page
        }

        /// The node that has nothing gets something from the page.
        func give(_ cid: String, _ content: Data) throws {
            let got = try there.weft("fetch", "ipfs://\(cid)", "-o", there.path(cid))
            #expect(got.status == 0, "\(got.errors)")
            #expect(try Data(contentsOf: URL(filePath: there.path(cid))) == content)
        }

        func stop() {
            owner.node.stop()
            asker.node.stop()
        }
    }

    /// Peers get what the page has although nothing runs on the page's own thread.
    @Test(
        "a page whose thread is blocked goes on giving",
        arguments: [PageTests.webSocket, PageTests.webRTC])
    func blocked(listening: String) throws {
        let between = try Between(listening: listening)
        defer { between.stop() }
        let page = try between.show(["blocks": true])
        defer { page.close() }
        let isHanded = page.report["handed"] as? Int ?? 0 > 0
        #expect(isHanded == (listening == PageTests.webRTC), "\(page.report)")
        // As soon as it has given something it is blocked, which is the last that it says.
        try between.give(between.small, Data("bread".utf8))
        #expect(try page.next()["isBlocked"] as? Bool == true)
        try between.give(between.large, between.content)
    }

    /// Where a browser hands no data channels over, their messages go through the page.
    @Test("a page relays what its browser does not hand over") func relayed() throws {
        let between = try Between(listening: PageTests.webRTC)
        defer { between.stop() }
        let page = try between.show(["relays": true])
        defer { page.close() }
        #expect(page.report["handed"] as? Int == 0, "\(page.report)")
        try between.give(between.large, between.content)
    }

    /// A worker may be killed for its memory, or hang: nobody waits for it for ever. What was asked
    /// fails with a reason, another worker begins, and goes on as before; if that ends at once as
    /// well, none does until the page starts Weft anew.
    @Test(
        "a page notices that its worker has ended or hangs",
        arguments: PageFetchTests.browsers, [false, true])
    func ending(browser: String, hangs: Bool) throws {
        let place = try Workplace()
        let (node, address, _, large) = try PageTests.startWithFilm(place)
        defer { node.stop() }
        let small = try place.weft("add", "-q", place.write("small", Data("bread".utf8))).output
        let argument: [String: Any] = [
            "peers": [address], "large": "ipfs://\(large)", "small": "ipfs://\(small)",
            "hangs": hangs,
        ]
        let json = try JSONSerialization.data(withJSONObject: argument)
        let outcome = try place.python(
            "../Browsers/\(browser).py", ["dying.html", String(decoding: json, as: UTF8.self)])
        let report = try outcome.object()
        let answers = try #require(report["answers"] as? [[String: Any]], "\(report)")
        for answer in answers[...1] + answers[3...4] {
            #expect(answer["name"] as? String == "TypeError", "\(answers)")
            #expect(answer["code"] as? String == "broken", "\(answers)")
            // Hardly longer than pages have patience.
            #expect(answer["milliseconds"] as? Double ?? .infinity < 60_000, "\(answers)")
        }
        for answer in [answers[2], answers[5]] {
            #expect(answer["text"] as? String == "bread", "\(answers)")
        }
        // What the page had added nobody else has.
        let added = report["added"] as? [[String: Any]] ?? []
        #expect(added.map { $0["text"] as? String } == ["mine", "mine, too"], "\(added)")
        #expect(report["workers"] as? Int == 3, "\(report)")
        #expect(report["connected"] as? Int == 1, "\(report)")
    }
}
