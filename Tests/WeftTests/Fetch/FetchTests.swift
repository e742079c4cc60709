// fetch() as a caller sees it: URLs, cache modes, ranges, errors.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1
import Testing
import Wire

@testable import Weft

/// The whole body of an answer.
func body(_ response: Response) async throws -> [UInt8] {
    Array(try await response.body.collect(upTo: 1 << 24).readableBytesView)
}

@Suite(.serialized) struct FetchTests {
    static let file = TestFile(leaves: 20, leafSize: 10_000)

    /// A node that knows these providers and names.
    static func withNode(
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

    /// From a provider, then from the store without one; a range and HEAD; the trace.
    @Test func content() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        try await Self.withNode([server]) { node in
            let url = "ipfs://\(Self.file.root)"
            let first = try await node.fetch(url)
            #expect(first.status == .ok && first.ok && first.url == url && !first.redirected)
            #expect(first.headers[.contentLength] == "\(Self.file.content.count)")
            #expect(try await body(first) == Self.file.content)
            #expect(first.mesh.root == Self.file.root)
            #expect(first.mesh.trace.entries.contains { $0.peer == server.url })
            let count = server.requests.count
            await node.retrieval.flush()
            let part = try await node.fetch(
                url, headers: [.range: "bytes=15000-15009"], cache: .onlyIfCached)
            #expect(part.status == .partialContent)
            #expect(try await body(part) == Array(Self.file.content[15_000...15_009]))
            let head = try await node.fetch(url, method: .head)
            #expect(head.headers[.contentLength] == "\(Self.file.content.count)")
            #expect(try await body(head).isEmpty)
            #expect(server.requests.count == count)
            let again = try await node.fetch(url, cache: .reload)
            #expect(try await body(again) == Self.file.content)
            #expect(server.requests.count > count)
        }
        try await server.stop()
    }

    /// A range asks a provider only for what it needs.
    @Test func rangeFromAProvider() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        try await Self.withNode([server]) { node in
            let part = try await node.fetch(
                "ipfs://\(Self.file.root)", headers: [.range: "bytes=95000-95099"])
            #expect(try await body(part) == Array(Self.file.content[95_000...95_099]))
            #expect(server.requests.first?.query["entity-bytes"] == "95000:95099")
            #expect(part.mesh.trace.entries.reduce(0) { $0 + $1.bytes } < 30_000)
        }
        try await server.stop()
    }

    /// Names of domains, and what a missing one comes to.
    @Test func names() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        let dns = "_dnslink.site.example dnslink=/ipfs/\(Self.file.root)\n"
        try await Self.withNode([server], dns: dns) { node in
            let response = try await node.fetch("ipns://site.example")
            #expect(try await body(response) == Self.file.content)
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
        try await Self.withNode([server]) { node in
            let unknown = "ipfs://\(Self.file.root)"
            let cases: [(Request, FetchError.Code)] = [
                (Request(unknown), .notFound),
                (Request(unknown, cache: .onlyIfCached), .offline),
                (Request("weft://\(Self.file.root)/method"), .notFound),
                (Request("ipfs://nonsense"), .badRequest), (Request("nonsense"), .badRequest),
                (Request("ftp://x"), .badRequest), (Request("http://x.example/"), .badRequest),
                (Request("http://x.example/", integrity: "md5-AAAA"), .badRequest),
                (Request(unknown, method: .post), .badRequest),
                (Request(unknown, integrity: "\(Self.file.root)"), .badRequest),
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
            #expect(try await body(inlined) == Array("hello".utf8))
        }
        try await server.stop()
    }

    /// A provider whose machine refuses connections is given up at once, not when time runs out.
    @Test func refusedConnections() async throws {
        let server = try await TestServer { _ in [.head(.notFound)] }
        let closed = try await TestServer { _ in [] }
        try await Self.withNode([closed, server]) { node in
            let url = closed.url
            try await closed.stop()
            let error = await #expect(throws: FetchError.self) {
                try await node.fetch(
                    "ipfs://\(Self.file.root)", mesh: MeshOptions(deadline: .seconds(60)))
            }
            #expect(error?.code != .deadline)
            #expect(error?.trace.contains { $0.peer == url } == true)
        }
        try await server.stop()
    }

    /// A stream that breaks off in the middle ends with an error and the trace, after right bytes.
    @Test func breakingOff() async throws {
        let server = try await TestServer(
            TestGateway.honest(Self.file, twist: TestGateway.lying(at: 12)))
        try await Self.withNode([server]) { node in
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
}
