// What short connections leave behind in whole nodes: nothing.

import Foundation
import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Testing

@testable import Weft

@Suite(.serialized) struct ChurnTests {
    /// Nodes that meet and part again and again, with strangers between them who say nonsense and
    /// go, keep no descriptor, no entry and no memory. With `WEFT_LONG` they do it ten thousand
    /// times, else a few hundred.
    @Test("meeting and parting", .timeLimit(.minutes(30))) func meeting() async throws {
        let isLong = ProcessInfo.processInfo.environment["WEFT_LONG"] != nil
        let (rounds, warmUp) = isLong ? (10_000, 1_000) : (300, 100)
        try await withNode(PeerFetchTests.configuration) { mine, _ in
            try await withNode(PeerFetchTests.configuration) { theirs, _ in
                let place = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0")
                let there = try #require(try await theirs.mesh.listen(on: [place]).last)
                var before = (files: 0, bytes: 0)
                for round in 0..<rounds {
                    if round == warmUp { before = try Self.resources() }
                    try await mine.mesh.connect(to: there)
                    _ = try await mine.mesh.ping(theirs.peer)
                    try await mine.mesh.disconnect(from: theirs.peer)
                    if round % 4 == 0 { try await Self.disturb(there) }
                }
                for node in [mine, theirs] {
                    while !node.mesh.connections.isEmpty { await Task.yield() }
                    let status = try #require(try await node.mesh.status())
                    #expect(status.connections.count == 0 && status.acceptedStreams.count == 0)
                    #expect(status.dials.count == 0 && status.peers == 0)
                    #expect(node.mesh.heldMemory.bytes == 0)
                }
                let after = try Self.resources()
                #expect(after.files < before.files + 40, "\(before) \(after)")
                if isLong { #expect(after.bytes < before.bytes + 32 << 20, "\(before) \(after)") }
            }
        }
    }

    /// Says something that is no handshake, and goes without waiting for an answer.
    private static func disturb(_ address: Multiaddr) async throws {
        let port = try #require(address.first(.tcp).flatMap { Int($0.text) })
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get()
        // One that was turned away cannot be written to.
        try? await channel.writeAndFlush(ByteBuffer(string: "\u{13}/multistream/1.0.0\nGET /"))
        try? await channel.close()
    }

    /// Open descriptors and resident bytes of this process.
    private static func resources() throws -> (files: Int, bytes: Int) {
        let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            .split(separator: " ")
        return (files, (Int(pages[1]) ?? 0) * 4_096)
    }
}
