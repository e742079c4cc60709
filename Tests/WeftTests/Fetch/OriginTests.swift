// Content of http URLs: what an origin brings is handed out if it matches its hash or its CID, and
// not one byte of it if it does not.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import Weft

@Suite(.serialized) struct OriginTests {
    private static let script = Array("alert('Hello, world.');".utf8)
    /// The example of the SRI specification.
    private static let integrity =
        "sha384-H8BRh8j48O9oYatfu5AZzq6A9RINhZO5H16dQZngK7T62em8MUt1FLm52t+eX6xO"

    /// Serves the same bytes at every path but a few.
    private static func serving(_ bytes: [UInt8]) -> TestServer.Script {
        { request in
            switch request.path {
            case "/moved": [.head(.found, ["location": "/here"])]
            case "/circle": [.head(.found, ["location": "/circle"])]
            case "/content": [.head(.found, ["location": "ipfs://bafkqablimvwgy3y"])]
            case "/gone": [.head(.gone)]
            case "/silent": [.stall]
            case "/stalling": [.head(.ok), .bytes(Array(bytes.prefix(9))), .stall]
            case "/cut":
                [
                    .head(.ok, ["content-length": "\(bytes.count)"]),
                    .bytes(Array(bytes.dropLast())), .close,
                ]
            case "/short": [.head(.ok), .bytes(Array(bytes.dropLast()))]
            case "/long": [.head(.ok), .bytes(bytes), .bytes([0])]
            case "/wrong": [.head(.ok), .bytes(bytes.dropLast() + [bytes.last! ^ 1])]
            case "/endless": [.head(.ok), .endless([UInt8](repeating: 0, count: 1 << 20))]
            default: [.head(.ok, ["content-type": "text/plain"]), .bytes(bytes)]
            }
        }
    }

