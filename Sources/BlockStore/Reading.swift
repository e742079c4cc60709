// Getting blocks out: from memory, else from the page cache, else from the disk.

import Foundation
import GRDB
import Glibc
public import Multiformats
public import NIOCore

extension BlockStore {
    /// Blocks up to this size are remembered whole.
    static let smallBlock = 16 << 10
    /// How often a read follows a block that collection moves meanwhile.
    private static let attempts = 8

    /// The bytes of a block; nil if it is not here. They match the hash: a block that has rotted
    /// on the disk is not here any more.
    ///
    /// - Throws: ``StoreError/fileChanged(path:)`` if the bytes were to come from a file of the
    ///   user's that has changed.
    public func block(_ hash: Multihash) async throws(StoreError) -> ByteBuffer? {
        if hash.code == .identity { return ByteBuffer(bytes: hash.digest) }
        let key = BlockKey(hash)
        switch remembered(key) {
        case .bytes(let bytes): return bytes
        case .place(let place, let length):
            if let bytes = try read(key, place, length, .cachedOnly) { return bytes }
        case .nothing: break
        }
        try checkOpen()
        return try await readers.run { () throws(StoreError) in try self.readAndWait(key) }
    }

    /// Whether memory knows that a block is here, and where: then it is read soon. It never waits.
    public func isAtHand(_ hash: Multihash) -> Bool {
        guard hash.code != .identity else { return true }
        let key = BlockKey(hash)
        return state.withLock { state in
            if case .nothing = state.remembered(key) { false } else { true }
        }
    }

    /// How long a block is, in bytes; nil if it is not here.
    public func size(of hash: Multihash) async throws(StoreError) -> Int? {
        try await sizes(of: [hash])[0]
    }

    /// How long blocks are, in bytes; nil for each that is not here. Looking up many at once costs
    /// far less than one after the other.
    public func sizes(of hashes: [Multihash]) async throws(StoreError) -> [Int?] {
        var sizes = [Int?](repeating: nil, count: hashes.count)
        var unknown: [(index: Int, key: BlockKey)] = []
        state.withLock { state in
            for (index, hash) in hashes.enumerated() {
                guard hash.code != .identity else {
                    sizes[index] = hash.digest.count
                    continue
                }
                let key = BlockKey(hash)
                switch state.remembered(key) {
                case .bytes(let bytes): sizes[index] = bytes.readableBytes
                case .place(_, let length): sizes[index] = length
                case .nothing: unknown.append((index, key))
                }
            }
        }
        try checkOpen()
        guard !unknown.isEmpty else { return sizes }
        // The order of the index keeps neighbours on one page.
        unknown.sort { BlockKey.precedes($0.key, $1.key) }
        let keys = unknown.map(\.key)
        let found = try await readers.run { () throws(StoreError) in try self.lengths(of: keys) }
        for (entry, length) in zip(unknown, found) { sizes[entry.index] = length }
        return sizes
    }

    /// The lengths of blocks that memory does not know.
    private func lengths(of keys: [BlockKey]) throws(StoreError) -> [Int?] {
        let rows = try index.snapshot { db in
            try keys.map { key -> IndexRow? in
                let row = try IndexTransaction.row(db, key)
                return row?.place.segment == 0 ? nil : row
            }
        }
        state.withLock { state in
            for (key, row) in zip(keys, rows) {
                guard let row else { continue }
                state.places.insert(key, (row.place, row.length), cost: 120)
                state.markUsed(row.place)
            }
        }
        return rows.map { $0?.length }
    }

    /// The hashes of up to `limit` blocks that come after `after`, in the store's own order: of
    /// all, or of those that pins keep.
    public func blocks(
        after: Multihash?, limit: Int, onlyPinned: Bool = false
    ) async throws(StoreError) -> [Multihash] {
        try checkOpen()
        return try await indexer.run { () throws(StoreError) in
            try self.flush()
            let start = after.map { BlockKey($0).indexed } ?? Data()
            let directly = RowFlags.pinnedDirectly.rawValue
            return try self.index.read { db in
                try Data.fetchAll(
                    db,
                    sql: """
                        SELECT key FROM blocks WHERE key > ? AND segment != 0
                        \(onlyPinned ? "AND (refs > 0 OR flags & \(directly) != 0)" : "")
                        ORDER BY key LIMIT ?
                        """,
                    arguments: [start, limit]
                ).compactMap { BlockKey(indexed: $0)?.multihash }
            }
        }
    }

    private func remembered(_ key: BlockKey) -> Remembered {
        state.withLock { state in
            let found = state.remembered(key)
            switch found {
            case .bytes:
                state.statistics.reads += 1
                state.statistics.memoryHits += 1
            case .place, .nothing: break
            }
            return found
        }
    }

    /// Where a block is, from memory or the index.
    func find(_ key: BlockKey) throws(StoreError) -> (place: Place, length: Int)? {
        if case .place(let place, let length) = state.withLock({ $0.remembered(key) }) {
            return (place, length)
        }
        guard let row = try index.read({ try IndexTransaction.row($0, key) }),
            row.place.segment != 0
        else { return nil }
        state.withLock { state in
            state.places.insert(key, (row.place, row.length), cost: 120)
            state.markUsed(row.place)
        }
        return (row.place, row.length)
    }

    /// Reads a block on a thread that may block.
    func readAndWait(_ key: BlockKey) throws(StoreError) -> ByteBuffer? {
        for _ in 0..<Self.attempts {
            guard let (place, length) = try find(key) else { return nil }
            if let bytes = try read(key, place, length, .blocking) { return bytes }
            state.withLock { $0.forget(key) }
        }
        guard let (place, _) = try find(key) else { return nil }
        try indexer.runAndWait { () throws(StoreError) in try self.dropRotten(key, place) }
        return nil
    }

    /// Reads a block from its place. Nil if it is not there any more, is damaged, or would have
    /// to be waited for.
    func read(
        _ key: BlockKey, _ place: Place, _ length: Int, _ mode: ReadMode
    ) throws(StoreError) -> ByteBuffer? {
        guard let number = place.segmentNumber else {
            return mode == .blocking ? try readFile(key, place, length) : nil
        }
        let count = Record.headerLength(key) + length
        let record: ByteBuffer
        if let bytes = gathered(place, count: count) {
            record = bytes
        } else {
            switch try storage.read(number, at: place.offset, count: count, mode) {
            case .bytes(let bytes): record = bytes
            case .wouldBlock, .noSegment: return nil
            }
        }
        guard let payload = Record.payload(of: record, key) else { return nil }
        state.withLock { state in
            state.statistics.reads += 1
            state.places.insert(key, (place, length), cost: 120)
            if length <= Self.smallBlock {
                state.bytes.insert(key, (payload, place), cost: record.capacity + 160)
            }
        }
        return payload
    }

    func gathered(_ place: Place, count: Int) -> ByteBuffer? {
        let kind = state.withLock { state -> HeadKind? in
            guard !state.fresh.isEmpty || !state.entering.isEmpty else { return nil }
            return place.segmentNumber.flatMap { state.segments[$0]?.row.kind }
        }
        return kind.flatMap { heads[$0]?.gathered(place, count: count) }
    }

    /// Takes a block whose bytes are damaged out of the index, so that it can be written again.
    func dropRotten(_ key: BlockKey, _ place: Place) throws(StoreError) {
        try flush()
        let (_, changes) = try index.write { transaction in
            guard let row = try transaction.row(key), row.place == place else { return }
            try transaction.lose(key, row)
        }
        state.withLock { state in
            state.apply(changes)
            state.forget(key)
        }
    }
}
