// Checking: every block is hashed again, and the index is compared with the segments both ways.

import Foundation
import GRDB
import Multiformats
import NIOCore

extension BlockStore {
    /// Whether a check mends what it finds.
    public enum Check: Sendable {
        /// Only report.
        case report
        /// Drop rotten blocks, enter blocks that the index lacks, count references anew.
        case repair
    }

    /// Hashes every block again and compares the index with the segments. Reads and writes go on
    /// meanwhile, one segment's time apart.
    ///
    /// A damaged index is only reported: close the store and call ``rebuildIndex(at:)``.
    public func check(_ mode: Check) async throws(StoreError) -> CheckReport {
        try checkOpen()
        return try await maintenance.run { () throws(StoreError) in
            try self.checkAndWait(mode)
        }
    }

    /// Removes the index of a store that is not open, so that the next start builds it anew from
    /// the segments and the journal of pins. References to the user's own files are lost.
    public static func rebuildIndex(at directory: String) throws(StoreError) {
        let layout = try StoreLayout(directory)
        let lock = try DirectoryLock(layout)
        defer { lock.release() }
        try layout.checkFormat()
        try layout.removeIndex()
    }

    private func checkAndWait(_ mode: Check) throws(StoreError) -> CheckReport {
        var report = CheckReport()
        do {
            report.indexDamage = try index.damage()
        } catch .indexDamaged(let reason) {
            report.indexDamage = reason
        }
        guard report.indexDamage == nil else { return report }
        _ = try indexer.runAndWait { () throws(StoreError) in try self.flush() }
        let numbers = state.withLock { $0.segments.keys.sorted() }
        for number in numbers where claim(number) {
            defer { release(number) }
            let part = try indexer.runAndWait { () throws(StoreError) in
                try self.checkSegment(number, mode)
            }
            report.verified += part.verified
            report.rotten += part.rotten
            report.lost += part.lost
        }
        let lost = try indexer.runAndWait { () throws(StoreError) in
            try self.checkForeignRows(mode)
        }
        report.lost += lost
        report.changedFiles = try changedFiles()
        if mode == .repair { try recount() }
        report.missing = try missingBlocks()
        report.repaired = mode == .repair
        return report
    }

    /// What a check finds in one segment.
    private struct SegmentFinding: Sendable {
        var verified: UInt64 = 0
        var rotten: [CID] = []
        var lost: [CID] = []
    }

    /// Checks a segment. If all its records are sound and there are as many as the index says, the
    /// two agree; otherwise the rows of the index are looked at one by one.
    private func checkSegment(
        _ number: UInt32, _ mode: Check
    ) throws(StoreError) -> SegmentFinding {
        try flush()
        var finding = SegmentFinding()
        guard let segment = state.withLock({ $0.segments[number] }) else { return finding }
        var scanner = SegmentScanner(storage, number, from: 0, to: segment.size)
        var isSound = true
        var isReading = true
        while isReading {
            switch try scanner.next() {
            case .record(let record):
                let place = Place(segment: Int64(number), offset: record.offset)
                let row = try index.read { try IndexTransaction.row($0, record.key) }
                if row?.place == place {
                    finding.verified += 1
                } else if mode == .repair, try isReplacementNeeded(row, record.key) {
                    try adopt(record, place)
                    finding.verified += 1
                }
            case .damaged: isSound = false
            case .unreadable:
                isSound = false
                isReading = false
            case .end: isReading = false
            }
        }
        if !isSound || finding.verified != UInt64(max(0, rowCount(number))) {
            finding = try checkRows(number, mode)
        }
        return finding
    }

    private func rowCount(_ number: UInt32) -> Int64 {
        state.withLock { $0.segments[number]?.row.blocks ?? 0 }
    }

    /// Whether a sound record should take the place that the index has for its block.
    private func isReplacementNeeded(
        _ row: IndexRow?, _ key: BlockKey
    ) throws(StoreError) -> Bool {
        guard let row, row.place.segment > 0 else { return true }
        return try read(key, row.place, row.length, .blocking) == nil
    }

    private func adopt(_ record: ScannedRecord, _ place: Place) throws(StoreError) {
        let (_, changes) = try index.write { transaction in
            var row = IndexRow(
                place: place, length: record.payload.readableBytes, references: 0,
                flags: RowFlags(.raw))
            if let old = try transaction.row(record.key) {
                row.references = old.references
                row.flags = old.flags
                try transaction.update(record.key, from: old, to: row)
            } else {
                _ = try transaction.insert(record.key, row)
            }
        }
        state.withLock { state in
            state.apply(changes)
            state.forget(record.key)
        }
    }

