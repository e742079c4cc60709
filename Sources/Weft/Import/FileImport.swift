// A file that is being added: its open descriptor, and its leaves, which threads make in any order
// and which become inner nodes in theirs.

import CoreFoundation
import Glibc
import IPLD
import Synchronization

/// A file of more than one piece, cut at fixed sizes, that several threads work on.
final class FileImport: Sendable {
    /// The folder it lies in.
    let folder: FolderImport
    /// Its name there.
    let name: [UInt8]
    /// What it was when it was opened.
    let opened: FileState
    /// The number of pieces.
    let count: Int
    /// The size of a piece; the last one may be shorter.
    let pieceSize: Int
    /// The open file.
    let file: Int32

    private struct State {
        /// The next piece that nobody works on.
        var unclaimed = 0
        /// The next piece that the builder has not got.
        var next = 0
        /// Pieces that came before their turn; at most one for each thread.
        var early: [Int: DAGEntry] = [:]
        var builder: FileBuilder
    }

    private let state: Mutex<State>

    /// Takes over an open file.
    init(
        _ name: [UInt8], in folder: FolderImport, owning file: consuming Descriptor,
        opened: FileState, pieceSize: Int, builder: FileBuilder
    ) {
        self.folder = folder
        self.name = name
        self.opened = opened
        self.pieceSize = pieceSize
        self.file = file.release()
        count = Int((opened.size + UInt64(pieceSize) - 1) / UInt64(pieceSize))
        state = Mutex(State(builder: builder))
    }

    deinit { close(file) }

    /// The next piece to work on, and whether there are more after it.
    func claim() -> (index: Int, last: Bool) {
        state.withLock { state in
            defer { state.unclaimed += 1 }
            return (state.unclaimed, state.unclaimed == count - 1)
        }
    }

    /// Where a piece lies in the file.
    func range(of index: Int) -> Range<UInt64> {
        let start = UInt64(index) * UInt64(pieceSize)
        return start..<min(start + UInt64(pieceSize), opened.size)
    }

    /// Takes a leaf; hands inner nodes to `emit` when they are complete, and answers the root
    /// when the file is.
    func complete(
        _ index: Int, _ leaf: DAGEntry, emit: (EncodedBlock) throws -> Void
    ) throws -> DAGEntry? {
        try state.withLock { state in
            state.early[index] = leaf
            while let leaf = state.early.removeValue(forKey: state.next) {
                state.builder.add(leaf)
                state.next += 1
                while let block = state.builder.nextBlock() { try emit(block) }
            }
            guard state.next == count else { return nil }
            let root = state.builder.finish()
            while let block = state.builder.nextBlock() { try emit(block) }
            return root
        }
    }
}

/// What tells that a file was changed: if all of this is the same, its bytes are too.
struct FileState: Sendable, Equatable {
    let size: UInt64
    let inode: UInt64
    let modified: Int64
    let modifiedNanoseconds: Int64
    let mode: mode_t

    init(_ status: stat) {
        size = UInt64(max(0, status.st_size))
        inode = UInt64(status.st_ino)
        modified = Int64(status.st_mtim.tv_sec)
        modifiedNanoseconds = Int64(status.st_mtim.tv_nsec)
        mode = status.st_mode
    }

    /// Permissions and time of modification, if they are kept.
    func metadata(_ attributes: AddOptions.Attributes) -> FileMetadata {
        guard attributes == .kept else { return FileMetadata() }
        return FileMetadata(
            mode: UInt32(mode & 0o7777),
            modified: ModificationTime(
                seconds: modified, nanoseconds: UInt32(clamping: modifiedNanoseconds)))
    }
}
