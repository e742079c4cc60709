// What a page's `fetch` takes beyond `ipfs://CID/path`: names, integrity, cache modes, `Request`s;
// and what it does where no peer has the content.

import Foundation
import Testing

@Suite(.serialized) struct PageFetchTests {
    init() throws { try Browser.check() }

    static let browsers = ["chromium", "firefox"]

    /// A folder's CID.
    private static func add(_ place: Workplace, _ folder: String) throws -> String {
        let added = try place.weft("add", "-q", place.path(folder)).output
        return added.split(separator: "\n").last.map(String.init) ?? ""
    }

    /// A node speaks first over WebRTC, and the page's worker may not have the script for it yet.
    @Test("a first dial over WebRTC waits for a script that comes late; fetches wait in turn")
    func lateScript() throws {
        let place = try Workplace()
        let (node, address) = try PageTests.start(place, at: PageTests.webRTC)
        defer { node.stop() }
        let cid = try place.weft("add", "-q", place.write("file", Data("bread".utf8))).output
        let (answers, _) = try PageTests.show(
            place, peers: [address], options: ["node": "/slow/weft-node.js"],
            [
                ["url": "ipfs://\(cid)"], ["url": "ipfs://\(cid)/a%00b"],
                ["url": "ipfs://\(cid)", "times": 1_000],
            ])
        #expect(answers[0]["text"] as? String == "bread", "\(answers[0])")
        // The module is told names with such a byte between them.
        #expect((answers[1]["error"] as? String)?.contains("zero byte") == true)
        // More than are read at a time wait their turn.
        #expect(answers[2]["texts"] as? [String] == ["bread"], "\(answers[2])")
    }

    /// As with `window.fetch`, whose callers tell an abort by its name.
    @Test("a body that is read whole says what it failed of", arguments: browsers)
    func abortedBody(browser: String) throws {
        let place = try Workplace()
        let (node, address, _, cid) = try PageTests.startWithFilm(place)
        defer { node.stop() }
        let (answers, _) = try PageTests.show(
            place, in: browser, peers: [address],
            [["url": "ipfs://\(cid)", "abortsWhole": true]])
        let error = try #require(answers[0]["error"] as? String, "\(answers[0])")
        #expect(error.hasPrefix("AbortError: "), "\(error)")
    }

