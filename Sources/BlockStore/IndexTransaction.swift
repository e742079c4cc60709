// The statements that change the index, and the counters of segments that go with them.

import Foundation
import GRDB
import IPLD

/// How a transaction changes the counters of segments.
typealias SegmentChanges = [UInt32: SegmentChange]

/// A change of one segment's counters.
struct SegmentChange: Sendable {
    var blocks: Int64 = 0
    var live: Int64 = 0
    var retained: Int64 = 0
}

/// A reference count that is to change, and with it perhaps those of the blocks linked to.
struct CountChange: Sendable {
    let key: BlockKey
    /// How the reference says that the block is to be read.
    let codec: RowFlags
    /// 1 or -1.
    let delta: Int64
    /// The row of the pin that this belongs to; 0 if none waits for it.
    let pin: Int64
}

/// One transaction on the index. It is used on one thread, inside ``Index/write(_:_:)``.
final class IndexTransaction {
    let db: Database
    private(set) var changes: SegmentChanges = [:]

    init(_ db: Database) { self.db = db }

    func row(_ key: BlockKey) throws -> IndexRow? { try Self.row(db, key) }

    static func row(_ db: Database, _ key: BlockKey) throws -> IndexRow? {
        let statement = try RowStatement(
            db, "SELECT segment, offset, length, refs, flags FROM blocks WHERE key = ?")
        guard let row = try statement.run([], key, columns: 5) else { return nil }
        return IndexRow(integers: row)
    }

    /// Reads a row whose first columns are segment, offset, length, refs and flags.
    static func decode(_ row: Row) -> IndexRow {
        // Of a damaged row, what is no number counts as none.
        IndexRow(integers: (0..<5).map { Int64.fromDatabaseValue(row[$0]) ?? 0 })
    }

    /// Enters a block that is not there; false if it is.
    func insert(_ key: BlockKey, _ row: IndexRow) throws -> Bool {
        let statement = try RowStatement(
            db,
            """
            INSERT OR IGNORE INTO blocks (segment, offset, length, refs, flags, key)
            VALUES (?, ?, ?, ?, ?, ?)
            """)
        _ = try statement.run(row.integers, key, columns: 0)
        guard db.changesCount > 0 else { return false }
        count(key, row, by: 1)
        return true
    }

    /// Replaces what is known about a block.
    func update(_ key: BlockKey, from old: IndexRow, to new: IndexRow) throws {
        let statement = try RowStatement(
            db,
            """
            UPDATE blocks SET segment = ?, offset = ?, length = ?, refs = ?, flags = ?
            WHERE key = ?
            """)
        _ = try statement.run(new.integers, key, columns: 0)
        count(key, old, by: -1)
        count(key, new, by: 1)
    }

    func delete(_ key: BlockKey, _ row: IndexRow) throws {
        let statement = try db.cachedStatement(sql: "DELETE FROM blocks WHERE key = ?")
        try statement.execute(arguments: [key.indexed])
        count(key, row, by: -1)
    }

    /// Forgets where a block's bytes are; if pinned content needs it, that is remembered.
    func lose(_ key: BlockKey, _ row: IndexRow) throws {
        guard row.isRetained else { return try delete(key, row) }
        var lost = row
        lost.place = .nowhere
        try update(key, from: row, to: lost)
    }

    private func count(_ key: BlockKey, _ row: IndexRow, by sign: Int64) {
        guard let number = row.place.segmentNumber else { return }
        let length = Int64(Record.length(key, payload: row.length))
        changes[number, default: SegmentChange()].blocks += sign
        changes[number, default: SegmentChange()].live += sign * length
        if row.isRetained { changes[number, default: SegmentChange()].retained += sign * length }
    }

    /// Writes the changed counters of segments; the last act of a transaction.
    func writeChanges() throws {
        for (number, change) in changes {
            try db.execute(
                sql: """
                    UPDATE segments SET blocks = blocks + ?, live = live + ?,
                        retained = retained + ? WHERE number = ?
                    """,
                arguments: [change.blocks, change.live, change.retained, Int64(number)])
        }
    }

    // MARK: Segments

