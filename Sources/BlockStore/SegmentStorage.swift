// The narrow interface between the store and what holds its segments. Another backend is another
// conformer, and nothing else.

import NIOCore

/// How a read may behave when the bytes are not in memory.
enum ReadMode: Sendable {
    /// Give up at once.
    case cachedOnly
    /// Wait for the disk.
    case blocking
}

/// The result of a read.
enum SegmentBytes: Sendable {
    /// The bytes; fewer than asked for at the end of the segment.
    case bytes(ByteBuffer)
    /// They would have to be waited for.
    case wouldBlock
    /// There is no such segment.
    case noSegment
}

/// Holds numbered, append-only byte sequences. All members may be called from several threads;
/// appends to one segment come one after another.
protocol SegmentStorage: Sendable {
    /// All segments and their sizes in bytes, in no particular order.
    func list() throws(StoreError) -> [(number: UInt32, size: UInt64)]
    /// Creates an empty segment.
    func create(_ number: UInt32) throws(StoreError)
    /// Writes at the end of a segment, which is at `offset`. If it fails, the segment may have
    /// grown by a part of the bytes.
    func append(_ number: UInt32, at offset: UInt64, _ bytes: [ByteBuffer]) throws(StoreError)
    /// Reads up to `count` bytes.
    func read(
        _ number: UInt32, at offset: UInt64, count: Int, _ mode: ReadMode
    ) throws(StoreError) -> SegmentBytes
    /// Makes everything appended so far durable.
    func sync(_ number: UInt32) throws(StoreError)
    /// Cuts a segment off.
    func truncate(_ number: UInt32, to size: UInt64) throws(StoreError)
    /// Removes a segment. Reads that have begun may still finish.
    func remove(_ number: UInt32) throws(StoreError)
}
