// fetch() as a caller sees it: URLs, cache modes, ranges, redirects, integrity, errors.

import Cryptography
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Wire

@testable import Weft

@Suite(.serialized) struct FetchTests {
    static let file = TestFile(leaves: 20, leafSize: 10_000)

    /// A node that knows these providers and names.
    private func withNode(
        _ providers: [TestServer], dns: String = "", _ body: (Node) async throws -> Void
    ) async throws {
        let base = try TemporaryDirectory()
        let path = base.path
        try Files.createDirectory(path)
        try SmallFile.replace(path + "/dns", with: Array(dns.utf8))
        var configuration = Configuration()
        configuration.routing.delegated = []
        configuration.providers.http = providers.map(\.url)
        configuration.dns.staticFile = path + "/dns"
        configuration.storage.maxBytes = 64 << 20
        let node = try await Node.start(at: path + "/node", configuration: configuration)
        do {
            try await body(node)
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    private func bytes(_ response: Response) async throws -> [UInt8] {
        Array(try await response.body.collect(upTo: 1 << 24).readableBytesView)
    }

    /// From a provider, then from the store without one; a range and HEAD; the trace.
    @Test func content() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        try await withNode([server]) { node in
            let url = "ipfs://\(Self.file.root)"
            let first = try await node.fetch(url)
            #expect(first.status == .ok && first.ok && first.url == url && !first.redirected)
            #expect(first.headers[.contentLength] == "\(Self.file.content.count)")
            #expect(try await bytes(first) == Self.file.content)
            #expect(first.mesh.root == Self.file.root)
            #expect(first.mesh.trace.entries.contains { $0.peer == server.url })
            let count = server.requests.count
            await node.retrieval.flush()
            let part = try await node.fetch(
                url, headers: [.range: "bytes=15000-15009"], cache: .onlyIfCached)
            #expect(part.status == .partialContent)
            #expect(try await bytes(part) == Array(Self.file.content[15_000...15_009]))
            let head = try await node.fetch(url, method: .head)
            #expect(head.headers[.contentLength] == "\(Self.file.content.count)")
            #expect(try await bytes(head).isEmpty)
            #expect(server.requests.count == count)
            let again = try await node.fetch(url, cache: .reload)
            #expect(try await bytes(again) == Self.file.content)
            #expect(server.requests.count > count)
        }
        try await server.stop()
    }

    /// A range asks a provider only for what it needs.
    @Test func rangeFromAProvider() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        try await withNode([server]) { node in
            let part = try await node.fetch(
                "ipfs://\(Self.file.root)", headers: [.range: "bytes=95000-95099"])
            #expect(try await bytes(part) == Array(Self.file.content[95_000...95_099]))
            #expect(server.requests.first?.query["entity-bytes"] == "95000:95099")
            #expect(part.mesh.trace.entries.reduce(0) { $0 + $1.bytes } < 30_000)
        }
        try await server.stop()
    }

    /// Names of domains, and what a missing one comes to.
    @Test func names() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        let dns = "_dnslink.site.example dnslink=/ipfs/\(Self.file.root)\n"
        try await withNode([server], dns: dns) { node in
            let response = try await node.fetch("ipns://site.example")
            #expect(try await bytes(response) == Self.file.content)
            let error = await #expect(throws: FetchError.self) {
                try await node.fetch("ipns://other.example")
            }
            #expect(error?.code == .notFound)
        }
        try await server.stop()
    }

    /// Errors have a code to act on, and say what was tried.
    @Test func errors() async throws {
        let server = try await TestServer { _ in [.head(.notFound)] }
        try await withNode([server]) { node in
            let unknown = "ipfs://\(Self.file.root)"
            let cases: [(Request, FetchError.Code)] = [
                (Request(unknown), .notFound),
                (Request(unknown, cache: .onlyIfCached), .offline),
                (Request("weft://\(Self.file.root)/method"), .notSupported),
                (Request("ipfs://nonsense"), .badRequest), (Request("nonsense"), .badRequest),
                (Request("ftp://x"), .badRequest), (Request("http://x.example/"), .badRequest),
                (Request("http://x.example/", integrity: "md5-AAAA"), .badRequest),
                (Request(unknown, method: .post), .badRequest),
            ]
            for (request, code) in cases {
                let error = await #expect(throws: FetchError.self) {
                    try await node.fetch(request)
                }
                #expect(error?.code == code, "\(request.url)")
            }
            let error = await #expect(throws: FetchError.self) { try await node.fetch(unknown) }
            #expect(error?.description.contains("404") == true)
            // What needs no block needs nobody.
            let inlined = try await node.fetch("ipfs://bafkqablimvwgy3y")
            #expect(try await bytes(inlined) == Array("hello".utf8))
        }
        try await server.stop()
    }

    /// A stream that breaks off in the middle ends with an error and the trace, after right bytes.
    @Test func breakingOff() async throws {
        let server = try await TestServer(
            TestGateway.honest(Self.file, twist: TestGateway.lying(at: 12)))
        try await withNode([server]) { node in
            let response = try await node.fetch("ipfs://\(Self.file.root)")
            var read: [UInt8] = []
            let error = await #expect(throws: FetchError.self) {
                for try await part in response.body { read += Array(part.readableBytesView) }
            }
            #expect(error?.code == .unverifiable)
            #expect(error?.trace.isEmpty == false)
            #expect(!read.isEmpty && Self.file.content.starts(with: read))
        }
        try await server.stop()
    }

    /// An origin's bytes are handed out if they match, and not one of them if they do not.
    @Test func integrity() async throws {
        let body = Array("the web".utf8)
        let origin = try await TestServer { request in
            switch request.path {
            case "/moved": [.head(.found, ["location": "/here"])]
            case "/circle": [.head(.found, ["location": "/circle"])]
            default: [.head(.ok, ["content-type": "text/plain"]), .bytes(body)]
            }
        }
        let digest = SHA256.hash(body.span.bytes)
        let right = "sha256-" + Multibase.base64Pad.encode(digest).dropFirst()
        let wrong = "sha256-" + Multibase.base64Pad.encode(digest.reversed()).dropFirst()
        try await withNode([]) { node in
            let response = try await node.fetch("\(origin.url)/here", integrity: right)
            #expect(try await bytes(response) == body)
            #expect(response.headers[.contentType] == "text/plain")
            let moved = try await node.fetch("\(origin.url)/moved", integrity: right)
            #expect(moved.redirected && moved.url == "\(origin.url)/here")
            let cases: [(Request, FetchError.Code)] = [
                (Request("\(origin.url)/here", integrity: wrong), .unverifiable),
                (Request("\(origin.url)/circle", integrity: right), .redirect),
                (Request("\(origin.url)/moved", redirect: .error, integrity: right), .redirect),
            ]
            for (request, code) in cases {
                let error = await #expect(throws: FetchError.self) {
                    try await node.fetch(request)
                }
                #expect(error?.code == code)
            }
            let manual = try await node.fetch(
                Request("\(origin.url)/moved", redirect: .manual, integrity: right))
            #expect(manual.status == .found)
        }
        // With a CID the mesh brings the bytes, and the origin is not asked.
        let server = try await TestServer(TestGateway.honest(Self.file))
        try await withNode([server]) { node in
            let response = try await node.fetch(
                "http://nowhere.invalid/x", integrity: "\(Self.file.root)")
            #expect(try await bytes(response) == Self.file.content)
        }
        try await server.stop()
        try await origin.stop()
    }
}
