// Fetching under limits: bytes per second of the exchange, and a node on a metered line.

import Foundation
import HTTPTypes
import Multiformats
import NIOCore
import Testing
import Wire

@testable import Weft

@Suite(.serialized) struct LimitedFetchTests {
    private static func addFile(
        of count: Int, to node: Node, in base: TemporaryDirectory
    ) async throws -> (root: CID, content: [UInt8]) {
        var random = SeededGenerator(seed: UInt64(count))
        let content = random.bytes(count)
        try base.write("file", content)
        let added = try await node.add([base.path + "/file"])
        return (try #require(added.roots.first).cid, content)
    }

    /// A ceiling of the exchange holds on either side and lets everything through in the end, while
    /// other protocols are not held back by it.
    @Test("a ceiling of the exchange", arguments: ["sending", "receiving"])
    func ceiling(side: String) async throws {
        let rate = 2_000_000
        try await withNode(PeerFetchTests.configuration) { owner, source in
            try await withNode(PeerFetchTests.configuration) { reader, _ in
                let (root, content) = try await Self.addFile(of: 6 << 20, to: owner, in: source)
                let isSending = side == "sending"
                let limited = isSending ? owner : reader
                var settings = limited.mesh.settings
                if isSending {
                    settings.bandwidth.exchange.outbound = UInt64(rate)
                } else {
                    settings.bandwidth.exchange.inbound = UInt64(rate)
                }
                try await limited.mesh.apply(settings)
                try await PeerFetchTests.connect(reader, to: owner)
                let start = ContinuousClock.now
                let whole = try await reader.fetch("ipfs://\(root)", cache: .noStore)
                #expect(try await reader.mesh.ping(owner.peer) > .zero)
                let bytes = try await whole.body.collect(upTo: 32 << 20)
                #expect(bytes.readableBytesView.elementsEqual(content))
                // At once: an eighth of a second, and the first windows of a few streams.
                let spared = rate / 8 + 4 * (256 << 10)
                let least = Double(content.count - spared) / Double(rate)
                #expect(ContinuousClock.now - start >= .seconds(least))
                let exchange = limited.mesh.traffic.exchange
                #expect((isSending ? exchange.sent : exchange.received).heldBack > 0)
                let other = limited.mesh.traffic.other
                #expect(other.sent.heldBack + other.received.heldBack == 0)
            }
        }
    }

    /// A node on a metered line serves nobody but the peers that it allows, and lets nobody else
    /// in; what it asks for itself it gets.
    @Test("a metered line") func metered() async throws {
        try await withNode(PeerFetchTests.configuration) { owner, source in
            try await withNode(PeerFetchTests.configuration) { other, more in
                let (own, _) = try await Self.addFile(of: 3_000, to: owner, in: source)
                let (theirs, content) = try await Self.addFile(of: 5_000, to: other, in: more)
                var settings = owner.mesh.settings
                settings.reach = .metered
                try await owner.mesh.apply(settings)
                try await PeerFetchTests.connect(owner, to: other)
                let failure = await #expect(throws: FetchError.self) {
                    try await other.fetch("ipfs://\(own)")
                }
                #expect(failure?.code == .notFound)
                let answer = try await owner.fetch("ipfs://\(theirs)")
                let bytes = try await answer.body.collect(upTo: 1 << 20)
                #expect(bytes.readableBytesView.elementsEqual(content))

                settings.allowPeers = [other.peer.description]
                try await owner.mesh.apply(settings)
                #expect(try await other.fetch("ipfs://\(own)").status == .ok)
            }
        }
    }
}