    /// Enters a segment, or what changed about it other than its counters.
    func write(_ segment: SegmentRow) throws {
        try db.execute(
            sql: """
                INSERT INTO segments VALUES (?, ?, ?, 0, 0, 0, ?, ?)
                ON CONFLICT (number) DO UPDATE SET indexed = excluded.indexed,
                    written = excluded.written, used = excluded.used
                """,
            arguments: [
                Int64(segment.number), segment.kind.rawValue, Int64(segment.indexed),
                segment.written, segment.used,
            ])
    }

    func deleteSegment(_ number: UInt32) throws {
        try db.execute(sql: "DELETE FROM segments WHERE number = ?", arguments: [Int64(number)])
    }

    static func segments(_ db: Database) throws -> [SegmentRow] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT number, kind, indexed, blocks, live, retained, written, used FROM segments
                """
        ).map { row in
            let numbers = (0..<8).map { Int64.fromDatabaseValue(row[$0]) ?? -1 }
            guard let number = UInt32(exactly: numbers[0]), number > 0,
                let indexed = UInt64(exactly: numbers[2]),
                let kind = UInt8(exactly: numbers[1]).flatMap(HeadKind.init(rawValue:))
            else { throw StoreError.indexDamaged("a segment's row makes no sense") }
            return SegmentRow(
                number: number, kind: kind, indexed: indexed, blocks: numbers[3],
                live: numbers[4], retained: numbers[5], written: numbers[6], used: numbers[7])
        }
    }

    // MARK: Counts that are still to change

    func append(_ change: CountChange) throws {
        let statement = try db.cachedStatement(
            sql: "INSERT INTO pending (key, codec, delta, pin) VALUES (?, ?, ?, ?)")
        try statement.execute(arguments: [
            change.key.indexed, change.codec.rawValue, change.delta, change.pin,
        ])
    }

    /// Takes the latest changes out of the table; the latest, so that few wait at any time.
    func takePending(_ limit: Int) throws -> [CountChange] {
        let rows = try Row.fetchAll(
            db,
            sql: "SELECT id, key, codec, delta, pin FROM pending ORDER BY id DESC LIMIT ?",
            arguments: [limit])
        guard let last = rows.last else { return [] }
        try db.execute(sql: "DELETE FROM pending WHERE id >= ?", arguments: [last[0] as Int64])
        return rows.reversed().compactMap { row in
            BlockKey(indexed: row[1]).map { key in
                CountChange(
                    key: key, codec: RowFlags(rawValue: row[2]), delta: row[3], pin: row[4])
            }
        }
    }

    func hasPending() throws -> Bool {
        try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM pending)") ?? false
    }

    // MARK: Single numbers

    func number(_ name: String) throws -> Int64? { try Self.number(db, name) }

    static func number(_ db: Database, _ name: String) throws -> Int64? {
        try Int64.fetchOne(
            db, sql: "SELECT value FROM numbers WHERE name = ?", arguments: [name])
    }

    func setNumber(_ name: String, _ value: Int64?) throws {
        guard let value else {
            return try db.execute(sql: "DELETE FROM numbers WHERE name = ?", arguments: [name])
        }
        try db.execute(
            sql: "INSERT OR REPLACE INTO numbers VALUES (?, ?)", arguments: [name, value])
    }
}

extension IndexRow {
    /// A row from its columns segment, offset, length, refs and flags. What cannot be a place is
    /// none, so that a damaged row leads to no absurd read.
    init(integers: [Int64]) {
        let isSane =
            (-(1 << 62)...Int64(UInt32.max)).contains(integers[0])
            && (0...(1 << 62)).contains(integers[1])
            && (0...Int64(BlockLimits.maxBytes)).contains(integers[2])
        place =
            isSane ? Place(segment: integers[0], offset: UInt64(integers[1])) : .nowhere
        length = isSane ? Int(integers[2]) : 0
        references = integers[3]
        flags = RowFlags(rawValue: integers[4])
    }

    /// The columns segment, offset, length, refs and flags.
    fileprivate var integers: [Int64] {
        [
            place.segment, Int64(bitPattern: place.offset), Int64(length), references,
            flags.rawValue,
        ]
    }
}
