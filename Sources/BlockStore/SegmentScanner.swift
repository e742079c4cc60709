// Reads a segment from front to back, record by record, hashing each.

import NIOCore

/// What begins a segment: a magic number, the version of its format, and which head wrote it.
enum SegmentHeader {
    static let length: UInt64 = 8
    static let version: UInt8 = 1

    static func bytes(_ kind: HeadKind) -> ByteBuffer {
        ByteBuffer(bytes: [0x77, 0x65, 0x66, 0x74, version, kind.rawValue, 0, 0])
    }

    /// Which head wrote the segment; nil if this is no segment of this version.
    static func kind(_ bytes: ByteBuffer) -> HeadKind? {
        guard bytes.readableBytes >= Int(length),
            bytes.readableBytesView.starts(with: [0x77, 0x65, 0x66, 0x74, version])
        else { return nil }
        return bytes.getInteger(at: bytes.readerIndex + 5, as: UInt8.self)
            .flatMap(HeadKind.init(rawValue:))
    }
}

/// One step of a scan.
struct ScannedRecord {
    /// Where the record begins in the segment.
    let offset: UInt64
    /// Which block it holds.
    let key: BlockKey
    let payload: ByteBuffer

    /// The bytes of header and payload.
    var length: UInt64 { Record.length(key, payload: payload.readableBytes) }
}

struct SegmentScanner {
    enum Step {
        case record(ScannedRecord)
        /// A record whose length can be believed, but whose bytes are wrong.
        case damaged(offset: UInt64)
        /// From here to the end nothing can be read: a torn tail, or damage to a header.
        case unreadable(from: UInt64)
        case end
    }

    private static let window = 1 << 20

    let segment: UInt32
    let end: UInt64
    private(set) var offset: UInt64
    private let storage: any SegmentStorage
    private var buffer = ByteBuffer()

    init(_ storage: any SegmentStorage, _ segment: UInt32, from offset: UInt64, to end: UInt64) {
        self.storage = storage
        self.segment = segment
        self.offset = max(offset, SegmentHeader.length)
        self.end = end
    }

    mutating func next() throws(StoreError) -> Step {
        guard offset < end else { return .end }
        try fill(Record.maxHeaderLength)
        guard let header = Record.header(buffer.readableBytesSpan) else {
            return .unreadable(from: offset)
        }
        let length = header.length + header.payloadLength
        guard UInt64(length) <= end - offset else { return .unreadable(from: offset) }
        try fill(length)
        guard var record = buffer.readSlice(length: length) else {
            return .unreadable(from: offset)
        }
        let start = offset
        offset += UInt64(length)
        record.moveReaderIndex(forwardBy: header.length)
        guard let key = Record.key(header, record.readableBytesSpan) else {
            return .damaged(offset: start)
        }
        return .record(ScannedRecord(offset: start, key: key, payload: record))
    }

    /// Makes `count` bytes from the current offset available, unless the segment ends before.
    private mutating func fill(_ count: Int) throws(StoreError) {
        guard buffer.readableBytes < count else { return }
        let wanted = Int(min(UInt64(max(count, Self.window)), end - offset))
        guard buffer.readableBytes < wanted else { return }
        switch try storage.read(segment, at: offset, count: wanted, .blocking) {
        case .bytes(let bytes): buffer = bytes
        case .wouldBlock, .noSegment: buffer = ByteBuffer()
        }
    }
}
