// What clients may do to a server and must not get away with: saying nothing, saying it too slowly
// or at too great a length, reading nothing, and being too many. Every such connection ends at a
// deadline, which is short here.

import HTTPTypes
import IPLD
import NIOCore
import Synchronization
import Testing
import Weft

@testable import Gateway

/// How many connections are served, have been at most, and were in all.
private final class Served: Sendable {
    let counts = Mutex((now: 0, most: 0, all: 0))
}

@Suite(.timeLimit(.minutes(10))) struct ConnectionTests {
    private static let healthy = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

    /// Bytes after which a client falls silent.
    @Test(arguments: [
        "", "G", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\n",
        "CONNECT a:80 HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", healthy,
        "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
        "PUT /routing/v1/ipns/k HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nx",
        "PUT /routing/v1/ipns/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
    ])
    func silence(said: String) async throws {
        try await RunningGateway.run(.serving(MemoryBlocks())) {
            $0.idleTimeout = .milliseconds(200)
            $0.stallTimeout = .milliseconds(300)
        } _: { server in
            try await server.connect { connection in
                try await connection.send(said)
                // That this ends is the test.
                _ = await connection.drain()
            }
        }
    }

    /// A header that comes piece by piece for ever is a request that does not arrive.
    @Test func slowHeaders() async throws {
        try await RunningGateway.run(.serving(MemoryBlocks())) {
            $0.idleTimeout = .milliseconds(300)
        } _: { server in
            try await server.connect { connection in
                try await connection.send("GET / HTTP/1.1\r\nHost: a\r\n")
                await #expect(throws: (any Error).self) {
                    while true {
                        try await connection.send("X-More: y\r\n")
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
            }
        }
    }

    /// One that is answered in between stays as long as it goes on asking.
    @Test func busy() async throws {
        try await RunningGateway.run(.serving(MemoryBlocks())) {
            $0.idleTimeout = .seconds(3)
        } _: { server in
            try await server.connect { connection in
                let start = ContinuousClock.now
                while start.duration(to: .now) < .seconds(5) {
                    try await connection.send(Self.healthy)
                    _ = try await connection.receive(through: "ok\n")
                }
            }
        }
    }

    /// A client that stops reading in the middle of an answer does not keep it for ever.
    @Test func stalledReader() async throws {
        var blocks = MemoryBlocks()
        let file = try blocks.addFile(mebibytes: 64)
        let (backend, use) = WatchedBlocks.backend(blocks)
        try await RunningGateway.run(backend) {
            $0.stallTimeout = .milliseconds(300)
        } _: { server in
            try await server.connect { connection in
                try await connection.send("GET /ipfs/\(file) HTTP/1.1\r\nHost: a\r\n\r\n")
                let head = try await connection.receive(through: "\r\n\r\n")
                #expect(head.hasPrefix("HTTP/1.1 200"))
                // Nothing is read until the server has given up.
                for await _ in use {}
                let count = await connection.drain()
                #expect(count < 64 << 20)
            }
        }
    }

    /// The same over HTTP/2, where it is the window of a stream that stays full.
    @Test func stalledStream() async throws {
        var blocks = MemoryBlocks()
        let file = try blocks.addFile(mebibytes: 8)
        let (backend, use) = WatchedBlocks.backend(blocks)
        try await RunningGateway.run(backend) {
            $0.stallTimeout = .milliseconds(300)
            $0.idleTimeout = .milliseconds(500)
        } _: { server in
            try await server.connect { connection in
                try await connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                try await connection.send([0, 0, 0, 4, 0, 0, 0, 0, 0])
                // HPACK: GET, http, then path and authority as they are.
                let path = Array("/ipfs/\(file)".utf8)
                let block: [UInt8] =
                    [0x82, 0x86, 0x04, UInt8(path.count)] + path + [0x01, 1, UInt8(ascii: "a")]
                try await connection.send(
                    [0, 0, UInt8(block.count), 1, 5, 0, 0, 0, 1] + block)
                for await _ in use {}
                // Then nothing is open any more, and the connection ends as well.
                let count = await connection.drain()
                #expect((60_000..<(1 << 20)).contains(count))
            }
        }
    }

    /// One connection more than there may be waits until another ends, and is answered then.
    @Test func tooMany() async throws {
        try await RunningGateway.run(.serving(MemoryBlocks())) {
            $0.maxConnections = 2
        } _: { server in
            let hasClosed = Mutex(false)
            let (full, isFull) = AsyncStream.makeStream(of: Void.self)
            let (begun, begin) = AsyncStream.makeStream(of: Void.self)
            async let third: Void = {
                for await _ in full {}
                try await server.connect { third in
                    try await third.send(Self.healthy)
                    begin.finish()
                    _ = try await third.receive(through: "ok\n")
                    #expect(hasClosed.withLock { $0 })
                }
            }()
            try await server.connect { first in
                try await first.send(Self.healthy)
                _ = try await first.receive(through: "ok\n")
                try await server.connect { second in
                    try await second.send(Self.healthy)
                    _ = try await second.receive(through: "ok\n")
                    isFull.finish()
                    for await _ in begun {}
                    // The two are served while the third waits.
                    for _ in 0..<20 {
                        try await first.send(Self.healthy)
                        _ = try await first.receive(through: "ok\n")
                        try await second.send(Self.healthy)
                        _ = try await second.receive(through: "ok\n")
                    }
                    hasClosed.withLock { $0 = true }
                }
            }
            try await third
        }
    }

    /// No more connections are served at a time than there may be, though many come at once.
    @Test func burst() async throws {
        try await RunningGateway.run(.serving(MemoryBlocks())) {
            $0.maxConnections = 3
        } _: { server in
            let served = Served()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<24 {
                    group.addTask {
                        try await server.connect { connection in
                            try await connection.send(Self.healthy)
                            _ = try await connection.receive(through: "ok\n")
                            served.counts.withLock {
                                $0.now += 1
                                $0.all += 1
                                $0.most = max($0.most, $0.now)
                            }
                            for _ in 0..<8 {
                                try await connection.send(Self.healthy)
                                _ = try await connection.receive(through: "ok\n")
                            }
                            served.counts.withLock { $0.now -= 1 }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(served.counts.withLock { $0.most } <= 3)
            #expect(served.counts.withLock { $0.all } == 24)
        }
    }

    /// Requests that cannot be read get a status and an end.
    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "y", count: 40_000))\r\n\r\n", "431"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n"
                + String(repeating: "X-Some: \(String(repeating: "y", count: 180))\r\n", count: 190)
                + "\r\n", "431"
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 300) + "\r\n",
            "431"
        ),
        ("CONNECT \(String(repeating: "y", count: 40_000))", "431"),
        ("GET /\(String(repeating: "y", count: 40_000)) HTTP/1.1\r\nHost: a\r\n\r\n", "4"),
        ("nonsense\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        (
            "PUT /routing/v1/ipns/k HTTP/1.1\r\nHost: a\r\n"
                + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            "400"
        ),
    ])
    func unreadable(request: String, status: String) async throws {
        try await RunningGateway.run(.serving(MemoryBlocks())) { server in
            try await server.connect { connection in
                try await connection.send(request)
                let answer = try await connection.rest()
                #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer.prefix(200))")
                #expect(answer.contains("Connection: close"))
            }
        }
    }

    /// A client that would like HTTP/2 by upgrade is answered and told that this was all, because
    /// nothing after such a request is read.
    @Test func upgrade() async throws {
        try await RunningGateway.run(.serving(MemoryBlocks())) { server in
            try await server.connect { connection in
                try await connection.send(
                    "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                        + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n")
                let answer = try await connection.rest()
                #expect(answer.hasPrefix("HTTP/1.1 200"))
                #expect(answer.lowercased().contains("\r\nconnection: close\r\n"))
                #expect(answer.hasSuffix("ok\n"))
            }
        }
    }
}
