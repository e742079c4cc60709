// Pages that meet each other: what one has, another gets from it.

import ContractText
import Cryptography
import Foundation
import Testing
import Wire

@Suite(.serialized) struct VisitorTests {
    init() throws { try Browser.check() }

    /// A node that has content, one that has none and stays, and a page for visitors of both.
    private struct Scene {
        let place: Workplace
        let page: BrowserPage
        let owner: RunningNode
        let host: RunningNode
        /// The addresses of both nodes.
        let all: [String]
        /// The address of the one that stays.
        let last: [String]
        private let other: Workplace

        /// - Parameter listening: where the one that stays listens.
        init(at listening: String = PageTests.webSocket) throws {
            (place, other) = (try Workplace(), try Workplace())
            let (owner, ownerAddress) = try PageTests.start(place)
            let (host, hostAddress) = try PageTests.start(other, at: listening)
            (self.owner, self.host) = (owner, host)
            (all, last) = ([ownerAddress, hostAddress], [hostAddress])
            page = try BrowserPage("visitors.html")
        }

        /// Adds a file to what the owner has; gives its CID.
        func add(_ name: String, _ content: Data) throws -> String {
            try place.weft("add", "-q", place.write(name, content)).output
        }

        func end() {
            owner.stop()
            host.stop()
        }
    }

    /// Two pages fetch a file from one node, and the node is stopped. A third page, which knows
    /// only a node that does not have the file, gets all of it from the two.
    @Test("a third page gets from two others what no node has any more") func meeting() throws {
        let scene = try Scene(at: PageTests.webRTC)
        defer { scene.end() }
        let content = PageTests.content(3 << 20)
        let hash = PageTests.hash(content)
        let cid = try scene.add("file", content)
        let page = scene.page
        for visitor in 1...2 {
            let start: [String: Any] = ["serve": true, "peers": scene.all]
            let answer = try page.run([
                "visitor": visitor, "start": start, "peers": 2, "url": "ipfs://\(cid)",
            ])
            #expect(answer["sha256"] as? String == hash, "\(answer)")
        }
        scene.owner.stop()
        let answer = try page.run([
            "visitor": 3, "start": ["serve": true, "peers": scene.last], "peers": 1,
            "url": "ipfs://\(cid)",
        ])
        #expect(answer["sha256"] as? String == hash, "\(answer)")
        let state = try #require(answer["state"] as? [String: Any])
        let peers = try #require(state["peers"] as? [[String: Any]])
        #expect(peers.count { $0["kind"] as? String == "page" } == 2, "\(peers)")
        var served = 0
        for visitor in 1...2 {
            let state = try page.run(["visitor": visitor])["state"] as? [String: Any]
            served += state?["bytesServed"] as? Int ?? 0
        }
        #expect(served >= content.count)
    }

    /// Small pictures come from the node as long as it is there. Who reads them has met the others
    /// that have read of the same folder when it is gone.
    @Test("a third page gets small pictures from two others when their node is gone")
    func pictures() throws {
        let place = try Workplace()
        let (node, address) = try PageTests.start(place)
        defer { node.stop() }
        let contents = (0..<24).map { PageTests.content(20_000 + $0) }
        for (number, content) in contents.enumerated() {
            try place.write("pictures/\(number).png", content)
        }
        let added = try place.weft("add", "-q", place.path("pictures")).output
        let cid = try #require(added.split(separator: "\n").last)
        let page = try BrowserPage("visitors.html")
        func read(_ number: Int, by visitor: Int) throws {
            let url = "ipfs://\(cid)/\(number).png"
            let answer = try page.run(["visitor": visitor, "url": url])
            let isRight = answer["sha256"] as? String == PageTests.hash(contents[number])
            #expect(isRight, "\(number), visitor \(visitor): \(answer)")
        }
        for visitor in 1...3 {
            _ = try page.run([
                "visitor": visitor, "onPage": true, "start": ["serve": true, "peers": [address]],
                "peers": 1,
            ])
        }
        for visitor in 1...2 {
            for number in contents.indices { try read(number, by: visitor) }
        }
        // In the first second it asks nobody. Then it is told of them, and connects when it reads.
        for number in 0..<4 { try read(number, by: 3) }
        _ = try page.run(["visitor": 3, "later": 1500])
        for number in 4..<12 { try read(number, by: 3) }
        let met = try page.run(["visitor": 3, "meets": 3])["state"] as? [String: Any]
        let peers = met?["peers"] as? [[String: Any]] ?? []
        #expect(peers.count { $0["kind"] as? String == "page" } == 2, "\(peers)")
        node.stop()
        for number in 12..<contents.count { try read(number, by: 3) }
    }

