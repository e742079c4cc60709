// Computation as a user meets it: `weft fetch weft://`, `weft call`, a web page's request to the
// gateway, and what is said when the engine is missing.

import ContractText
import Foundation
import Testing

@Suite(.serialized) struct CallTests {
    /// Answers `hello ` and its body; `both` calls that twice.
    static let text = ContractText.native(
        """
          (data (i32.const 0) "hello /hello?a/hello?b")
          (func (export "hello")
            (call $write (i32.const 0) (i32.const 6))
            (call $pass (i32.const 0) (i64.const 0) (i64.const 100)))
          (func $ask (param $at i32)
            (drop (call $fetch (local.get $at) (i32.const 8) (i32.const 0) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))
          (func (export "both")
            (call $ask (i32.const 6)) (call $ask (i32.const 14))
            (call $pass (i32.const 2) (i64.const 0) (i64.const 100))
            (call $pass (i32.const 1) (i64.const 0) (i64.const 100)))
        """)

    private static func publish(_ text: String = text, in place: Workplace) throws -> String {
        try place.isolate()
        try place.write("hello.wasm", Data(try ContractText.assemble(text)))
        let added = try place.weft("add", "-q", "hello.wasm")
        #expect(added.status == 0, "\(added.errors)")
        return added.output
    }

    @Test("a contract is called, its record shown and verified, without and with a node")
    func calling() throws {
        let place = try Workplace()
        let url = "weft://\(try Self.publish(in: place))"
        var node: RunningNode?
        for _ in 0..<2 {
            let hello = try place.weft("fetch", "\(url)/hello", "--data-binary", "world")
            #expect(hello.output == "hello world", "\(hello.errors)")
            let both = try place.weft(
                "fetch", "-i", "--trace", "--cache", node == nil ? "default" : "no-cache",
                "\(url)/both")
            #expect(both.output.hasSuffix("hello hello "), "\(both.errors)")
            #expect(both.errors.contains("\(url)/both"))
            let head = both.output.split(separator: "\r\n")
            #expect(head.first == "HTTP/1.1 200 OK")
            let record = try #require(head.first { $0.hasPrefix("Weft-Record: ") }).dropFirst(13)
            let tree = try place.weft("call", "show", "--json", String(record)).objects()
            try #require(tree.map { $0["depth"] as? Int } == [0, 1, 1])
            #expect(tree[1]["url"] as? String == "\(url)/hello?a")
            let shown = try place.weft("call", "show", String(record)).output
            #expect(shown.split(separator: "\n").count == 4 && shown.contains("ok 200"))
            // Only a node that goes on knows how long its calls took.
            #expect(tree.allSatisfy { ($0["time_us"] != nil) == (node != nil) })
            #expect(shown.contains(" µs  ") == (node != nil))
            let checks = try place.weft("call", "verify", "--json", String(record)).objects()
            #expect(checks.count == 3 && checks.allSatisfy { $0["valid"] as? Bool == true })
            let alone = try place.weft("call", "verify", "--alone", String(record))
            #expect(alone.status == 0 && alone.output.hasPrefix("ok"), "\(alone.errors)")
            let none = try place.weft("fetch", "\(url)/none")
            #expect(none.status == 1 && none.output.contains("it has hello, both"))
            #expect(try place.weft("call", "show", "nonsense").status == 1)
            if node == nil { node = try RunningNode(place) }
        }
        node?.stop()
    }

    @Test("status and metrics tell how calls have ended")
    func figures() throws {
        let place = try Workplace()
        let url = "weft://\(try Self.publish(in: place))"
        let node = try RunningNode(place)
        defer { node.stop() }
        for path in ["hello", "hello", "none"] { _ = try place.weft("fetch", "\(url)/\(path)") }
        let status = try place.weft("status", "--json").object()
        let contracts = try #require(status["contracts"] as? [String: Any])
        let ended = try #require(contracts["ended"] as? [String: Int])
        #expect(ended["ok"] == 1 && ended["not-called"] == 1 && ended["trap"] == 0, "\(ended)")
        #expect(contracts["running"] as? Int == 0 && contracts["remembered"] as? Int == 1)
        let limits = try #require(status["limits"] as? [[String: Any]])
        let memory = try #require(limits.first { $0["key"] as? String == "compute.memory" })
        #expect(memory["count"] as? Int == 0 && memory["limit"] as? Int == 1 << 30)
        let words = try place.weft("status").output
        for part in [
            "0 running, 0 waiting, 1 results remembered", "ok 1, not-called 1, ",
            "0 B of 1.0 GiB (compute.memory)", "(compute.slots)",
        ] {
            #expect(words.contains(part), "\(part): \(words)")
        }
        let metrics = try place.shell("curl -sf \(node.gateway)/metrics").output
        for line in [
            #"weft_calls_total{outcome="ok"} 1"#, #"weft_calls_total{outcome="trap"} 0"#,
            #"weft_call_failures_total{reason="memory"} 0"#, "# TYPE weft_calls_total counter",
            "weft_call_results 1",
        ] {
            #expect(metrics.contains("\(line)\n"), "\(line): \(metrics)")
        }
    }

