// Pages in Chromium that have contracts answered, run them themselves, and run them for nodes.

import ContractText
import Foundation
import Testing

@Suite(.serialized) struct PageCallTests {
    init() throws { try Browser.check() }

    private static let webSocket = "/ip4/127.0.0.1/tcp/0/ws"

    /// A node that listens for pages, with what its user has.
    private struct Peer {
        let place: Workplace
        let node: RunningNode
        var address: String { (node.announcement["listen"] as? [String])?.first ?? "" }
        var name: String { node.announcement["peer"] as? String ?? "" }

        init(environment: [String: String] = [:]) throws {
            place = try Workplace()
            try place.isolate()
            node = try RunningNode(
                place, "--listen", PageCallTests.webSocket, environment: environment)
        }

        /// Waits until it knows so many peers that run calls.
        func knows(_ count: Int) throws {
            for _ in 0..<400 {
                let peers = try place.weft("peers", "--json").objects()
                let speakers = peers.filter {
                    ($0["protocols"] as? [String])?.contains("/weft/call/1") == true
                }
                if speakers.count >= count { return }
            }
            Issue.record("the peers did not say that they run calls")
        }

        /// Publishes a contract; gives its CID.
        func publish(_ text: String) throws -> String {
            let file = try place.write("module.wasm", Data(try ContractText.assemble(text)))
            return try place.weft("contract", "publish", "-q", file).output
        }
    }

    /// What a page reports.
    private struct Report {
        let answers: [[String: Any]]
        let liars: [String]
        let refuted: [[String: String]]

        init(_ outcome: Outcome) throws {
            #expect(outcome.status == 0, "\(outcome.errors)")
            let report = try outcome.object()
            answers = try #require(report["answers"] as? [[String: Any]], "\(report)")
            liars = report["liars"] as? [String] ?? []
            refuted = report["refuted"] as? [[String: String]] ?? []
        }

        func header(_ name: String, of answer: Int) -> String {
            (answers[answer]["headers"] as? [String: String])?[name] ?? ""
        }

        func text(_ answer: Int) -> String { answers[answer]["text"] as? String ?? "" }
    }

    private static func show(
        _ place: Workplace, peers: [String], contracts: [String: Any], _ tasks: [[String: Any]]
    ) throws -> Report {
        let argument = try JSONSerialization.data(
            withJSONObject: [
                "peers": peers, "options": ["contracts": contracts], "tasks": tasks,
            ])
        return try Report(
            place.python(
                "../Browsers/chromium.py",
                ["calls.html", String(decoding: argument, as: UTF8.self)]))
    }

    /// A call to be made, checked in this way.
    private static func task(
        _ url: String, _ audit: String, body: String? = nil, _ headers: [String: String] = [:]
    ) -> [String: Any] {
        var task: [String: Any] = [
            "url": url, "mesh": ["audit": audit],
            "headers": ["accept": "*/*", "weft-audit": audit].merging(headers) { $1 },
        ]
        if let body {
            task["method"] = "POST"
            task["body"] = body
        }
        return task
    }

