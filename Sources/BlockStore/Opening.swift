// Opening a store: the format is checked, the index is compared with the segments' ends, and what
// was written and not indexed is entered; a torn tail is cut off.

import Foundation
import GRDB
import Glibc
import Multiformats
import NIOCore

/// A store's parts, in a state in which they may be used.
struct OpenedStore {
    var options: StoreOptions
    var layout: StoreLayout
    let lock: DirectoryLock
    let storage: any SegmentStorage
    let index: Index
    let journal: PinJournal
    let lines: [(sequence: Int64, change: PinChange)]
    let state: StateLock
    let heads: [HeadKind: Head]
    private(set) var events: [StoreEvent] = []

    init(
        _ unmeasured: StoreLayout, _ lock: DirectoryLock, _ storage: any SegmentStorage,
        _ options: StoreOptions
    ) throws(StoreError) {
        var layout = unmeasured
        layout.divide(options.maxBytes)
        try layout.checkFormat()
        Self.ignoreFileSizeSignal()
        layout.tendSpare()
        let sizes = try storage.list()
        var isRebuilt = false
        if !layout.hasIndex, !sizes.isEmpty { isRebuilt = true }
        let index: Index
        let giveUpSpare = { @Sendable [layout] in layout.giveUpSpare() }
        do {
            index = try Index(at: layout.indexPath, whenFull: giveUpSpare)
        } catch .indexDamaged {
            try layout.removeIndex()
            index = try Index(at: layout.indexPath, whenFull: giveUpSpare)
            isRebuilt = true
        }
        self.options = options
        self.layout = layout
        self.lock = lock
        self.storage = storage
        self.index = index
        (journal, lines) = try PinJournal.open(layout.journal)
        let size = layout.segmentSize
        state = StateLock(StoreState(memoryBytes: options.memoryBytes, segmentSize: size))
        heads = [
            .kept: Head(.kept, segmentSize: size, storage),
            .cache: Head(.cache, segmentSize: size, storage),
        ]
        let found = try recover(sizes)
        if isRebuilt {
            events.append(.indexRebuilt(blocks: found))
        } else if found > 0 {
            events.append(.recovered(blocks: found))
        }
        try resumeHeads()
        let bytes = try max(layout.databaseBytes, index.size()) + layout.otherBytes
        state.withLock { $0.indexBytes = bytes }
    }

    /// A write past the process's file size limit shall fail with an error that can be reported,
    /// as on a full disk, instead of ending the process.
    private static func ignoreFileSizeSignal() {
        if let previous = signal(SIGXFSZ, SIG_IGN) { _ = signal(SIGXFSZ, previous) }
    }

    /// Brings index and segments together; returns how many blocks were entered.
    private mutating func recover(_ sizes: [(number: UInt32, size: UInt64)]) throws(StoreError)
        -> Int
    {
        var known: [UInt32: SegmentRow] = [:]
        for row in try index.read({ try IndexTransaction.segments($0) }) {
            known[row.number] = row
        }
        let newest = max(sizes.map(\.number).max() ?? 0, known.keys.max() ?? 0)
        state.withLock { $0.nextSegment = newest + 1 }
        var found = 0
        for (number, size) in sizes.sorted(by: { $0.number < $1.number }) {
            // A segment that was created and never written to; its row, if any, goes below.
            if size <= SegmentHeader.length {
                try storage.remove(number)
                continue
            }
            let kind = try kind(number)
            let now = Clock.seconds
            let row =
                known.removeValue(forKey: number)
                ?? SegmentRow(number: number, kind: kind ?? .cache, written: now, used: now)
            let isNew = row.indexed == 0
            state.withLock { state in
                state.segments[number] = SegmentState(row: row, size: size)
                state.segmentBytes += size + StoreState.segmentOverhead
            }
            if isNew {
                _ = try index.write { try $0.write(row) }
            }
            if row.indexed < size { found += try recoverTail(row, size) }
        }
        // A segment that collection removed, whose row outlived it in a power failure.
        for number in known.keys.sorted() {
            _ = try index.write { try $0.deleteSegment(number) }
        }
        return found
    }

    private func kind(_ number: UInt32) throws(StoreError) -> HeadKind? {
        guard
            case .bytes(let bytes) = try storage.read(
                number, at: 0, count: Int(SegmentHeader.length), .blocking)
        else { return nil }
        return SegmentHeader.kind(bytes)
    }

    /// Enters the records beyond the indexed end of a segment and cuts off what is torn.
    private mutating func recoverTail(_ row: SegmentRow, _ size: UInt64) throws(StoreError) -> Int {
        var scanner = SegmentScanner(storage, row.number, from: row.indexed, to: size)
        var batch: [ScannedRecord] = []
        var end = max(min(row.indexed, size), min(SegmentHeader.length, size))
        var found = 0
        var isReading = true
        // A damaged record may have sound ones behind it; they count only if there are some.
        while isReading {
            switch try scanner.next() {
            case .record(let record):
                end = record.offset + record.length
                batch.append(
                    ScannedRecord(
                        offset: record.offset, key: record.key,
                        payload: record.payload))
            case .damaged: break
            case .unreadable, .end: isReading = false
            }
            if batch.count >= 4096 || !isReading {
                found += try enter(batch, row.number)
                batch = []
            }
        }
        if end < size {
            try storage.truncate(row.number, to: end)
            events.append(.tornTail(segment: row.number, bytes: size - end))
        }
        var recovered = row
        recovered.indexed = end
        try storage.sync(row.number)
        let entered = recovered
        _ = try index.write { try $0.write(entered) }
        state.withLock { state in
            state.resize(entered.number, to: end)
            state.segments[entered.number]?.row.indexed = end
        }
        return found
    }

