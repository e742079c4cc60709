// How several providers share a file: each is asked for spans of neighbouring blocks as one CAR
// (`entity-bytes` of IPIP-402), as long as it proved to deliver in a while. Where that does not
// pay, because the nodes above come along with each span, it is asked for single blocks. What a
// slow one is asked for lies so much further on that the reader need not wait for it.

import Multiformats

extension Schedule {
    /// How many spans a provider has at a time, so that it need not wait for the next request.
    private static let spansPerProvider = 2
    /// How long a provider works at one span.
    private static let spanTime = 0.5
    /// The nodes above a span may take one part in so many of it.
    private static let overheadShare: UInt64 = 100

    /// Hands out what will be read next, as far ahead of the reader as memory allows.
    mutating func shareOut(now: Duration) {
        let usable = seats.count { $0.isUsable }
        if usable < 2, scope.extent != .block, !open.values.contains(where: { $0.span != nil }) {
            // Nobody is left to share with; the next demand starts a stream.
            mode = .stream
        }
        for (job, entry) in open.sorted(by: { $0.key.number < $1.key.number })
        where isStream(entry.job) && entry.span == nil && entry.blocks > 0 {
            keepSpan(of: job, now: now)
        }
        var budget = limits.lookAhead - shelf.unreadBytes
        for hash in requested.keys { budget -= expectedSize(hash) }
        extendStreams(&budget, now: now)
        var progress = true
        while progress && budget > 0 {
            progress = false
            for index in seats.indices where seats[index].isUsable && budget > 0 {
                guard seats[index].pausedUntil <= now,
                    let cids = assignment(for: index, budget: budget, now: now)
                else { continue }
                for cid in cids { budget -= expectedSize(cid.hash) }
                begin(cids, at: index, now: now)
                progress = true
            }
        }
        relieve(now: now)
    }

    /// What a provider is to be asked for next; nil if it has enough to do.
    private func assignment(for index: Int, budget: Int, now: Duration) -> [CID]? {
        let seat = seats[index]
        let singles = depth(of: seat, now: now)
        guard seat.open < max(Self.spansPerProvider, singles),
            // A stream that goes on is what its provider is best at.
            !open.values.contains(where: {
                $0.provider == seat.id && $0.span != nil && goesOn($0)
            })
        else { return nil }
        let wanted = missingHints(at: seat, within: budget)
        guard !wanted.isEmpty else { return nil }
        guard let rate = seat.pace.rate(now: now) else {
            return seat.open == 0 ? [wanted[min(wanted.count - 1, 4)]] : nil
        }
        let others = rateOfOthers(than: seat, now: now)
        if seat.streams {
            let size = Double(max(1, expectedSize(wanted[0].hash)))
            let full = min(rate * Self.spanTime, Double(limits.lookAhead / 4))
            let share = Double(wanted.count) * rate / (rate + others)
            let count = Int(max(1, min(rate * Self.spanTime / size, share)))
            // What it already has to bring comes before.
            let owed = Double(owedBytes(by: seat.id)) / size + Double(count)
            let first = Int(min(others / rate * owed, 1e6))
            guard seat.open == 0 || first + count <= wanted.count else { return nil }
            let start = min(first, wanted.count - count)
            let run = neighbours(in: wanted[start..<(start + count)])
            if pays(run) || !seat.blocks {
                return seat.open < Self.spansPerProvider ? run : nil
            }
            // Memory has room for little just now: soon it has room for a span.
            let isCut = start + run.count == wanted.count && Double(wanted.count) < full / size
            if isCut, seat.open > 0 { return nil }
        }
        guard seat.blocks, seat.open < singles else { return nil }
        return [wanted[min(wanted.count - 1, Int(min(others / max(rate, 1), 64)))]]
    }

    /// The first of these blocks and those leaves that follow it without a gap.
    private func neighbours(in wanted: ArraySlice<CID>) -> [CID] {
        guard let first = wanted.first else { return [] }
        guard isLeaf(first), var last = layout.place(of: first.hash) else { return [first] }
        var run = [first]
        for cid in wanted.dropFirst() {
            guard let place = layout.place(of: cid.hash), place.file == last.file,
                place.offset == last.end, isLeaf(cid)
            else { break }
            run.append(cid)
            last = place
        }
        return run
    }

    /// Whether a span costs little more than its blocks.
    private func pays(_ run: [CID]) -> Bool {
        guard run.count > 1, let above = layout.place(of: run[0].hash)?.above else { return false }
        let bytes = run.reduce(UInt64(0)) { $0 + UInt64(expectedSize($1.hash)) }
        return above <= bytes / Self.overheadShare
    }

