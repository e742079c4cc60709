// An end of the store that blocks are appended to. There are two, see `HeadKind`.

import Multiformats
import NIOCore
import Synchronization

/// A block that is ready to be appended: its checksum has been computed.
struct PreparedBlock: Sendable {
    let key: BlockKey
    let hash: Multihash
    let bytes: ByteBuffer
    let flags: RowFlags
    let checksum: UInt32

    init(_ key: BlockKey, _ hash: Multihash, _ bytes: ByteBuffer, _ flags: RowFlags) {
        self.key = key
        self.hash = hash
        self.bytes = bytes
        self.flags = flags
        checksum = Record.checksum(bytes.readableBytesSpan, salt: key.salt)
    }

    var recordLength: UInt64 { UInt64(Record.headerLength(hash) + bytes.readableBytes) }
}

/// Appends records to the newest segment of its kind. Small records are gathered in memory first.
///
/// The lock is held while writing, so that a segment grows from front to back without holes, and
/// a failed write can be cut off. Order of locks: a head's, then the store's state.
final class Head: Sendable {
    struct Tail {
        /// The segment that is being filled; nil before the first write.
        var segment: UInt32?
        /// The end of what is in the segment, and of what will be once `gathered` is written.
        var written: UInt64 = 0
        var end: UInt64 = 0
        var gathered = ByteBuffer()
        /// The blocks in `gathered`.
        var keys: [BlockKey] = []
    }

    private static let gatherBytes = 256 << 10
    private static let directBytes = 32 << 10

    let kind: HeadKind
    private let segmentSize: UInt64
    private let storage: any SegmentStorage
    private let tail = Mutex(Tail())

    init(_ kind: HeadKind, segmentSize: UInt64, _ storage: any SegmentStorage) {
        self.kind = kind
        self.segmentSize = segmentSize
        self.storage = storage
    }

    /// Goes on with a segment of an earlier run.
    func resume(_ segment: UInt32, size: UInt64, _ state: StateLock) {
        tail.withLock { $0 = Tail(segment: segment, written: size, end: size) }
        state.withLock { $0.segments[segment]?.isOpen = true }
    }

    /// The segment that is being filled.
    var segment: UInt32? { tail.withLock { $0.segment } }

    /// Lets go of the current segment, so that collection can take it.
    func seal(_ state: StateLock) throws(StoreError) {
        try locked { tail throws(StoreError) in
            try self.writeTail(&tail, nil, state)
            Self.letGo(tail, state)
            tail = Tail()
        }
    }

    private static func letGo(_ tail: Tail, _ state: StateLock) {
        guard let number = tail.segment else { return }
        state.withLock { $0.segments[number]?.isOpen = false }
    }

    /// Writes what has been gathered, and calls `body` while nothing can be appended.
    func writeOut(
        _ state: StateLock, then body: () throws(StoreError) -> Void
    ) throws(StoreError) {
        try locked { tail throws(StoreError) in
            try self.writeTail(&tail, nil, state)
            try body()
        }
    }

    private func locked<Result: Sendable>(
        _ body: (inout Tail) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        try tail.withLock { tail throws(StoreError) -> Result in try body(&tail) }
    }

    /// Reads a record, or its beginning, that has been gathered and not written; nil if it has
    /// been written meanwhile.
    func gathered(_ place: Place, count: Int) -> ByteBuffer? {
        tail.withLock { tail in
            guard place.segmentNumber == tail.segment, place.offset >= tail.written else {
                return nil
            }
            let start = tail.gathered.readerIndex + Int(place.offset - tail.written)
            guard let bytes = tail.gathered.getBytes(at: start, length: count) else { return nil }
            return ByteBuffer(bytes: bytes)
        }
    }

    /// What becomes of the blocks that are appended.
    enum Purpose {
        /// New blocks, which a flush will enter into the index. A `session` relies on them.
        case new(session: UInt64?)
        /// Blocks that collection moves; it changes the index itself.
        case move
    }

    /// Appends blocks. Those that another thread has just written are left out.
    ///
    /// - Parameter wait: Whether small records are written now, or gathered until a flush.
    /// - Returns: The places of the blocks, in order; nil where a block was left out.
    func append(
        _ blocks: [PreparedBlock], _ purpose: Purpose, _ gathering: Gathering,
        _ state: StateLock
    ) throws(StoreError) -> [Place?] {
        try locked { tail throws(StoreError) in
            var places: [Place?] = []
            places.reserveCapacity(blocks.count)
            for block in blocks {
                places.append(try self.append(block, purpose, &tail, state))
            }
            if gathering == .writeNow { try self.writeTail(&tail, nil, state) }
            return places
        }
    }

