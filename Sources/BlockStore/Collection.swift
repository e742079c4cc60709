// Which segments are cleaned, and when: because the space is needed, because content has outlived
// its time, or because the user asks.

public import Multiformats

extension BlockStore {
    /// How thorough a collection is.
    public enum Collection: Sendable {
        /// Content that has outlived its time, and space that nothing uses.
        case expired
        /// Everything that is not pinned or being written.
        case everything
    }

    /// Frees space, in small steps; reads and writes go on meanwhile. The owner of a store with a
    /// time limit calls it from time to time.
    ///
    /// - Parameter removed: is told what was removed, some thousands of blocks at a time; pins wait
    ///   while it runs, so it has to be quick.
    @discardableResult
    public func collect(
        _ what: Collection, removed: (@Sendable ([Multihash]) -> Void)? = nil
    ) async throws(StoreError) -> CollectionReport {
        try checkOpen()
        return try await maintenance.run { () throws(StoreError) in
            try self.collectAndWait(what, removed)
        }
    }

    private func collectAndWait(
        _ what: Collection, _ removed: (@Sendable ([Multihash]) -> Void)?
    ) throws(StoreError) -> CollectionReport {
        let before = state.withLock { $0.statistics }
        try settleAndWait()
        try indexer.runAndWait { () throws(StoreError) in try self.prepareCollection(what) }
        var report = CollectionReport()
        if what == .everything, state.withLock({ $0.sessions.isEmpty }) {
            while true {
                let dropped = try indexer.runAndWait { () throws(StoreError) in
                    try self.dropUnusedReferences()
                }
                report.blocks += UInt64(dropped.count)
                if dropped.isEmpty { break }
                removed?(dropped.map(\.multihash))
            }
        }
        let cleanings = state.withLock { state in
            state.segments.values.filter(\.isComplete).sorted { $0.row.number < $1.row.number }
                .compactMap { self.cleaning($0, what) }
        }
        for cleaning in cleanings where claim(cleaning.segment) {
            defer { release(cleaning.segment) }
            var offset: UInt64? = 0
            while let start = offset {
                let step = try indexer.runAndWait { () throws(StoreError) in
                    try self.cleanStep(cleaning, from: start)
                }
                offset = step.next
                if !step.removed.isEmpty { removed?(step.removed.map(\.multihash)) }
            }
        }
        while try indexer.runAndWait({ () throws(StoreError) in
            defer { self.measureIndex() }
            return try self.index.compact(pages: 256)
        }) {}
        index.releaseMemory()
        let after = state.withLock { $0.statistics }
        report.blocks += after.collectedBlocks - before.collectedBlocks
        report.bytes = after.collectedBytes - before.collectedBytes
        return report
    }

    private func measureIndex() {
        let bytes = indexBytes()
        state.withLock { $0.indexBytes = bytes }
    }

    /// Lets go of the heads' segments that are to be cleaned, so that they can be.
    private func prepareCollection(_ what: Collection) throws(StoreError) {
        try flush()
        for head in heads.values {
            guard let number = head.segment,
                let segment = state.withLock({ $0.segments[number] }),
                cleaning(segment, what) != nil
            else { continue }
            try head.seal(state)
        }
        try flush()
    }

    /// How a segment is to be cleaned; nil if it is not.
    private func cleaning(_ segment: SegmentState, _ what: Collection) -> Cleaning? {
        guard !segment.isDamaged, segment.size > SegmentHeader.length else { return nil }
        let size = Int64(segment.size - SegmentHeader.length)
        let dead = size - segment.row.live
        let cache = segment.row.live - segment.row.retained
        let number = segment.row.number
        func cleaning(_ mercy: Mercy, freeing bytes: Int64) -> Cleaning {
            Cleaning(
                segment: number, mercy: mercy, manner: bytes >= size / 4 ? .remove : .forget)
        }
        switch what {
        case .everything:
            guard cache > 0 || dead >= size / 4 else { return nil }
            return cleaning(.none, freeing: dead + cache)
        case .expired:
            if let lifetime = options.cacheTTL, cache > 0 {
                let oldest = Clock.seconds - lifetime.components.seconds
                if segment.row.used < oldest { return cleaning(.none, freeing: dead + cache) }
                if segment.row.written < oldest { return cleaning(.used, freeing: dead + cache) }
            }
            guard dead >= size / 2 else { return nil }
            return Cleaning(segment: number, mercy: .used, manner: .remove)
        }
    }

    // MARK: Making room

    /// Cleans segments until `bytes` more fit under the limit; false if nothing can be freed.
    /// Runs on the indexer.
    func makeRoom(for bytes: UInt64) throws(StoreError) -> Bool {
        try flush()
        measureIndex()
        let limit = options.maxBytes - layout.scratch
        var rounds = 2 * state.withLock { $0.segments.count } + 8
        var isSealed = false
        while rounds > 0 {
            rounds -= 1
            let fits = state.withLock { $0.occupied + bytes <= limit }
            if fits { return true }
            guard let cleaning = victim() else {
                if !isSealed {
                    for head in heads.values { try head.seal(state) }
                    isSealed = true
                } else if !state.withLock({ $0.hasUnindexedSegment }) {
                    return false
                }
                try flush()
                continue
            }
            guard claim(cleaning.segment) else { continue }
            defer { release(cleaning.segment) }
            var offset: UInt64? = 0
            while let start = offset { offset = try cleanStep(cleaning, from: start).next }
            measureIndex()
        }
        return state.withLock { $0.occupied + bytes <= limit }
    }

    /// The segment whose cleaning frees most for its cost, among the quarter of them that was
    /// written longest ago; nil if cleaning frees nothing.
    func victim() -> Cleaning? {
        state.withLock { state in
            let eligible = state.segments.values.filter { segment in
                segment.isComplete && !segment.isBeingCleaned && !segment.isDamaged
                    && Self.gain(segment, state) > 0
            }.sorted { ($0.row.written, $0.row.number) < ($1.row.written, $1.row.number) }
            let oldest = eligible.prefix(max(1, eligible.count / 4))
            guard let best = oldest.max(by: { Self.worth($0, state) < Self.worth($1, state) })
            else { return nil }
            return Cleaning(segment: best.row.number, mercy: .used, manner: .remove)
        }
    }

    /// Bytes that cleaning a segment would free.
    private static func gain(_ segment: SegmentState, _ state: StoreState) -> Int64 {
        let size = Int64(segment.size)
        let stays = segment.row.retained + guarded(segment, state)
        // Cleaning for less than a disk block and a few records' worth would never end.
        return size - stays > max(size / 64, 4096) ? size - stays : 0
    }

    private static func guarded(_ segment: SegmentState, _ state: StoreState) -> Int64 {
        guard let oldest = state.oldestSession, segment.guardSession >= oldest else { return 0 }
        return min(
            segment.row.live - segment.row.retained,
            Int64(segment.guarded.count) * Int64(state.granularity))
    }

    /// Bytes freed for each byte read and moved; of equals, the first in order wins.
    private static func worth(_ segment: SegmentState, _ state: StoreState) -> Int64 {
        let size = Int64(segment.size)
        let used = min(segment.row.live, Int64(segment.used.count) * Int64(state.granularity))
        let stays = min(size, max(segment.row.retained, used))
        return (size - stays) * 16 / (size + stays + 1)
    }
}