    private func enter(
        _ records: [ScannedRecord], _ number: UInt32
    ) throws(StoreError) -> Int {
        let (found, changes) = try index.write { transaction in
            var found = 0
            for record in records {
                let place = Place(segment: Int64(number), offset: record.offset)
                let row = IndexRow(
                    place: place, length: record.payload.readableBytes, references: 0,
                    flags: RowFlags(.raw))
                if try transaction.insert(record.key, row) {
                    found += 1
                } else if let old = try transaction.row(record.key), try !isHere(old, record.key) {
                    var new = old
                    new.place = place
                    new.length = row.length
                    try transaction.update(record.key, from: old, to: new)
                    found += 1
                }
            }
            return found
        }
        state.withLock { $0.apply(changes) }
        return found
    }

    /// Whether the place that the index has for a block can be right.
    private func isHere(_ row: IndexRow, _ key: BlockKey) throws -> Bool {
        guard let number = row.place.segmentNumber,
            let size = state.withLock({ $0.segments[number]?.size })
        else { return false }
        return row.place.offset + Record.length(key, payload: row.length) <= size
    }

    /// Goes on filling the newest segment of each kind, if there is room in it.
    private func resumeHeads() throws(StoreError) {
        for (kind, head) in heads {
            let newest = state.withLock { state in
                state.segments.values.filter { $0.row.kind == kind }
                    .max { $0.row.number < $1.row.number }
            }
            guard let newest, newest.size >= SegmentHeader.length,
                newest.size < layout.segmentSize / 4 * 3
            else { continue }
            head.resume(newest.row.number, size: newest.size, state)
        }
    }
}

extension BlockStore {
    /// The index's size for the books, in bytes.
    func indexBytes() -> UInt64 {
        // If SQLite cannot say, the file system can; the next transaction reports the failure.
        let logical = (try? index.size()) ?? 0
        return max(logical, layout.databaseBytes) + layout.otherBytes
    }

    /// Brings the index's pins up to the journal's, takes back pins that were never acknowledged,
    /// and finishes counting. Returns what the owner should know.
    func restorePins(
        _ lines: [(sequence: Int64, change: PinChange)]
    ) throws(StoreError) -> [StoreEvent] {
        let known = try index.read { try IndexTransaction.number($0, "journal") } ?? 0
        journal.raise(to: known)
        var wanted: [CID: PinChange] = [:]
        for line in lines where line.sequence > known {
            switch line.change {
            case .added(let pin): wanted[pin.cid.v1] = line.change
            case .removed(let cid): wanted[cid.v1] = line.change
            }
        }
        let last = max(known, lines.last?.sequence ?? 0)
        var events: [StoreEvent] = []
        for (cid, change) in wanted.sorted(by: {
            $0.key.bytes.lexicographicallyPrecedes($1.key.bytes)
        }) {
            switch change {
            case .added(let pin): events += try restore(pin)
            case .removed: try remove(try pinRows(cid), nil)
            }
        }
        let unfinished = try index.read { try PinRow.fetch($0, "WHERE complete = 0", []) }
        if !unfinished.isEmpty { try remove(unfinished, nil) }
        if try index.read({ try IndexTransaction.number($0, "recount") }) != nil {
            try beginRecount()
        }
        while try settleStep() {}
        // What is as it was is not written: a full disk must not keep anybody from reading.
        if last != known { _ = try index.write { try $0.setNumber("journal", last) } }
        let count = try index.read { try self.countPins($0) }
        state.withLock { $0.pinCount = count }
        if lines.count > 2 * count + 1000 {
            let pins = try index.read { try PinRow.fetch($0, "WHERE complete = 1", []) }
            try journal.rewrite(pins.map(\.pin))
        }
        return events
    }

    func restore(_ pin: Pin) throws(StoreError) -> [StoreEvent] {
        let (rows, _) = try index.write { transaction in
            let cid = Data(pin.cid.v1.bytes)
            let rows = try PinRow.fetch(
                transaction.db, "WHERE cid = ? AND kind = ?", [cid, pin.kind.rawValue])
            if !rows.isEmpty {
                try transaction.db.execute(
                    sql: "UPDATE pins SET name = ? WHERE cid = ? AND kind = ?",
                    arguments: [pin.name, cid, pin.kind.rawValue])
                return rows.map(\.id)
            }
            let id = try (Int64.fetchOne(transaction.db, sql: "SELECT max(id) FROM pins") ?? 0) + 1
            if pin.kind == .recursive {
                for reference in Self.references(pin.cid) {
                    try transaction.append(
                        CountChange(
                            key: reference.key, codec: reference.codec, delta: 1, pin: id))
                }
            }
            return [try self.begin(pin, id, transaction)]
        }
        while try settleStep() {}
        let found = try index.read { db in
            try rows.flatMap { try PinRow.fetch(db, "WHERE id = ?", [$0]) }
        }
        try complete(found, try index.read { try IndexTransaction.number($0, "journal") } ?? 0)
        return found.compactMap { row in
            row.missing.map { .pinIncomplete(root: row.pin.cid, missing: $0) }
        }
    }
}
