// What time does to the want table: requests that are late, sources that fall silent, sessions in
// which nothing moves.

import Multiformats
public import Wire

extension WantTable {
    /// How often late requests are looked at, at most.
    private static let reviewInterval: Duration = .milliseconds(25)

    /// When ``advance(to:)`` is to be called next; nil while nothing is wanted.
    public var deadline: Instant? {
        var next: Instant?
        for id in sessionOrder {
            guard let session = sessions[id] else { continue }
            if let source = session.streamSource, let entry = sources[source] {
                if session.isAlone { next = next.earlier(session.streamBegun + limits.alone) }
                if isAwaited(entry) { next = next.earlier(silenceEnd(of: entry)) }
            }
            guard session.wantCount > 0 else { continue }
            next = next.earlier(session.lastProgress + session.patience)
                .earlier(session.hedgeAt)
                .earlier(session.lastBroadcast + limits.rebroadcast)
            if !session.isSearching {
                let search = session.lastProgress + limits.search
                let again = session.lastSearch.map { $0 + limits.searchPause }
                next = next.earlier(again.map { max($0, search) } ?? search)
            }
            for source in session.order {
                guard let entry = sources[source], entry.isUsable else { continue }
                if entry.pausedUntil.nanoseconds > 0, !session.queue.isEmpty {
                    next = next.earlier(entry.pausedUntil)
                }
                if isAwaited(entry) { next = next.earlier(silenceEnd(of: entry)) }
            }
        }
        return next
    }

    /// Takes work away from those who fall silent, and asks everyone again after a while.
    mutating func watch(now: Instant) {
        for id in sessionOrder {
            for source in sessions[id]?.order ?? [] {
                guard let entry = sources[source] else { continue }
                if entry.pausedUntil.nanoseconds > 0, entry.pausedUntil <= now {
                    sources[source]?.pausedUntil = Instant(nanoseconds: 0)
                }
                guard entry.isUsable, isAwaited(entry), now >= silenceEnd(of: entry) else {
                    continue
                }
                failed(source, .broke, now: now)
                actions.append(.check(source))
            }
            if let session = sessions[id], session.wantCount > 0,
                now.since(session.lastBroadcast) >= limits.rebroadcast
            {
                sessions[id]?.lastBroadcast = now
                for source in session.order {
                    sessions[id]?.seats[source]?.missing = []
                    sessions[id]?.seats[source]?.silent = []
                    sessions[id]?.seats[source]?.misses = 0
                }
            }
        }
    }

    /// Whether a source has been asked for something that it may send.
    private func isAwaited(_ source: Source) -> Bool {
        !source.open.isEmpty || source.streams.contains { streamRoom(of: $0) > 0 }
    }

    /// Until when a source may be silent: several times as long as what it is to send next takes.
    private func silenceEnd(of source: Source) -> Instant {
        let start = max(source.lastActivity, source.idleUntil)
        guard let latency = source.pace.latency, let rate = source.pace.rate(now: start) else {
            return start + limits.stall / 2
        }
        let transfer = Duration.fraction(Double(source.open.first?.size ?? 1 << 20) / max(rate, 1))
        return start + min(max(latency * 4 + transfer * 4, .seconds(1)), limits.stall)
    }

    /// When a request is so late that another source is asked.
    func dueTime(of request: Request, now: Instant) -> Instant {
        let expectation = request.expected.since(request.begun)
        return max(
            request.expected + max(expectation, .milliseconds(100)), now + Self.reviewInterval)
    }

    /// Asks others for what is late, and for what a slow source would be the last to bring.
    mutating func reviewRequests(in id: SessionID, now: Instant) {
        guard let session = sessions[id], let at = session.hedgeAt else { return }
        let idle = session.queue.isEmpty ? idleSources(in: session, now: now) : []
        guard now >= at || !idle.isEmpty else { return }
        var next: Instant?
        for source in session.order {
            // The last of its requests is the furthest from being sent.
            for request in sources[source]?.open.all.reversed() ?? [] {
                guard let want = wants[request.hash], want.sessions[0] == id,
                    want.holders.count == 1
                else { continue }
                if !review(request, of: want, at: source, in: id, now: now) {
                    next = next.earlier(dueTime(of: request, now: now))
                }
            }
        }
        if !idle.isEmpty, next != nil { next = next.earlier(now + Self.reviewInterval) }
        sessions[id]?.hedgeAt = next
    }

    private func idleSources(in session: Session, now: Instant) -> [SourceID] {
        session.order.filter {
            guard let source = sources[$0] else { return false }
            return session.seats[$0]?.promise == .proven && source.open.isEmpty
                && hasRoom(source, in: session, now: now)
        }
    }

    /// Asks another source for what this one is late with, or would be. Returns whether it did.
    private mutating func review(
        _ request: Request, of want: Want, at id: SourceID, in sessionID: SessionID, now: Instant
    ) -> Bool {
        guard let session = sessions[sessionID], let source = sources[id],
            let (other, expectation) = bestOther(than: id, for: want, in: session, now: now)
        else { return false }
        let isLate = now >= dueTime(of: request, now: request.begun)
        let left = source.remaining(until: request.hash, now: now)
        let isFirst = source.open.first?.hash == request.hash
        let hasSentNothing = source.lastActivity <= request.begun
        // The order to stop has to be there before the block leaves.
        let gain = expectation * 2 + (source.pace.latency ?? .zero) * 2 + Self.reviewInterval
        guard isLate || (session.queue.isEmpty && left > (isFirst ? gain * 2 : gain)) else {
            return false
        }
        if isFirst && !hasSentNothing {
            // It is probably being sent: asking another as well may bring it twice.
            let budget = session.tally.bytes / 100 + UInt64(session.averageSize)
            guard session.hedgedBytes + UInt64(want.size) <= budget else { return false }
            sessions[sessionID]?.hedgedBytes += UInt64(want.size)
        } else {
            _ = drop(request.hash, at: id, now: now)
            actions.append(.cancel(id, want.cid))
        }
        self.request(want, from: other, in: sessionID, now: now)
        return true
    }

    /// The source that would bring a block soonest, and how soon.
    private func bestOther(
        than id: SourceID, for want: Want, in session: Session, now: Instant
    ) -> (SourceID, Duration)? {
        var best: (SourceID, Duration)?
        for other in session.order where other != id && !want.holders.contains(other) {
            guard let source = sources[other], hasRoom(source, in: session, now: now),
                let seat = session.seats[other], seat.promise != .unknown,
                !seat.missing.contains(want.cid.hash)
            else { continue }
            let expectation = source.expectation(of: want.size, now: now) ?? limits.hedge
            if best.map({ expectation < $0.1 }) ?? true { best = (other, expectation) }
        }
        return best
    }
}
