// Computation between nodes as people meet it: an author publishes a contract, a friend calls it
// through the command line and through a web page's request, a liar is caught, and somebody who
// knows none of them checks the proof.

import ContractText
import Foundation
import Testing

@Suite(.serialized) struct CallMeshTests {
    private static let loopback = "/ip4/127.0.0.1/tcp/0"

    /// A node of its own that listens for peers.
    private struct Peer {
        let place: Workplace
        let node: RunningNode

        init(environment: [String: String] = [:]) throws {
            place = try Workplace()
            try place.isolate()
            node = try RunningNode(
                place, "--listen", CallMeshTests.loopback, environment: environment)
        }

        var address: String { (node.announcement["listen"] as? [String])?.first ?? "" }
        var port: UInt16 { URL(string: node.gateway)?.port.flatMap { UInt16($0) } ?? 0 }

        /// Connects to others and waits until it knows what they speak.
        func connect(_ addresses: String...) throws {
            for address in addresses {
                let connected = try place.weft("connect", address)
                #expect(connected.status == 0, "\(connected.errors)")
            }
            for _ in 0..<200 {
                let peers = try place.weft("peers", "--json").objects()
                let protocols = peers.map { $0["protocols"] as? [String] ?? [] }
                if protocols.count == addresses.count,
                    protocols.allSatisfy({ $0.contains("/weft/call/1") })
                {
                    return
                }
            }
            Issue.record("the peers did not say that they run calls")
        }

        /// The file that proves a lie. It is written after the answer has been given out.
        func evidence() throws -> String {
            let folder = place.repository + "/evidence"
            for _ in 0..<200 {
                let names = try? FileManager.default.contentsOfDirectory(atPath: folder)
                if let name = names?.first(where: { $0.hasSuffix(".evidence") }) {
                    return "\(folder)/\(name)"
                }
                // As long as the node goes on, it may still come.
                #expect(try place.weft("balance").status == 0)
            }
            return try #require(nil as String?, "there is no proof")
        }
    }

    @Test("a contract in Swift, called by another node and a web page; a liar is caught and named")
    func scene() async throws {
        let author = try Peer()
        defer { author.node.stop() }
        let made = try author.place.weft("contract", "new", "hello")
        #expect(made.status == 0, "\(made.errors)")
        let published = try author.place.weft("contract", "publish", "-q", "hello")
        #expect(published.status == 0, "\(published.errors)")
        let url = "weft://\(published.output)/greet"

        let friend = try Peer()
        let other = try Peer()
        defer {
            friend.node.stop()
            other.node.stop()
        }
        try friend.connect(author.address, other.address)
        let greeting = try friend.place.weft("fetch", "-v", "\(url)?name=Ada")
        #expect(greeting.output == "Hello, Ada!", "\(greeting.errors)")
        #expect(greeting.errors.contains("\nWeft-Confidence: "))
        let page = try RawHTTP.request(
            friend.port, "GET", "/weft/\(published.output)/greet?name=Bob",
            headers: ["Origin: https://page.example"])
        #expect(page.hasPrefix("HTTP/1.1 200 OK\r\n") && page.hasSuffix("Hello, Bob!\n"), "\(page)")
        #expect(page.lowercased().contains("\r\naccess-control-allow-origin: *\r\n"))
        // What peers said is kept for a short time: it could turn out to be wrong.
        let agreed = try RawHTTP.request(
            friend.port, "GET", "/weft/\(published.output)/greet?name=Bea",
            headers: ["Origin: https://page.example", "Weft-Audit: quorum:2"])
        #expect(agreed.hasSuffix("Hello, Bea!\n"))
        #expect(agreed.contains("\r\nWeft-Confidence: 2 peers agree; "), "\(agreed)")
        #expect(agreed.contains("\r\nCache-Control: public, max-age=300\r\n"))

        let directory = try Workplace()
        let liar = try await LyingNode(at: directory.path("liar"))
        try friend.connect(author.address, other.address, liar.address)
        try caught(liar, url, by: friend, author)
        await liar.stop()
    }

    /// Three are asked, one of whom lies: the answer is right all the same, and there is a proof.
    private func caught(
        _ liar: LyingNode, _ url: String, by friend: Peer, _ author: Peer
    ) throws {
        let asked = try friend.place.weft(
            "fetch", "--trace", "--audit", "quorum:3", "\(url)?name=Cleo")
        #expect(asked.output == "Hello, Cleo!", "\(asked.errors)")
        #expect(asked.errors.contains("\(liar.peer): its answer was wrong"), "\(asked.errors)")
        let proof = try friend.evidence()
        // It is not asked again.
        let again = try friend.place.weft(
            "fetch", "--trace", "--audit", "quorum:3", "\(url)?name=Dora")
        #expect(again.output == "Hello, Dora!", "\(again.errors)")
        #expect(!again.errors.contains(liar.peer), "\(again.errors)")

        // A node that has met none of them, and is connected to nothing, checks the proof.
        let judge = try Workplace()
        #expect(try judge.weft("config", "set", "network.mode", "offline").status == 0)
        let alone = try judge.weft("evidence", "verify", proof)
        #expect(alone.status == 1, "without the contract nothing can be run: \(alone.output)")
        let module = author.place.path("hello/.build/hello.wasm")
        #expect(try judge.weft("add", "-q", module).status == 0)
        let verdict = try judge.weft("evidence", "verify", proof)
        #expect(verdict.status == 0, "\(verdict.errors)")
        #expect(verdict.output.hasPrefix("\(liar.peer) has lied: "), "\(verdict.output)")
    }

