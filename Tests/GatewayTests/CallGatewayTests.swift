// Contracts on the gateway: what a page can ask, what it is told, what caches may keep, and which
// status each end has (the table in docs/gateway.md).

import ContractText
import Foundation
import HTTPTypes
import Multiformats
import NIOCore
import Testing
import Weft

@testable import Gateway

@Suite struct CallGatewayTests {
    /// A gateway to a node that contacts nobody, with the contract that goes to the limits.
    private struct Place {
        let node: Node
        let gateway: Gateway
        let contract: CID

        /// The answer to a request for a path below the contract, or for a whole path.
        func ask(
            _ path: String, _ fields: [String: String] = [:], _ method: HTTPRequest.Method = .get,
            body: String? = nil
        ) async throws -> Answer {
            let target = path.hasPrefix("/") ? path : "/weft/\(contract)/\(path)"
            var head = HTTPRequest(
                method: method, scheme: "http", authority: "127.0.0.1", path: target)
            for (name, value) in fields {
                head.headerFields[try #require(HTTPField.Name(name))] = value
            }
            var incoming = Gateway.Incoming(head)
            if let body { incoming.stream = ResponseBody(ByteBuffer(string: body)) }
            let response = await gateway.respond(to: incoming)
            let bytes = try await response.body.collect(upTo: 100 << 20)
            return Answer(response: response, body: bytes)
        }
    }

    private struct Answer {
        let response: Response
        let body: ByteBuffer

        var status: Int { response.status.code }
        subscript(name: String) -> String? {
            HTTPField.Name(name).flatMap { response.headers[$0] }
        }
    }

