// Collection: segments are cleaned one at a time, in small steps, and then removed.
//
// The order is that of a clock: the segment that was written longest ago comes first; blocks in it
// that were used since are moved to the cache's head, once, and the others go. That is least
// recently used by block, at the cost of a bit for each.

import Multiformats
import NIOCore

/// What cleaning spares besides retained blocks and those that open sessions rely on.
enum Mercy: Sendable {
    /// Blocks that were used since they were written, or last spared.
    case used
    /// Nothing.
    case none
}

/// How a segment is cleaned.
enum CleaningManner: Sendable {
    /// What stays is moved, and the file removed.
    case remove
    /// What goes is taken out of the index; its bytes stay, because moving the rest would cost
    /// more than they are worth.
    case forget
}

/// A segment that is to be cleaned.
struct Cleaning: Sendable {
    let segment: UInt32
    let mercy: Mercy
    let manner: CleaningManner
}

extension BlockStore {
    /// Bytes that are cleaned in one transaction.
    private static let stepBytes = 4 << 20

    /// Begins to clean a segment; false if someone else does.
    func claim(_ number: UInt32) -> Bool {
        state.withLock { state in
            guard let index = state.segments.index(forKey: number),
                !state.segments.values[index].isBeingCleaned
            else { return false }
            state.segments.values[index].isBeingCleaned = true
            return true
        }
    }

    /// Ends cleaning a segment that is still there.
    func release(_ number: UInt32) {
        state.withLock { state in
            state.segments[number]?.isBeingCleaned = false
            state.segments[number]?.judged = 0
        }
    }

    /// Cleans the part of a claimed segment that begins at `offset`. Runs on the indexer.
    ///
    /// - Returns: Where to go on, nil when the segment has been cleaned; and what was removed.
    func cleanStep(
        _ cleaning: Cleaning, from offset: UInt64
    ) throws(StoreError) -> (next: UInt64?, removed: [BlockKey]) {
        let number = cleaning.segment
        guard let segment = state.withLock({ $0.segments[number] }) else { return (nil, []) }
        if segment.row.blocks == 0 {
            try removeSegment(cleaning)
            return (nil, [])
        }
        while try settleStep() {}
        let (records, next, isDamaged) = try scan(segment, from: offset)
        let removed = try judge(records, next, cleaning)
        if isDamaged { state.withLock { $0.segments[number]?.isDamaged = true } }
        if next < segment.size { return (next, removed) }
        try removeSegment(cleaning)
        return (nil, removed)
    }

    private func scan(
        _ segment: SegmentState, from offset: UInt64
    ) throws(StoreError) -> (records: [ScannedRecord], next: UInt64, isDamaged: Bool) {
        let limit = try rowsPerTransaction(4096)
        var scanner = SegmentScanner(storage, segment.row.number, from: offset, to: segment.size)
        var records: [ScannedRecord] = []
        var bytes = 0
        var isDamaged = false
        while records.count < limit, bytes < Self.stepBytes {
            switch try scanner.next() {
            case .record(let record):
                records.append(record)
                bytes += record.payload.readableBytes
            case .damaged: isDamaged = true
            case .unreadable: return (records, segment.size, true)
            case .end: return (records, segment.size, isDamaged)
            }
        }
        return (records, scanner.offset, isDamaged)
    }

    /// Decides about each record, moves what stays, and takes what goes out of the index.
    private func judge(
        _ records: [ScannedRecord], _ next: UInt64, _ cleaning: Cleaning
    ) throws(StoreError) -> [BlockKey] {
        let number = cleaning.segment
        // From here on, whoever relies on one of these blocks writes it anew.
        let spared = state.withLock { state -> [Bool] in
            state.segments[number]?.judged = next
            guard let segment = state.segments[number] else { return [] }
            return records.map { record in
                let place = Place(segment: Int64(number), offset: record.offset)
                return state.isGuarded(place, in: segment)
                    || cleaning.mercy == .used
                        && segment.used.contains(record.offset, state.granularity)
            }
        }
        guard spared.count == records.count else { return [] }
        let (removed, changes) = try index.write { transaction -> [Removal] in
            var verdicts: [Verdict] = []
            var removed: [Removal] = []
            for (record, isSpared) in zip(records, spared) {
                let place = Place(segment: Int64(number), offset: record.offset)
                guard let row = try transaction.row(record.key), row.place == place else {
                    continue
                }
                if row.isRetained || isSpared {
                    verdicts.append(
                        Verdict(record: record, row: row, head: row.isRetained ? .kept : .cache))
                } else {
                    try transaction.delete(record.key, row)
                    removed.append(Removal(key: record.key, isGone: true))
                }
            }
            guard cleaning.manner == .remove else { return removed }
            return try removed + self.move(verdicts, transaction)
        }
        state.withLock { state in
            state.apply(changes)
            for removal in removed {
                state.forget(removal.key)
                if removal.isGone { state.statistics.collectedBlocks += 1 }
            }
        }
        return removed.compactMap { $0.isGone ? $0.key : nil }
    }

    private struct Verdict {
        let record: ScannedRecord
        let row: IndexRow
        let head: HeadKind
    }

    /// A block that is not where it was.
    private struct Removal: Sendable {
        let key: BlockKey
        let isGone: Bool
    }

    /// Appends blocks that stay to the heads; they are durable before the index says so.
    private func move(
        _ verdicts: [Verdict], _ transaction: IndexTransaction
    ) throws -> [Removal] {
        var moved: [Removal] = []
        for kind in HeadKind.allCases {
            let group = verdicts.filter { $0.head == kind }
            guard !group.isEmpty, let head = heads[kind] else { continue }
            let blocks = group.map {
                PreparedBlock(
                    $0.record.key, $0.record.key.multihash, $0.record.payload, $0.row.flags)
            }
            let places = try head.append(blocks, .move, .writeNow, state)
            for (verdict, place) in zip(group, places) {
                guard let place else { continue }
                var row = verdict.row
                row.place = place
                let old = verdict.row.place
                state.withLock { state in
                    if let segment = old.segmentNumber.flatMap({ state.segments[$0] }),
                        state.isGuarded(old, in: segment)
                    {
                        _ = state.guardBlock(place, segment.guardSession)
                    }
                }
                try self.enterSegment(of: place, transaction)
                try transaction.update(verdict.record.key, from: verdict.row, to: row)
                moved.append(Removal(key: verdict.record.key, isGone: false))
            }
        }
        if !moved.isEmpty { try syncSegments() }
        return moved
    }

    /// Makes sure that the index has the segment that a block is moved to.
    private func enterSegment(of place: Place, _ transaction: IndexTransaction) throws {
        guard let number = place.segmentNumber,
            let row = state.withLock({ $0.segments[number]?.row }),
            row.indexed == 0
        else { return }
        try transaction.write(row)
    }

    /// Removes a segment that no block is in any more. The index must not forget this, so it is
    /// synced first.
    private func removeSegment(_ cleaning: Cleaning) throws(StoreError) {
        let number = cleaning.segment
        let isEmpty = state.withLock { $0.segments[number]?.row.blocks == 0 }
        guard cleaning.manner == .remove, isEmpty else {
            if cleaning.manner == .remove {
                state.withLock { $0.segments[number]?.isDamaged = true }
            }
            return release(number)
        }
        _ = try index.write(.machine) { try $0.deleteSegment(number) }
        try storage.remove(number)
        state.withLock { state in
            let size = state.removeSegment(number)
            state.statistics.collectedBytes += size
        }
    }
}
