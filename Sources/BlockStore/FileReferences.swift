// Blocks that are not copied into the store: the index names the user's file that holds them.

import Foundation
import GRDB
import Glibc
import Multiformats
import NIOCore

/// A file of the user's, as it was when content was added from it.
struct ReferencedFile: Hashable, Sendable {
    let path: String
    let size: Int64
    /// Nanoseconds since 1970.
    let modified: Int64

    /// The file as it is now.
    init(at path: String) throws(StoreError) {
        var status = stat()
        try SystemCall.retry("examine", path) { stat(path, &status) }
        self.path = path
        size = Int64(status.st_size)
        modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }

    init(path: String, size: Int64, modified: Int64) {
        self.path = path
        self.size = size
        self.modified = modified
    }
}

extension BlockStore {
    /// Reads a block from the user's file. It is verified by its hash every time, since nobody
    /// keeps the file from changing.
    func readFile(
        _ key: BlockKey, _ place: Place, _ length: Int
    ) throws(StoreError) -> ByteBuffer? {
        guard let file = try file(-place.segment) else { return nil }
        let current: ReferencedFile
        do {
            current = try ReferencedFile(at: file.path)
        } catch {
            throw .fileChanged(path: file.path)
        }
        guard current == file else { throw .fileChanged(path: file.path) }
        let descriptor = Glibc.open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .fileChanged(path: file.path) }
        defer { _ = Glibc.close(descriptor) }
        var buffer = ByteBufferAllocator().buffer(capacity: length)
        while buffer.readableBytes < length {
            let position = off_t(place.offset) + off_t(buffer.readableBytes)
            let left = length - buffer.readableBytes
            let got = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: left) { pointer in
                max(0, pread(descriptor, pointer.baseAddress, left, position))
            }
            if got == 0 { throw .fileChanged(path: file.path) }
        }
        do {
            try key.multihash.verify(buffer.readableBytesSpan)
        } catch {
            throw .fileChanged(path: file.path)
        }
        return buffer
    }

    private func file(_ id: Int64) throws(StoreError) -> ReferencedFile? {
        try index.read { db in
            try Row.fetchOne(
                db, sql: "SELECT path, size, modified FROM files WHERE id = ?", arguments: [id]
            ).map { ReferencedFile(path: $0[0], size: $0[1], modified: $0[2]) }
        }
    }

    /// The number by which places name a file; enters the file if it is new or has changed.
    func number(of file: ReferencedFile) throws(StoreError) -> Int64 {
        try indexer.runAndWait { () throws(StoreError) in
            try self.index.write { transaction in
                try transaction.db.execute(
                    sql: """
                        INSERT INTO files (path, size, modified) VALUES (?, ?, ?)
                        ON CONFLICT (path) DO UPDATE SET size = excluded.size,
                            modified = excluded.modified
                        """,
                    arguments: [file.path, file.size, file.modified])
                return try Int64.fetchOne(
                    transaction.db, sql: "SELECT id FROM files WHERE path = ?",
                    arguments: [file.path]) ?? 0
            }.result
        }
    }

    /// Forgets references to files whose blocks are neither pinned nor being written.
    func dropUnusedReferences() throws(StoreError) -> [BlockKey] {
        let (dropped, changes) = try index.write { transaction in
            let rows = try Row.fetchAll(
                transaction.db,
                sql: """
                    SELECT segment, offset, length, refs, flags, key FROM blocks
                    WHERE segment < 0 AND refs = 0 AND flags & 8 = 0 LIMIT 10000
                    """)
            var keys: [BlockKey] = []
            for row in rows {
                guard let key = BlockKey(indexed: row[5]) else { continue }
                try transaction.delete(key, IndexTransaction.decode(row))
                keys.append(key)
            }
            return keys
        }
        state.withLock { state in
            state.apply(changes)
            for key in dropped { state.forget(key) }
        }
        return dropped
    }
}
