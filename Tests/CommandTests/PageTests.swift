// Pages in Chromium that are peers: what they fetch by `fetch("ipfs://…")` from nodes over
// WebSockets.

import Cryptography
import Foundation
import Testing
import Wire

@Suite(.serialized) struct PageTests {
    init() throws { try Browser.check() }

    static let webSocket = "/ip4/127.0.0.1/tcp/0/ws"
    static let webRTC = "/ip4/127.0.0.1/udp/0/webrtc-direct"

    /// Where nobody listens.
    private static let nowhere =
        "/ip4/127.0.0.1/tcp/1/ws/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"

    /// What a page fetches, and what came of it.
    static func show(
        _ place: Workplace, in browser: String = "chromium", peers: [String],
        options: [String: Any] = [:], _ tasks: [[String: Any]]
    ) throws -> (answers: [[String: Any]], status: [String: Any]) {
        let argument = try JSONSerialization.data(
            withJSONObject: ["peers": peers, "options": options, "tasks": tasks])
        let outcome = try place.python(
            "../Browsers/\(browser).py",
            ["content.html", String(decoding: argument, as: UTF8.self)])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try outcome.object()
        let answers = try #require(report["answers"] as? [[String: Any]], "\(report)")
        try #require(answers.count == tasks.count)
        return (answers, report["status"] as? [String: Any] ?? [:])
    }

    /// A node that listens for pages.
    static func start(
        _ place: Workplace, at listening: String = webSocket
    ) throws -> (node: RunningNode, address: String) {
        try place.isolate()
        let node = try RunningNode(place, "--listen", listening)
        let address = try #require((node.announcement["listen"] as? [String])?.first)
        return (node, address)
    }

    /// A node that has a film of 16 MB for pages.
    static func startWithFilm(
        _ place: Workplace
    ) throws -> (node: RunningNode, address: String, content: Data, cid: String) {
        let (node, address) = try start(place)
        let content = film(16)
        let cid = try place.weft("add", "-q", place.write("film", content)).output
        return (node, address, content, cid)
    }

    static func hash(_ content: Data) -> String {
        SHA256.hash([UInt8](content).rawSpan).map { String(format: "%02x", $0) }.joined()
    }

    /// So many megabytes, each of which is another.
    static func film(_ count: Int) -> Data {
        let piece = content((1 << 20) - 1)
        return (0..<count).reduce(into: Data()) { film, number in
            film.append(UInt8(number))
            film.append(piece)
        }
    }