    /// What a page runs on the browser's engine has the same output, gas and record as what the
    /// node runs, whatever comes of it.
    @Test("a page runs contracts as a node does") func alike() throws {
        let peer = try Peer()
        defer { peer.node.stop() }
        let many = try peer.publish(ContractText.many)
        let long = String(repeating: "long ", count: 8_000)
        try peer.place.write("folder/a.txt", Data("content\n".utf8))
        let added = try peer.place.weft("add", "-q", peer.place.path("folder"))
        let folder = added.output.split(separator: "\n").last.map(String.init) ?? ""
        let urls = "/hello\n/trap\n/none\nipfs://\(folder)/a.txt\nipfs://\(folder)\n/seed\n"
        let reader = try peer.publish(ContractText.reader)
        let ofMany: [(path: String, body: String?)] = [
            ("hello", "world"), ("trap", nil), ("seed", nil), ("hello", long), ("index", nil),
            ("all?dir=\(folder)", urls), ("loop", nil), ("much", nil),
        ]
        let calls =
            ofMany.map { (path: "\(many)/\($0.path)", body: $0.body) }
            + [(path: "\(reader)?dir=\(folder)", body: nil)]
        func tasks(at place: String) -> [[String: Any]] {
            calls.map { call in
                Self.task(
                    place + call.path, "self", body: call.body, ["weft-gas": "60000000"])
            }
        }
        let report = try Self.show(
            peer.place, peers: [peer.address], contracts: [:],
            tasks(at: "weft://") + tasks(at: peer.node.gateway + "/weft/") + [
                Self.task("weft://\(many)/none", "self"), Self.task("weft://\(folder)", "self"),
            ])
        for (here, call) in calls.enumerated() {
            let there = here + calls.count
            // Why a contract trapped only who ran it can say, in words of its own.
            let outcome = report.header("weft-outcome", of: here)
            let texts = [here, there].map { report.text($0) }
            if outcome.isEmpty {
                #expect(texts[0] == texts[1], "\(call.path)")
            } else {
                let start = "the contract did not answer: \(outcome)"
                #expect(texts.allSatisfy { $0.hasPrefix(start) }, "\(call.path) \(texts)")
            }
            for name in outcome.isEmpty ? ["status", "count"] : ["status"] {
                let (one, two) = (report.answers[here][name], report.answers[there][name])
                #expect(one as? Int == two as? Int, "\(call.path) \(report.answers[here])")
            }
            for name in ["weft-gas", "weft-record", "weft-outcome", "content-type"] {
                #expect(
                    report.header(name, of: here) == report.header(name, of: there), "\(call.path)")
            }
        }
        #expect(report.header("weft-responder", of: 0) == "self")
        #expect(report.text(8) == "content\n")
        #expect(report.header("weft-outcome", of: 6) == "out-of-gas")
        #expect(report.answers.suffix(2).map { $0["status"] as? Int } == [404, 422])
        // What serves is not loaded to run contracts.
        let modules = [
            "weft-content.wasm", "weft-peers.wasm", "weft-calls.wasm", "weft-calls-rest.wasm",
        ]
        #expect(report.answers[0]["modules"] as? [String] == modules, "\(report.answers[0])")
        let record = report.answers[5]["record"] as? [String: Any]
        #expect((record?["children"] as? [String])?.count == 3, "\(report.answers[5])")
        #expect((record?["reads"] as? [String])?.count == 1)
    }

    /// A page asks a node, and a node that has no engine the page.
    @Test("a page calls contracts, and runs them for others") func serving() throws {
        let author = try Peer()
        let poor = try Peer(environment: ["WEFT_WASMTIME": author.place.path("nowhere.so")])
        defer {
            author.node.stop()
            poor.node.stop()
        }
        let many = try author.publish(ContractText.many)
        let asked = try Self.show(
            author.place, peers: [author.address], contracts: ["run": false],
            [Self.task("weft://\(many)/hello", "none", body: "page")])
        #expect(asked.text(0) == "hello page", "\(asked.answers)")
        #expect(asked.header("weft-responder", of: 0) == author.name)
        // Neither what serves nor what runs contracts is loaded to ask for a call.
        let modules = asked.answers[0]["modules"] as? [String]
        let wanted = ["weft-content.wasm", "weft-peers.wasm", "weft-calls.wasm"]
        #expect(modules == wanted, "\(asked.answers)")
        let page = try OpenPage.serving(
            [author.address, poor.address], ["serve": true], having: many)
        defer { page.close() }
        try poor.knows(1)
        let call = "weft://\(many)/all"
        let urls = Data("/hello\n/seed\n".utf8)
        let answer = try poor.place.weft("fetch", "-v", "--data-binary", "@-", call, input: urls)
        let own = try author.place.weft(
            "fetch", "-v", "--audit", "self", "--data-binary", "@-", call, input: urls)
        #expect(answer.bytes == own.bytes && !own.bytes.isEmpty, "\(answer.errors)")
        #expect(Self.record(answer) == Self.record(own))
        #expect(answer.errors.contains("\nWeft-Responder: \(page.name)\n"), "\(answer.errors)")
        let served = try page.next()
        #expect(served["peer"] as? String == poor.name && served["outcome"] as? String == "ok")
    }

    /// What running takes is not to be had: the page is one that asks, and a call that only it
    /// might run fails at once, and not when its time is up.
    @Test("a page that cannot load what runs contracts asks for calls") func lacking() throws {
        let peer = try Peer()
        defer { peer.node.stop() }
        let many = try peer.publish(ContractText.many)
        let report = try Self.show(
            peer.place, peers: [peer.address],
            contracts: ["serve": true, "rest": "/nowhere.wasm"],
            [
                Self.task("weft://\(many)/hello", "none", body: "asked"),
                Self.task("weft://\(many)/hello", "self", body: "run"),
            ])
        #expect(report.text(0) == "hello asked", "\(report.answers)")
        #expect(report.header("weft-responder", of: 0) == peer.name)
        #expect(report.answers[1]["code"] as? String == "resource", "\(report.answers)")
        let error = report.answers[1]["error"] as? String
        #expect(error?.contains("nowhere.wasm") == true, "\(report.answers)")
    }

    /// The line of an answer's headers that names its record.
    private static func record(_ outcome: Outcome) -> Substring? {
        outcome.errors.split(separator: "\n").first { $0.hasPrefix("Weft-Record: ") }
    }

    /// Of two that a page asks one lies, whose answer the page finds out by running the activation
    /// again; and a page that lies is found out by the node that asked it.
    @Test("liars are found out, be they nodes or pages") func liars() async throws {
        let author = try Peer()
        defer { author.node.stop() }
        let many = try author.publish(ContractText.many)
        let directory = try Workplace()
        let liar = try await LyingNode(at: directory.path("liar"), listening: Self.webSocket)
        // It gets the contract from its author.
        #expect(try author.place.weft("connect", liar.address).status == 0)
        let two = try Self.show(
            author.place, peers: [author.address, liar.address], contracts: [:],
            [Self.task("weft://\(many)/hello", "quorum:2", body: "truth")])
        #expect(two.text(0) == "hello truth", "\(two.answers)")
        #expect(two.liars == [liar.peer], "\(two.answers)")
        // One of twenty answers is checked after it was given out.
        var again = Self.task("weft://\(many)/hello", "sample", body: "truth")
        again["rounds"] = 300
        let sampled = try Self.show(
            author.place, peers: [liar.address], contracts: [:], [again])
        let wrong = try #require(sampled.refuted.first, "\(sampled.answers)")
        #expect(wrong["url"]?.hasPrefix("weft://\(many)/hello?") == true, "\(wrong)")
        #expect(wrong["right"] != nil && wrong["right"] != wrong["record"], "\(wrong)")
        await liar.stop()

        let friend = try Peer()
        defer { friend.node.stop() }
        #expect(try friend.place.weft("connect", author.address).status == 0)
        let page = try OpenPage.serving(
            [author.address, friend.address], ["serve": true, "worker": "/liar.js"], having: many)
        defer { page.close() }
        try friend.knows(2)
        let lied = try friend.place.weft(
            "fetch", "--trace", "--audit", "quorum:2", "--data-binary", "friend",
            "weft://\(many)/hello")
        #expect(lied.output == "hello friend", "\(lied.errors)")
        #expect(lied.errors.contains("\(page.name): its answer was wrong"), "\(lied.errors)")
    }

    /// Time is counted from the start, whatever it is spent on. The next call finds a new worker,
    /// while the one that was ended may still hold all memory that the browser has for instances.
    @Test("a call ends by its deadline") func late() throws {
        let peer = try Peer()
        defer { peer.node.stop() }
        let many = try peer.publish(ContractText.many)
        let loops = (0..<2_900).map { "/loop?\($0)\n" }.joined()
        func slow(_ round: Int) -> [String: Any] {
            [
                "url": "weft://\(many)/all?\(round)", "method": "POST", "body": loops,
                "headers": ["weft-gas": "200000000000"],
                "mesh": ["audit": "self", "deadline": 700],
            ]
        }
        let rounds = 0..<2
        let report = try Self.show(
            peer.place, peers: [peer.address], contracts: ["workers": 1],
            rounds.flatMap {
                [slow($0), Self.task("weft://\(many)/hello?\($0)", "self", body: "again")]
            })
        for round in rounds {
            let late = report.answers[2 * round]
            #expect(late["code"] as? String == "deadline", "\(late)")
            let next = report.answers[2 * round + 1]
            #expect(report.text(2 * round + 1) == "hello again", "\(next)")
        }
    }

    /// A contract that does not end is ended with its worker when its time is up, which is no
    /// result; the page goes on.
    @Test("a contract that does not end is ended") func runaway() throws {
        let peer = try Peer()
        defer { peer.node.stop() }
        let many = try peer.publish(ContractText.many)
        // Thousands of loops of 10,000,000 gas each, of which no two are the same call.
        let loops = (0..<2_900).map { "/loop?\($0)\n" }.joined()
        let report = try Self.show(
            peer.place, peers: [peer.address], contracts: ["time": 6_000, "workers": 1],
            [
                Self.task(
                    "weft://\(many)/all", "self", body: loops, ["weft-gas": "200000000000"]),
                Self.task("weft://\(many)/hello", "self", body: "again"),
            ])
        let error = report.answers[0]["error"] as? String
        #expect(error?.contains("it took longer than 6000 ms") == true, "\(report.answers)")
        #expect(report.answers[0]["code"] as? String == "deadline")
        #expect(report.text(1) == "hello again", "\(report.answers)")
    }
}

extension OpenPage {
    /// A page that runs contracts for its peers, and has one already.
    static func serving(
        _ peers: [String], _ contracts: [String: Any], having contract: String
    ) throws -> OpenPage {
        try OpenPage(
            "calls.html",
            [
                "peers": peers, "options": ["contracts": contracts],
                "tasks": [["url": "ipfs://\(contract)"]],
            ])
    }

    /// The page's name in the mesh.
    var name: String { (report["status"] as? [String: Any])?["peer"] as? String ?? "?" }
}