    private func withPlace(
        _ change: (inout Configuration.Compute) -> Void, _ body: (Place) async throws -> Void
    ) async throws {
        let base = FileManager.default.temporaryDirectory.appending(path: "weft-calls-\(UUID())")
        // What is left of a test that failed is no second failure.
        defer { try? FileManager.default.removeItem(at: base) }
        var configuration = Configuration()
        configuration.network = .offline
        change(&configuration.compute)
        let node = try await Node.start(
            at: base.appending(path: "node").path, configuration: configuration)
        do {
            let gateway = try Gateway(GatewayBackend(node, url: { nil }))
            let contract = try await Self.add(
                try ContractText.assemble(ContractText.limits), to: node)
            try await body(Place(node: node, gateway: gateway, contract: contract))
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    private static func add(_ bytes: [UInt8], to node: Node) async throws -> CID {
        let upload = try Upload(into: node)
        _ = try await upload.addFile("file", ResponseBody(ByteBuffer(bytes: bytes)))
        return try await upload.finish().result.roots[0].cid
    }

    @Test("a page of any origin calls, reads the headers, and need not ask first each time")
    func page() async throws {
        try await withPlace({ _ in }) { place in
            let answer = try await place.ask("grow?1", ["Origin": "https://page.example"])
            #expect(answer.status == 200 && answer.body.readableBytes == 4)
            #expect(answer["Access-Control-Allow-Origin"] == "*")
            #expect(answer["Access-Control-Expose-Headers"] == "*")
            let info = try #require(answer.response.mesh.call)
            #expect(answer["Weft-Gas"] == "\(info.gas)" && info.gas > 0)
            #expect(answer["Weft-Record"] == "\(info.record)")
            #expect(answer["Weft-Responder"] == "self")
            #expect(answer["Weft-Confidence"] == "computed here")
            #expect(answer["Weft-Cost"] == "0")
            let asked = try await place.ask(
                "grow?1",
                [
                    "Origin": "https://page.example", "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "weft-audit, weft-gas",
                ], .options)
            #expect(asked.status == 204)
            #expect(asked["Access-Control-Allow-Headers"] == "*")
            #expect(asked["Access-Control-Allow-Methods"] == "*")
            #expect(asked["Access-Control-Max-Age"] == "86400")
        }
    }

    @Test("what this node computed may be kept for good, by its record; a POST may not")
    func caching() async throws {
        try await withPlace({ _ in }) { place in
            let first = try await place.ask("grow?1")
            let tag = try #require(first["ETag"])
            #expect(tag == "\"\(try #require(first["Weft-Record"]))\"")
            #expect(first["Cache-Control"] == "public, max-age=29030400, immutable")
            #expect(first["Vary"] == "Accept, Content-Type, Weft-Audit, Weft-Dir, Weft-Gas")
            let head = try await place.ask("grow?1", [:], .head)
            #expect(head.status == 200 && head.body.readableBytes == 0)
            #expect(head["ETag"] == tag && head["Content-Length"] == "4")
            let known = try await place.ask("grow?1", ["If-None-Match": tag])
            #expect(known.status == 304 && known.body.readableBytes == 0)
            #expect(known["ETag"] == tag && known["Content-Length"] == nil)
            #expect(try await place.ask("grow?2", ["If-None-Match": tag]).status == 200)
            // Another limit is another call.
            #expect(try await place.ask("grow?1", ["Weft-Gas": "1000000"])["ETag"] != tag)
            let posted = try await place.ask("grow?1", [:], .post, body: "x")
            #expect(posted.status == 200 && posted["ETag"] == nil)
            #expect(posted["Cache-Control"] == "no-store")
            let failed = try await place.ask("trap")
            #expect(failed["Cache-Control"] == "no-store" && failed["ETag"] == nil)
        }
    }

    @Test("an error of a contract is not kept, and it asks no browser for a password")
    func errors() async throws {
        let text = ContractText.native(
            """
            (data (i32.const 0) "www-authenticateBasiccontent-security-policydefault-src 'none'")
            (data (i32.const 100) "cache-controlmax-age=5")
            (func $deny (export "deny")
              (call $respond (i32.const 401))
              (call $header (i32.const 0) (i32.const 16) (i32.const 16) (i32.const 5))
              (call $header (i32.const 21) (i32.const 23) (i32.const 44) (i32.const 18)))
            (func (export "brief") (call $deny)
              (call $header (i32.const 100) (i32.const 13) (i32.const 113) (i32.const 9)))
            (func (export "moved") (call $respond (i32.const 301)))
            """)
        try await withPlace({ _ in }) { place in
            let contract = try await Self.add(try ContractText.assemble(text), to: place.node)
            let denied = try await place.ask("/weft/\(contract)/deny")
            #expect(denied.status == 401 && denied["Weft-Record"] != nil)
            #expect(denied["Cache-Control"] == "no-store" && denied["ETag"] == nil)
            #expect(denied["WWW-Authenticate"] == nil)
            #expect(
                denied.response.headers[values: .contentSecurityPolicy]
                    == ["default-src 'none'", "sandbox allow-scripts allow-forms"])
            // What it says of its own answer holds.
            let brief = try await place.ask("/weft/\(contract)/brief")
            #expect(brief["Cache-Control"] == "max-age=5" && brief["ETag"] == nil)
            let moved = try await place.ask("/weft/\(contract)/moved")
            #expect(moved.status == 301 && moved["ETag"] != nil)
        }
    }

    @Test("each end of a call has its status")
    func statuses() async throws {
        let change: (inout Configuration.Compute) -> Void = {
            $0.output = 100_000
            $0.input = 1_000_000
        }
        try await withPlace(change) { place in
            let text = try await Self.add(Array("no module".utf8), to: place.node)
            // The first bytes of a module with a shared memory.
            let shared = try await Self.add(
                [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 4, 1, 3, 1, 1], to: place.node)
            let absent = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
            let ends: [(String, [String: String], Int, outcome: String?, says: String)] = [
                ("index", [:], 200, nil, ""),
                ("none", [:], 404, nil, "it has"),
                ("/weft/\(text)/x", [:], 422, nil, ""),
                ("/weft/\(shared)/x", [:], 422, nil, "threads"),
                ("loop", ["Weft-Gas": "100000"], 500, "out-of-gas", "the 100000 gas that it was"),
                ("recurse?9000", ["Weft-Gas": "1000000"], 500, "stack-exhausted", "too deeply"),
                ("trap", [:], 500, "trap", "did not answer: trap: it came to unreachable"),
                ("bad", [:], 500, "trap", "a response's status is from 200 to 599"),
                ("output?2", [:], 503, nil, "compute.output"),
                ("nest?64", [:], 503, nil, "64 deep"),
                ("/weft/\(absent)/x", [:], 502, nil, absent),
                ("/weft/\(absent)/x", ["Cache-Control": "only-if-cached"], 412, nil, ""),
                ("/weft/nonsense/x", [:], 400, nil, "cannot be called"),
                ("index", ["Weft-Gas": "much"], 400, nil, "gas"),
                ("index", ["Weft-Audit": "quorum:99"], 400, nil, "quorum:k"),
                ("index", ["Weft-Max-Price": "-1"], 400, nil, "Weft-Max-Price"),
                ("index", ["Weft-Value": "x"], 400, nil, "Weft-Value"),
                ("index", ["Weft-Arg-Name": "x"], 400, nil, "use POST"),
                ("index", ["Service-Worker": "script"], 400, nil, "service worker"),
            ]
            for (path, fields, status, outcome, says) in ends {
                let answer = try await place.ask(path, fields)
                let said = String(buffer: answer.body)
                #expect(answer.status == status, "\(path) \(fields): \(said)")
                #expect(answer["Weft-Outcome"] == outcome, "\(path)")
                #expect(said.contains(says) || says.isEmpty, "\(path): \(said)")
                #expect(answer["Access-Control-Allow-Origin"] == "*", "\(path)")
                #expect((answer["Weft-Record"] != nil) == (status == 200 || outcome != nil))
                // What this node does not grant it will not grant a little later.
                let mayPass = status == 502
                #expect((answer["Retry-After"] != nil) == mayPass, "\(path)")
                if status != 200 { #expect(answer["Cache-Control"] == "no-store" || status == 412) }
            }
            let long = try await place.ask(
                "index", [:], .post, body: String(repeating: "x", count: 1_000_001))
            #expect(long.status == 413)
            let named = try await place.ask("index", ["Weft-Arg-Name": "x"], .post, body: "")
            #expect(named.status == 200)
        }
    }

    @Test("what takes longer than this node lets it is 504")
    func deadline() async throws {
        try await withPlace({ $0.time = .milliseconds(200) }) { place in
            let late = try await place.ask("loop", ["Weft-Gas": "\(UInt64(1) << 48)"])
            #expect(late.status == 504 && late["Retry-After"] != nil)
            #expect(String(buffer: late.body).contains("compute.time"))
        }
    }

    private static let anyCall = "/weft/bafkqaaa/x HTTP/1.1\r\nHost: a\r\n"

    @Test("the body of a call reaches it whatever the method", arguments: ["POST", "PUT", "PATCH"])
    func bodies(method: String) async throws {
        try await RunningGateway.run(Self.counting) { server in
            try await server.connect { connection in
                try await connection.send(
                    "\(method) \(Self.anyCall)Content-Length: 20000\r\n\r\n")
                try await connection.send(Array(repeating: 7, count: 20_000))
                _ = try await connection.receive(through: "got 20000 bytes\n")
            }
        }
    }

    /// Answers each call with how long its body is.
    private static var counting: GatewayBackend {
        var backend = GatewayBackend.serving(MemoryBlocks())
        backend.call = { request in
            let bytes = try await request.body?.collect(upTo: 1 << 20) ?? ByteBuffer()
            return Response(
                status: .ok, headers: [:],
                body: ResponseBody(ByteBuffer(string: "got \(bytes.readableBytes) bytes\n")))
        }
        return backend
    }

    /// What a contract is given must be what its caller sent, and whole.
    @Test("a call whose body cannot be read is refused as the caller's fault")
    func brokenBody() async throws {
        try await RunningGateway.run(Self.counting) { server in
            try await server.connect { connection in
                try await connection.send(
                    "POST \(Self.anyCall)Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\nzz\r\n")
                let answer = try await connection.rest()
                #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
                #expect(answer.contains("chunks are wrong"), "\(answer)")
            }
        }
    }

    @Test("a client that asks whether it may send its body is told so at once")
    func expectation() async throws {
        try await RunningGateway.run(Self.counting) { server in
            try await server.connect { connection in
                for _ in 0..<2 {
                    try await connection.send(
                        """
                        POST \(Self.anyCall)Content-Length: 3\r\nExpect: 100-continue\r\n\r\n
                        """)
                    let told = try await connection.receive(through: "\r\n\r\n")
                    #expect(told == "HTTP/1.1 100 Continue\r\n\r\n")
                    try await connection.send("abc")
                    let answer = try await connection.receive(through: "got 3 bytes\n")
                    #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
                    _ = try await connection.receive(through: "\r\n0\r\n\r\n")
                }
            }
        }
    }

    @Test("a call ends when its client goes")
    func clientGone() async throws {
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        var backend = GatewayBackend.serving(MemoryBlocks())
        backend.call = { _ in
            begin.finish()
            do {
                try await Task.sleep(for: .seconds(300))
            } catch {
                end.finish()
                throw error
            }
            return Response(status: .ok, headers: [:], body: .empty)
        }
        try await RunningGateway.run(backend) { server in
            try await server.connect { connection in
                try await connection.send("GET \(Self.anyCall)\r\n")
                for await _ in begun {}
            }
            for await _ in ended {}
        }
    }

    @Test("a gateway to a node that runs no contracts and knows nobody who does says so")
    func off() async throws {
        try await withPlace({ $0.contracts = .off }) { place in
            let answer = try await place.ask("index")
            #expect(answer.status == 501)
            #expect(String(buffer: answer.body).contains("compute.contracts"))
        }
    }
}
