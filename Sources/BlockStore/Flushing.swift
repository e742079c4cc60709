// Making fresh blocks durable and entering them into the index.

import Foundation
import GRDB
import Multiformats
import NIOCore

extension BlockStore {
    /// Makes all that has been written durable, and pins content.
    func commit(_ pins: [Pin]) async throws(StoreError) {
        try checkOpen()
        guard !pins.isEmpty else {
            return try await indexer.run { () throws(StoreError) in try self.flush() }
        }
        try await maintenance.run { () throws(StoreError) in
            try self.pinAndWait(pins)
        }
    }

    /// Syncs the segments and enters all fresh blocks. Runs on the indexer.
    ///
    /// - Parameter pins: Pins that begin with this flush. Counting references to blocks that are
    ///   still fresh happens in memory, which is what makes adding many small files cheap.
    /// - Returns: The rows of these pins.
    @discardableResult
    func flush(beginning pins: [Pin] = []) throws(StoreError) -> [Int64] {
        let ends = try seal()
        var wasEntered = false
        defer { if !wasEntered { unseal() } }
        try syncSegments()
        var entering = state.withLock { $0.entering }
        guard !entering.isEmpty || !ends.isEmpty || !pins.isEmpty else {
            wasEntered = true
            return []
        }
        let first = pins.isEmpty ? 0 : try nextPin()
        var left: [CountChange] = []
        for (position, pin) in pins.enumerated() where pin.kind == .recursive {
            left += count(pin.cid, pin: first + Int64(position), &entering)
        }
        let sorted = entering.sorted { BlockKey.precedes($0.key, $1.key) }
        var start = 0
        var identifiers: [Int64] = []
        repeat {
            let end = min(sorted.count, start + (try rowsPerTransaction(sorted.count - start)))
            let isLast = end == sorted.count
            let (_, changes) = try index.write { transaction in
                for segment in ends { try transaction.write(segment.isLast(isLast)) }
                try self.markCounting(isFirst: start == 0, isLast: isLast, pins, transaction)
                for (key, block) in sorted[start..<end] {
                    try self.enter(key, block, transaction)
                }
                guard isLast else { return }
                for change in left { try transaction.append(change) }
                for (position, pin) in pins.enumerated() {
                    identifiers.append(
                        try self.begin(pin, first + Int64(position), transaction))
                }
            }
            state.withLock { $0.apply(changes) }
            start = end
        } while start < sorted.count
        wasEntered = true
        finishFlush(ends)
        return identifiers
    }

    /// Counts that were made in memory arrive before the pin that they belong to, if they take
    /// several transactions. Should the program die in between, the next start counts anew.
    private func markCounting(
        isFirst: Bool, isLast: Bool, _ pins: [Pin], _ transaction: IndexTransaction
    ) throws {
        guard !pins.isEmpty, isFirst != isLast else { return }
        let wanted = try transaction.number("recount") ?? 0
        // 1: a count is known to be wrong; 2: counting is going on.
        if isFirst { try transaction.setNumber("recount", wanted == 0 ? 2 : 1) }
        if isLast, wanted == 2 { try transaction.setNumber("recount", nil) }
    }

    /// A segment as it will be in the index once everything before `end` is entered.
    struct IndexedEnd {
        var row: SegmentRow
        let end: UInt64

        func isLast(_ isLast: Bool) -> SegmentRow {
            var row = row
            if isLast { row.indexed = end }
            return row
        }
    }

    /// Writes what the heads have gathered and sets the fresh blocks apart; answers how far the
    /// segments will be in the index with them.
    private func seal() throws(StoreError) -> [IndexedEnd] {
        guard let kept = heads[.kept], let cache = heads[.cache] else { return [] }
        var ends: [IndexedEnd] = []
        try kept.writeOut(state) { () throws(StoreError) in
            try cache.writeOut(state) { () throws(StoreError) in
                // A block that is appended after this is neither among those nor before these ends.
                ends = state.withLock { state in
                    state.entering = state.fresh
                    state.fresh = [:]
                    state.unindexedBytes = 0
                    state.isFlushScheduled = false
                    return state.segments.values.filter(\.isStale).map {
                        IndexedEnd(row: $0.row, end: $0.size)
                    }
                }
            }
        }
        return ends
    }

    /// After a failure, the blocks are fresh again.
    private func unseal() {
        state.withLock { state in
            state.fresh.merge(state.entering) { fresh, _ in fresh }
            state.entering = [:]
        }
    }

    func syncSegments() throws(StoreError) {
        let unsynced = state.withLock { state in
            state.segments.values.filter(\.isUnsynced).map(\.row.number)
        }
        for number in unsynced {
            state.withLock { $0.segments[number]?.isUnsynced = false }
            do {
                try storage.sync(number)
            } catch {
                state.withLock { $0.segments[number]?.isUnsynced = true }
                throw error
            }
        }
    }

    private func finishFlush(_ ends: [IndexedEnd]) {
        let bytes = indexBytes()
        state.withLock { state in
            for key in state.entering.keys { state.places.remove(key) }
            state.entering = [:]
            state.indexBytes = bytes
            for segment in ends {
                let number = segment.row.number
                state.segments[number]?.row.indexed = segment.end
                if state.segments[number]?.size == segment.end {
                    state.segments[number]?.isStale = false
                }
            }
        }
    }

    /// Enters one block. If the index has it after all, the counts are put together.
    func enter(
        _ key: BlockKey, _ block: FreshBlock, _ transaction: IndexTransaction
    ) throws {
        if try transaction.insert(key, block.row) { return }
        guard let old = try transaction.row(key), old.place != block.place else { return }
        // A block in a segment is better than one in a file that may change.
        if block.place.segment < 0, old.place.segment > 0, block.references == 0 { return }
        var new = block.row
        new.references += old.references
        new.flags.formUnion(old.flags.intersection([.pinnedDirectly, .counted]))
        if old.flags.contains(.counted) || !block.flags.mayLink {
            new.flags.codec = old.flags.codec
        }
        try transaction.update(key, from: old, to: new)
        let isCountedTwice =
            old.flags.contains(.counted) && block.flags.contains(.counted)
        let isToCount =
            new.references > 0 && !new.flags.contains(.counted) && new.flags.mayLink
        guard isCountedTwice || isToCount else { return }
        let children = try links(key, new)
        for child in children {
            try transaction.append(
                CountChange(
                    key: child.key, codec: child.codec, delta: isToCount ? 1 : -1, pin: 0))
        }
        if isToCount {
            var counted = new
            counted.flags.insert(.counted)
            try transaction.update(key, from: new, to: counted)
        }
    }

    /// How many rows may be entered at once so that the index's log stays within its share; moves
    /// the log into the database if it is long.
    func rowsPerTransaction(_ wanted: Int) throws(StoreError) -> Int {
        let page = UInt64(Index.pageSize + 24)
        let pages = indexBytes() / page + UInt64(wanted) / 20 + 64
        func cost(_ rows: Int) -> UInt64 { min(UInt64(rows) * 2 + 64, pages) * page }
        var rows = max(1, wanted)
        while rows > 64, cost(rows) > layout.logShare / 8 * 7 { rows /= 2 }
        if layout.logBytes + cost(rows) > layout.logShare { try index.emptyLog() }
        return rows
    }
}
