// Announcing what is here, without an order for each piece: by the local DHT of nodes on loopback.

import Foundation
import IPLD
import Multiformats
import NodeCore
import Peering
import Testing

@testable import Weft

@Suite(.serialized, .timeLimit(.minutes(10))) struct AnnouncerTests {
    private static func configuration(
        _ strategy: Configuration.Reprovide.Strategy, by others: Node...
    ) -> Configuration {
        var configuration = PeerFetchTests.configuration
        configuration.mesh.listen = ["/ip4/127.0.0.1/tcp/0"]
        configuration.mesh.bootstrap = others.flatMap { $0.mesh.addresses.map(\.description) }
        configuration.reprovide.strategy = strategy
        return configuration
    }

    private static func add(_ text: String, to node: Node, _ base: TemporaryDirectory) async throws
        -> CID
    {
        try base.write(text, Array(text.utf8))
        return try #require(try await node.add([base.path + "/" + text]).roots.first).cid
    }

    private static func provides(_ node: Node, _ cid: CID, says other: Node) async throws -> Bool {
        try await other.mesh.providers(of: cid, limit: 5, within: .seconds(120))
            .contains { $0.peer == node.peer }
    }

    /// What was there before the node started is announced by the walk, what comes later soon after
    /// it came, what was fetched as well; and how that goes is shown.
    @Test("what is here, what is added and what is fetched is announced") func announced()
        async throws
    {
        try await withNode(Self.configuration(.none)) { other, far in
            try await other.listen()
            let theirs = try await Self.add("theirs", to: other, far)
            var settings = Self.configuration(.roots, by: other)
            settings.reprovide.interval = .seconds(2)
            try await withNode(settings) { node, base in
                let old = try await Self.add("old", to: node, base)
                try await node.listen()
                try await JoinTests.until("announcement of what was there") {
                    try await Self.provides(node, old, says: other)
                }
                let new = try await Self.add("new", to: node, base)
                try await JoinTests.until("announcement of what was added") {
                    try await Self.provides(node, new, says: other)
                }
                _ = try await body(try await node.fetch("ipfs://\(theirs)"))
                try await JoinTests.until("announcement of what was fetched") {
                    try await Self.provides(node, theirs, says: other)
                }
                let status = try #require(node.mesh.announcingStatus)
                #expect(status.strategy == .roots && status.announced > 0 && status.last != nil)
                #expect(Finding.announcing(status).verdict == .good)
                #expect(other.mesh.announcingStatus == nil)
            }
        }
    }

    /// With a ceiling of nothing, nothing is announced; that is what a metered node has.
    @Test("the ceiling of announced keys binds") func ceiling() async throws {
        try await withNode(Self.configuration(.none)) { other, _ in
            try await other.listen()
            var settings = Self.configuration(.all, by: other)
            settings.reprovide.interval = .seconds(1)
            settings.mesh.ceilings["mesh.announced-keys"] = 1
            try await withNode(settings) { node, base in
                let first = try await Self.add("first", to: node, base)
                let second = try await Self.add("second", to: node, base)
                try await node.listen()
                try await JoinTests.until("announcement") {
                    (node.mesh.announcingStatus?.announced ?? 0) >= 3
                }
                let both = try await [
                    Self.provides(node, first, says: other),
                    Self.provides(node, second, says: other),
                ]
                #expect(both.count { $0 } == 1)
                #expect(node.mesh.announcingStatus?.keys == 1)
            }
        }
    }

    /// The place of a walk outlives the node.
    @Test("a walk goes on where it was") func positions() throws {
        let base = try TemporaryDirectory()
        let file = SweepPositions(path: base.path + "/sweeps")
        let fresh = try file.read()
        #expect(fresh.count == 2 && fresh.allSatisfy { $0.position.place == 0 })
        try file.write([(fresh[0].name, .init(place: 0xabcd << 48, elapsed: .seconds(3_600)))])
        let again = try file.read()
        #expect(again[0].position.place == 0xabcd << 48)
        #expect((3_600...3_660).contains(again[0].position.elapsed.components.seconds))
        #expect(again[1].position.place == 0)
        try base.write("sweeps", Array("nonsense\n\u{0} 1 2\n/a zz 3\n".utf8))
        #expect(try file.read().allSatisfy { $0.position.place == 0 })
    }
}
