// The body of a call or of an answer that is too long for its record: a file as every node makes
// it, so that the call has the same name everywhere.

import BlockStore
import IPLD
import Multiformats
import NIOCore
import Synchronization

/// Makes blocks of a body whose bytes come one after the other. Hardly more than one of them is in
/// memory at a time.
struct BodyFile {
    private final class Blocks: Sendable {
        private let ready = Mutex<[Block]>([])

        func add(_ block: Block) { ready.withLock { $0.append(block) } }

        func take() -> [Block] {
            ready.withLock { ready in
                defer { ready = [] }
                return ready
            }
        }
    }

    private let blocks: Blocks
    private var file: StreamImport

    /// A body without bytes.
    init() {
        let blocks = Blocks()
        self.blocks = blocks
        let profile = Profile.v1_2025
        file = StreamImport(profile, Splitter(profile.chunker)) { blocks.add($0) }
    }

    /// Takes the next bytes. Gives the blocks that they complete.
    mutating func append(_ bytes: ByteBuffer) throws -> [Block] {
        try file.append(bytes)
        return blocks.take()
    }

    /// Ends the file. Gives its root, and the blocks that were not complete before.
    mutating func finish() throws -> (CID, [Block]) {
        let root = try file.finish().cid.v1
        return (root, blocks.take())
    }
}
