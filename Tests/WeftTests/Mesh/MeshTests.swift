// Nodes as peers of each other, in one process over loopback.

import Multiformats
import NodeCore
import Peering
import Testing

@testable import Weft

@Suite struct MeshTests {
    private static func listen(_ node: Node) async throws -> Multiaddr {
        let address = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0")
        let all = try await node.mesh.listen(on: [address])
        return try #require(all.last)
    }

    /// Both sides see the connection with its direction, and both see its end.
    @Test("connecting, both ways at once, and parting", .timeLimit(.minutes(10)))
    func connecting() async throws {
        try await withNode { mine, _ in
            try await withNode { theirs, _ in
                let (here, there) = (try await Self.listen(mine), try await Self.listen(theirs))
                #expect(there.peer == theirs.peer)
                async let one = mine.mesh.connect(to: there)
                async let other = theirs.mesh.connect(to: here)
                #expect(try await one.peer == theirs.peer)
                #expect(try await other.peer == mine.peer)
                let time = try await mine.mesh.ping(theirs.peer)
                #expect(time > .zero)
                #expect(try await mine.mesh.peers().map(\.peer) == [theirs.peer])
                #expect(try await theirs.mesh.peers().map(\.peer) == [mine.peer])
                // The second connection may still be on its way when the first is closed.
                while try await !mine.mesh.peers().isEmpty {
                    do {
                        try await mine.mesh.disconnect(from: theirs.peer)
                    } catch MeshError.failed(_, .notConnected) {
                        // It closed meanwhile.
                    }
                }
            }
        }
    }

    /// Addresses add up over calls, and a place that is taken is refused without an effect.
    @Test("listening twice") func listening() async throws {
        try await withNode { node, _ in
            let first = try await Self.listen(node)
            let second = try await Self.listen(node)
            #expect(node.mesh.addresses == [first, second])
            let bare = try #require(first.bare(of: node.peer))
            await #expect(throws: MeshError.self) { try await node.mesh.listen(on: [bare]) }
            #expect(node.mesh.addresses == [first, second])
        }
    }

    /// Whoever waits when a node stops is answered, and so is whoever asks afterwards.
    @Test("asking a node that stops") func stopping() async throws {
        try await withNode { mine, _ in
            try await withNode { theirs, _ in
                let there = try await Self.listen(theirs)
                try await mine.mesh.connect(to: there)
                await mine.stop()
                await #expect(throws: MeshError.self) { try await mine.mesh.peers() }
                await #expect(throws: MeshError.self) { try await mine.mesh.connect(to: there) }
                await #expect(throws: MeshError.self) { try await mine.mesh.listen(on: [there]) }
            }
        }
    }

    /// What a stranger calls its software must not work on a terminal.
    @Test("control characters are not shown") func printable() {
        #expect(ForeignText.printable(Array("a\u{1b}[2Jb\n\u{202e}c".utf8)) == "a[2Jbc")
    }
}
