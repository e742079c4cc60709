// What the store holds in memory. It grows with the number of segments and with the configured
// memory, never with the number of blocks.

import NIOCore
import Synchronization

/// Which of the two ends of the store a block is appended to. Blocks that will be evicted live
/// apart from those that will stay, so that whole segments die at once.
enum HeadKind: UInt8, Sendable, CaseIterable {
    /// Added or pinned blocks.
    case kept = 0
    /// Fetched blocks.
    case cache = 1
}

/// A block that has been written to a segment and is not in the index yet.
struct FreshBlock: Sendable {
    var place: Place
    var length: Int
    var references: Int64 = 0
    var flags: RowFlags

    var row: IndexRow {
        IndexRow(place: place, length: length, references: references, flags: flags)
    }
}

/// What is known about one segment.
struct SegmentState: Sendable {
    var row: SegmentRow
    /// Bytes of the segment, including those that are about to be written.
    var size: UInt64
    /// Whether a head fills it; once one has let go of it, it never grows again.
    var isOpen = false
    /// Whether it has bytes that have not been synced.
    var isUnsynced = false
    /// Whether its times or its indexed end are newer than what the index has.
    var isStale = false
    /// Whether records of it could not be read; it is then left for a check to mend.
    var isDamaged = false
    /// Whether a collection works on it.
    var isBeingCleaned = false
    /// Blocks before this offset have been judged by the collection that is going on.
    var judged: UInt64 = 0
    /// Blocks that have been used since they were written, or last spared by collection.
    var used = BlockMarks()
    /// Blocks that open write sessions rely on.
    var guarded = BlockMarks()
    /// The latest session that relies on a block here.
    var guardSession: UInt64 = 0

    /// Whether the index has all of its blocks, for good. Only then can collection judge it: what
    /// the index does not have yet would look like garbage.
    var isComplete: Bool { !isOpen && row.indexed >= size }
}

/// One mark for every small stretch of a segment. Neighbouring blocks may share one, which errs
/// on the side of keeping them.
struct BlockMarks: Sendable {
    private var words: [UInt64] = []
    private(set) var count = 0

    /// Marks the stretch that `offset` is in.
    mutating func insert(_ offset: UInt64, _ granularity: UInt64) {
        let index = Int(offset / granularity)
        while words.count <= index / 64 { words.append(0) }
        let bit: UInt64 = 1 << UInt64(index % 64)
        if words[index / 64] & bit == 0 { count += 1 }
        words[index / 64] |= bit
    }

    func contains(_ offset: UInt64, _ granularity: UInt64) -> Bool {
        let index = Int(offset / granularity)
        return index / 64 < words.count && words[index / 64] & (1 << UInt64(index % 64)) != 0
    }

    mutating func removeAll() {
        words = []
        count = 0
    }
}

/// What is in memory of a block that is asked for.
enum Remembered {
    case bytes(ByteBuffer)
    case place(Place, length: Int)
    case nothing
}

struct StoreState: Sendable {
    /// Blocks that the index does not have yet, and those that are being entered just now.
    var fresh: [BlockKey: FreshBlock] = [:]
    var entering: [BlockKey: FreshBlock] = [:]
    var segments: [UInt32: SegmentState] = [:]
    var nextSegment: UInt32 = 1
    /// Sum of the sizes of all segments, rounded up as file systems do.
    var segmentBytes: UInt64 = 0
    /// Room that writes have been promised and not taken yet.
    var promised: UInt64 = 0
    /// Size of the index and the other small files, without the index's log.
    var indexBytes: UInt64 = 0
    var pinCount = 0

    var bytes: TwoAgeCache<BlockKey, (bytes: ByteBuffer, place: Place)>
    var places: TwoAgeCache<BlockKey, (place: Place, length: Int)>
    /// Where large blocks lie that have been written, or read whole and checked, a while ago.
    var checked = TwoAgeCache<Place, Void>(bound: 4_096)

    /// Write sessions that have not ended, by number, and why one of them cannot be committed.
    var sessions: [UInt64: StoreError?] = [:]
    var nextSession: UInt64 = 1

