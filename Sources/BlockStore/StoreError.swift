// What can go wrong in the store, in words that tell a person what to do.

public import Multiformats

/// Why the store could not do what it was asked.
public enum StoreError: Error, Hashable, Sendable {
    /// Another process, of this id if it is known, has the store open.
    case inUse(directory: String, process: Int32?)
    /// The store was written by a later version of this program.
    case newerFormat(found: Int, supported: Int)
    /// The directory holds something that is not a block store.
    case notAStore(directory: String)
    /// `StorageMax` is reached, and everything in the store is pinned or being written.
    case full(limit: UInt64, needed: UInt64)
    /// The limit is too small for a store to work within.
    case limitTooSmall(limit: UInt64, minimum: UInt64)
    /// The disk or the user's quota is full.
    case diskFull(path: String)
    /// The operating system refused an operation.
    case system(operation: String, path: String, code: Int32)
    /// The index database refused an operation.
    case index(String)
    /// The index database is damaged; it can be rebuilt from the segments.
    case indexDamaged(String)
    /// A file that content was added from in place has changed or is gone.
    case fileChanged(path: String)
    /// Content cannot be pinned, because this block of it is not here.
    case incomplete(root: CID, missing: CID)
    /// Content cannot be pinned, because the links of this block cannot be read here.
    case unreadable(root: CID, block: CID)
    /// A block cannot be removed, because it is pinned, part of pinned content or being written.
    case retained(CID)
    /// There is no such pin.
    case notPinned(CID)
    /// A block of this write was lost to an earlier failure, so it cannot be made durable.
    case writeFailed(String)
    /// The store, or the write session, has been closed.
    case closed
}

extension StoreError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .inUse(let directory, let process):
            let who = process.map { "process \($0)" } ?? "another process"
            return "the store \(directory) is in use by \(who); stop it, or use its local API"
        case .newerFormat(let found, let supported):
            return "the store has format \(found), this version reads up to \(supported); "
                + "use the newer version of the program"
        case .notAStore(let directory):
            return "\(directory) is not a block store; choose an empty directory"
        case .full(let limit, let needed):
            return "the store is full: \(needed) more bytes do not fit under the limit of "
                + "\(limit), and all of its content is pinned or being written; unpin "
                + "something or raise storage.max"
        case .limitTooSmall(let limit, let minimum):
            return "storage.max is \(limit) bytes; the store needs at least \(minimum)"
        case .diskFull(let path):
            return "there is no space left on the disk of \(path), or a limit on the size of "
                + "files (ulimit -f) is reached; free some and try again"
        case .system(let operation, let path, let code):
            return "cannot \(operation) \(path): \(SystemCall.message(code))"
        case .index(let reason):
            return "the store's index failed: \(reason)"
        case .indexDamaged(let reason):
            return "the store's index is damaged (\(reason)); run weft repo check --repair"
        case .fileChanged(let path):
            return "\(path) has changed since it was added in place; add it again"
        case .incomplete(let root, let missing):
            return "cannot pin \(root): the block \(missing) of it is not in the store; "
                + "fetch it first"
        case .unreadable(let root, let block):
            return "cannot pin \(root) recursively: the links of its block \(block) cannot be read"
        case .retained(let cid):
            return "\(cid) is pinned, or part of what is pinned or being added; unpin it first"
        case .notPinned(let cid):
            return "\(cid) is not pinned"
        case .writeFailed(let reason):
            return "the write is not complete: \(reason)"
        case .closed:
            return "the store is closed"
        }
    }
}
