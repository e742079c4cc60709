// What short connections leave behind in whole nodes: nothing.

import CMalloc
import Foundation
import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Testing

@testable import Weft

@Suite(.serialized) struct ChurnTests {
    /// Nodes that meet and part again and again, with strangers between them who say nonsense and
    /// go, keep no descriptor, no entry, no thread and no memory. With `WEFT_LONG` they do it ten
    /// thousand times, else a few hundred.
    @Test("meeting and parting", .timeLimit(.minutes(15))) func meeting() async throws {
        let isLong = ProcessInfo.processInfo.environment["WEFT_LONG"] != nil
        let (rounds, warmUp) = isLong ? (10_000, 1_000) : (300, 100)
        var configuration = PeerFetchTests.configuration
        // Twenty dials a second, as a home router gets them, would take longer than all else.
        configuration.mesh.ceilings["mesh.dials-per-second"] = 10_000
        try await withNode(configuration) { mine, _ in
            try await withNode(configuration) { theirs, _ in
                let place = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0")
                let there = try #require(try await theirs.mesh.listen(on: [place]).last)
                for round in 0..<warmUp { try await Self.meet(mine, theirs, at: there, round) }
                let before = try await Self.resources(of: [mine, theirs])
                for round in warmUp..<rounds {
                    try await Self.meet(mine, theirs, at: there, round)
                }
                let after = try await Self.resources(of: [mine, theirs])
                let report = "\(before) \(after)"
                // Other tests' sockets may come and go meanwhile.
                #expect(after.files < before.files + 40, "\(report)")
                #expect(after.threads < before.threads + 8, "\(report)")
                if isLong {
                    // A connection takes 32 KiB while it is there. What is left are timers, of the
                    // last minute.
                    let leaked = (after.heap - before.heap) / (rounds - warmUp)
                    #expect(leaked < 250, "\(leaked) bytes a connection: \(report)")
                    #expect(after.resident < before.resident + 16 << 20, "\(report)")
                }
            }
        }
    }

    /// Two nodes meet, speak, and part; every fourth time somebody disturbs them.
    private static func meet(
        _ mine: Node, _ theirs: Node, at there: Multiaddr, _ round: Int
    ) async throws {
        try await mine.mesh.connect(to: there)
        _ = try await mine.mesh.ping(theirs.peer)
        try await mine.mesh.disconnect(from: theirs.peer)
        if round % 4 == 0 { try await disturb(there) }
    }

    /// Says something that is no handshake, and goes without waiting for an answer.
    private static func disturb(_ address: Multiaddr) async throws {
        let port = try #require(address.first(.tcp).flatMap { Int($0.text) })
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: port)).get()
        // One that was turned away cannot be written to.
        try? await channel.writeAndFlush(ByteBuffer(string: "\u{13}/multistream/1.0.0\nGET /"))
        try? await channel.close()
    }

    private struct Resources {
        /// Open descriptors, threads, bytes of the heap in use, and resident bytes.
        var files = 0
        var threads = 0
        var heap = 0
        var resident = 0
    }

    /// What this process uses when all connections of these nodes have ended.
    private static func resources(of nodes: [Node]) async throws -> Resources {
        for node in nodes {
            // The machine hears of the end of a connection a little after the mesh does.
            try await JoinTests.until("end of all connections") {
                let status = try #require(try await node.mesh.status())
                return node.mesh.connections.isEmpty && node.mesh.heldMemory.bytes == 0
                    && status.connections.count == 0 && status.acceptedStreams.count == 0
                    && status.openingStreams.count == 0 && status.commands.count == 0
                    && status.dials.count == 0 && status.peers == 0
            }
        }
        let entries = { (name: String) in
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/\(name)").count
        }
        let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            .split(separator: " ")
        malloc_trim(0)
        // The function, not the structure of the same name.
        let ask: @convention(c) () -> mallinfo2 = mallinfo2
        let heap = ask()
        return Resources(
            files: try entries("fd"), threads: try entries("task"),
            heap: Int(heap.uordblks + heap.hblkhd), resident: (Int(pages[1]) ?? 0) * 4_096)
    }
}
