// A file cut into blocks, and the answers that an honest gateway gives about it.

import BlockStore
import IPLD
import Multiformats
import NIOCore
import Wire

/// A file of pseudo-random bytes as a DAG in memory.
struct TestFile {
    let root: CID
    let content: [UInt8]
    let blocks: [Multihash: [UInt8]]

    /// A file of `leaves` blocks of `leafSize` bytes.
    init(leaves: Int, leafSize: Int, width: Int = 8, seed: UInt64 = 1) {
        var profile = Profile.v1_2025
        profile.width = width
        var builder = FileBuilder(profile)
        var blocks: [Multihash: [UInt8]] = [:]
        var content: [UInt8] = []
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<leaves {
            let bytes = generator.bytes(leafSize)
            content += bytes
            let (entry, block) = profile.leaf(of: bytes)
            blocks[entry.cid.hash] = block.bytes
            builder.add(entry)
            while let block = builder.nextBlock() { blocks[block.cid.hash] = block.bytes }
        }
        let entry = builder.finish()
        while let block = builder.nextBlock() { blocks[block.cid.hash] = block.bytes }
        root = entry.cid
        self.blocks = blocks
        self.content = content
    }

    /// A file that is one block.
    init(_ bytes: [UInt8]) {
        let (entry, block) = Profile.v1_2025.leaf(of: bytes)
        root = entry.cid
        content = bytes
        blocks = [entry.cid.hash: block.bytes]
    }

    /// One block as it lies in a DAG.
    struct Section {
        let cid: CID
        let bytes: [UInt8]

        /// The section of a CAR that holds it.
        var encoded: [UInt8] {
            CAR.sectionHeader(cid, payloadLength: bytes.count) + bytes
        }
    }

    /// The blocks that belong to a part of the DAG, in depth-first order.
    func sections(of root: CID, scope: DAGWalk.Scope) throws -> [Section] {
        var walk = DAGWalk(root: root, scope: scope, repeats: .omitted)
        var sections: [Section] = []
        while case .block(let cid) = walk.next(), let bytes = blocks[cid.hash] {
            sections.append(Section(cid: cid, bytes: bytes))
            try walk.supply(bytes.span.bytes)
        }
        return sections
    }
}