    @Test("a page of another origin calls a contract with the browser's fetch")
    func browser() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        let module = try place.write(
            "many.wasm", Data(try ContractText.assemble(ContractText.many)))
        let contract = try place.weft("contract", "publish", "-q", module).output
        // The page comes from another node's gateway, whose port makes it another origin.
        let other = try Workplace()
        try other.isolate()
        let origin = try RunningNode(other)
        defer { origin.stop() }
        let page = """
            <!doctype html>
            <pre id="out">nothing came</pre>
            <script type="module">
            const out = document.getElementById('out');
            try {
                const answer = await fetch('\(node.gateway)/weft/\(contract)/hello', {
                    method: 'POST', body: 'page', headers: { 'Weft-Audit': 'self' },
                });
                const names = ['Weft-Gas', 'Weft-Record', 'Weft-Responder', 'Weft-Confidence'];
                const said = names.map((name) => answer.headers.get(name));
                out.textContent = [answer.status, await answer.text(), ...said].join('|');
            } catch (error) {
                out.textContent = `${error}`;
            }
            </script>
            """
        let cid = try other.weft("add", "-q", try other.write("page.html", Data(page.utf8))).output
        let profile = place.path("profile")
        let shown = try place.shell(
            """
            exec timeout 600 chromium --headless --no-sandbox --disable-gpu --no-first-run \
                --disable-background-networking --disable-component-update --disable-sync \
                --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1' \
                --user-data-dir='\(profile)' --virtual-time-budget=30000 --dump-dom \
                '\(origin.gateway)/ipfs/\(cid)'
            """)
        let text = shown.output.components(separatedBy: #"<pre id="out">"#).last ?? ""
        let parts = text.components(separatedBy: "</pre>")[0].components(separatedBy: "|")
        try #require(parts.count == 6, "\(shown.output) \(shown.errors)")
        #expect(parts[0] == "200" && parts[1] == "hello page")
        #expect(UInt64(parts[2]) ?? 0 > 0 && parts[3].hasPrefix("bafyrei") && parts[4] == "self")
        #expect(parts[5].hasPrefix("computed here"))
    }

    @Test("a node without an engine has its peers compute, and says so when nobody does")
    func noEngine() throws {
        let author = try Peer()
        defer { author.node.stop() }
        let file = try author.place.write(
            "limits.wasm", Data(try ContractText.assemble(ContractText.limits)))
        let contract = try author.place.weft("contract", "publish", "-q", file).output
        let poor = try Peer(environment: ["WEFT_WASMTIME": author.place.path("nowhere.so")])
        defer { poor.node.stop() }
        func ask(_ path: String, _ headers: String...) throws -> String {
            try RawHTTP.request(poor.port, "GET", "/weft/\(contract)/\(path)", headers: headers)
        }
        let alone = try ask("index")
        #expect(alone.hasPrefix("HTTP/1.1 501"), "\(alone)")
        try poor.connect(author.address)
        let computed = try ask("index")
        #expect(computed.hasPrefix("HTTP/1.1 200"), "\(computed)")
        let peer = try #require(author.node.announcement["peer"] as? String)
        #expect(computed.contains("\r\nWeft-Responder: \(peer)\r\n"))
        let trapped = try ask("trap")
        #expect(trapped.hasPrefix("HTTP/1.1 500") && trapped.contains("Weft-Outcome: trap"))
        // Nobody's record says that there is no such method, so it is not said here either.
        let unknown = try ask("none")
        #expect(unknown.hasPrefix("HTTP/1.1 502"), "\(unknown)")
        let tooDear = try ask("index?2", "Weft-Max-Price: 0")
        #expect(tooDear.hasPrefix("HTTP/1.1 502"), "\(tooDear)")
        let command = try poor.place.weft("fetch", "--max-price", "0", "weft://\(contract)/index?3")
        #expect(command.status == 75 && command.errors.contains("at this price"))
    }

    @Test("SQLite answers a query over a database that only a peer has")
    func database() throws {
        let root = DocumentationTests.root
        let said = try ContractTests.built.get()
        let module = root.appending(path: ".build/contracts/sqlite.wasm").path
        guard FileManager.default.fileExists(atPath: module) else {
            // On a system without Debian's sources there is nothing to test, and it was said.
            #expect(said.contains("skipped sqlite"))
            return
        }
        let owner = try Peer()
        defer { owner.node.stop() }
        let folder = root.appending(path: "contracts/examples/sqlite/tests/content/zones").path
        let database = try owner.place.weft("add", "-q", folder).output
        let reader = try Peer()
        defer { reader.node.stop() }
        try reader.connect(owner.address)
        let contract = try reader.place.weft("contract", "publish", "-q", module).output
        let answer = try reader.place.weft(
            "fetch", "-v", "--audit", "self", "weft://\(contract)/zones.db?dir=\(database)",
            "--data-binary", "SELECT name FROM zone ORDER BY latitude LIMIT 1")
        #expect(answer.status == 0 && answer.output.contains("Antarctica/"), "\(answer.errors)")
        #expect(answer.errors.contains("\nWeft-Responder: self\n"), "\(answer.errors)")
        // The query named the database, and the record says that it was read.
        let record = try #require(
            answer.errors.split(separator: "\n").first { $0.hasPrefix("Weft-Record: ") })
        let shown = try reader.place.weft("call", "show", "--json", String(record.dropFirst(13)))
        #expect(try shown.object()["reads"] as? [String] == [database])
    }
}