    /// Asks a provider for neighbouring blocks.
    private mutating func begin(_ cids: [CID], at index: Int, now: Duration) {
        guard let first = layout.place(of: cids[0].hash), seats[index].streams,
            cids.count > 1 || !seats[index].blocks,
            let last = cids.last.flatMap({ layout.place(of: $0.hash) }), let end = last.end
        else {
            return start(.block(cids[0]), at: index, goal: cids[0].hash, now: now)
        }
        let bytes = RetrievalScope.Bytes(
            from: Int64(clamping: first.offset), through: Int64(clamping: end) - 1)
        start(
            .stream(RetrievalScope(root: first.file, extent: .entity(bytes))), at: index,
            goal: cids[0].hash, span: cids, now: now)
    }

    // MARK: Streams that go on

    /// Lets a stream of everything bring its share alone; its end is put off as long as what comes
    /// next has not been given to others.
    mutating func keepSpan(of job: JobID, now: Duration) {
        guard let entry = open[job] else { return }
        open[job]?.span = []
        var budget = limits.lookAhead - shelf.unreadBytes
        extend(job, seats[entry.provider.number], &budget, now: now)
        if open[job]?.span?.isEmpty == true { actions.append(.cancel(job, .cancelled)) }
    }

    private mutating func extendStreams(_ budget: inout Int, now: Duration) {
        for job in open.keys.sorted(by: { $0.number < $1.number }) {
            guard let entry = open[job], let span = entry.span, goesOn(entry) else { continue }
            let left = span.reduce(0) { $0 + expectedSize($1.hash) }
            let seat = seats[entry.provider.number]
            let rate = seat.pace.rate(now: now) ?? 0
            if Double(left) < rate * Self.spanTime { extend(job, seat, &budget, now: now) }
        }
    }

    /// Whether a stream brings more behind its span unless it is stopped.
    private func goesOn(_ entry: Open) -> Bool {
        guard case .stream(let scope) = entry.job, case .entity(let bytes) = scope.extent else {
            return false
        }
        return bytes?.through == nil
    }

    private mutating func extend(
        _ job: JobID, _ seat: Seat, _ budget: inout Int, now: Duration
    ) {
        guard let entry = open[job], var span = entry.span, budget > 0,
            let place = span.last.flatMap({ layout.place(of: $0.hash) }) ?? entry.place
        else { return }
        let wanted = missingHints(at: seat, within: budget)
        let next = wanted.firstIndex { cid in
            layout.place(of: cid.hash).map { $0.file == place.file && $0.offset == place.end }
                ?? false
        }
        guard let next, let rate = seat.pace.rate(now: now) else { return }
        let share = rate / (rate + rateOfOthers(than: seat, now: now))
        let most = min(rate * Self.spanTime, Double(budget) * share)
        var added = 0
        for cid in neighbours(in: wanted[next...]) where Double(added) < most {
            span.append(cid)
            requested[cid.hash, default: []].append(job)
            added += expectedSize(cid.hash)
        }
        budget -= added
        open[job]?.span = span
    }

    // MARK: The slow tail

    /// When others are asked for a block that a reader waits for and that is in a span.
    func spanDue(_ entry: Open, _ span: [CID], _ demand: Demand, now: Duration) -> Duration {
        let stuck = entry.progress + patience(with: entry)
        let seat = seats[entry.provider.number]
        guard let rate = seat.pace.rate(now: now) else { return stuck }
        var bytes = 0
        for cid in span {
            bytes += expectedSize(cid.hash)
            if cid.hash == demand.cid.hash { break }
        }
        let expected = 2 * Double(bytes * max(1, seat.open)) / rate
        return min(stuck, demand.since + max(.seconds(expected), limits.hedge / 4))
    }

    /// Gives half of what the slowest still has to bring to one that has nothing to do.
    private mutating func relieve(now: Duration) {
        for index in seats.indices {
            let seat = seats[index]
            guard seat.isUsable, seat.open == 0, seat.pausedUntil <= now,
                missingHints(at: seat).isEmpty, let rate = seat.pace.rate(now: now),
                let (victim, span) = slowest(besides: seat.id, now: now), span.count > 1
            else { continue }
            let tail = Array(span.suffix(span.count / 2))
            let bytes = tail.reduce(0) { $0 + expectedSize($1.hash) }
            let own = Double(bytes) / rate + (seat.pace.latency ?? .zero) / .seconds(1)
            guard timeLeft(of: victim, now: now) > 2 * own else { continue }
            for cid in tail { forget(victim, asFor: cid.hash) }
            open[victim]?.span = Array(span.prefix(span.count - tail.count))
            begin(tail, at: index, now: now)
        }
    }

    /// The span of another provider that will take longest.
    private func slowest(besides seat: ProviderID, now: Duration) -> (JobID, [CID])? {
        var found: (job: JobID, span: [CID], time: Double)?
        for (job, entry) in open.sorted(by: { $0.key.number < $1.key.number })
        where entry.provider != seat {
            guard let span = entry.span, !span.isEmpty else { continue }
            let time = timeLeft(of: job, now: now)
            if time > found?.time ?? -1 { found = (job, span, time) }
        }
        return found.map { ($0.job, $0.span) }
    }

