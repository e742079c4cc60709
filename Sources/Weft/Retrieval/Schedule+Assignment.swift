// How a retrieval hands out work: what a reader waits for first, then what it will read next.

import Exchange
import Multiformats

extension Schedule {
    /// How many bytes a provider must have brought before its rate is judged.
    private static let trialBytes = 16 << 10

    /// Looks at everything again: gives up what stalls, hands out work, fails what nobody can
    /// bring. Its result is in ``actions`` and ``wake``.
    mutating func plan(now: Duration) {
        let before = open.count
        look(now: now)
        // What was started just now has deadlines of its own.
        if open.count > before { look(now: now) }
    }

    private mutating func look(now: Duration) {
        wake = nil
        dropStalled(now: now)
        resumePaused(now: now)
        let waiting = demands
        for demand in waiting { serve(demand, now: now) }
        switch mode {
        case .stream: considerSharing(now: now)
        case .pull: shareOut(now: now)
        }
    }

    /// The actions since the last call, in order.
    mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    // MARK: Demands

    private mutating func serve(_ demand: Demand, now: Duration) {
        let hash = demand.cid.hash
        let asked = open.filter { id, entry in
            requested[hash]?.contains(id) == true || covers(entry, hash)
        }
        if asked.isEmpty {
            if let seat = bestSeat(for: demand.cid, now: now) {
                ask(seat, for: demand.cid, now: now)
            } else if reviveSuspended(), let seat = bestSeat(for: demand.cid, now: now) {
                ask(seat, for: demand.cid, now: now)
            } else if isHopeless(hash) {
                actions.append(.fail(demand.cid, blame()))
            }
        } else if asked.count < 2 {
            let due = asked.values.map { hedgeTime($0, demand, now: now) }.max() ?? now
            if now < due {
                wakeUp(at: due)
            } else if let seat = bestSeat(
                for: demand.cid, now: now, besides: Set(asked.values.map(\.provider)))
            {
                ask(seat, for: demand.cid, now: now)
            }
        }
        let latest = max(demand.since, lastProgress) + limits.idle
        if now >= latest {
            actions.append(.fail(demand.cid, .deadline))
        } else {
            wakeUp(at: latest)
        }
    }

    /// When another provider is asked for what is already being waited for.
    private func hedgeTime(_ entry: Open, _ demand: Demand, now: Duration) -> Duration {
        let pace = seats[entry.provider.number].pace
        if seats[entry.provider.number].isMany, !pace.isProven { return entry.begun }
        switch entry.job {
        case .stream:
            if let span = entry.span { return spanDue(entry, span, demand, now: now) }
            // A trickle is progress, but it does not buy time for ever.
            return min(entry.progress + patience(with: entry), demand.since + limits.stall / 2)
        case .block:
            guard let latency = pace.latency, let rate = pace.rate(now: now) else {
                return entry.begun + limits.hedge
            }
            let size = Double(layout.place(of: demand.cid.hash)?.size ?? 1 << 20)
            let share = Double(max(1, seats[entry.provider.number].open))
            let transfer: Double = 2 * size * share / rate
            let expected = latency * 2 + Duration.seconds(transfer)
            return entry.begun + max(expected, limits.hedge / 8)
        }
    }

    /// The best provider that is free and may have the block.
    private mutating func bestSeat(
        for cid: CID, now: Duration, besides: Set<ProviderID> = []
    ) -> Int? {
        var best: (index: Int, score: Double)?
        for (index, seat) in seats.enumerated()
        where seat.isUsable && seat.open < limits.requestsPerProvider
            && !besides.contains(seat.id) && !lacks(seat, cid)
            && (seat.blocks || isStreamed(cid, by: seat))
        {
            guard seat.pausedUntil <= now else {
                wakeUp(at: seat.pausedUntil)
                continue
            }
            let score = seat.pace.rate(now: now) ?? seat.prior
            if best.map({ score > $0.score }) ?? true { best = (index, score) }
        }
        return best?.index
    }

    func lacks(_ seat: Seat, _ cid: CID) -> Bool {
        guard !seat.missing.isEmpty else { return false }
        return seat.missing.contains(cid.hash)
            || (!seat.pace.isProven && seat.missing.contains(scope.root.hash))
    }

    /// Whether a provider is to be asked for a stream that begins with a block, rather than for
    /// the block.
    private func isStreamed(_ cid: CID, by seat: Seat) -> Bool {
        let streams = open.values.count { isStream($0.job) && $0.span == nil }
        guard seat.streams, streams < 2 else { return false }
        guard seat.blocks else { return true }
        // A block before the part that is wanted (to tell the type of a file) is wanted alone.
        if case .entity(let bytes?) = scope.extent, let place = layout.place(of: cid.hash),
            bytes.from > 0, place.size <= UInt64(bytes.from),
            place.offset <= UInt64(bytes.from) - place.size
        {
            return false
        }
        let isAlone = seats.count { $0.isUsable } == 1
        return (cid.codec != .raw || layout.place(of: cid.hash) != nil)
            && (mode == .stream || (isAlone && scope.extent != .block))
    }

