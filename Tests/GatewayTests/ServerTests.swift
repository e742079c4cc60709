// The server itself, over real sockets on loopback: what is kept ready, large bodies, both HTTP
// versions, and a clean end.

import AsyncHTTPClient
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1
import Testing
import Weft
import Wire

@testable import Gateway

@Suite struct ServerTests {
    private func withServer(
        _ blocks: MemoryBlocks, _ body: @escaping @Sendable (String, Gateway) async throws -> Void
    ) async throws {
        try await RunningGateway.run(.serving(blocks)) { server in
            try await body("http://127.0.0.1:\(server.port)", server.gateway)
        }
    }

    private func get(_ url: String, _ range: String? = nil) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: url)
        if let range { request.headers.add(name: "range", value: range) }
        return try await HTTPClient.shared.execute(request, timeout: .seconds(240))
    }

    @Test(.timeLimit(.minutes(10))) func smallObjects() async throws {
        var blocks = MemoryBlocks()
        let cid = blocks.add(Array("hello, small object".utf8), .raw)
        try await withServer(blocks) { base, gateway in
            // The first answer is made, the others are kept ready; nobody can tell them apart.
            for round in 0..<3 {
                let response = try await get("\(base)/ipfs/\(cid)")
                let body = try await response.body.collect(upTo: 100)
                #expect(response.status == .ok)
                #expect(String(buffer: body) == "hello, small object")
                #expect(response.headers.first(name: "etag") == "\"\(cid)\"")
                #expect(response.headers["date"].count == 1)
                #expect(response.headers["content-length"] == ["19"])
                #expect(response.headers.first(name: "access-control-allow-origin") == "*")
                #expect(gateway.cache.entry("/ipfs/\(cid)") != nil, "round \(round)")
            }
            let part = try await get("\(base)/ipfs/\(cid)", "bytes=0-4")
            #expect(part.status == .partialContent)
            #expect(String(buffer: try await part.body.collect(upTo: 100)) == "hello")
        }
    }

    /// A cache, a browser's too, must not give one form for another, nor a client take a large
    /// answer for an empty one.
    @Test(
        "what others conclude from an answer's head", .timeLimit(.minutes(10)),
        arguments: ["", "?format=car", "?format=tar"])
    func heads(query: String) async throws {
        var blocks = MemoryBlocks()
        let cid = blocks.add(Array("a file".utf8), .raw)
        try await withServer(blocks) { base, _ in
            var request = HTTPClientRequest(url: "\(base)/ipfs/\(cid)\(query)")
            let whole = try await HTTPClient.shared.execute(request, timeout: .seconds(240))
            #expect(whole.headers["vary"] == (query.isEmpty ? ["Accept"] : []))
            let length = try await whole.body.collect(upTo: 1 << 20).readableBytes
            #expect(length > 0)
            request.method = .HEAD
            let head = try await HTTPClient.shared.execute(request, timeout: .seconds(240))
            #expect(head.status == .ok)
            let said = head.headers.first(name: "content-length")
            #expect(said == (query.isEmpty ? "\(length)" : nil))
        }
    }

    /// Players seek by ranges: what is missing in the middle is said, not hung up on.
    @Test("a range that begins in a block that is nowhere", .timeLimit(.minutes(10)))
    func missingMiddle() async throws {
        var blocks = MemoryBlocks()
        var elsewhere = MemoryBlocks()
        var builder = FileBuilder(.v1_2025)
        let parts = [Array("there ".utf8), Array("gone".utf8)]
        for (number, part) in parts.enumerated() {
            let cid = number == 0 ? blocks.add(part, .raw) : elsewhere.add(part, .raw)
            let size = UInt64(part.count)
            builder.add(DAGEntry(cid: cid, tsize: size, contentSize: size))
        }
        let root = builder.finish().cid
        while let block = builder.nextBlock() { blocks.add(block) }
        try await withServer(blocks) { base, _ in
            let there = try await get("\(base)/ipfs/\(root)", "bytes=0-4")
            #expect(there.status == .partialContent)
            #expect(String(buffer: try await there.body.collect(upTo: 100)) == "there")
            for range in ["bytes=6-8", nil] {
                let gone = try await get("\(base)/ipfs/\(root)", range)
                #expect(gone.status == .notFound, "\(range ?? "whole")")
                #expect(try await gone.body.collect(upTo: 10_000).readableBytes > 0)
            }
        }
    }

    @Test(.timeLimit(.minutes(10))) func largeFiles() async throws {
        var blocks = MemoryBlocks()
        var builder = FileBuilder(.v1_2025)
        var whole: [UInt8] = []
        for index in 0..<5 {
            var leaf = [UInt8](repeating: UInt8(index), count: 1 << 20)
            leaf[0] = 0xff
            whole += leaf
            let cid = blocks.add(leaf, .raw)
            builder.add(DAGEntry(cid: cid, tsize: 1 << 20, contentSize: 1 << 20))
        }
        let root = builder.finish()
        while let block = builder.nextBlock() { blocks.add(block) }
        let expected = whole
        try await withServer(blocks) { base, _ in
            let response = try await get("\(base)/ipfs/\(root.cid)")
            let body = try await response.body.collect(upTo: 6 << 20)
            #expect(Array(body.readableBytesView) == expected)
            let part = try await get("\(base)/ipfs/\(root.cid)", "bytes=1048570-1048585")
            #expect(
                Array(try await part.body.collect(upTo: 100).readableBytesView)
                    == Array(expected[1_048_570...1_048_585]))
            let head = HTTPClientRequest(url: "\(base)/ipfs/\(root.cid)")
            var request = head
            request.method = .HEAD
            let headed = try await HTTPClient.shared.execute(request, timeout: .seconds(240))
            #expect(headed.headers.first(name: "content-length") == "\(5 << 20)")
        }
    }

    /// A body that cannot be finished must not look finished.
    @Test(.timeLimit(.minutes(10))) func brokenBodies() async throws {
        var blocks = MemoryBlocks()
        var builder = FileBuilder(.v1_2025)
        let first = blocks.add([UInt8](repeating: 1, count: 1 << 20), .raw)
        let lost = CID(.raw, Multihash.sha2_256(of: Array("lost".utf8).span.bytes))
        for cid in [first, lost] {
            builder.add(DAGEntry(cid: cid, tsize: 1 << 20, contentSize: 1 << 20))
        }
        let root = builder.finish()
        while let block = builder.nextBlock() { blocks.add(block) }
        try await withServer(blocks) { base, _ in
            let response = try await get("\(base)/ipfs/\(root.cid)")
            #expect(response.status == .ok)
            await #expect(throws: (any Error).self) {
                _ = try await response.body.collect(upTo: 6 << 20)
            }
        }
    }
}