    static func content(_ count: Int) -> Data {
        var state: UInt64 = 5
        return Data(
            (0..<count).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: state >> 56)
            })
    }

    /// A page fetches a folder's files, a range, and what is not there, and reads no further ahead
    /// than it has to.
    @Test("a page fetches from a node") func fetching() throws {
        let place = try Workplace()
        let (node, address) = try Self.start(place)
        defer { node.stop() }
        let film = Self.content(24 << 20)
        try place.write("site/films/film.webm", film)
        try place.write("site/index.html", Data("<h1>Home</h1>\n".utf8))
        try place.write("site/a name/ö.txt", Data("hello\n".utf8))
        let grains = Self.content(100_000)
        let fine = try place.weft(
            "add", "-q", "--chunker", "size-50", place.write("grains", grains))
        let added = try place.weft("add", "-q", place.path("site"))
        let root = "ipfs://" + (added.output.split(separator: "\n").last.map(String.init) ?? "")
        let (answers, status) = try Self.show(
            place, peers: [address],
            [
                ["url": root + "/films/film.webm", "abortAfter": 1],
                ["url": root + "/films/film.webm"],
                ["url": root + "/films/film.webm", "headers": ["range": "bytes=5000000-5000099"]],
                ["url": root + "/films/film.webm", "headers": ["range": "bytes=-7"]],
                ["url": root + "/films/film.webm", "headers": ["range": "bytes=99999999-"]],
                ["url": root],
                ["url": root + "/a%20name/%C3%B6.txt"],
                ["url": root + "/index.html", "method": "HEAD"],
                ["url": root + "/none"],
                ["url": root + "/films"],
                ["url": root, "method": "POST"],
                ["url": "ipfs://bafynonsense/"],
                ["url": "ipfs://\(fine.output)"],
                ["url": root, "headers": ["range": "bytes=99999999999999999999-"]],
                ["url": root, "headers": ["range": "bytes=-0"]],
                ["url": root, "headers": ["range": "bytes=-99999999999999999999"]],
            ])
        // Nothing of that takes the rest of the module, which pages that stay load.
        let modules = answers[9]["modules"] as? [String]
        #expect(modules?.contains("weft-rest.wasm") == false, "\(modules ?? [])")
        // What comes first is handed on when at most what is asked for ahead has come.
        #expect(answers[0]["error"] as? String == "AbortError: signal is aborted without reason")
        let early = try #require(answers[0]["fetchedAtFirst"] as? Int)
        #expect(early > 0 && early < 16 << 20, "\(early)")
        #expect(answers[1]["sha256"] as? String == Self.hash(film))
        let headers = try #require(answers[1]["headers"] as? [String: String])
        #expect(headers["content-length"] == "\(film.count)")
        #expect(headers["content-type"] == "video/webm" && headers["accept-ranges"] == "bytes")
        #expect(answers[1]["url"] as? String == root + "/films/film.webm")
        #expect(
            answers.map { $0["status"] as? Int ?? 0 } == [
                200, 200, 206, 206, 416, 200, 200, 200, 404, 404, 0, 0, 200, 416, 416, 206,
            ])
        #expect(answers[2]["sha256"] as? String == Self.hash(film[5_000_000..<5_000_100]))
        let part = try #require(answers[2]["headers"] as? [String: String])
        #expect(part["content-range"] == "bytes 5000000-5000099/\(film.count)")
        #expect(answers[3]["sha256"] as? String == Self.hash(film.suffix(7)))
        let beyond = try #require(answers[4]["headers"] as? [String: String])
        #expect(beyond["content-range"] == "bytes */\(film.count)")
        #expect(answers[5]["text"] as? String == "<h1>Home</h1>\n")
        let home = try #require(answers[5]["headers"] as? [String: String])
        #expect(home["content-type"] == "text/html; charset=utf-8")
        #expect(answers[6]["text"] as? String == "hello\n")
        #expect(answers[7]["count"] as? Int == 0)
        #expect((answers[10]["error"] as? String)?.hasPrefix("TypeError: POST ") == true)
        #expect((answers[11]["error"] as? String)?.hasPrefix("TypeError: ipfs://bafyn") == true)
        // Two thousand blocks become a few pieces.
        #expect(answers[12]["sha256"] as? String == Self.hash(grains))
        #expect(answers[12]["pieces"] as? Int ?? .max < 100)
        #expect(answers[15]["text"] as? String == "<h1>Home</h1>\n")
        #expect((status["peers"] as? [Any])?.count == 1)
        #expect(status["bytesServed"] as? Int == 0)
    }

    /// What giving takes is not where it should be: that is no reason not to read.
    @Test("a page reads without the rest of its module") func reading() throws {
        let place = try Workplace()
        let (node, address) = try Self.start(place)
        defer { node.stop() }
        let cid = try place.weft("add", "-q", place.write("file", Data("bread\n".utf8))).output
        let (answers, status) = try Self.show(
            place, peers: [address], options: ["serve": true, "rest": "/nowhere.wasm"],
            [["url": "ipfs://\(cid)"]])
        #expect(answers[0]["text"] as? String == "bread\n", "\(answers[0])")
        #expect(status["serve"] as? Bool == false)
    }

    /// What a page has fetched from one node another one gets from the page, whichever way each is
    /// connected; and what the page adds has the CID that it has on nodes.
    @Test("a page serves what it fetched and what it adds", arguments: [webSocket, webRTC])
    func serving(listening: String) throws {
        let (here, there) = (try Workplace(), try Workplace())
        let (owner, ownerAddress) = try Self.start(here, at: listening)
        defer { owner.stop() }
        let other = listening == Self.webRTC ? Self.webSocket : Self.webRTC
        let (asker, askerAddress) = try Self.start(there, at: other)
        defer { asker.stop() }
        let content = Self.content(3 << 20)
        let cid = try here.weft("add", "-q", here.write("file", content)).output
        let (answers, status) = try Self.show(
            here, peers: [ownerAddress, askerAddress], options: ["serve": true],
            [
                ["url": "ipfs://\(cid)"], ["url": "\(asker.gateway)/ipfs/\(cid)"],
                ["url": "ipfs://\(cid)", "puts": true],
            ])
        let hash = Self.hash(content)
        #expect(answers[0]["sha256"] as? String == hash, "\(answers[0])")
        #expect(answers[1]["sha256"] as? String == hash, "\(answers[1])")
        #expect(answers[2]["cid"] as? String == cid)
        #expect((status["peers"] as? [Any])?.count == 2)
        #expect(status["bytesServed"] as? Int ?? 0 >= content.count)
    }

    /// What a site names by `/ipfs/CID/path` comes from the mesh: pictures, sound in which one
    /// seeks, ranges; and from the site itself when the mesh does not have it or is gone.
    @Test("a service worker serves a site from the mesh", arguments: PageFetchTests.browsers)
    func serviceWorker(browser: String) throws {
        let place = try Workplace()
        let (node, address) = try Self.start(place)
        defer { node.stop() }
        try place.write("folder/tone.wav", Self.sound(seconds: 1000))
        try place.write("folder/note.txt", Data("hello mesh\n".utf8))
        try place.write("folder/script.js", Data("export {}\n".utf8))
        try place.write(
            "folder/picture.svg",
            Data(#"<svg xmlns="http://www.w3.org/2000/svg" width="37" height="9"/>"#.utf8))
        let added = try place.weft("add", "-q", place.path("folder"))
        let folder = added.output.split(separator: "\n").last.map(String.init) ?? ""
        let picture = try place.weft("add", "-q", place.path("folder/picture.svg")).output
        let style = Data("p { color: red }\n".utf8)
        let sheet = try place.weft("add", "-q", place.write("style.css", style)).output
        let absent = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
        let argument = try JSONSerialization.data(
            withJSONObject: [
                "peers": [address], "folder": folder, "picture": picture, "sheet": sheet,
                "absent": absent,
            ])
        let outcome = try place.python(
            "../Browsers/\(browser).py", ["worker.html", String(decoding: argument, as: UTF8.self)])
        let report = try outcome.object()
        #expect(report["width"] as? Int == 37 && report["named"] as? Int == 37, "\(report)")
        // What a CID alone names is what its bytes are, and acts for nobody.
        #expect(report["bare"] as? Int == 37, "\(report)")
        #expect(report["drawn"] as? [String] == ["image/svg+xml", "sandbox", "nosniff"])
        #expect(report["ranged"] as? String == "image/svg+xml")
        #expect(report["styled"] as? String == "applied", "\(report)")
        #expect(report["duration"] as? Double == 1000 && report["seeked"] as? Double == 990)
        let part = report["part"] as? [String: Any] ?? [:]
        #expect(part["status"] as? Int == 206 && part["text"] as? String == "mesh\n")
        #expect(part["type"] as? String == "text/plain; charset=utf-8")
        #expect((report["missing"] as? [String: Any])?["status"] as? Int == 404)
        let outside = report["outside"] as? String
        #expect(report["wrong"] as? String == "TypeError")
        #expect(report["without"] as? String == "started")
        #expect(report["acted"] as? String == "TypeError")
        #expect(report["others"] as? [String] == ["hello mesh\n", "hello mesh\n"], "\(report)")
        #expect(outside?.contains("put it at the top of the site") == true, "\(report)")
        // Cookies are the site's, which has no such file.
        #expect((report["withCookies"] as? [String: Any])?["status"] as? Int == 404)
        for name in ["beside", "fallback", "stopped", "halved"] {
            let answer = report[name] as? [String: Any]
            #expect(answer?["text"] as? String == "from the site", "\(name)")
        }
        #expect(report["bytesFetched"] as? Int ?? 0 > 100_000)
        // What the mesh has begun the site ends.
        #expect((report["halved"] as? [String: Any])?["type"] is NSNull, "\(report)")
        // Far less than the mesh may take.
        #expect(report["moved"] as? Int == 11)
        #expect(report["movedAfter"] as? Double ?? .infinity < 20_000)
    }

    /// A sound of 8,000 samples in a second, of a byte each (RIFF WAVE).
    private static func sound(seconds: Int) -> Data {
        func number(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        let count = 8000 * seconds
        var data = Data("RIFF".utf8) + number(36 + count, 4) + Data("WAVEfmt ".utf8)
        data += number(16, 4) + number(1, 2) + number(1, 2) + number(8000, 4) + number(8000, 4)
        data += number(1, 2) + number(8, 2) + Data("data".utf8) + number(count, 4)
        return data + content(count)
    }

    /// Wrong bytes never reach a page, and it says who sent them.
    @Test("a page refuses wrong bytes") func liar() throws {
        let place = try Workplace()
        let file = try place.write("file", Self.content(1 << 20))
        let owner = try ForeignOwner(place, "lie", file, over: "ws")
        let (answers, status) = try Self.show(
            place, peers: [owner.address], [["url": "ipfs://\(owner.root)"]])
        let error = try #require(answers[0]["error"] as? String, "\(answers)")
        let peer = owner.address.split(separator: "/").last.map(String.init) ?? "?"
        #expect(error.contains("\(peer) sent a block that it was not asked for"), "\(error)")
        #expect(error.hasPrefix("TypeError: ipfs://\(owner.root) could not be fetched"))
        #expect(answers[0]["code"] as? String == "unverifiable")
        #expect((status["peers"] as? [Any])?.isEmpty == true)
    }

    /// What reading calls that its rehearsal did not makes each page load one piece more.
    @Test("a page that only reads stays with the first piece of the module")
    func firstPiece() throws {
        let place = try Workplace()
        let (node, address) = try Self.start(place)
        defer { node.stop() }
        let film = Self.content(3 << 20)
        try place.write("site/film.webm", film)
        try place.write("site/index.html", Data("<h1>Home</h1>\n".utf8))
        let added = try place.weft("add", "-q", place.path("site"))
        let root = "ipfs://" + (added.output.split(separator: "\n").last.map(String.init) ?? "")
        let (answers, _) = try Self.show(
            place, peers: [address],
            [
                ["url": root], ["url": root + "/film.webm"],
                ["url": root + "/film.webm", "headers": ["range": "bytes=2000000-2000099"]],
            ])
        #expect(answers[1]["sha256"] as? String == Self.hash(film))
        #expect(answers.map { $0["status"] as? Int } == [200, 200, 206])
        #expect(answers[2]["modules"] as? [String] == ["weft-content.wasm"])
    }

    /// When nobody can be reached, or somebody else answers, or nobody has it, the error says so.
    @Test("a page is told why nothing comes") func nobody() throws {
        let place = try Workplace()
        let (node, address) = try Self.start(place)
        defer { node.stop() }
        let absent = "ipfs://bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
        let stranger = Self.nowhere.components(separatedBy: "/p2p/")[1]
        let wrong = address.components(separatedBy: "/p2p/")[0] + "/p2p/\(stranger)"
        let unreachable = try Self.show(place, peers: [Self.nowhere, wrong], [["url": absent]])
        let error = try #require(unreachable.answers[0]["error"] as? String)
        #expect(unreachable.answers[0]["code"] as? String == "unreachable")
        #expect(error.contains("\(Self.nowhere): cannot be reached"), "\(error)")
        #expect(error.contains("\(wrong): asked for the peer \(stranger), answered"), "\(error)")
        let missing = try Self.show(place, peers: [address], [["url": absent]])
        let answer = try #require(missing.answers[0]["error"] as? String)
        #expect(missing.answers[0]["code"] as? String == "absent", "\(answer)")
        #expect(answer.contains("does not have bafkreifzjut3te2n"), "\(answer)")
    }
}

/// What pages are tested with.
enum Browser {
    /// Fails if there is no browser, or not what a page takes.
    static func check() throws {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        try #require(
            folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/chromium") },
            "there is no chromium on PATH; `Scripts/install-packages test` installs it")
        let script = DocumentationTests.root.appending(path: "browser/dist/weft.js").path
        try #require(
            FileManager.default.fileExists(atPath: script), "`make page` makes browser/dist")
    }
}