    /// Asks one provider for a block and, if it can stream, for what comes after it.
    private mutating func ask(_ index: Int, for cid: CID, now: Duration) {
        let job: Job =
            isStreamed(cid, by: seats[index]) ? .stream(streamScope(for: cid)) : .block(cid)
        start(job, at: index, goal: cid.hash, now: now)
    }

    /// What to ask for so that the answer begins with a block and goes on as the reader will.
    private func streamScope(for cid: CID) -> RetrievalScope {
        if let place = layout.place(of: cid.hash) {
            var through: Int64?
            if case .entity(let bytes) = scope.extent, let end = bytes?.through,
                end >= 0, UInt64(end) >= place.offset
            {
                through = end
            }
            let from = Int64(clamping: place.offset)
            return RetrievalScope(
                root: place.file, extent: .entity(.init(from: from, through: through)))
        }
        if streamsStarted == 0 || cid.hash == scope.root.hash { return scope }
        if open.values.contains(where: { $0.blocks == 0 && $0.job == .stream(scope) }) {
            return scope
        }
        return RetrievalScope(root: cid, extent: scope.extent == .all ? .all : .entity(nil))
    }

    // MARK: Work ahead of the reader

    /// Whether others should help a stream: the reader waits for it most of the time, and much is
    /// left. Whoever might help first proves it with one block from further on.
    private mutating func considerSharing(now: Duration) {
        let streams = open.filter { isStream($0.value.job) && $0.value.blocks > 0 }
        guard streams.count == 1, let stream = streams.first?.value, hints.count > 1 else {
            return
        }
        let others = seats.indices.filter {
            seats[$0].isUsable && seats[$0].blocks && seats[$0].id != stream.provider
                && seats[$0].pausedUntil <= now
        }
        guard !others.isEmpty else { return }
        let running = now - stream.begun
        guard running >= .milliseconds(100) else {
            return wakeUp(at: stream.begun + .milliseconds(100))
        }
        let waiting = waited + (waitingSince.map { now - $0 } ?? .zero)
        guard waiting * 2 > running,
            let rate = seats[stream.provider.number].pace.rate(now: now)
        else { return }
        if let place = stream.place, let size = layout.size(of: place.file) {
            let left = Double(size - min(size, place.offset))
            guard left / rate > 0.25 else { return }
        }
        for other in others {
            let seat = seats[other]
            if seat.pace.bytes >= Self.trialBytes || seat.trials >= 3,
                let helping = seat.pace.rate(now: now)
            {
                guard helping * Double(limits.requestsPerProvider) > rate / 4 else { continue }
                mode = .pull
                return shareOut(now: now)
            }
            let wanted = missingHints(at: seat).filter(isLeaf)
            if seat.open == 0, seat.trials < 3, wanted.count > 1 {
                let trial = wanted[wanted.count / 2]
                seats[other].trials += 1
                start(.block(trial), at: other, goal: trial.hash, now: now)
            }
        }
    }

    // MARK: Giving up

    private mutating func dropStalled(now: Duration) {
        for (job, entry) in open.sorted(by: { $0.key.number < $1.key.number })
        where !entry.isPaused && !seats[entry.provider.number].isMany {
            let due = entry.progress + limits.stall
            if now >= due {
                actions.append(.cancel(job, .stalled))
                ended(job, fault: .stalled, now: now)
            } else {
                wakeUp(at: due)
            }
        }
    }

    private mutating func resumePaused(now: Duration) {
        for (job, entry) in open.sorted(by: { $0.key.number < $1.key.number })
        where entry.isPaused && mayContinue(entry) {
            open[job]?.isPaused = false
            open[job]?.progress = now
            seats[entry.provider.number].pace.began(now: now)
            actions.append(.resume(job))
        }
    }

    /// Lets those who broke off try again; false if there is none left who may.
    private mutating func reviveSuspended() -> Bool {
        guard !seats.contains(where: { $0.isUsable && $0.open > 0 }), !isDiscovering else {
            return false
        }
        var revived = false
        for index in seats.indices
        where seats[index].isSuspended && seats[index].strikes < limits.strikes {
            seats[index].isSuspended = false
            revived = true
        }
        return revived
    }

    /// Whether nobody is left who could bring a block.
    private func isHopeless(_ hash: Multihash) -> Bool {
        guard !isDiscovering else { return false }
        return seats.allSatisfy { seat in
            !seat.isUsable || seat.missing.contains(hash)
                || (!seat.pace.isProven && seat.missing.contains(scope.root.hash))
        }
    }

    /// Why a block could not be had, in one word.
    private func blame() -> FetchError.Code {
        let faults = seats.compactMap(\.fault)
        for fault in faults {
            switch fault {
            case .lied, .missing(_, .unverifiable): return .unverifiable
            default: break
            }
        }
        let isAbsent = faults.allSatisfy {
            switch $0 {
            case .absent, .missing(_, .absent): true
            default: false
            }
        }
        return isAbsent ? .notFound : .network
    }

    func isStream(_ job: Job) -> Bool {
        if case .stream = job { true } else { false }
    }

    mutating func wakeUp(at time: Duration) {
        wake = wake.map { min($0, time) } ?? time
    }
}