    /// A name's record comes from the node and is checked; what pages cannot resolve they say.
    /// Where an integrity is wanted the whole body is checked before the page gets anything of it.
    @Test("a page fetches what a name leads to, and checks integrity", arguments: browsers)
    func names(browser: String) throws {
        let place = try Workplace()
        let (node, address) = try PageTests.start(place)
        defer { node.stop() }
        try place.write("site/a name/→.txt", Data("first\n".utf8))
        let name = try place.weft("key", "gen", "blog").output
        let other = try place.weft("key", "gen", "other").output
        let root = try Self.add(place, "site")
        #expect(
            try place.weft("name", "publish", "--key", "blog", "/ipfs/\(root)/a name").status == 0)
        #expect(try place.weft("cat", "/ipns/\(name)/→.txt").output == "first")
        let url = "ipns://\(name)/%E2%86%92.txt"
        let local = ["cache": "only-if-cached", "mode": "same-origin"]
        let (answers, _) = try PageTests.show(
            place, in: browser, peers: [address],
            [
                local.merging(["url": url]) { $1 }, ["url": url],
                local.merging(["url": url]) { $1 },
                ["url": url, "cache": "reload", "isRequest": true, "isClone": true],
                ["url": url, "headers": ["range": "bytes=2-3"]],
                ["url": "ipns://\(other)/"], ["url": "ipns://example.org/"],
            ] + Self.checked(url).map(\.task))
        #expect(answers[0]["code"] as? String == "absent", "\(answers[0])")
        for answer in answers[1...3] {
            #expect(answer["text"] as? String == "first\n", "\(answer)")
            #expect(answer["url"] as? String == url)
        }
        let headers = answers[1]["headers"] as? [String: String]
        #expect(headers?["x-ipfs-path"] == "/ipfs/\(root)/a%20name/%E2%86%92.txt")
        #expect(answers[4]["text"] as? String == "rs" && answers[4]["status"] as? Int == 206)
        #expect(answers[5]["code"] as? String == "absent", "\(answers[5])")
        #expect((answers[5]["error"] as? String)?.contains("has no record of it") == true)
        #expect(answers[6]["code"] as? String == "unsupported", "\(answers[6])")
        for (answer, (task, isRight)) in zip(answers[7...], Self.checked(url)) {
            #expect(answer["text"] as? String == (isRight ? "first\n" : nil), "\(task) \(answer)")
            #expect(answer["url"] as? String == (isRight ? url : nil))
            #expect(answer["code"] as? String == (isRight ? nil : "unverifiable"))
        }
    }

    /// Requests for "first\n" with an integrity, and whether it is right.
    private static func checked(_ url: String) -> [(task: [String: Any], isRight: Bool)] {
        // Digests by `openssl dgst -binary | base64`.
        let sha256 = "sha256-tkDoQLGdN4Zgsy+1GuGNZ9zLSoWWop571ywbKuWSj0E="
        let sha384 = "sha384-RPBzN9h1n+se1CG9wigw1OmLDspaoTY9mhjvbcmGfYD+RkfWPHF4o4XfxLeV36kR"
        return [
            (["url": url, "integrity": sha256], true),
            (["url": url, "integrity": "\(sha256) \(sha384)"], true),
            (["url": url, "integrity": "md5-nothing"], true),
            (["url": url, "integrity": "sha256-AAAA \(sha256)", "isRequest": true], true),
            (["url": url, "integrity": "sha256-AAAA"], false),
            (["url": url, "integrity": "\(sha256) sha384-AAAA"], false),
            (["url": url, "integrity": sha256, "method": "HEAD"], false),
        ]
    }

    /// What no peer brings comes from gateways: a wrong answer is found out, and the next one is
    /// asked.
    @Test("a page turns to gateways when no peer has the content", arguments: browsers)
    func gateways(browser: String) throws {
        let (place, empty) = (try Workplace(), try Workplace())
        let (node, _) = try PageTests.start(place)
        defer { node.stop() }
        let (stranger, strange) = try PageTests.start(empty)
        defer { stranger.stop() }
        let film = PageTests.content(3 << 20)
        try place.write("site/film.webm", film)
        let root = try Self.add(place, "site")
        let name = try place.weft("key", "gen", "blog").output
        #expect(try place.weft("name", "publish", "--key", "blog", root).status == 0)
        let tasks: [[String: Any]] = [
            ["url": "ipfs://\(root)/film.webm"], ["url": "ipns://\(name)/film.webm"],
            ["url": "ipfs://\(root)/film.webm", "headers": ["range": "bytes=2000000-2000099"]],
            ["url": "ipfs://\(root)/none"],
        ]
        for peers in browser == "chromium" ? [[], [strange]] : [[strange]] {
            let (answers, status) = try PageTests.show(
                place, in: browser, peers: peers,
                options: ["gateways": ["/lying", node.gateway], "storage": ["memory": 1 << 20]],
                tasks)
            for answer in answers[...1] {
                #expect(answer["sha256"] as? String == PageTests.hash(film), "\(answer)")
            }
            #expect(
                answers[2]["sha256"] as? String == PageTests.hash(film[2_000_000..<2_000_100]))
            #expect(answers[3]["status"] as? Int == 404)
            #expect(status["bytesFromGateways"] as? Int ?? 0 >= film.count)
            #expect(status["bytesFetched"] as? Int == 0)
        }
        guard browser == "chromium" else { return }
        let (answers, _) = try PageTests.show(
            place, peers: [], options: ["gateways": ["/lying", "/nowhere"]], tasks)
        for answer in answers {
            let error = try #require(answer["error"] as? String)
            #expect(error.contains("/nowhere answers 404"), "\(error)")
        }
        let error = answers[0]["error"] as? String
        #expect(error?.contains("/lying sent wrong bytes") == true, "\(answers[0])")
    }

    /// One that accepts and says nothing, or that stops in the middle of a block, is waited for as
    /// long as the page has patience.
    @Test("a gateway that stalls is passed over", arguments: ["/silent", "/stalling"])
    func stalling(way: String) throws {
        let place = try Workplace()
        let (node, _) = try PageTests.start(place)
        defer { node.stop() }
        let content = PageTests.content(300_000)
        let cid = try place.weft("add", "-q", place.write("file", content)).output
        let tasks = [["url": "ipfs://\(cid)"]]
        let (answers, status) = try PageTests.show(
            place, peers: [], options: ["gateways": [way, node.gateway], "patience": 4000], tasks)
        #expect(answers[0]["sha256"] as? String == PageTests.hash(content), "\(answers[0])")
        #expect(status["bytesFromGateways"] as? Int == content.count)
        let (failures, _) = try PageTests.show(
            place, peers: [], options: ["gateways": [way], "patience": 4000], tasks)
        let error = failures[0]["error"] as? String
        #expect(error?.contains("\(way) did not answer in time") == true, "\(failures[0])")
    }
}