    @Test("a web page calls a contract at the gateway")
    func gateway() throws {
        let place = try Workplace()
        let contract = try Self.publish(in: place)
        let node = try RunningNode(place)
        defer { node.stop() }
        let port = try #require(URL(string: node.gateway)?.port.flatMap { UInt16($0) })
        let page = ["Origin: https://page.example", "Content-Type: text/plain"]
        let posted = try RawHTTP.request(
            port, "POST", "/weft/\(contract)/hello", headers: page, body: Data("page".utf8))
        #expect(posted.hasPrefix("HTTP/1.1 200 OK\r\n") && posted.hasSuffix("hello page"))
        #expect(posted.lowercased().contains("\r\naccess-control-allow-origin: *\r\n"))
        #expect(posted.lowercased().contains("\r\naccess-control-expose-headers: *\r\n"))
        for name in ["Weft-Gas", "Weft-Record", "Weft-Responder", "Weft-Confidence"] {
            #expect(posted.contains("\r\n\(name): "), "\(name)")
        }
        let plain = try RawHTTP.request(port, "GET", "/weft/\(contract)/both")
        #expect(plain.hasSuffix("hello hello "))
        let asked = try RawHTTP.request(
            port, "OPTIONS", "/weft/\(contract)/hello",
            headers: page + ["Access-Control-Request-Method: POST"])
        #expect(asked.hasPrefix("HTTP/1.1 204"))
        #expect(asked.lowercased().contains("\r\naccess-control-allow-methods: *\r\n"))
        let worker = try RawHTTP.request(
            port, "GET", "/weft/\(contract)/hello", headers: ["Service-Worker: script"])
        #expect(worker.hasPrefix("HTTP/1.1 400"))
        let none = try RawHTTP.request(port, "GET", "/weft/\(contract)/none")
        #expect(none.hasPrefix("HTTP/1.1 404"))
        #expect(try RawHTTP.request(port, "GET", "/weft/x/y").hasPrefix("HTTP/1.1 400"))
    }

    @Test("how a call ended tells the exit code")
    func exitCodes() throws {
        let place = try Workplace()
        let url = "weft://\(try Self.publish(ContractText.limits, in: place))"
        #expect(try place.weft("config", "set", "compute.output", "100KiB").status == 0)
        let absent = "weft://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy/x"
        let ends: [(arguments: [String], status: Int32, says: String)] = [
            (["\(url)/index"], 0, ""),
            (["\(url)/none"], 1, "was answered with 404"),
            (["--audit", "perhaps", "\(url)/index"], 2, "quorum:k"),
            (["--gas", "1000", "ipfs://CID"], 2, "weft:// URLs"),
            (["--gas", "100000", "\(url)/loop"], 3, "has no answer: out-of-gas"),
            (["--gas", "1000000", "\(url)/recurse?9000"], 3, "has no answer: stack-exhausted"),
            (["\(url)/trap"], 3, "has no answer: trap"),
            (["\(url)/output?2"], 75, "compute.output"),
            (["\(url)/nest?64"], 75, "64 deep"),
            (["--cache", "only-if-cached", absent], 75, "bafkreigh2a"),
            (
                ["--gas", "200000000000000", "--deadline", "200ms", "\(url)/loop"], 124,
                "ran longer"
            ),
        ]
        for (arguments, status, says) in ends {
            let end = try place.run(["fetch"] + arguments)
            #expect(end.status == status, "\(arguments): \(end.errors)")
            #expect(says.isEmpty || end.errors.contains(says), "\(arguments): \(end.errors)")
        }
    }

    @Test("where the engine is missing, that is said, and all else works")
    func noEngine() throws {
        let place = try Workplace()
        let contract = try Self.publish(in: place)
        let missing = ["WEFT_WASMTIME": place.path("nowhere.so")]
        let call = try place.weft("fetch", "weft://\(contract)/hello", environment: missing)
        #expect(call.status == 1 && call.errors.contains("Scripts/install-packages build"))
        let broken = try place.weft(
            "fetch", "weft://\(contract)/hello",
            environment: ["WEFT_WASMTIME": try place.write("broken.so", Data("none".utf8))])
        #expect(broken.status == 1 && broken.errors.contains("cannot be used"))
        let content = try place.weft("cat", contract, environment: missing)
        #expect(content.status == 0)
        let node = try RunningNode(place, environment: missing)
        defer { node.stop() }
        let port = try #require(URL(string: node.gateway)?.port.flatMap { UInt16($0) })
        let page = try RawHTTP.request(port, "GET", "/weft/\(contract)/hello")
        #expect(page.hasPrefix("HTTP/1.1 501") && page.contains("install-packages"), "\(page)")
        node.stop()
        let doctor = try place.weft("doctor", environment: missing)
        #expect(doctor.output.contains("contracts cannot run here"), "\(doctor.output)")
    }
}