    /// Seconds until a span will be complete.
    private func timeLeft(of job: JobID, now: Duration) -> Double {
        guard let entry = open[job], let span = entry.span else { return 0 }
        let seat = seats[entry.provider.number]
        let bytes = span.reduce(0) { $0 + expectedSize($1.hash) }
        return Double(bytes * max(1, seat.open)) / max(seat.pace.rate(now: now) ?? 1, 1)
    }

    /// How many bytes of spans and blocks a provider has been asked for and has not brought.
    private func owedBytes(by seat: ProviderID) -> Int {
        open.values.reduce(0) { sum, entry in
            guard entry.provider == seat else { return sum }
            switch entry.job {
            case .block(let cid): return sum + expectedSize(cid.hash)
            case .stream:
                return sum + (entry.span ?? []).reduce(0) { $0 + expectedSize($1.hash) }
            }
        }
    }

    // MARK: Bookkeeping

    /// Whether a block belongs on the shelf: the nodes above a span come again with each.
    func isExpected(_ hash: Multihash, by entry: Open) -> Bool {
        guard let span = entry.span else { return true }
        return span.contains { $0.hash == hash } || demands.contains { $0.cid.hash == hash }
            || hints.contains { $0.hash == hash }
    }

    /// A block of a span came; a stream that would go on behind its span ends with it.
    mutating func fulfil(_ hash: Multihash, of job: JobID, _ entry: inout Open) {
        guard let span = entry.span, span.contains(where: { $0.hash == hash }) else { return }
        let left = span.filter { $0.hash != hash }
        entry.span = left
        forget(job, asFor: hash)
        guard left.isEmpty else { return }
        if isCut(entry, after: hash) { actions.append(.cancel(job, .cancelled)) }
    }

    /// Whether a request asks for more than the block that came last.
    private func isCut(_ entry: Open, after hash: Multihash) -> Bool {
        guard case .stream(let scope) = entry.job, case .entity(let bytes?) = scope.extent,
            let through = bytes.through, let end = layout.place(of: hash)?.end
        else { return true }
        return end <= UInt64(max(0, through))
    }

    /// Ends a request one of whose blocks another one brought.
    mutating func giveUp(_ job: JobID, now: Duration) {
        guard let entry = open[job] else { return }
        let isStuck =
            entry.span != nil && !entry.isPaused
            && now - entry.progress >= patience(with: entry)
        actions.append(.cancel(job, isStuck ? .stalled : .cancelled))
        for cid in entry.span ?? [] { forget(job, asFor: cid.hash) }
        if entry.span != nil { open[job]?.span = [] }
    }

    /// A request does not stand for a block any more.
    mutating func forget(_ job: JobID, asFor hash: Multihash) {
        requested[hash]?.removeAll { $0 == job }
        if requested[hash]?.isEmpty == true { requested[hash] = nil }
    }

    // MARK: Rules of thumb

    /// Whether a block may hold content itself.
    func isLeaf(_ cid: CID) -> Bool { cid.codec == .raw || layout.mayBeLeaf(cid) }

    /// What will be read next and is neither here nor asked for.
    func missingHints(at seat: Seat) -> [CID] {
        hints.filter {
            requested[$0.hash] == nil && !shelf.contains($0.hash) && !lacks(seat, $0)
        }
    }

    /// The first of them, as many as memory has room for but one at least.
    private func missingHints(at seat: Seat, within budget: Int) -> [CID] {
        var left = budget
        let wanted = missingHints(at: seat)
        let end = wanted.firstIndex { cid in
            left -= expectedSize(cid.hash)
            return left < 0
        }
        return Array(wanted.prefix(max(1, end ?? wanted.count)))
    }

    func expectedSize(_ hash: Multihash?) -> Int {
        let hash = hash ?? hints.first?.hash
        let size = hash.flatMap { layout.place(of: $0)?.size } ?? 1 << 18
        return Int(clamping: min(size, 2 << 20))
    }

    /// How many single blocks a provider is asked for at a time: one until it proved itself, then
    /// about as much as it delivers in half a second.
    private func depth(of seat: Seat, now: Duration) -> Int {
        guard let rate = seat.pace.rate(now: now) else { return 1 }
        let blocks = rate / 2 / Double(max(1, expectedSize(nil)))
        return max(2, min(limits.requestsPerProvider, Int(min(blocks, 1000))))
    }

    /// What the other providers deliver together, in bytes a second.
    private func rateOfOthers(than seat: Seat, now: Duration) -> Double {
        seats.reduce(0) { sum, other in
            guard other.id != seat.id, other.isUsable else { return sum }
            return sum + (other.pace.rate(now: now) ?? 0)
        }
    }
}
