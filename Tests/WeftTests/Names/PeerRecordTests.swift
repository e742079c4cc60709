// Names between peers: what one node published, another resolves by asking it, without any server.

import IPLD
import Multiformats
import Testing

@testable import Weft

@Suite struct PeerRecordTests {
    private static var alone: Configuration {
        var configuration = Configuration()
        configuration.routing.delegated = []
        configuration.providers.http = []
        return configuration
    }

    @Test("a name is resolved by asking a connected peer, and a newer record is found again")
    func resolving() async throws {
        try await withNode(Self.alone) { mine, _ in
            try await withNode(Self.alone) { theirs, _ in
                let there = try await theirs.mesh.listen(
                    on: [Multiaddr(text: "/ip4/127.0.0.1/tcp/0")])
                try await mine.mesh.connect(to: try #require(there.last))
                // A round trip later, identify is over or soon will be.
                let deadline = ContinuousClock.now + .seconds(240)
                while await mine.mesh.recordHolders().isEmpty {
                    try #require(ContinuousClock.now < deadline)
                    await Task.yield()
                }
                let name = theirs.peer
                let path = "/ipns/\(name.ipnsName)"
                await #expect(throws: FetchError.self) { try await mine.names.resolve(path) }
                for content in ["bafkqaaa", "bafkqabtimvwgy3yk"] {
                    _ = try await theirs.publish("/ipfs/\(content)")
                    let trace = Trace()
                    let found = try await mine.names.resolve(path, cache: .noCache, trace: trace)
                    #expect(found.path == "/ipfs/\(content)")
                    #expect(trace.entries.contains { $0.peer == name.description })
                }
                // What it has learnt it gives on, to whoever is connected.
                #expect(
                    try await theirs.mesh.record(of: name, from: mine.peer)
                        == mine.records.record(of: name)?.encoded)
                #expect(try await theirs.mesh.record(of: mine.peer, from: mine.peer) == nil)
                // What has run out is not given.
                _ = try await theirs.publish("/ipfs/bafkqaaa", lifetime: .seconds(-5))
                #expect(try await mine.mesh.record(of: name, from: theirs.peer) == nil)
            }
        }
    }
}
