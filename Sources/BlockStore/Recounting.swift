// Counting all references anew, from the pins: after a repair, and at the start after one that was
// interrupted.

import Foundation
import GRDB
import Multiformats

extension BlockStore {
    func recount() throws(StoreError) {
        try indexer.runAndWait { () throws(StoreError) in try self.beginRecount() }
        try settleAndWait()
    }

    /// Forgets all counts and has them counted anew, from the pins. Runs on the indexer, in one
    /// job, so that no collection sees a count that is too low: before it deletes anything, it
    /// settles what is pending. If the program dies meanwhile, the next start begins again.
    func beginRecount() throws(StoreError) {
        try flush()
        _ = try index.write { transaction in
            try transaction.setNumber("recount", 1)
            try transaction.db.execute(sql: "UPDATE segments SET retained = 0")
        }
        try clearPending()
        try clearCounts()
        _ = try rowsPerTransaction(64)
        _ = try index.write { transaction in
            for pin in try PinRow.fetch(transaction.db, "WHERE kind = 0", []) {
                for reference in Self.references(pin.pin.cid) {
                    try transaction.append(
                        CountChange(
                            key: reference.key, codec: reference.codec, delta: 1, pin: 0))
                }
            }
            try self.countDirectPins(transaction)
            try transaction.setNumber("recount", nil)
        }
        let rows = try index.read { try IndexTransaction.segments($0) }
        state.withLock { state in
            for row in rows { state.segments[row.number]?.row.retained = row.retained }
        }
    }

    private func clearPending() throws(StoreError) {
        while true {
            let limit = try rowsPerTransaction(4096)
            let taken = try index.write { try $0.takePending(limit).count }.result
            if taken == 0 { return }
        }
    }

    /// Sets all counts to nothing, a stretch of keys at a time, so that the log stays short.
    private func clearCounts() throws(StoreError) {
        var start = Data()
        while true {
            let limit = try rowsPerTransaction(16 << 10)
            let first = start
            let end = try index.write { transaction -> Data? in
                let db = transaction.db
                let end = try Data.fetchOne(
                    db,
                    sql: """
                        SELECT max(key) FROM
                            (SELECT key FROM blocks WHERE key > ? ORDER BY key LIMIT ?)
                        """, arguments: [first, limit])
                guard let end else { return nil }
                try db.execute(
                    sql: """
                        DELETE FROM blocks
                        WHERE key > ? AND key <= ? AND segment = 0 AND flags & 8 = 0
                        """, arguments: [first, end])
                try db.execute(
                    sql: """
                        UPDATE blocks SET refs = 0, flags = flags & ~16
                        WHERE key > ? AND key <= ? AND (refs != 0 OR flags & 16)
                        """, arguments: [first, end])
                return end
            }.result
            guard let end else { return }
            start = end
        }
    }

    private func countDirectPins(_ transaction: IndexTransaction) throws {
        let rows = try Row.fetchAll(
            transaction.db,
            sql: """
                SELECT segment, offset, length, refs, flags, key FROM blocks
                WHERE flags & 8 AND segment > 0
                """)
        for row in rows {
            guard let key = BlockKey(indexed: row[5]) else { continue }
            let length = Int64(
                Record.length(key, payload: IndexTransaction.decode(row).length))
            try transaction.db.execute(
                sql: "UPDATE segments SET retained = retained + ? WHERE number = ?",
                arguments: [length, row[0] as Int64])
        }
    }
}
