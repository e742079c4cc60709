// Peers that break the rules of protocols: a node survives them, and serves others meanwhile.

import Connections
import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Testing
import Transports
import Wire

@testable import Weft

@Suite struct HostilePeerTests {
    private static let push = ProtocolName("/ipfs/id/push/1.0.0")
    private static let bitswap = ProtocolName("/ipfs/bitswap/1.2.0")

    private static func attacker() throws -> Transport {
        let options = TransportOptions(identity: .generateEd25519(), protocols: [push])
        return try Transport(options, group: MultiThreadedEventLoopGroup.singleton) { _, _, _ in
            nil
        }
    }

    /// Sends bytes on streams of its own, as many as the node takes.
    private static func flood(
        _ peer: PeerConnection, _ name: ProtocolName, _ bytes: [UInt8], times: Int
    ) async {
        for _ in 0..<times {
            // What is refused, or the end of the connection, is what is expected.
            guard let stream = try? await peer.open([name]) else { return }
            try? await stream.write(bytes[...])
            stream.finish()
        }
    }

    /// Introductions without end, messages that claim to be a gigabyte, and noise, on every
    /// protocol at once: the node goes on to answer others, and holds nothing of it.
    @Test("floods", .timeLimit(.minutes(10))) func floods() async throws {
        try await withNode { node, _ in
            let listening = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0")
            let address = try #require(try await node.mesh.listen(on: [listening]).last)
            var noise = SeededGenerator(seed: 9)
            var giant: [UInt8] = []
            giant.appendVarint(1 << 30)
            giant += noise.bytes(4_000)
            var junk: [UInt8] = []
            junk.appendVarint(2_000)
            junk += noise.bytes(2_000)
            let floods = [(Self.push, junk), (Self.push, giant), (Self.bitswap, giant)]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (name, bytes) in floods {
                    group.addTask {
                        let peer = try await Self.attacker().dial(address, peer: node.peer)
                        await Self.flood(peer, name, bytes, times: 400)
                        peer.close()
                        _ = try await peer.ended.get()
                    }
                }
                try await withNode { other, _ in
                    for _ in 0..<5 {
                        try await other.mesh.connect(to: address)
                        #expect(try await other.mesh.ping(node.peer) > .zero)
                    }
                }
                try await group.waitForAll()
            }
            while try await !node.mesh.peers().isEmpty { await Task.yield() }
            while node.mesh.heldMemory.bytes > 0 { await Task.yield() }
            let status = try #require(try await node.mesh.status())
            #expect(status.acceptedStreams.count == 0)
            #expect(status.connections.count == 0)
        }
    }
}
