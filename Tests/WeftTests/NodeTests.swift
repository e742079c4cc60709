// A node's life, its values and blocks, and the names that it publishes.

import BlockStore
import Foundation
import IPLD
import Multiformats
import NIOCore
import Testing
import Wire

@testable import Weft

@Suite struct NodeTests {
    @Test("A second node on the same repository is refused, and stopping lets go")
    func twice() async throws {
        try await withNode { node, _ in
            let directory = node.repository.directory
            await #expect(throws: RepositoryError.inUse(directory, process: getpid())) {
                try await Node.start(at: directory)
            }
            await node.stop()
            await node.stop()
            let next = try await Node.start(at: directory, configuration: .offline)
            await next.stop()
        }
    }

    @Test("The file of the repository is what a node is told")
    func configured() async throws {
        let base = try TemporaryDirectory()
        try base.write("config.toml", Array("[storage]\nmax = \"64MiB\"\n".utf8))
        let node = try await Node.start(at: base.path)
        #expect(node.configuration.storage.maxBytes == 64 << 20)
        await node.stop()
        try base.write("config.toml", Array("[storage]\nmix = 1\n".utf8))
        await #expect(throws: ConfigurationError.self) { try await Node.start(at: base.path) }
        #expect(Repository.owner(of: base.path) == nil)
    }

    @Test("A value is stored in one codec, read in another, and walked by path")
    func values() async throws {
        try await withNode { node, _ in
            let leaf = try await node.putValue(
                ByteBuffer(string: "{\"n\":[1,2,{\"deep\":true}]}"), from: .dagJSON)
            #expect(leaf.codec == .dagCBOR)
            let root = try await node.putValue(
                ByteBuffer(string: "{\"to\":{\"/\":\"\(leaf)\"}}"), from: .dagJSON)
            let found = try await node.value(at: "/ipfs/\(root)/to/n/2/deep")
            #expect(String(decoding: found, as: UTF8.self) == "true")
            let resolved = try await node.resolve("ipfs://\(root)/to/n/1")
            #expect(resolved == ResolvedPath(cid: leaf, remainder: ["n", "1"]))
            await #expect(throws: ContentError.self) { try await node.value(at: "\(root)/to/x") }
            await #expect(throws: ContentError.self) { try await node.resolve("not-a-cid") }
        }
    }

    @Test("A block over 2 MiB is refused, one that is missing is named")
    func blocks() async throws {
        try await withNode { node, _ in
            let large = ByteBuffer(repeating: 0, count: BlockLimits.maxBytes + 1)
            await #expect(throws: DecodeError.self) { try await node.putBlock(large) }
            let missing = EncodedBlock([1], codec: .raw).cid
            await #expect(throws: BlockUnavailable.self) { try await node.block(missing) }
        }
    }

    @Test("Publishing counts up, renewing does not, and both hold")
    func publishing() async throws {
        try await withNode { node, _ in
            let cid = EncodedBlock([1], codec: .raw).cid
            let first = try await node.publish("/ipfs/\(cid)/a")
            #expect(first.value == "/ipfs/\(cid)/a")
            #expect(first.record.sequence == 0)
            #expect(first.announcements.isEmpty)
            let second = try await node.publish("\(cid)", ttl: .seconds(60))
            #expect(second.record.sequence == 1)
            #expect(second.record.ttlNanoseconds == 60_000_000_000)
            await node.republish()
            let renewed = try #require(try node.records.record(of: node.peer))
            #expect(renewed.sequence == 1)
            #expect(renewed.validUntil > second.record.validUntil)
            try renewed.validate(
                for: node.peer, at: Timestamp(seconds: renewed.validUntil.seconds - 9))
            await #expect(throws: PublishError.notAPath("nonsense")) {
                try await node.publish("nonsense")
            }
            await #expect(throws: KeyError.unknown("nobody")) {
                try await node.publish("/ipfs/\(cid)", as: "nobody")
            }
        }
    }

    @Test("An older record does not replace a newer one")
    func records() async throws {
        try await withNode { node, _ in
            let key = PrivateKey.generateEd25519()
            let name = PeerID(key.publicKey)
            func record(_ sequence: UInt64) throws -> IPNSRecord {
                try IPNSRecord(
                    value: "/ipfs/x", sequence: sequence, validUntil: Timestamp(seconds: 9),
                    ttlNanoseconds: 1, signingWith: key)
            }
            let none = try node.records.record(of: name)
            let newer = try node.records.keep(record(5), of: name)
            let older = try node.records.keep(record(4), of: name)
            let kept = try node.records.record(of: name)
            #expect(none == nil && newer && !older && kept?.sequence == 5)
        }
    }
}
