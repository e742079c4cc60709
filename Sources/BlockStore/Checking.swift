// Checking: every block is hashed again, and the index is compared with the segments both ways.

import Foundation
import GRDB
import Multiformats
import NIOCore
import Synchronization

extension BlockStore {
    /// Whether a check mends what it finds.
    public enum Check: Sendable {
        /// Only report.
        case report
        /// Drop rotten blocks, correct and complete the index, count references anew.
        case repair
    }

    /// Hashes every block again and compares the index with the segments. Reads and writes go on
    /// meanwhile, one segment's time apart.
    ///
    /// A damaged index is only reported: close the store and call ``rebuildIndex(at:)``.
    /// - Parameter progress: is told every few MiB; it has to be quick.
    public func check(
        _ mode: Check, progress: (@Sendable (CheckProgress) -> Void)? = nil
    ) async throws(StoreError) -> CheckReport {
        try checkOpen()
        return try await maintenance.run { () throws(StoreError) in
            try self.checkAndWait(mode, progress)
        }
    }

    private func checkAndWait(
        _ mode: Check, _ progress: (@Sendable (CheckProgress) -> Void)?
    ) throws(StoreError) -> CheckReport {
        var report = CheckReport()
        do {
            report.indexDamage = try index.damage()
        } catch .indexDamaged(let reason) {
            report.indexDamage = reason
        }
        guard report.indexDamage == nil else { return report }
        _ = try indexer.runAndWait { () throws(StoreError) in try self.flush() }
        let census = try index.census()
        report.unindexed = census.lacking
        report.forgottenPins = try checkPins(mode)
        let numbers = state.withLock { $0.segments.keys.sorted() }
        let meter = CheckMeter(total: state.withLock { $0.segmentBytes }, progress)
        var found = CheckedBlocks()
        for number in numbers where claim(number) {
            defer { release(number) }
            let isSuspect = census.differing.contains(number)
            let part = try indexer.runAndWait { () throws(StoreError) in
                try self.checkSegment(number, mode, isSuspect: isSuspect, meter)
            }
            found.add(part)
        }
        found.lost += try indexer.runAndWait { () throws(StoreError) in
            try self.checkForeignRows(mode)
        }
        report.take(found)
        report.changedFiles = try changedFiles()
        if mode == .repair { try recount() }
        report.missing = try missingBlocks()
        report.repaired = mode == .repair
        return report
    }

    /// Checks a segment. If all its records are sound and there are as many as the index says, the
    /// two agree; otherwise the rows of the index are looked at one by one.
    private func checkSegment(
        _ number: UInt32, _ mode: Check, isSuspect: Bool, _ meter: CheckMeter
    ) throws(StoreError) -> CheckedBlocks {
        try flush()
        var found = CheckedBlocks()
        guard let segment = state.withLock({ $0.segments[number] }) else { return found }
        // What was appended since then is of writes under way, and no business of a check.
        let end = min(segment.size, segment.row.indexed)
        var scanner = SegmentScanner(storage, number, from: 0, to: end)
        var isSound = true
        var isReading = true
        while isReading {
            switch try scanner.next() {
            case .record(let record):
                meter.add(record.length)
                try check(record, number, mode, &found)
            case .damaged: isSound = false
            case .unreadable:
                isSound = false
                isReading = false
            case .end: isReading = false
            }
        }
        if isSuspect || !isSound || found.verified != UInt64(max(0, rowCount(number))) {
            let rows = try checkRows(number, mode)
            found.verified = rows.verified
            found.rotten = rows.rotten
        }
        return found
    }

    /// Compares a sound record with what the index says about its block.
    private func check(
        _ record: ScannedRecord, _ number: UInt32, _ mode: Check, _ found: inout CheckedBlocks
    ) throws(StoreError) {
        let place = Place(segment: Int64(number), offset: record.offset)
        let row = try index.read { try IndexTransaction.row($0, record.key) }
        if row?.place == place, row?.length == record.payload.readableBytes {
            found.verified += 1
            return
        }
        // A block that the index has elsewhere may be there: collection leaves copies behind. One
        // that it does not have may be meant to be forgotten, so that is no fault by itself.
        if let row, row.place.segment > 0,
            try read(record.key, row.place, row.length, .blocking) != nil
        {
            return
        }
        if let row, row.place.segment > 0 {
            found.misplaced.append(CID(row.flags.codec ?? .raw, record.key.multihash))
        }
        guard mode == .repair else { return }
        try adopt(record, place)
        found.adopted.insert(record.key)
        found.verified += 1
    }

    private func rowCount(_ number: UInt32) -> Int64 {
        state.withLock { $0.segments[number]?.row.blocks ?? 0 }
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
}

/// What a check finds in segments.
struct CheckedBlocks: Sendable {
    var verified: UInt64 = 0
    var rotten: [CID] = []
    var lost: [CID] = []
    var misplaced: [CID] = []
    /// Sound blocks that the check entered into the index.
    var adopted: Set<BlockKey> = []

    mutating func add(_ other: CheckedBlocks) {
        verified += other.verified
        rotten += other.rotten
        lost += other.lost
        misplaced += other.misplaced
        adopted.formUnion(other.adopted)
    }
}

extension CheckReport {
    /// Takes over what was found. A block that turned up elsewhere is neither rotten nor lost.
    fileprivate mutating func take(_ found: CheckedBlocks) {
        verified = found.verified
        let sound = found.adopted.union(found.misplaced.map { BlockKey($0.hash) })
        let gone = found.rotten + found.lost
        let turnedUp = gone.filter { sound.contains(BlockKey($0.hash)) }
        misplaced = found.misplaced + turnedUp.filter { !found.misplaced.contains($0) }
        rotten = found.rotten.filter { !sound.contains(BlockKey($0.hash)) }
        lost = found.lost.filter { !sound.contains(BlockKey($0.hash)) }
    }
}

/// Counts the bytes that a check has read, and says so every few MiB.
final class CheckMeter: Sendable {
    private static let interval: UInt64 = 4 << 20

    private let total: UInt64
    private let bytes = Mutex<UInt64>(0)
    private let tell: (@Sendable (CheckProgress) -> Void)?

    init(total: UInt64, _ tell: (@Sendable (CheckProgress) -> Void)?) {
        self.total = total
        self.tell = tell
    }

    func add(_ count: UInt64) {
        guard let tell else { return }
        let now: UInt64? = bytes.withLock { bytes in
            defer { bytes += count }
            return (bytes + count) / Self.interval > bytes / Self.interval ? bytes + count : nil
        }
        if let now { tell(CheckProgress(bytes: now, total: total)) }
    }
}
