// The parts of a check that go through the index: its integrity, row by row, and its pins.

import Foundation
import GRDB
import IPLD
import Multiformats
import NIOCore

/// What the rows of the index amount to, against what its own books say.
struct IndexCensus: Sendable {
    /// Blocks that the books have and that no row is left of.
    var lacking: UInt64 = 0
    /// Segments that have more or fewer rows than the books say.
    var differing: Set<UInt32> = []
}

extension Index {
    /// What is wrong with the database, as SQLite or as the store sees it; nil if nothing.
    func damage() throws(StoreError) -> String? {
        try read { db in
            let result = try String.fetchOne(db, sql: "PRAGMA integrity_check(1)") ?? "no answer"
            guard result == "ok" else { return result }
            let senseless = try Int64.fetchOne(
                db,
                sql: """
                    SELECT count(*) FROM blocks
                    WHERE typeof(key) != 'blob' OR length(key) NOT BETWEEN 3 AND 160
                        OR typeof(segment) != 'integer' OR segment > \(UInt32.max)
                        OR typeof(offset) != 'integer' OR offset < 0 OR offset >> 62 != 0
                        OR typeof(length) != 'integer'
                        OR length NOT BETWEEN 0 AND \(BlockLimits.maxBytes)
                        OR typeof(refs) != 'integer' OR typeof(flags) != 'integer'
                    """)
            if let senseless, senseless > 0 { return "\(senseless) of its rows make no sense" }
            let others = try Data.fetchCursor(
                db, sql: "SELECT key FROM blocks WHERE length(key) != 32")
            while let key = try others.next() {
                if BlockKey(indexed: key) == nil { return "one of its rows is of no block" }
            }
            return nil
        }
    }

    /// Counts the rows of each segment.
    func census() throws(StoreError) -> IndexCensus {
        try snapshot { db in
            var differences: [Int64: Int64] = [:]
            for row in try IndexTransaction.segments(db) {
                differences[Int64(row.number)] = row.blocks
            }
            // Counted here, since SQLite would sort them all for it.
            let places = try Int64.fetchCursor(
                db, sql: "SELECT segment FROM blocks WHERE segment > 0")
            while let segment = try places.next() { differences[segment, default: 0] -= 1 }
            var census = IndexCensus()
            for (segment, difference) in differences where difference != 0 {
                if let number = UInt32(exactly: segment) { census.differing.insert(number) }
                if difference > 0 { census.lacking += UInt64(difference) }
            }
            return census
        }
    }
}

extension BlockStore {
    /// Compares the pins of the index with those of the journal, which outlives it. What one of
    /// them lacks, a repair restores from the other.
    func checkPins(_ mode: Check) throws(StoreError) -> [CID] {
        let journal = try journal.pins()
        let indexed = try index.read { try PinRow.fetch($0, "WHERE complete = 1", []) }.map(\.pin)
        let inJournal = Set(journal.map(\.cid.v1))
        let inIndex = Set(indexed.map(\.cid.v1))
        let lacking = journal.filter { !inIndex.contains($0.cid.v1) }
        let unwritten = indexed.filter { !inJournal.contains($0.cid.v1) }
        guard mode == .repair else { return (lacking + unwritten).map(\.cid) }
        if !unwritten.isEmpty {
            let sequence = try self.journal.append(unwritten.map { .added($0) })
            _ = try indexer.runAndWait { () throws(StoreError) in
                try self.index.write { try $0.setNumber("journal", sequence) }.changes
            }
        }
        for pin in lacking {
            _ = try indexer.runAndWait { () throws(StoreError) in try self.restore(pin) }
        }
        return (lacking + unwritten).map(\.cid)
    }

    /// Reads each block that the index has in a segment.
    func checkRows(_ number: UInt32, _ mode: Check) throws(StoreError) -> CheckedBlocks {
        var finding = CheckedBlocks()
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
    func checkForeignRows(_ mode: Check) throws(StoreError) -> [CID] {
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
}
