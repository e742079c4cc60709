// Parts of large blocks, for readers that do not want to hold a whole one in memory.

public import Multiformats
public import NIOCore

extension BlockStore {
    /// A part of a block; nil if the block is not here or has another size than `size` bytes.
    ///
    /// The whole block is read and checked with the first part that is asked for, unless it was
    /// written a while ago; the parts after it are read alone, while the block is remembered as
    /// checked.
    ///
    /// - Throws: ``StoreError/fileChanged(path:)`` as ``block(_:)`` does.
    public func part(
        _ range: Range<Int>, of hash: Multihash, size: Int
    ) async throws(StoreError) -> ByteBuffer? {
        let key = BlockKey(hash)
        if let part = try checkedPart(range, key, size) { return part }
        try checkOpen()
        // Whole blocks stay on the few threads that read them, however many readers wait.
        return try await readers.run { () throws(StoreError) in
            try self.readAndCheck(range, key, size)
        }
    }

    /// Reads a whole block, remembers that it is sound, and lets go of all but the part.
    private func readAndCheck(
        _ range: Range<Int>, _ key: BlockKey, _ size: Int
    ) throws(StoreError) -> ByteBuffer? {
        guard let whole = try readAndWait(key), whole.readableBytes == size,
            let part = whole.getSlice(at: whole.readerIndex + range.lowerBound, length: range.count)
        else { return nil }
        state.withLock { state in
            if case .place(let place, _) = state.remembered(key) {
                state.checked.insert(place, (), cost: 1)
            }
        }
        return ByteBuffer(bytes: part.readableBytesView)
    }

    /// Reads a part of a block that was checked a while ago, without waiting for the disk.
    private func checkedPart(
        _ range: Range<Int>, _ key: BlockKey, _ size: Int
    ) throws(StoreError) -> ByteBuffer? {
        let found: Place? = state.withLock { state in
            guard case .place(let place, let length) = state.remembered(key), length == size,
                state.checked.value(place) != nil
            else { return nil }
            return place
        }
        guard let place = found, let number = place.segmentNumber else { return nil }
        let start = place.offset + UInt64(Record.headerLength(key) + range.lowerBound)
        switch try storage.read(number, at: start, count: range.count, .cachedOnly) {
        case .bytes(let bytes): return bytes.readableBytes == range.count ? bytes : nil
        case .wouldBlock, .noSegment: return nil
        }
    }
}
