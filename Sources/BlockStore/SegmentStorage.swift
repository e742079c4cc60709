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

/// What came of reading into memory.
enum SegmentRead: Sendable {
    /// So many bytes; fewer than there is room for at the end of the segment.
    case count(Int)
    /// They would have to be waited for.
    case wouldBlock
    /// There is no such segment.
    case noSegment
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
    /// Reads as many bytes as `memory` has room for.
    func read(
        _ number: UInt32, at offset: UInt64, into memory: UnsafeMutableRawBufferPointer,
        _ mode: ReadMode
    ) throws(StoreError) -> SegmentRead
    /// Makes everything appended so far durable.
    func sync(_ number: UInt32) throws(StoreError)
    /// Cuts a segment off.
    func truncate(_ number: UInt32, to size: UInt64) throws(StoreError)
    /// Removes a segment. Reads that have begun may still finish.
    func remove(_ number: UInt32) throws(StoreError)
}

extension SegmentStorage {
    /// Reads up to `count` bytes.
    func read(
        _ number: UInt32, at offset: UInt64, count: Int, _ mode: ReadMode
    ) throws(StoreError) -> SegmentBytes {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        var outcome = Result<SegmentRead, StoreError>.success(.count(0))
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { memory in
            outcome = result(
                number, offset, UnsafeMutableRawBufferPointer(rebasing: memory.prefix(count)), mode)
            return outcome.count
        }
        return switch try outcome.get() {
        case .count: .bytes(buffer)
        case .wouldBlock: .wouldBlock
        case .noSegment: .noSegment
        }
    }

    /// Reads `count` bytes for whoever sends them; nil if there are fewer, or they would have to be
    /// waited for.
    func readArray(
        _ number: UInt32, at offset: UInt64, count: Int, _ mode: ReadMode
    ) throws(StoreError) -> [UInt8]? {
        var outcome = Result<SegmentRead, StoreError>.success(.count(0))
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
            outcome = result(number, offset, UnsafeMutableRawBufferPointer(memory), mode)
            initialized = outcome.count
        }
        guard case .count(count) = try outcome.get() else { return nil }
        return bytes
    }

    private func result(
        _ number: UInt32, _ offset: UInt64, _ memory: UnsafeMutableRawBufferPointer,
        _ mode: ReadMode
    ) -> Result<SegmentRead, StoreError> {
        do throws(StoreError) {
            return .success(try read(number, at: offset, into: memory, mode))
        } catch {
            return .failure(error)
        }
    }
}

extension Result<SegmentRead, StoreError> {
    /// How many bytes were read.
    fileprivate var count: Int {
        if case .success(.count(let count)) = self { count } else { 0 }
    }
}