    /// Whether small records may wait in memory.
    enum Gathering { case mayWait, writeNow }

    private func append(
        _ block: PreparedBlock, _ purpose: Purpose, _ tail: inout Tail,
        _ state: StateLock
    ) throws(StoreError) -> Place? {
        if tail.segment == nil
            || tail.end > SegmentHeader.length && tail.end + block.recordLength > segmentSize
        {
            try writeTail(&tail, nil, state)
            try startSegment(&tail, state)
        }
        guard let number = tail.segment else { throw .closed }
        let place = Place(segment: Int64(number), offset: tail.end)
        let end = tail.end + block.recordLength
        let isNew = state.withLock { state -> Bool in
            switch purpose {
            case .new(let session):
                if let other = state.fresh[block.key] ?? state.entering[block.key],
                    other.place.segment > 0
                {
                    if let session { _ = state.guardBlock(other.place, session) }
                    return false
                }
                state.fresh[block.key] = FreshBlock(
                    place: place, length: block.bytes.readableBytes, flags: block.flags)
                // What was hashed when it came need not be looked at again until it is forgotten.
                if block.bytes.readableBytes > BlockStore.smallBlock {
                    state.checked.insert(place, (), cost: 1)
                }
                state.unindexedBytes += block.recordLength
                state.resize(number, to: end)
                if let session { _ = state.guardBlock(place, session) }
            case .move:
                state.resize(number, to: end)
            }
            return true
        }
        guard isNew else { return nil }
        tail.end = end
        tail.keys.append(block.key)
        Record.appendHeader(
            block.hash, payload: block.bytes.readableBytes, checksum: block.checksum,
            to: &tail.gathered)
        if block.bytes.readableBytes >= Self.directBytes {
            try writeTail(&tail, block.bytes, state)
        } else {
            tail.gathered.writeImmutableBuffer(block.bytes)
            if tail.gathered.readableBytes >= Self.gatherBytes { try writeTail(&tail, nil, state) }
        }
        return place
    }

    private func startSegment(
        _ tail: inout Tail, _ state: StateLock
    ) throws(StoreError) {
        let number = state.withLock { state in
            let number = state.nextSegment
            state.nextSegment += 1
            return number
        }
        try storage.create(number)
        Self.letGo(tail, state)
        let now = Clock.seconds
        let row = SegmentRow(
            number: number, kind: kind, indexed: 0, written: now, used: now)
        state.withLock { state in
            state.segments[number] = SegmentState(
                row: row, size: SegmentHeader.length, isOpen: true, isStale: true)
            state.segmentBytes += SegmentHeader.length + StoreState.segmentOverhead
        }
        tail = Tail(segment: number, written: 0, end: SegmentHeader.length)
        tail.gathered = SegmentHeader.bytes(kind)
    }

    /// Writes what has been gathered, and then `payload`. If the disk refuses, nothing of it
    /// remains, and every write that may rely on it is marked as failed.
    private func writeTail(
        _ tail: inout Tail, _ payload: ByteBuffer?, _ state: StateLock
    ) throws(StoreError) {
        guard let number = tail.segment, tail.end > tail.written else { return }
        do {
            let pieces = payload.map { [tail.gathered, $0] } ?? [tail.gathered]
            try storage.append(number, at: tail.written, pieces)
        } catch {
            // If the cut fails too, the next start makes it: nothing refers to these bytes.
            try? storage.truncate(number, to: tail.written)
            let keys = tail.keys
            let written = tail.written
            state.withLock { state in
                for key in keys {
                    guard let block = state.fresh[key], block.place.segmentNumber == number,
                        block.place.offset >= written
                    else { continue }
                    state.fresh[key] = nil
                }
                for session in state.sessions.keys {
                    state.sessions[session] = .some(.writeFailed("\(error)"))
                }
                state.resize(number, to: max(written, SegmentHeader.length))
            }
            let hasHeader = written >= SegmentHeader.length
            tail = Tail(
                segment: number, written: written, end: max(written, SegmentHeader.length))
            if !hasHeader { tail.gathered = SegmentHeader.bytes(kind) }
            throw error
        }
        tail.written = tail.end
        tail.gathered.clear()
        tail.keys.removeAll(keepingCapacity: true)
        state.withLock { state in
            guard let index = state.segments.index(forKey: number) else { return }
            state.segments.values[index].isUnsynced = true
            state.segments.values[index].isStale = true
            state.segments.values[index].row.written = Clock.seconds
        }
    }
}
