// Pinning and unpinning.
//
// A pin begins as an incomplete row of the index, its references are counted in steps, and it is
// complete once the journal of pins has it. One that is still incomplete when the store is opened
// was never acknowledged, and is taken back.

import Foundation
import GRDB
public import Multiformats

extension BlockStore {
    /// Keeps content. A recursive pin needs all blocks of the content to be here; one that is
    /// pinned already gets the new name.
    ///
    /// - Throws: ``StoreError/incomplete(root:missing:)`` naming a block that is not here.
    public func pin(
        _ cid: CID, _ kind: Pin.Kind, name: String = ""
    ) async throws(StoreError) {
        try checkOpen()
        try await maintenance.run { () throws(StoreError) in
            try self.pinAndWait([Pin(cid, kind, name: name)])
        }
    }

    /// Stops keeping content; it becomes cache. The cost is proportional to what it alone kept.
    ///
    /// - Throws: ``StoreError/notPinned(_:)``.
    public func unpin(_ cid: CID) async throws(StoreError) {
        try checkOpen()
        try await maintenance.run { () throws(StoreError) in
            let rows = try self.pinRows(cid)
            guard !rows.isEmpty else { throw .notPinned(cid) }
            let sequence = try self.journal.append([.removed(cid)])
            try self.indexer.runAndWait { () throws(StoreError) in
                try self.remove(rows, sequence)
            }
            try self.settleAndWait()
        }
    }

    /// All pins, in the order in which they were made.
    public func pins() async throws(StoreError) -> [Pin] {
        try checkOpen()
        return try await readers.run { () throws(StoreError) in
            try self.index.read { db in
                try PinRow.fetch(db, "WHERE complete = 1 ORDER BY id", []).map(\.pin)
            }
        }
    }

    /// Why a block is kept; nil if it is not.
    public func isPinned(_ cid: CID) async throws(StoreError) -> PinReason? {
        try checkOpen()
        return try await readers.run { () throws(StoreError) in
            let rows = try self.pinRows(cid)
            if let pin = rows.first(where: { $0.pin.kind == .recursive }) {
                return .recursive(name: pin.pin.name)
            }
            if let pin = rows.first { return .direct(name: pin.pin.name) }
            let key = BlockKey(cid.hash)
            guard let row = try self.index.read({ try IndexTransaction.row($0, key) }),
                row.isRetained
            else { return nil }
            // What pinned content needs and lacks is retained, but not here.
            let isHere =
                row.place.segment != 0
                || self.state.withLock { ($0.fresh[key] ?? $0.entering[key]) != nil }
            return isHere ? .indirect : nil
        }
    }

    /// The complete pins of a CID, whichever version it is written in.
    func pinRows(_ cid: CID) throws(StoreError) -> [PinRow] {
        try index.read { db in
            try PinRow.fetch(db, "WHERE complete = 1 AND cid = ?", [Data(cid.v1.bytes)])
        }
    }

    /// Pins content. Runs on the maintenance thread, so one after the other.
    func pinAndWait(_ pins: [Pin]) throws(StoreError) {
        var new: [Pin] = []
        for pin in Set(pins) {
            let rows = try pinRows(pin.cid)
            // What is pinned with all that it links to stays so.
            if let row = rows.first(where: { $0.pin.kind == pin.kind || $0.pin.kind == .recursive })
            {
                try rename(row, pin.name)
            } else {
                new.append(pin)
            }
        }
        let begun = new
        let rows = try indexer.runAndWait { () throws(StoreError) in
            try self.flush(beginning: begun)
        }
        try settleAndWait()
        let obstacle = try indexer.runAndWait { () throws(StoreError) in
            try self.finish(rows)
        }
        if let obstacle {
            try settleAndWait()
            throw obstacle
        }
    }

    func nextPin() throws(StoreError) -> Int64 {
        try index.read { try Int64.fetchOne($0, sql: "SELECT max(id) FROM pins") ?? 0 } + 1
    }

    /// Enters a pin that is not complete yet.
    func begin(_ pin: Pin, _ id: Int64, _ transaction: IndexTransaction) throws -> Int64 {
        try transaction.db.execute(
            sql: "INSERT INTO pins VALUES (?, ?, ?, ?, ?, ?, 0, NULL, 0)",
            arguments: [
                id, Data(pin.cid.v1.bytes), Data(pin.cid.bytes), BlockKey(pin.cid.hash).indexed,
                pin.kind.rawValue, pin.name,
            ])
        return id
    }

    /// Completes pins whose references have been counted; if content is missing, takes all of
    /// them back and says what.
    private func finish(_ identifiers: [Int64]) throws(StoreError) -> StoreError? {
        let rows = try index.read { db in
            try identifiers.flatMap { try PinRow.fetch(db, "WHERE id = ?", [$0]) }
        }
        for row in rows {
            if let obstacle = try obstacle(row) {
                try remove(rows, nil)
                return obstacle
            }
        }
        guard !rows.isEmpty else { return nil }
        let sequence = try journal.append(rows.map { .added($0.pin) })
        try complete(rows, sequence)
        return nil
    }