    /// Each of these requests fails, with its code.
    private func expect(_ cases: [(Request, FetchError.Code)], from node: Node) async {
        for (request, code) in cases {
            let error = await #expect(throws: FetchError.self, "\(request.url)") {
                let response = try await node.fetch(request)
                Issue.record("\(request.url) was answered with \(response.status)")
            }
            #expect(error?.code == code, "\(request.url): \(error?.message ?? "")")
        }
    }

    @Test func hashes() async throws {
        let origin = try await TestServer(Self.serving(Self.script))
        let url = origin.url
        let right = Self.integrity
        try await FetchTests.withNode([]) { node in
            let response = try await node.fetch("\(url)/here", integrity: right)
            #expect(try await body(response) == Self.script)
            #expect(response.headers[.contentType] == "text/plain")
            let moved = try await node.fetch("\(url)/moved", integrity: right)
            #expect(moved.redirected && moved.url == "\(url)/here")
            let manual = try await node.fetch(
                Request("\(url)/moved", redirect: .manual, integrity: right))
            #expect(manual.status == .found)
            let patience = MeshOptions(idleDeadline: .milliseconds(200))
            await expect(
                [
                    (Request("\(url)/wrong", integrity: right), .unverifiable),
                    (Request("\(url)/short", integrity: right), .unverifiable),
                    (Request("\(url)/cut", integrity: right), .network),
                    (Request("\(url)/gone", integrity: right), .notFound),
                    (Request("\(url)/circle", integrity: right), .redirect),
                    (Request("\(url)/content", integrity: right), .redirect),
                    (Request("\(url)/moved", redirect: .error, integrity: right), .redirect),
                    (Request("\(url)/silent", integrity: right, mesh: patience), .deadline),
                    (Request("\(url)/stalling", integrity: right, mesh: patience), .deadline),
                    (Request("\(url)/x", cache: .onlyIfCached, integrity: right), .offline),
                ], from: node)
        }
        try await origin.stop()
    }

    /// With a CID the mesh brings the bytes, and the origin is not asked.
    @Test func elsewhere() async throws {
        let server = try await TestServer(TestGateway.honest(FetchTests.file))
        try await FetchTests.withNode([server]) { node in
            let response = try await node.fetch(
                "http://nowhere.invalid/x", integrity: "\(FetchTests.file.root)")
            #expect(try await body(response) == FetchTests.file.content)
        }
        try await server.stop()
    }

    /// A way to make blocks, and enough content for several of them.
    struct Way: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let profile: Profile
        let size: Int
        var version: CID.Version?

        func cid(of content: [UInt8]) throws -> CID {
            var file = StreamImport(profile, Splitter(profile.chunker)) { _ in }
            try file.append(ByteBuffer(bytes: content))
            let cid = try file.finish().cid
            return version == .v1 ? CID(cid.codec, cid.hash) : cid
        }
    }

    static var ways: [Way] {
        var kubo = Profile.v0_2015
        kubo.cidVersion = .v1
        kubo.leaves = .raw
        return [
            Way(testDescription: "one raw block", profile: .v1_2025, size: 9_999),
            Way(testDescription: "unixfs-v1-2025", profile: .v1_2025, size: 2_200_000),
            Way(testDescription: "unixfs-v0-2015", profile: .v0_2015, size: 700_000),
            Way(testDescription: "one block of v0", profile: .v0_2015, size: 1_000),
            Way(
                testDescription: "v0 as v1", profile: .v0_2015, size: 700_000, version: .v1),
            Way(testDescription: "ipfs add --cid-version=1", profile: kubo, size: 700_000),
        ]
    }

    /// Nobody has the CID, so its origin is asked; what it brings is stored under the CID.
    @Test(arguments: ways) func content(_ way: Way) async throws {
        var stream = ChaCha20(seed: "origin")
        let content = stream.read(way.size)
        let cid = try way.cid(of: content)
        let origin = try await TestServer(Self.serving(content))
        let provider = try await TestServer { _ in [.head(.notFound)] }
        let url = origin.url
        try await FetchTests.withNode([provider]) { node in
            let unstored = try await node.fetch(
                "\(url)/file", cache: .noStore, integrity: "\(cid)")
            #expect(try await body(unstored) == content)
            await expect([(Request("ipfs://\(cid)"), .notFound)], from: node)

            let part = try await node.fetch(
                "\(url)/moved", headers: [.range: "bytes=500-599"], integrity: "\(cid)")
            #expect(part.status == .partialContent && part.mesh.root == cid)
            #expect(try await body(part) == Array(content[500..<600]))
            let count = origin.requests.count
            let whole = try await node.fetch(
                "\(url)/file", cache: .onlyIfCached, integrity: "\(cid)")
            #expect(try await body(whole) == content)
            #expect(origin.requests.count == count)
        }
        try await provider.stop()
        try await origin.stop()
    }

    /// Bytes that do not give the CID are not handed out, and not found under it afterwards.
    @Test(arguments: ways) func wrongContent(_ way: Way) async throws {
        var stream = ChaCha20(seed: "origin")
        let content = stream.read(way.size)
        let cid = "\(try way.cid(of: content))"
        let origin = try await TestServer(Self.serving(content))
        let url = origin.url
        try await FetchTests.withNode([]) { node in
            let patience = MeshOptions(idleDeadline: .milliseconds(200))
            await expect(
                [
                    (Request("\(url)/wrong", integrity: cid), .unverifiable),
                    (Request("\(url)/short", integrity: cid), .unverifiable),
                    (Request("\(url)/long", integrity: cid), .unverifiable),
                    (Request("\(url)/cut", integrity: cid), .network),
                    (Request("\(url)/stalling", integrity: cid, mesh: patience), .deadline),
                    (Request("\(url)/gone", integrity: cid), .notFound),
                    (Request("\(url)/endless", integrity: cid), .tooLarge),
                    (Request("\(url)/x", cache: .onlyIfCached, integrity: cid), .offline),
                    (Request("ipfs://\(cid)"), .notFound),
                ], from: node)
        }
        try await origin.stop()
    }

    /// A provider that is silent holds a request up no longer than the caller says.
    @Test func silentProvider() async throws {
        let origin = try await TestServer(Self.serving(Self.script))
        let provider = try await TestServer { _ in [.stall] }
        let url = origin.url
        let cid = CID(.raw, .sha2_256(of: Self.script.span.bytes))
        try await FetchTests.withNode([provider]) { node in
            let response = try await node.fetch(
                "\(url)/script", integrity: "\(cid)",
                mesh: MeshOptions(idleDeadline: .milliseconds(300)))
            #expect(try await body(response) == Self.script)
            #expect(response.mesh.trace.entries.contains { $0.step == .origin })
            // The bytes of other content than files cannot be checked.
            let data = CID(.dagCBOR, cid.hash)
            await expect(
                [
                    (
                        Request(
                            "\(url)/x", cache: .reload, integrity: "\(data)",
                            mesh: MeshOptions(idleDeadline: .milliseconds(300))), .unverifiable
                    )
                ], from: node)
        }
        try await provider.stop()
        try await origin.stop()
    }
}