    /// Two visitors watch a film of one node, which is stopped in the middle of it.
    @Test("a film goes on from another visitor when its node is gone") func film() throws {
        let place = try Workplace()
        let (node, address, content, cid) = try PageTests.startWithFilm(place)
        defer { node.stop() }
        let page = try BrowserPage("visitors.html")
        let start: [String: Any] = ["serve": true, "peers": [address]]
        _ = try page.run(["visitor": 1, "start": start, "url": "ipfs://\(cid)"])
        let early = try page.run([
            "visitor": 2, "start": start, "open": "ipfs://\(cid)", "meets": 2,
        ])
        #expect(early["count"] as? Int ?? .max < content.count, "\(early)")
        node.stop()
        let rest = try page.run(["visitor": 2, "rest": true])
        #expect(rest["sha256"] as? String == PageTests.hash(content), "\(rest)")
    }

    /// A page that is told to serve later tells of what it has read before, and one that is told
    /// to stop is left by all.
    @Test("a visitor decides to serve, and not to any more") func decisions() throws {
        let scene = try Scene()
        defer { scene.end() }
        let cid = try scene.add("file", Data("bread\n".utf8))
        let other = try scene.add("other", Data("cake\n".utf8))
        let page = scene.page
        let first = try page.run([
            "visitor": 1, "start": ["peers": scene.all], "peers": 2,
            "url": "ipfs://\(cid)",
        ])
        #expect(first["count"] as? Int == 6, "\(first)")
        _ = try page.run(["visitor": 1, "url": "ipfs://\(other)"])
        scene.owner.stop()
        let start: [String: Any] = ["serve": true, "patience": 4000, "peers": scene.last]
        let early = try page.run([
            "visitor": 2, "start": start, "peers": 1, "url": "ipfs://\(cid)",
        ])
        #expect(early["code"] as? String == "absent", "\(early)")
        _ = try page.run(["visitor": 1, "serve": true])
        // The node hears of it in a moment.
        let end = ContinuousClock.now + .seconds(240)
        var answer: [String: Any] = [:]
        while answer["count"] == nil, ContinuousClock.now < end {
            answer = try page.run(["visitor": 2, "url": "ipfs://\(cid)"])
        }
        #expect(answer["count"] as? Int == 6, "\(answer)")
        let left =
            try page.run(["visitor": 1, "serve": false, "isAlone": true])["state"] as? [String: Any]
        #expect((left?["peers"] as? [Any])?.count == 1, "\(left ?? [:])")
        let late = try page.run(["visitor": 2, "url": "ipfs://\(other)"])
        #expect(late["code"] as? String == "absent", "\(late)")
    }

    /// A contract that no node runs is run by the page of another visitor, whom the caller meets
    /// because of it.
    @Test("a page calls a contract that another page runs") func calls() throws {
        let (here, there) = (try Workplace(), try Workplace())
        let (author, authorAddress) = try PageTests.start(here)
        defer { author.stop() }
        try there.isolate()
        let host = try RunningNode(
            there, "--listen", PageTests.webSocket,
            environment: ["WEFT_WASMTIME": there.path("nowhere.so")])
        defer { host.stop() }
        let hostAddress = try #require((host.announcement["listen"] as? [String])?.first)
        let module = try here.write(
            "module.wasm", Data(try ContractText.assemble(ContractText.many)))
        let many = try here.weft("contract", "publish", "-q", module).output
        let page = try BrowserPage("visitors.html")
        let serving: [String: Any] = [
            "serve": true, "contracts": ["serve": true], "peers": [authorAddress, hostAddress],
        ]
        let first = try page.run([
            "visitor": 1, "start": serving, "peers": 2, "url": "ipfs://\(many)",
        ])
        #expect(first["status"] as? Int == 200, "\(first)")
        author.stop()
        let calling: [String: Any] = [
            "serve": true, "contracts": ["run": false], "peers": [hostAddress],
        ]
        var answer = try page.run(["visitor": 2, "start": calling, "peers": 1])
        // The first call is what the two meet for.
        let end = ContinuousClock.now + .seconds(240)
        while answer["text"] == nil, ContinuousClock.now < end {
            answer = try page.run(["visitor": 2, "call": "weft://\(many)/hello"])
        }
        #expect(answer["text"] as? String == "hello page", "\(answer)")
        let name = (first["state"] as? [String: Any])?["peer"] as? String
        #expect(answer["responder"] as? String == name)
    }