    private func obstacle(_ row: PinRow) throws(StoreError) -> StoreError? {
        if let missing = row.missing {
            return row.isUnreadable
                ? .unreadable(root: row.pin.cid, block: missing)
                : .incomplete(root: row.pin.cid, missing: missing)
        }
        guard row.pin.kind == .direct, row.pin.cid.hash.code != .identity else { return nil }
        let found = try index.read { try IndexTransaction.row($0, BlockKey(row.pin.cid.hash)) }
        return (found?.place ?? .nowhere) == .nowhere
            ? .incomplete(root: row.pin.cid, missing: row.pin.cid) : nil
    }

    /// Marks pins as complete; a recursive one takes the place of a direct one.
    func complete(_ rows: [PinRow], _ sequence: Int64) throws(StoreError) {
        let (count, changes) = try index.write { transaction in
            for row in rows {
                try transaction.db.execute(
                    sql: "UPDATE pins SET complete = 1 WHERE id = ?", arguments: [row.id])
                if row.pin.kind == .direct {
                    try self.setDirect(row, .on, transaction)
                } else {
                    let others = try PinRow.fetch(
                        transaction.db, "WHERE cid = ? AND kind = 1",
                        [Data(row.pin.cid.v1.bytes)])
                    for other in others { try self.delete(other, transaction) }
                }
            }
            try transaction.setNumber("journal", sequence)
            return try self.countPins(transaction.db)
        }
        state.withLock { state in
            state.apply(changes)
            state.pinCount = count
        }
    }

    func countPins(_ db: Database) throws -> Int {
        try Int.fetchOne(db, sql: "SELECT count(*) FROM pins WHERE complete = 1") ?? 0
    }

    /// Deletes pins; what they referred to loses one reference each.
    ///
    /// - Parameter sequence: The journal's entry that says so; nil for pins that it never had.
    func remove(_ rows: [PinRow], _ sequence: Int64?) throws(StoreError) {
        let (count, changes) = try index.write { transaction in
            for row in rows { try self.delete(row, transaction) }
            if let sequence { try transaction.setNumber("journal", sequence) }
            return try self.countPins(transaction.db)
        }
        state.withLock { state in
            state.apply(changes)
            state.pinCount = count
        }
    }

    private func delete(_ row: PinRow, _ transaction: IndexTransaction) throws {
        try transaction.db.execute(sql: "DELETE FROM pins WHERE id = ?", arguments: [row.id])
        guard row.pin.kind == .recursive else {
            return try setDirect(row, .off, transaction)
        }
        for reference in Self.references(row.pin.cid) {
            try transaction.append(
                CountChange(key: reference.key, codec: reference.codec, delta: -1, pin: 0))
        }
    }

    private enum Mark { case on, off }

    /// Marks a block as pinned alone; the mark goes with the last such pin.
    private func setDirect(
        _ row: PinRow, _ mark: Mark, _ transaction: IndexTransaction
    ) throws {
        let key = BlockKey(row.pin.cid.hash)
        guard let old = try transaction.row(key) else { return }
        var new = old
        if mark == .on {
            new.flags.insert(.pinnedDirectly)
        } else {
            let others = try PinRow.fetch(
                transaction.db, "WHERE key = ? AND kind = 1 AND complete = 1 AND id != ?",
                [key.indexed, row.id])
            guard others.isEmpty else { return }
            new.flags.remove(.pinnedDirectly)
        }
        if new.place == .nowhere, !new.isRetained {
            try transaction.delete(key, old)
        } else {
            try transaction.update(key, from: old, to: new)
        }
    }

    private func rename(_ row: PinRow, _ name: String) throws(StoreError) {
        guard row.pin.name != name else { return }
        let sequence = try journal.append([
            .added(Pin(row.pin.cid, row.pin.kind, name: name))
        ])
        _ = try indexer.runAndWait { () throws(StoreError) in
            try self.index.write { transaction in
                try transaction.db.execute(
                    sql: "UPDATE pins SET name = ? WHERE id = ?", arguments: [name, row.id])
                try transaction.setNumber("journal", sequence)
            }.changes
        }
    }
}

/// A pin as the index has it.
struct PinRow: Sendable {
    let id: Int64
    let pin: Pin
    /// The first block that kept it from being complete.
    let missing: CID?
    /// Whether that block is here, but its links cannot be read.
    let isUnreadable: Bool

    /// Fetches the pins that a condition names; rows that are damaged are left out.
    static func fetch(
        _ db: Database, _ condition: String, _ arguments: StatementArguments
    ) throws -> [PinRow] {
        try Row.fetchAll(
            db,
            sql: "SELECT id, shown, kind, name, missing, unreadable FROM pins " + condition,
            arguments: arguments
        ).compactMap { row -> PinRow? in
            guard let cid = cid(row[1]), let kind = Pin.Kind(rawValue: row[2]) else { return nil }
            return PinRow(
                id: row[0], pin: Pin(cid, kind, name: row[3]),
                missing: (row[4] as Data?).flatMap { Self.cid($0) }, isUnreadable: row[5])
        }
    }

    private static func cid(_ data: Data) -> CID? {
        // The caller leaves out what cannot be decoded; the reason would add nothing.
        try? CID(decoding: [UInt8](data).span.bytes)
    }
}
