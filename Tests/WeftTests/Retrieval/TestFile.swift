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
        var generator = TestGenerator(seed: seed)
        for _ in 0..<leaves {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(leafSize)
            while bytes.count < leafSize {
                let word = generator.next()
                for shift in stride(from: 0, to: 64, by: 8) where bytes.count < leafSize {
                    bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
                }
            }
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

/// A generator whose seed gives the same bytes every time (SplitMix64).
struct TestGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
