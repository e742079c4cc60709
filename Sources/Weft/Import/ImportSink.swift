// Where the blocks of an import go: into a write session, or nowhere, when only CIDs are wanted.

import BlockStore
import Multiformats

/// Takes the blocks of one import. All members may be called from several threads.
enum ImportSink: Sendable {
    case session(WriteSession)
    /// The blocks are dropped.
    case nowhere

    /// Begins to take the blocks of an import into a store.
    init(_ store: BlockStore, _ placement: AddOptions.Placement) {
        self = placement == .nowhere ? .nowhere : .session(store.beginWrite())
    }

    func put(_ block: Block) throws {
        if case .session(let session) = self { try session.put(block) }
    }

    func putReference(_ cid: CID, file: String, offset: UInt64, length: Int) throws {
        guard case .session(let session) = self else { return }
        try session.putReference(cid, file: file, offset: offset, length: length)
    }
}
