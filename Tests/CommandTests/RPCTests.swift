// Kubo's RPC on the loopback port: the shapes that clients parse, what is refused, and a client
// library that nobody here wrote.

import Foundation
import Testing

@Suite struct RPCTests {
    /// The JSON of an answer's body.
    private static func json(_ answer: String) throws -> [String: Any] {
        let start = try #require(answer.range(of: "\r\n\r\n"))
        var body = String(answer[start.upperBound...])
        if let open = body.firstIndex(of: "{"), let close = body.lastIndex(of: "}") {
            body = String(body[open...close])
        }
        let value = try JSONSerialization.jsonObject(with: Data(body.utf8))
        return try #require(value as? [String: Any])
    }

    @Test("the answers have Kubo's fields")
    func shapes() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        let port = node.apiPort
        let disposition = #"Content-Disposition: form-data; name="file"; filename="a.txt""#
        let form = Data("--b\r\n\(disposition)\r\n\r\nhi\n\r\n--b--\r\n".utf8)
        let type = "Content-Type: multipart/form-data; boundary=b"
        let added = try Self.json(
            RawHTTP.request(port, "POST", "/api/v0/add", headers: [type], body: form))
        #expect(Set(added.keys) == ["Name", "Hash", "Size"])
        #expect(added["Name"] as? String == "a.txt")
        let cid = try #require(added["Hash"] as? String)
        let expected: [(String, Set<String>)] = [
            ("/api/v0/id", ["ID", "PublicKey", "Addresses", "AgentVersion", "Protocols"]),
            ("/api/v0/version", ["Version", "Commit", "Repo", "System", "Golang"]),
            ("/api/v0/block/stat?arg=\(cid)", ["Key", "Size"]),
            ("/api/v0/ls?arg=\(cid)", ["Objects"]),
            ("/api/v0/pin/ls", ["Keys"]),
            ("/api/v0/pin/add?arg=\(cid)", ["Pins"]),
            (
                "/api/v0/repo/stat",
                ["RepoSize", "StorageMax", "NumObjects", "RepoPath", "Version"]
            ),
            ("/api/v0/resolve?arg=/ipfs/\(cid)", ["Path"]),
            ("/api/v0/key/list", ["Keys"]),
            ("/api/v0/key/gen?arg=one&type=ed25519", ["Name", "Id"]),
            (
                "/api/v0/dag/stat?arg=\(cid)",
                ["UniqueBlocks", "TotalSize", "SharedSize", "Ratio", "DagStats"]
            ),
        ]
        for (target, keys) in expected {
            let object = try Self.json(RawHTTP.request(port, "POST", target))
            #expect(Set(object.keys) == keys, "\(target)")
        }
        let cat = try RawHTTP.request(port, "POST", "/api/v0/cat?arg=\(cid)")
        #expect(cat.contains("hi\n"))
        let failed = try RawHTTP.request(port, "POST", "/api/v0/cat?arg=nonsense")
        #expect(failed.hasPrefix("HTTP/1.1 400 "))
        let error = try Self.json(failed)
        #expect(error["Type"] as? String == "error")
        #expect(error["Code"] as? Int == 1)
        #expect((error["Message"] as? String)?.contains("nonsense") == true)
    }

    @Test("web pages, other names, other methods and strange paths are refused")
    func refusals() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        let port = node.apiPort
        func status(
            _ method: String = "POST", _ target: String = "/api/v0/id", host: String? = nil,
            _ headers: String...
        ) throws -> String {
            let answer = try RawHTTP.request(
                port, method, target, host: host, headers: headers)
            return String(answer.split(separator: " ").dropFirst().first ?? "")
        }
        #expect(try status() == "200")
        #expect(try status(host: "rebound.example") == "403")
        #expect(try status(host: "rebound.example:\(port)") == "403")
        #expect(
            try status("POST", "/api/v0/id", host: nil, "Origin: https://evil.example") == "403")
        #expect(
            try status("POST", "/api/v0/id", host: nil, "Referer: http://evil.example/") == "403")
        #expect(try status("GET", "/api/v0/id") == "405")
        #expect(try status("OPTIONS", "/api/v0/id") == "405")
        #expect(try status("POST", "/api/v0/../../etc/passwd") == "400")
        #expect(try status("POST", "/api/v0/%2e%2e/id") == "400")
        // The own part, which reads and writes local files, is not on the port at all.
        for path in ["add", "get", "fetch", "config", "stop", "key/export", "status"] {
            #expect(try status("POST", "/weft/v1/\(path)") == "404")
        }
        #expect(try status("POST", "/api/v0/config?arg=storage.max&arg=1GiB") == "403")
    }

    @Test("a client of HTTP/1.0 gets an end and no chunks; a request that is not whole is refused")
    func oldClients() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        let port = node.apiPort
        let cid = try place.weft("add", "-q", try place.write("a", Data("hi\n".utf8))).output
        let request = "POST /api/v0/pin/ls?stream=true HTTP/1.0\r\nHost: 127.0.0.1:\(port)\r\n\r\n"
        let answer = try RawHTTP.exchange(port, Data(request.utf8))
        #expect(answer.hasPrefix("HTTP/1.0 200 ") && answer.contains(cid), "\(answer)")
        #expect(answer.contains("\r\n\r\n{") && answer.hasSuffix("}\n"), "\(answer)")
        for bad in [
            "POST /api/v0/id HTTP/1.1\r\n\r\n",
            "POST /api/v0/add HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n"
                + "Content-Type: multipart/form-data; boundary=b\r\n"
                + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let answer = try RawHTTP.exchange(port, Data(bad.utf8))
            #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
        }
    }

    @Test("bodies and arguments that are no good get precise errors")
    func badBodies() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        let port = node.apiPort
        let type = "Content-Type: multipart/form-data; boundary=b"
        let cut = Data("--b\r\nContent-Disposition: form-data\r\n\r\nhalf".utf8)
        for (target, headers, body) in [
            ("/api/v0/add", [type], cut), ("/api/v0/add", [], cut),
            ("/api/v0/dag/import", [type], Data("--b\r\n\r\nno car\r\n--b--\r\n".utf8)),
            ("/api/v0/dag/put", [type], Data("--b\r\n\r\n{no json\r\n--b--\r\n".utf8)),
            ("/api/v0/add?chunker=size-0", [type], cut),
            ("/api/v0/cat?arg=\(String(repeating: "a", count: 3000))", [], Data()),
            ("/api/v0/cat?arg=%ff", [], Data()), ("/api/v0/cat", [], Data()),
        ] {
            let answer = try RawHTTP.request(port, "POST", target, headers: headers, body: body)
            #expect(answer.contains("\"Type\":\"error\""), "\(target): \(answer)")
        }
        #expect(try RawHTTP.request(port, "POST", "/api/v0/version").contains("Version"))
    }

    @Test("calls that change what is kept answer as Kubo does, with a status before the body")
    func keeping() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place, "--offline")
        defer { node.stop() }
        let type = "Content-Type: multipart/form-data; boundary=b"
        func call(_ target: String, _ part: String? = nil) throws -> String {
            let form = part.map {
                "--b\r\nContent-Disposition: form-data\r\n\r\n\($0)\r\n--b--\r\n"
            }
            return try RawHTTP.request(
                node.apiPort, "POST", "/api/v0/" + target, headers: form == nil ? [] : [type],
                body: Data((form ?? "").utf8))
        }
        func added(_ query: String, _ text: String) throws -> String {
            try #require(try Self.json(call("add?" + query, text))["Hash"] as? String)
        }
        // What cannot be stored is an error, not a 200 with an error in it.
        for target in [
            "dag/put", "block/put?mhtype=none", "block/put?cid-codec=none",
            "add?inline=1&inline-limit=999",
        ] {
            #expect(try call(target, "{no json").hasPrefix("HTTP/1.1 400 "), "\(target)")
        }
        #expect(try call("add?trickle=true", "x").contains("'trickle'"))
        let one = try added("", "one")
        let two = try added("pin=false", "two")
        #expect(try call("block/rm?arg=\(one)").contains("unpin it first"))
        let updated = try Self.json(call("pin/update?arg=\(one)&arg=\(two)"))
        #expect(updated["Pins"] as? [String] == [one, two])
        #expect(try call("pin/update?arg=\(one)&arg=\(two)").hasPrefix("HTTP/1.1 500 "))
        #expect(try Self.json(call("block/rm?arg=\(one)")).keys.sorted() == ["Hash"])
        #expect(try call("block/rm?arg=\(one)").contains("is not here"))
        #expect(try !call("block/rm?force=true&arg=\(one)").contains("\"Error\""))
        #expect(try call("cat?arg=\(one)").hasPrefix("HTTP/1.1 500 "))
        #expect(try call("pin/verify?verbose=true").contains("\"Ok\":true"))
        let loose = try added("pin=false", "three")
        let removed = try call("repo/gc")
        #expect(removed.contains("{\"Key\":{\"/\":\"\(loose)\"}}"))
        #expect(!removed.contains(two))
    }

    @Test("an upload is cut and linked as the same file on disk, and says how far it has come")
    func uploads() throws {
        let place = try Workplace()
        try place.isolate()
        let make = "head -c 7000001 /dev/urandom > large.bin; head -c 5 large.bin > small.bin"
        #expect(try place.shell(make).status == 0)
        let node = try RunningNode(place, "--offline")
        defer { node.stop() }
        for options in ["", "--profile unixfs-v0-2015", "--chunker rabin-4096-8192-65536"] {
            for name in ["large.bin", "small.bin", "/dev/null"] {
                let direct = try place.shell("weft add -q \(options) - < \(name)")
                // Without a node there is a second way to the same CID: by path.
                let path = try place.shell("cp \(name) copy; weft add -nq \(options) copy")
                #expect(direct.status == 0 && path.status == 0, "\(path.errors)")
                #expect(direct.output == path.output, "\(name) \(options)")
            }
        }
        let progress = try place.shell(
            "curl -sf -F file=@large.bin '\(node.api)/api/v0/add?progress=true'")
        let bytes = try progress.objects().compactMap { $0["Bytes"] as? Int }
        #expect(bytes.last == 7_000_001)
        #expect(bytes == bytes.sorted())
    }

    @Test(
        "client libraries made for Kubo work", arguments: ["kubo_rpc.py", "kubo_aio.py"])
    func clientLibrary(name: String) throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        let root = DocumentationTests.root
        let python = root.appending(path: ".build/venv/bin/python").path
        try #require(
            FileManager.default.isExecutableFile(atPath: python),
            "the Python clients are missing: run 'Scripts/install-packages test'")
        let script = root.appending(path: "Tests/Interop/\(name)").path
        let outcome = try place.shell("timeout 600 '\(python)' '\(script)' '\(node.api)' 2>&1")
        #expect(outcome.status == 0, "\(outcome.output)")
    }

    /// Peers, DHT, figures and topics of three nodes, as client libraries made for Kubo ask them.
    @Test("client libraries made for Kubo use the mesh") func meshClients() throws {
        var places: [Workplace] = []
        var nodes: [RunningNode] = []
        defer { for node in nodes { node.stop() } }
        for _ in 0..<3 {
            let place = try Workplace()
            try place.isolate()
            places.append(place)
            nodes.append(try RunningNode(place, "--listen", "/ip4/127.0.0.1/tcp/0"))
        }
        let outcome = try places[0].python("kubo_mesh.py", nodes.map(\.api))
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
    }
}
