// Putting blocks in: what is already here is left alone, the rest is appended to a head.

import Foundation
import GRDB
import IPLD
import Multiformats
import NIOCore

extension BlockStore {
    /// Blocks that may be fresh before a flush is scheduled, and before writers wait for it.
    static let flushCount = 128 << 10
    private static let flushBytes: UInt64 = 256 << 20

    /// Keeps a block as cache, as ``put(_:)-([Block])`` does.
    public func put(_ block: Block) async throws(StoreError) {
        try await put([block])
    }

    /// Keeps blocks as cache: until their time or the space runs out. When this returns, they
    /// survive the end of this process, but not a power failure.
    public func put(_ blocks: [Block]) async throws(StoreError) {
        try checkOpen()
        try await readers.run { () throws(StoreError) in
            try self.write(blocks, to: .cache, session: nil)
        }
    }

    /// Starts a write whose blocks are safe from collection until it ends.
    public func beginWrite() -> WriteSession {
        let number = state.withLock { state in
            let number = state.nextSession
            state.nextSession += 1
            state.sessions[number] = .some(nil)
            return number
        }
        return WriteSession(self, number)
    }

    func endSession(_ number: UInt64) {
        state.withLock { state in _ = state.sessions.removeValue(forKey: number) }
    }

    /// Fails if a block that the session relies on has been lost.
    func checkSession(_ number: UInt64) throws(StoreError) {
        if let failure = state.withLock({ $0.sessions[number] ?? nil }) { throw failure }
    }

    /// Writes those of the blocks that are not here; may block.
    func write(
        _ blocks: [Block], to kind: HeadKind, session: UInt64?
    ) throws(StoreError) {
        try checkOpen()
        var prepared: [PreparedBlock] = []
        for block in try missing(blocks, session) {
            prepared.append(
                PreparedBlock(
                    block.key, block.block.cid.hash, block.block.bytes,
                    RowFlags(block.block.cid.codec)))
        }
        guard !prepared.isEmpty, let head = heads[kind] else { return }
        var needed: UInt64 = 0
        for block in prepared { needed += block.recordLength + StoreState.rowBytes }
        try promise(needed)
        defer { state.withLock { $0.promised -= needed } }
        _ = try head.append(
            prepared, .new(session: session), session == nil ? .writeNow : .mayWait, state)
        tell(prepared)
        scheduleFlush()
    }

    /// The blocks that are not here yet, without repeats, in their order, in which they are also
    /// read again. The others are noted as used, and saved from collection while `session` lasts.
    private func missing(
        _ blocks: [Block], _ session: UInt64?
    ) throws(StoreError) -> [(key: BlockKey, block: Block)] {
        var seen: Set<BlockKey> = []
        var left: [(key: BlockKey, block: Block)] = []
        for block in blocks where block.cid.hash.code != .identity {
            let key = BlockKey(block.cid.hash)
            if seen.insert(key).inserted { left.append((key, block)) }
        }
        state.withLock { state in
            left.removeAll { key, _ in
                guard let place = (state.fresh[key] ?? state.entering[key])?.place else {
                    return false
                }
                return Self.keep(place, session, &state)
            }
        }
        // What has never been entered need not be looked up.
        let isIndexed = state.withLock { $0.segments.values.contains { $0.row.blocks > 0 } }
        guard !left.isEmpty, isIndexed else { return left }
        let candidates = left
        let sorted = candidates.indices.sorted {
            BlockKey.precedes(candidates[$0].key, candidates[$1].key)
        }
        let places = try index.snapshot { db in
            try sorted.map { try IndexTransaction.row(db, candidates[$0].key)?.place }
        }
        return state.withLock { state in
            var isHere = [Bool](repeating: false, count: candidates.count)
            for (index, place) in zip(sorted, places) {
                isHere[index] = place.map { Self.keep($0, session, &state) } ?? false
            }
            return zip(candidates, isHere).filter { !$1 }.map(\.0)
        }
    }

    /// Keeps a block that is here from being collected; false if it is not in a segment, or may
    /// be removed before this takes effect.
    private static func keep(
        _ place: Place, _ session: UInt64?, _ state: inout StoreState
    ) -> Bool {
        guard place.segment > 0 else { return false }
        state.markUsed(place)
        guard let session else {
            return place.segmentNumber.flatMap { state.segments[$0] }
                .map { place.offset >= $0.judged } ?? false
        }
        return state.guardBlock(place, session)
    }

    /// Enters a block that stays in a file of the user's.
    func writeReference(
        _ cid: CID, _ range: ReferencedFileRange, session: UInt64
    ) throws(StoreError) {
        try checkOpen()
        guard cid.hash.code != .identity else { return }
        guard range.length <= BlockLimits.maxBytes else {
            throw .writeFailed("a block is larger than 2 MiB")
        }
        let key = BlockKey(cid.hash)
        let current: ReferencedFile
        do {
            current = try ReferencedFile(at: range.path)
        } catch {
            throw .fileChanged(path: range.path)
        }
        let known = try find(key)
        if let known, known.place.segment > 0,
            state.withLock({ Self.keep(known.place, session, &$0) })
        {
            return
        }
        try promise(StoreState.rowBytes)
        defer { state.withLock { $0.promised -= StoreState.rowBytes } }
        let file = try number(of: current)
        state.withLock { state in
            state.fresh[key] = FreshBlock(
                place: Place(segment: -file, offset: range.offset), length: range.length,
                flags: RowFlags(cid.codec))
        }
        scheduleFlush()
    }

    /// Promises room for a write; makes some if there is too little. May block.
    private func promise(_ bytes: UInt64) throws(StoreError) {
        let limit = options.maxBytes - layout.scratch
        for _ in 0..<8 {
            let isPromised = state.withLock { state in
                guard state.occupied + bytes <= limit else { return false }
                state.promised += bytes
                return true
            }
            if isPromised { return }
            let freed = try indexer.runAndWait { () throws(StoreError) in
                try self.makeRoom(for: bytes)
            }
            guard freed else { break }
        }
        throw .full(limit: options.maxBytes, needed: bytes)
    }

    /// Has fresh blocks entered into the index when there are many; waits if there are too many.
    private func scheduleFlush() {
        let (isDue, isOverdue) = state.withLock { state -> (Bool, Bool) in
            let count = state.fresh.count
            let isDue = count >= Self.flushCount || state.unindexedBytes >= Self.flushBytes
            guard isDue else { return (false, false) }
            defer { state.isFlushScheduled = true }
            return (!state.isFlushScheduled, count >= 2 * Self.flushCount)
        }
        guard isDue || isOverdue else { return }
        // A failure leaves the blocks fresh; the next commit meets it again and reports it.
        if isOverdue {
            _ = try? indexer.runAndWait { () throws(StoreError) in try self.flush() }
        } else {
            indexer.submit({ () throws(StoreError) in try self.flush() }, done: { _ in })
        }
    }
}