    var statistics = StoreStatistics()
    var isClosed = false
    var isFlushScheduled = false
    /// Bytes written since the last flush.
    var unindexedBytes: UInt64 = 0
    /// Marks per segment are this many bytes apart.
    let granularity: UInt64

    init(memoryBytes: Int, segmentSize: UInt64) {
        bytes = TwoAgeCache(bound: memoryBytes / 4 * 3)
        places = TwoAgeCache(bound: memoryBytes / 4)
        granularity = max(512, segmentSize / 65_536)
    }

    /// Bytes that a row of the index takes, on the generous side.
    static let rowBytes: UInt64 = 100
    /// What a segment's last, partly filled disk block may add.
    static let segmentOverhead: UInt64 = 4096

    /// Whether a segment that grows no more waits for a flush.
    var hasUnindexedSegment: Bool {
        segments.values.contains { !$0.isOpen && !$0.isComplete }
    }

    /// Everything on disk, or promised, except the index's log.
    var occupied: UInt64 {
        segmentBytes + promised + indexBytes + UInt64(fresh.count + entering.count) * Self.rowBytes
    }

    /// The oldest write session that is open; nil if none is.
    var oldestSession: UInt64? { sessions.keys.min() }

    /// What memory knows about a block.
    mutating func remembered(_ key: BlockKey) -> Remembered {
        if let hit = bytes.value(key) {
            markUsed(hit.place)
            return .bytes(hit.bytes)
        }
        if let block = fresh[key] ?? entering[key] {
            markUsed(block.place)
            return .place(block.place, length: block.length)
        }
        if let hit = places.value(key) {
            markUsed(hit.place)
            return .place(hit.place, length: hit.length)
        }
        return .nothing
    }

    /// Forgets what is remembered of a block that was moved or removed.
    mutating func forget(_ key: BlockKey) {
        bytes.remove(key)
        places.remove(key)
    }

    /// Notes that a block was used, so that collection spares it once.
    mutating func markUsed(_ place: Place) {
        guard let number = place.segmentNumber,
            let index = segments.index(forKey: number)
        else { return }
        segments.values[index].used.insert(place.offset, granularity)
        segments.values[index].row.used = Clock.seconds
    }

    /// Saves a block from collection until `session` ends; false if it may be too late.
    mutating func guardBlock(_ place: Place, _ session: UInt64) -> Bool {
        guard let number = place.segmentNumber, let index = segments.index(forKey: number),
            place.offset >= segments.values[index].judged
        else { return false }
        let oldest = oldestSession ?? session
        if segments.values[index].guardSession < oldest {
            segments.values[index].guarded.removeAll()
        }
        segments.values[index].guardSession = max(segments.values[index].guardSession, session)
        segments.values[index].guarded.insert(place.offset, granularity)
        return true
    }

    /// Whether an open session relies on a block.
    func isGuarded(_ place: Place, in segment: SegmentState) -> Bool {
        guard let oldest = oldestSession, segment.guardSession >= oldest else { return false }
        return segment.guarded.contains(place.offset, granularity)
    }

    /// Takes over how a transaction changed the counters of segments.
    mutating func apply(_ changes: SegmentChanges) {
        for (number, change) in changes {
            guard let index = segments.index(forKey: number) else { continue }
            segments.values[index].row.blocks += change.blocks
            segments.values[index].row.live += change.live
            segments.values[index].row.retained += change.retained
        }
    }

    /// Removes a segment from the books.
    mutating func removeSegment(_ number: UInt32) -> UInt64 {
        guard let segment = segments.removeValue(forKey: number) else { return 0 }
        segmentBytes -= segment.size + Self.segmentOverhead
        return segment.size
    }

    /// Notes that a segment is longer or shorter than it was.
    mutating func resize(_ number: UInt32, to size: UInt64) {
        guard let old = segments[number]?.size else { return }
        segmentBytes = segmentBytes - old + size
        segments[number]?.size = size
    }
}

/// The one lock around what the store holds in memory. It is never held while waiting for
/// anything.
final class StateLock: Sendable {
    private let state: Mutex<StoreState>

    init(_ state: StoreState) { self.state = Mutex(state) }

    func withLock<Result: Sendable>(_ body: (inout StoreState) -> Result) -> Result {
        state.withLock { body(&$0) }
    }
}
