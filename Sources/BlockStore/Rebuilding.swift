// A new index in place of a damaged one. Blocks and pins come back from the segments and the
// journal when the store is opened; references to the user's own files are in the index alone, so
// they are read out of the damaged one as far as it lets them.

import Foundation
import GRDB
import Multiformats

extension BlockStore {
    /// Replaces the index of a store that is not open. The next start builds the rest of it anew
    /// from the segments and the journal of pins.
    ///
    /// - Returns: how many references to the user's own files were saved.
    @discardableResult
    public static func rebuildIndex(at directory: String) throws(StoreError) -> Int {
        let layout = try StoreLayout(directory)
        let lock = try DirectoryLock(layout)
        defer { lock.release() }
        try layout.checkFormat()
        // An index that cannot be read has nothing to save; why is known already.
        let saved = (try? SavedReferences(of: layout.indexPath)) ?? SavedReferences()
        try layout.removeIndex()
        guard !saved.rows.isEmpty else { return 0 }
        let index = try Index(at: layout.indexPath)
        let count = try saved.write(to: index)
        try index.close()
        return count
    }
}

/// References to the user's files that a damaged index still has.
private struct SavedReferences {
    var files: [Int64: ReferencedFile] = [:]
    var rows: [(key: BlockKey, row: IndexRow)] = []

    init() {}

    /// Reads what can be read. Each reference is verified by its hash whenever it is used, so a
    /// wrong one does no harm.
    init(of path: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.unsafeRead { db in
            let named = try Row.fetchCursor(db, sql: "SELECT id, path, size, modified FROM files")
            while let row = try? named.next() {
                guard let id = Int64.fromDatabaseValue(row[0]),
                    let path = String.fromDatabaseValue(row[1]),
                    let size = Int64.fromDatabaseValue(row[2]),
                    let modified = Int64.fromDatabaseValue(row[3])
                else { continue }
                files[id] = ReferencedFile(path: path, size: size, modified: modified)
            }
            let places = try Row.fetchCursor(
                db,
                sql: """
                    SELECT segment, offset, length, 0, flags & 7, key FROM blocks NOT INDEXED
                    WHERE segment < 0
                    """)
            while let row = try? places.next() {
                guard let data = Data.fromDatabaseValue(row[5]), let key = BlockKey(indexed: data)
                else { continue }
                let place = IndexTransaction.decode(row)
                guard place.place.segment < 0, files[-place.place.segment] != nil else { continue }
                rows.append((key, place))
            }
        }
    }

    /// Enters them into a new index; returns how many.
    func write(to index: Index) throws(StoreError) -> Int {
        try index.write { transaction in
            for (id, file) in files {
                try transaction.db.execute(
                    sql: """
                        INSERT OR IGNORE INTO files (id, path, size, modified)
                        VALUES (?, ?, ?, ?)
                        """,
                    arguments: [id, file.path, file.size, file.modified])
            }
            return try rows.reduce(0) { count, entry in
                try transaction.insert(entry.key, entry.row) ? count + 1 : count
            }
        }.result
    }
}
