// Many blocks at once, for readers that want small ones by the thousand: places are looked up
// together, and what lies near each other in a segment is read with one call.

public import Multiformats
import NIOCore
import Wire

extension BlockStore {
    /// How many bytes are read with one call at most, unless one block is longer.
    private static let runBytes = 1 << 20
    /// How many bytes that nobody wants are read along: about as many as cost as much as a call.
    private static let gapBytes: UInt64 = 16 << 10

    private struct Wanted {
        let index: Int
        let key: BlockKey
        let place: Place
        let length: Int

        var end: UInt64 { place.offset + Record.length(key, payload: length) }
    }

    /// The bytes of blocks for whoever sends them, in this order; nil for each that is not here.
    ///
    /// Small blocks that come from the same place of the disk share memory, so whoever keeps one of
    /// them for long should copy it.
    ///
    /// - Throws: What ``block(_:)`` throws for one of them.
    public func blocks(_ hashes: [Multihash]) async throws(StoreError) -> [ArraySlice<UInt8>?] {
        var found = [ArraySlice<UInt8>?](repeating: nil, count: hashes.count)
        var wanted: [Wanted] = []
        var unknown: [(index: Int, key: BlockKey)] = []
        state.withLock { state in
            for (index, hash) in hashes.enumerated() {
                guard hash.code != .identity else {
                    found[index] = hash.digest[...]
                    continue
                }
                let key = BlockKey(hash)
                switch state.remembered(key) {
                case .bytes(let bytes):
                    found[index] = Array(bytes.readableBytesView)[...]
                    state.statistics.memoryHits += 1
                    state.statistics.reads += 1
                case .place(let place, let length):
                    wanted.append(Wanted(index: index, key: key, place: place, length: length))
                case .nothing: unknown.append((index, key))
                }
            }
        }
        try readRuns(&wanted, .cachedOnly, into: &found)
        unknown += wanted.lazy.filter { found[$0.index] == nil }.map { ($0.index, $0.key) }
        try checkOpen()
        guard !unknown.isEmpty else { return found }
        let keys = unknown.map(\.key)
        let rest = try await readers.run { () throws(StoreError) in
            try self.readAndWait(keys)
        }
        for (entry, bytes) in zip(unknown, rest) { found[entry.index] = bytes }
        return found
    }

    /// Reads blocks on a thread that may block.
    private func readAndWait(_ keys: [BlockKey]) throws(StoreError) -> [ArraySlice<UInt8>?] {
        var found = [ArraySlice<UInt8>?](repeating: nil, count: keys.count)
        var wanted: [Wanted] = []
        for (index, key) in keys.enumerated() {
            guard let (place, length) = try find(key) else { continue }
            wanted.append(Wanted(index: index, key: key, place: place, length: length))
        }
        try readRuns(&wanted, .blocking, into: &found)
        // What has been moved, is damaged, or lies in a file of the user's.
        for entry in wanted where found[entry.index] == nil {
            found[entry.index] = try readAndWait(entry.key).map { Array($0.readableBytesView)[...] }
        }
        return found
    }

    /// Reads what can be read from segments, in the order in which it lies there.
    private func readRuns(
        _ wanted: inout [Wanted], _ mode: ReadMode, into found: inout [ArraySlice<UInt8>?]
    ) throws(StoreError) {
        wanted.sort { ($0.place.segment, $0.place.offset) < ($1.place.segment, $1.place.offset) }
        var start = 0
        while start < wanted.count {
            var end = start + 1
            while end < wanted.count, wanted[end].place.segment == wanted[start].place.segment,
                wanted[end].place.offset >= wanted[end - 1].end,
                wanted[end].place.offset - wanted[end - 1].end <= Self.gapBytes,
                wanted[end].end - wanted[start].place.offset <= UInt64(Self.runBytes)
            {
                end += 1
            }
            try readRun(wanted[start..<end], mode, into: &found)
            start = end
        }
    }

    /// Reads records that lie near each other; leaves out what is not there as it should be.
    private func readRun(
        _ run: ArraySlice<Wanted>, _ mode: ReadMode, into found: inout [ArraySlice<UInt8>?]
    ) throws(StoreError) {
        guard let first = run.first, let last = run.last,
            let number = first.place.segmentNumber
        else { return }
        let count = Int(last.end - first.place.offset)
        let records: [UInt8]
        if let bytes = gathered(first.place, count: count) {
            records = Array(bytes.readableBytesView)
        } else {
            guard
                let bytes = try storage.readArray(
                    number, at: first.place.offset, count: count, mode)
            else { return }
            records = bytes
        }
        for entry in run {
            let start = Int(entry.place.offset - first.place.offset)
            let end = Int(entry.end - first.place.offset)
            guard let header = Record.soundHeader(of: records[start..<end].rawSpan, entry.key)
            else { continue }
            found[entry.index] = records[(start + header)..<end]
        }
        state.withLock { $0.statistics.reads += UInt64(run.count) }
    }
}