    /// Reads each block that the index has in a segment.
    private func checkRows(_ number: UInt32, _ mode: Check) throws(StoreError) -> SegmentFinding {
        var finding = SegmentFinding()
        let rows = try index.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT segment, offset, length, refs, flags, key FROM blocks
                    WHERE segment = ? ORDER BY offset
                    """, arguments: [Int64(number)]
            ).compactMap { row in
                BlockKey(indexed: row[5]).map { ($0, IndexTransaction.decode(row)) }
            }
        }
        var blocks: Int64 = 0
        var live: Int64 = 0
        var retained: Int64 = 0
        for (key, row) in rows {
            state.withLock { $0.forget(key) }
            let payload = try read(key, row.place, row.length, .blocking)
            if let payload, (try? key.multihash.verify(payload.readableBytesSpan)) != nil {
                // What fails to verify is reported below; why makes no difference.
                finding.verified += 1
                blocks += 1
                let length = Int64(Record.length(key, payload: row.length))
                live += length
                if row.isRetained { retained += length }
                continue
            }
            finding.rotten.append(CID(row.flags.codec ?? .raw, key.multihash))
            if mode == .repair { try dropRotten(key, row.place) }
        }
        if mode == .repair { try setCounters(number, blocks, live, retained) }
        return finding
    }

    /// Sets the counters of a segment to what was counted.
    private func setCounters(
        _ number: UInt32, _ blocks: Int64, _ live: Int64, _ retained: Int64
    ) throws(StoreError) {
        _ = try index.write { transaction in
            try transaction.db.execute(
                sql: "UPDATE segments SET blocks = ?, live = ?, retained = ? WHERE number = ?",
                arguments: [blocks, live, retained, Int64(number)])
        }
        state.withLock { state in
            state.segments[number]?.row.blocks = blocks
            state.segments[number]?.row.live = live
            state.segments[number]?.row.retained = retained
            state.segments[number]?.isDamaged = false
        }
    }

    /// Finds blocks whose segment does not exist.
    private func checkForeignRows(_ mode: Check) throws(StoreError) -> [CID] {
        let known = state.withLock { Set($0.segments.keys.map(Int64.init)) }
        let used = try index.read { db in
            try Int64.fetchAll(db, sql: "SELECT DISTINCT segment FROM blocks WHERE segment > 0")
        }
        var lost: [CID] = []
        for segment in used where !known.contains(segment) {
            let rows = try index.read { db in
                try Row.fetchAll(
                    db,
                    sql: """
                        SELECT segment, offset, length, refs, flags, key FROM blocks
                        WHERE segment = ?
                        """, arguments: [segment]
                ).compactMap { row in
                    BlockKey(indexed: row[5]).map { ($0, IndexTransaction.decode(row)) }
                }
            }
            lost += rows.map { CID($0.1.flags.codec ?? .raw, $0.0.multihash) }
            guard mode == .repair else { continue }
            let (_, changes) = try index.write { transaction in
                for (key, row) in rows { try transaction.lose(key, row) }
            }
            state.withLock { state in
                state.apply(changes)
                for (key, _) in rows { state.forget(key) }
            }
        }
        return lost
    }

    private func changedFiles() throws(StoreError) -> [String] {
        let files = try index.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT path, size, modified FROM files WHERE -id IN
                        (SELECT segment FROM blocks WHERE segment < 0) ORDER BY path
                    """
            ).map { ReferencedFile(path: $0[0], size: $0[1], modified: $0[2]) }
        }
        // A file that cannot be examined is as good as changed.
        return files.filter { (try? ReferencedFile(at: $0.path)) != $0 }.map(\.path)
    }

    /// Blocks that pinned content needs and that are not here.
    private func missingBlocks() throws(StoreError) -> [CID] {
        try index.read { db in
            try Row.fetchAll(
                db, sql: "SELECT flags, key FROM blocks WHERE segment = 0 ORDER BY key"
            ).compactMap { row in
                BlockKey(indexed: row[1]).map {
                    CID(RowFlags(rawValue: row[0]).codec ?? .raw, $0.multihash)
                }
            }
        }
    }

    private func recount() throws(StoreError) {
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
