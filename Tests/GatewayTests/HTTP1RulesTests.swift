// What clients of HTTP/1 may rely on: those of HTTP/1.0 get an end and no chunks, no request is
// taken that is not whole, and one answer on a connection does not run into the next.

import AsyncHTTPClient
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1
import Testing
import Weft

@testable import Gateway

@Suite(.timeLimit(.minutes(10))) struct HTTP1RulesTests {
    /// A gateway with a file and a folder in which it is.
    private func withFolder(
        _ body:
            @escaping @Sendable (RunningGateway, _ file: CID, _ folder: CID) async throws -> Void
    ) async throws {
        var blocks = MemoryBlocks()
        let file = blocks.add(Array("a small file".utf8), .raw)
        let node = PBNode(
            links: [PBLink(file, name: Array("f".utf8), tsize: 12)],
            data: UnixFSNode(.directory).encoded())
        let folder = blocks.add(node.encoded(), .dagPB)
        // Nothing may end because it idles.
        try await RunningGateway.run(.serving(blocks)) {
            $0.idleTimeout = .seconds(3_600)
        } _: { server in
            try await body(server, file, folder)
        }
    }

    @Test("HTTP/1.0: the answer's end is that of the connection, and nothing is chunked")
    func oldClients() async throws {
        try await withFolder { server, file, folder in
            for path in ["\(file)", "\(file)", "\(folder)/", "\(folder)?format=car", "\(file)x"] {
                let url = "http://127.0.0.1:\(server.port)/ipfs/\(path)"
                let new = try await HTTPClient.shared.execute(
                    HTTPClientRequest(url: url), timeout: .seconds(240))
                let body = String(buffer: try await new.body.collect(upTo: 1 << 20))
                let old = try await server.connect { connection in
                    try await connection.send("GET /ipfs/\(path) HTTP/1.0\r\nHost: a\r\n\r\n")
                    return try await connection.rest()
                }
                #expect(old.hasPrefix("HTTP/1.0 \(new.status.code) "), "\(path): \(old)")
                let head = old.lowercased()
                #expect(head.contains("\r\nconnection: close\r\n"), "\(path): \(old)")
                #expect(!head.contains("transfer-encoding"), "\(path): \(old)")
                #expect(!body.isEmpty && old.hasSuffix("\r\n\r\n\(body)"), "\(path): \(old)")
            }
        }
    }

    @Test("HTTP/1.0 with keep-alive goes on until an answer's length is not known")
    func oldClientsThatStay() async throws {
        try await withFolder { server, file, folder in
            try await server.connect { connection in
                let fields = "HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n"
                for _ in 0..<3 {
                    try await connection.send("GET /ipfs/\(file) \(fields)")
                    let answer = try await connection.receive(through: "a small file")
                    #expect(answer.lowercased().contains("\r\nconnection: keep-alive\r\n"))
                }
                try await connection.send("GET /ipfs/\(folder)/ \(fields)")
                let last = try await connection.rest()
                #expect(last.lowercased().contains("\r\nconnection: close\r\n"), "\(last)")
                #expect(last.contains("</html>"))
            }
        }
    }

    @Test("the answer to HEAD ends with its head, so that the next one can be read")
    func heads() async throws {
        try await withFolder { server, _, folder in
            try await server.connect { connection in
                for _ in 0..<3 {
                    try await connection.send(
                        "HEAD /ipfs/\(folder)?format=car HTTP/1.1\r\nHost: a\r\n\r\n")
                    let head = try await connection.receive(through: "\r\n\r\n")
                    #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"), "\(head)")
                }
            }
        }
    }

    @Test("a request that is no good is refused after the answers before it")
    func refusedInTurn() async throws {
        try await withFolder { server, file, _ in
            let good = "GET /ipfs/\(file) HTTP/1.1\r\nHost: a\r\n\r\n"
            for bad in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
                // The first time it is made, then it is kept ready.
                for _ in 0..<2 {
                    try await server.connect { connection in
                        try await connection.send(good + good + bad)
                        for _ in 0..<2 {
                            let answer = try await connection.receive(through: "a small file")
                            #expect(answer.hasPrefix("HTTP/1.1 200"))
                        }
                        #expect(try await connection.rest().hasPrefix("HTTP/1.1 400"))
                    }
                }
            }
        }
    }

    @Test("after an answer that was kept ready, a client is still told that it may send its body")
    func expectation() async throws {
        try await withFolder { server, file, _ in
            try await server.connect { connection in
                for _ in 0..<3 {
                    try await connection.send("GET /ipfs/\(file) HTTP/1.1\r\nHost: a\r\n\r\n")
                    _ = try await connection.receive(through: "a small file")
                }
                try await connection.send(
                    "PUT /routing/v1/ipns/k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                        + "Expect: 100-continue\r\n\r\n")
                let told = try await connection.receive(through: "\r\n\r\n")
                #expect(told == "HTTP/1.1 100 Continue\r\n\r\n")
            }
        }
    }
}