    /// Visitors that have nothing to say to each other do not stay connected.
    @Test("a visitor with whom nothing goes back or forth is left") func idle() throws {
        let scene = try Scene()
        defer { scene.end() }
        let cid = try scene.add("file", Data("bread\n".utf8))
        let page = scene.page
        let first = try page.run([
            "visitor": 1, "start": ["serve": true, "peers": scene.all],
            "peers": 2, "url": "ipfs://\(cid)",
        ])
        #expect(first["count"] as? Int == 6, "\(first)")
        scene.owner.stop()
        let met = try page.run([
            "visitor": 2, "onPage": true, "start": ["serve": true, "peers": scene.last],
            "peers": 1, "url": "ipfs://\(cid)",
        ])
        #expect(met["count"] as? Int == 6, "\(met)")
        let left = try page.run([
            "visitor": 2, "later": 121_000, "put": "something", "isAlone": true,
        ])
        let peers = (left["state"] as? [String: Any])?["peers"] as? [[String: Any]] ?? []
        #expect(peers.map { $0["kind"] as? String } == ["node"], "\(left)")
        // Who was left notices, and is met again when there is something to get.
        let other = try page.run(["visitor": 1, "isAlone": true])
        #expect(other["error"] == nil, "\(other)")
    }

    /// Pages of Firefox and Chromium, each behind a router that translates addresses.
    @Test("pages of two browsers meet through their routers") func routers() throws {
        let place = try Workplace()
        let outcome = try place.python("visitors.py", [DocumentationTests.executable.path])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let held = try outcome.objects().compactMap { $0["held"] as? String }
        #expect(held.count == 4, "\(held)")
    }

    /// A node that no router lets in is reached over a relay, and then directly: both send at the
    /// same time.
    @Test("pages of two browsers reach a node behind a router") func behind() throws {
        let place = try Workplace()
        let outcome = try place.python("behind.py", [DocumentationTests.executable.path])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let held = try outcome.objects().compactMap { $0["held"] as? String }
        #expect(held.count == 4, "\(held)")
    }

    /// A page that sends wrong bytes is left, and nothing of them is handed on; others bring the
    /// content.
    @Test("a page that lies is dropped by the others") func liar() throws {
        let scene = try Scene()
        defer { scene.end() }
        let content = PageTests.content(1 << 20)
        let cid = try scene.add("file", content)
        let page = scene.page
        let all: [String: Any] = ["serve": true, "peers": scene.all]
        let last: [String: Any] = ["serve": true, "peers": scene.last]
        let first = try page.run([
            "visitor": 1, "start": all, "peers": 2, "url": "ipfs://\(cid)", "lies": true,
        ])
        #expect(first["status"] as? Int == 200, "\(first)")
        let liar = (first["state"] as? [String: Any])?["peer"] as? String ?? "?"
        let misled = try page.run([
            "visitor": 2, "start": last, "peers": 1, "url": "ipfs://\(cid)",
        ])
        #expect(misled["code"] as? String == "unverifiable", "\(misled)")
        #expect((misled["error"] as? String)?.contains(liar) == true, "\(misled)")
        let left = (misled["state"] as? [String: Any])?["peers"] as? [[String: Any]] ?? []
        #expect(left.map { $0["kind"] as? String } == ["node"], "\(left)")
        // An honest page comes, and has it from the owner.
        let honest = try page.run([
            "visitor": 3, "start": all, "peers": 2, "url": "ipfs://\(cid)",
        ])
        #expect(honest["status"] as? Int == 200, "\(honest)")
        scene.owner.stop()
        let answer = try page.run(["visitor": 2, "url": "ipfs://\(cid)"])
        #expect(answer["sha256"] as? String == PageTests.hash(content), "\(answer)")
        let peers = (answer["state"] as? [String: Any])?["peers"] as? [[String: Any]] ?? []
        #expect(!peers.contains { $0["peer"] as? String == liar })
    }
}
