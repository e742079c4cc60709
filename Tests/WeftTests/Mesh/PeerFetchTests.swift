// Fetching from peers: whole nodes in one process over loopback, and nothing but each other to ask.

import BlockStore
import Foundation
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Testing
import Wire

@testable import Weft

@Suite(.serialized) struct PeerFetchTests {
    /// A node that knows nobody over HTTP.
    static var configuration: Configuration {
        var configuration = Configuration()
        configuration.routing.delegated = []
        configuration.providers.http = []
        configuration.mesh.mdns = .off
        configuration.mesh.portMapping = .off
        return configuration
    }

    /// Connects one node to others.
    static func connect(_ node: Node, to others: Node...) async throws {
        let anywhere = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0")
        for other in others {
            if other.mesh.addresses.isEmpty { _ = try await other.mesh.listen(on: [anywhere]) }
            try await node.mesh.connect(to: #require(other.mesh.addresses.first))
        }
    }

    /// A folder with files of all sizes, in a node.
    static func addFolder(to node: Node, in base: TemporaryDirectory) async throws -> CID {
        try RandomTree.write(base.path + "/in", seed: 7, pieceSize: 1 << 20)
        try base.write("in/plain.txt", Array("plain".utf8))
        let added = try await node.add([base.path + "/in"])
        return try #require(added.roots.first).cid
    }

    /// A folder comes from a peer, and is stored: it can be read and served without the peer. The
    /// trace names who was asked and what came.
    @Test("a folder comes from a peer, and stays") func folder() async throws {
        try await withNode(Self.configuration) { owner, source in
            try await withNode(Self.configuration) { reader, target in
                let root = try await Self.addFolder(to: owner, in: source)
                try await Self.connect(reader, to: owner)
                let page = try await reader.fetch("ipfs://\(root)/plain.txt")
                #expect(page.status == .ok)
                let trace = page.mesh.trace
                #expect(
                    trace.entries.contains {
                        $0.peer == "\(owner.peer)" && $0.succeeded == true && $0.bytes > 0
                    }, "\(trace)")
                _ = try await reader.get("\(root)", to: target.path + "/out")
                let expected = try RandomTree.read(source.path + "/in")
                #expect(try RandomTree.read(target.path + "/out") == expected)
                try await reader.mesh.disconnect(from: owner.peer)
                await reader.retrieval.flush()

                // The next one gets it from the reader, who has it from the owner.
                try await withNode(Self.configuration) { third, last in
                    try await Self.connect(third, to: reader)
                    _ = try await third.get("\(root)", to: last.path + "/out")
                    #expect(try RandomTree.read(last.path + "/out") == expected)
                }
            }
        }
    }

    /// A file of many blocks and two levels arrives whole, and a range of it alone.
    @Test("a large file, and a part of it") func largeFile() async throws {
        try await withNode(Self.configuration) { owner, source in
            var random = SeededGenerator(seed: 3)
            let content = random.bytes(12 << 20)
            try source.write("file", content)
            let root = try #require(try await owner.add([source.path + "/file"]).roots.first).cid
            for policy in [Request.CacheMode.standard, .noStore] {
                try await withNode(Self.configuration) { reader, _ in
                    try await Self.connect(reader, to: owner)
                    let part = try await reader.fetch(
                        "ipfs://\(root)", headers: [.range: "bytes=9000000-9000099"],
                        cache: policy)
                    #expect(try await body(part) == Array(content[9_000_000...9_000_099]))
                    let whole = try await reader.fetch("ipfs://\(root)", cache: policy)
                    let bytes = try await whole.body.collect(upTo: 32 << 20)
                    #expect(bytes == ByteBuffer(bytes: content))
                }
            }
        }
    }

    /// What no peer has is said to be missing, at once, with who was asked; a node that may ask
    /// nobody asks nobody.
    @Test("what no peer has") func missing() async throws {
        try await withNode(Self.configuration) { owner, _ in
            try await withNode(Self.configuration) { reader, _ in
                try await Self.connect(reader, to: owner)
                let nowhere = CID(.raw, Multihash.sha2_256(of: Array("nowhere".utf8).rawSpan))
                let failure = await #expect(throws: FetchError.self) {
                    try await reader.fetch("ipfs://\(nowhere)")
                }
                #expect(failure?.code == .notFound)
                let asked = failure?.trace.first { $0.peer == "\(owner.peer)" }
                #expect(asked?.outcome.contains("does not have \(nowhere)") == true)
                let offline = await #expect(throws: FetchError.self) {
                    try await reader.fetch("ipfs://\(nowhere)", cache: .onlyIfCached)
                }
                #expect(offline?.code == .offline && offline?.trace.isEmpty == true)
            }
        }
    }
}
