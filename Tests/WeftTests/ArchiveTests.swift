// Importing CARs: complete ones, and ones that lie.

import BlockStore
import IPLD
import Multiformats
import NIOCore
import Testing
import Wire

@testable import Weft

@Suite struct ArchiveTests {
    /// An archive of two leaves and their root.
    private static func archive() -> (bytes: [UInt8], root: CID) {
        var builder = FileBuilder(.v1_2025)
        var blocks: [EncodedBlock] = []
        for text in ["first", "second"] {
            let leaf = Profile.v1_2025.leaf(of: Array(text.utf8))
            builder.add(leaf.entry)
            blocks.append(leaf.block)
        }
        let root = builder.finish().cid
        while let block = builder.nextBlock() { blocks.append(block) }
        var bytes = CAR.header(roots: [root])
        for block in blocks {
            bytes += CAR.sectionHeader(block.cid, payloadLength: block.bytes.count) + block.bytes
        }
        return (bytes, root)
    }

    private static func body(_ bytes: [UInt8], parts: Int) -> ResponseBody {
        ResponseBody(state: { bytes[...] }) { rest in
            let part = rest.prefix(parts)
            rest = rest.dropFirst(part.count)
            return part.isEmpty ? nil : ByteBuffer(bytes: part)
        }
    }

    @Test("An archive is taken however it is cut, and its roots are kept", arguments: [1, 7, 9999])
    func complete(parts: Int) async throws {
        try await withNode { node, _ in
            let (bytes, root) = Self.archive()
            let result = try await node.importArchive(Self.body(bytes, parts: parts))
            #expect(result.roots == [root])
            #expect(result.blocks == 3)
            #expect(try await node.store.isPinned(root) != nil)
            let file = try await ContentReader(LocalBlocks(node.store)).read(root)
                .collect(upTo: 100)
            #expect(String(buffer: file) == "firstsecond")
        }
    }

    @Test("No archive that was cut short is taken")
    func truncated() async throws {
        try await withNode { node, _ in
            let (bytes, _) = Self.archive()
            for count in 0..<bytes.count {
                // Cut between two blocks it is a shorter archive, whose root lacks a block.
                await #expect(throws: (any Error).self) {
                    try await node.importArchive(Self.body(Array(bytes[..<count]), parts: 50))
                }
            }
            let pins = try await node.store.pins()
            #expect(pins.isEmpty)
        }
    }

    @Test("A block that is not what its CID says is refused by name")
    func lying() async throws {
        try await withNode { node, _ in
            var (bytes, _) = Self.archive()
            bytes[bytes.count - 1] ^= 1
            await #expect {
                try await node.importArchive(Self.body(bytes, parts: 1000))
            } throws: { error in
                guard case ArchiveError.badBlock = error else { return false }
                return true
            }
        }
    }

    @Test("Headers and sections of a gigabyte, and noise, cost an error and no memory")
    func hostile() async throws {
        try await withNode { node, _ in
            var hostile: [[UInt8]] = []
            for length in [UInt64(1) << 30, 1 << 62] {
                var header: [UInt8] = []
                header.appendVarint(length)
                hostile.append(header + [UInt8](repeating: 0, count: 100))
                hostile.append(CAR.header(roots: []) + header + [1, 0x55])
            }
            var random = SeededGenerator(seed: 3)
            for _ in 0..<200 {
                hostile.append((0..<200).map { _ in UInt8.random(in: 0...255, using: &random) })
            }
            for bytes in hostile {
                await #expect(throws: ArchiveError.self) {
                    try await node.importArchive(Self.body(bytes, parts: 64))
                }
            }
        }
    }
}
