// Fetching from several peers at once, from bad ones, and from peers and HTTP providers together.

import BlockStore
import HTTPTypes
import IPLD
import Logging
import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Testing
import Wire

@testable import Weft

@Suite(.serialized) struct SeveralPeersTests {
    /// A peer that has these blocks, some of them with wrong bytes.
    static func liar(
        _ file: TestFile, about isWrong: @escaping @Sendable (Multihash) -> Bool
    ) async throws -> Mesh {
        let blocks = file.blocks
        let logger = Logger(label: "liar") { _ in SwiftLogNoOpLogHandler() }
        let reads = BlockReads(
            bytes: { hashes in
                hashes.map { hash in
                    guard var bytes = blocks[hash] else { return nil }
                    if isWrong(hash) { bytes[0] ^= 1 }
                    return bytes[...]
                }
            }, sizes: { $0.map { blocks[$0]?.count } }, logger: logger)
        let mesh = Mesh(
            .generateEd25519(), PeerFetchTests.configuration, reads: reads,
            eventLoops: .singleton, logger: logger)
        _ = try await mesh.listen(on: [Multiaddr(text: "/ip4/127.0.0.1/tcp/0")])
        return mesh
    }

    /// Puts the blocks of a file into a node.
    static func store(_ file: TestFile, in node: Node) async throws {
        for section in try file.sections(of: file.root, scope: .all) {
            let bytes = ByteBuffer(bytes: section.bytes)
            try await node.store.put(Block(verifying: bytes, as: section.cid))
        }
    }

    /// Peers that brought something, with how many bytes.
    static func shares(_ trace: Trace) -> [String: UInt64] {
        var shares: [String: UInt64] = [:]
        for entry in trace.entries where entry.step == .provider && entry.bytes > 0 {
            shares[entry.peer, default: 0] += entry.bytes
        }
        return shares
    }

    /// A file comes from two peers at once; one that goes away in the middle costs nothing but
    /// what it had not sent yet, and the rest comes from the other.
    @Test("two peers, one of which goes") func losingOne() async throws {
        let file = TestFile(leaves: 96, leafSize: 1 << 19, width: 64)
        try await withNode(PeerFetchTests.configuration) { first, _ in
            try await withNode(PeerFetchTests.configuration) { second, _ in
                try await Self.store(file, in: first)
                try await Self.store(file, in: second)
                try await withNode(PeerFetchTests.configuration) { reader, _ in
                    try await PeerFetchTests.connect(reader, to: first, second)
                    let response = try await reader.fetch("ipfs://\(file.root)", cache: .noStore)
                    var content: [UInt8] = []
                    content.reserveCapacity(file.content.count)
                    for try await part in response.body {
                        let wasBefore = content.count < 20 << 20
                        content += part.readableBytesView
                        if wasBefore, content.count >= 20 << 20 { await first.stop() }
                    }
                    #expect(content == file.content)
                    let shares = Self.shares(response.mesh.trace)
                    let all = file.blocks.values.reduce(UInt64(0)) { $0 + UInt64($1.count) }
                    #expect(shares["\(first.peer)"] ?? 0 > 0, "\(response.mesh.trace)")
                    #expect(shares["\(second.peer)"] ?? 0 > 0, "\(response.mesh.trace)")
                    #expect(shares.values.reduce(0, +) == all, "\(response.mesh.trace)")
                }
            }
        }
    }

    /// Wrong bytes are never handed out or stored: who sends them is named and asked for nothing
    /// more, and what it was asked for comes from another peer.
    @Test("a peer that lies") func lying() async throws {
        let file = TestFile(leaves: 24, leafSize: 1 << 16)
        let root = file.root.hash
        let liar = try await Self.liar(file) { $0 != root }
        let address = try #require(liar.addresses.first)
        try await withNode(PeerFetchTests.configuration) { reader, _ in
            try await reader.mesh.connect(to: address)
            let failure = await #expect(throws: FetchError.self) {
                _ = try await body(try await reader.fetch("ipfs://\(file.root)"))
            }
            #expect(failure?.code == .unverifiable, "\(String(describing: failure))")
            let line = failure?.trace.first { $0.peer == "\(liar.peer)" }
            #expect(line?.outcome.contains("not match its hash") == true, "\(failure as Any)")
        }
        try await withNode(PeerFetchTests.configuration) { owner, _ in
            try await Self.store(file, in: owner)
            // So that the liar is found to be of use first.
            owner.mesh.withhold { $0.hash == root }
            try await withNode(PeerFetchTests.configuration) { reader, _ in
                try await reader.mesh.connect(to: address)
                try await PeerFetchTests.connect(reader, to: owner)
                let response = try await reader.fetch("ipfs://\(file.root)")
                #expect(try await body(response) == file.content)
                #expect(reader.mesh.counts.violations == 1)
                let lines = response.mesh.trace.entries.filter { $0.peer == "\(liar.peer)" }
                #expect(lines.contains { $0.outcome.contains("not match its hash") }, "\(lines)")
                await reader.retrieval.flush()
                let again = try await reader.fetch("ipfs://\(file.root)", cache: .onlyIfCached)
                #expect(try await body(again) == file.content)
            }
        }
        await liar.stop()
    }

    /// Peers and HTTP providers are asked side by side: whoever has something brings it, and
    /// neither waits for the other to fail.
    @Test("peers and an HTTP provider", arguments: [true, false], [true, false])
    func together(peerHasIt: Bool, gatewayHasIt: Bool) async throws {
        let file = TestFile(leaves: 40, leafSize: 1 << 16)
        let other = TestFile(leaves: 1, leafSize: 10, seed: 2)
        let server = try await TestServer(TestGateway.honest(gatewayHasIt ? file : other))
        try await withNode(PeerFetchTests.configuration) { owner, _ in
            if peerHasIt { try await Self.store(file, in: owner) }
            try await FetchTests.withNode([server]) { reader in
                try await PeerFetchTests.connect(reader, to: owner)
                guard peerHasIt || gatewayHasIt else {
                    let failure = await #expect(throws: FetchError.self) {
                        try await reader.fetch("ipfs://\(file.root)")
                    }
                    #expect(failure?.code == .notFound)
                    #expect(failure?.trace.contains { $0.peer == "\(owner.peer)" } == true)
                    #expect(failure?.trace.contains { $0.peer == server.url } == true)
                    return
                }
                let response = try await reader.fetch("ipfs://\(file.root)")
                #expect(try await body(response) == file.content)
                let shares = Self.shares(response.mesh.trace)
                if !gatewayHasIt { #expect(Array(shares.keys) == ["\(owner.peer)"]) }
                if !peerHasIt { #expect(Array(shares.keys) == [server.url]) }
            }
        }
    }

    /// To peers, what a deny list names is not here.
    @Test("a deny list binds what peers get") func withheld() async throws {
        let file = TestFile(leaves: 3, leafSize: 1000)
        try await withNode(PeerFetchTests.configuration) { owner, _ in
            try await Self.store(file, in: owner)
            owner.mesh.withhold { $0 == file.root }
            try await withNode(PeerFetchTests.configuration) { reader, _ in
                try await PeerFetchTests.connect(reader, to: owner)
                let failure = await #expect(throws: FetchError.self) {
                    try await reader.fetch("ipfs://\(file.root)")
                }
                #expect(failure?.code == .notFound)
            }
        }
    }
}
