// Sources of different rate and temper before one want table, on a virtual clock: what a seed
// begins, it repeats.

import Exchange
import Multiformats
import Testing
import Wire

/// Someone who sends blocks one after the other, as fast as its line is.
struct ModelSource {
    enum Temper {
        case honest
        /// Sends bytes that do not match.
        case lies
        /// Sends nothing any longer after this many blocks.
        case vanishes(afterBlocks: Int)
        /// Has every block whose index is a multiple of this.
        case hasEvery(Int)
    }

    /// Bytes a second.
    let rate: Double
    /// One way, in seconds.
    let latency: Double
    var temper = Temper.honest
    var standing = WantTable.Standing.provider
}

/// A download of blocks 0..<count through one table.
struct TableSwarm: CustomStringConvertible {
    enum Event {
        case asked(Int, CID)
        case probed(Int, CID)
        case cancelled(Int, CID)
        case sent(Int, ticket: Int)
        case brought(Int, CID)
        case absent(Int, CID)
        case present(Int, CID)
        case wake
    }

    struct Scheduled {
        let at: Instant
        let number: Int
        let event: Event
    }

    private struct Line {
        var queue: [CID] = []
        var sending: (cid: CID, ticket: Int)?
        var sent = 0
        var isGone = false
    }

    let models: [ModelSource]
    let blockSize: Int
    let cids: [CID]
    var table: WantTable
    var session: WantTable.SessionID
    var ids: [WantTable.SourceID] = []
    /// When each block came, in seconds.
    var arrival: [Double?]
    var broughtBy: [Int: Int] = [:]
    var failures: [WantTable.Failure] = []
    var surplus = 0
    var now = Instant(nanoseconds: 1_000_000_000)
    /// How far ahead of the reader blocks are wanted.
    var lookAhead: Int
    private var lines: [Line]
    private var events: [Scheduled] = []
    private var nextNumber = 0
    private var wanted = 0
    private var read = 0
    private let indexOf: [Multihash: Int]
    private var wakeAt: Instant?

    init(
        _ models: [ModelSource], blocks: Int, blockSize: Int, lookAhead: Int = .max,
        limits: WantTable.Limits = .init()
    ) {
        var limits = limits
        limits.room = 64 << 20
        self.models = models
        self.blockSize = blockSize
        self.lookAhead = lookAhead
        cids = (0..<blocks).map { index in
            var bytes: [UInt8] = []
            bytes.appendLittleEndian(UInt64(index))
            return CID(.raw, .sha2_256(of: bytes.rawSpan))
        }
        indexOf = Dictionary(uniqueKeysWithValues: zip(cids.map(\.hash), 0...))
        arrival = Array(repeating: nil, count: blocks)
        lines = models.map { _ in Line() }
        table = WantTable(limits: limits)
        session = table.openSession(now: now)
        for model in models {
            let id = table.addSource(
                .init(
                    probing: model.standing == .neighbour ? .answersHave : .none,
                    streaming: .none, requests: 512), now: now)
            table.join(id, in: session, as: model.standing)
            ids.append(id)
        }
    }

    var seconds: Double { Double(now.nanoseconds) / 1e9 - 1 }
    var isComplete: Bool { !arrival.contains { $0 == nil } }

    var description: String {
        "\(seconds) s, \(arrival.count { $0 != nil }) of \(cids.count) blocks, \(broughtBy), "
            + "\(surplus) twice, \(failures.first.map { "\($0)" } ?? "no failures")"
    }

    mutating func run(until limit: Double = 600) {
        wantMore()
        drain()
        while seconds < limit, !isComplete, failures.isEmpty, let next = popFirst() {
            now = max(now, next.at)
            handle(next.event)
            wantMore()
            drain()
        }
    }

    private mutating func wantMore() {
        while read < cids.count, arrival[read] != nil { read += 1 }
        let end = lookAhead > cids.count ? cids.count : min(cids.count, read + lookAhead)
        while wanted < end {
            let cid = cids[wanted]
            guard
                table.want(
                    cid, at: UInt64(wanted) * UInt64(blockSize), size: blockSize, in: session,
                    now: now)
            else { return }
            wanted += 1
        }
    }

    private mutating func drain() {
        while let action = table.nextAction(now: now) {
            switch action {
            case .request(let id, let cid): send(.asked(index(id), cid), to: id)
            case .probe(let id, let cid): send(.probed(index(id), cid), to: id)
            case .cancel(let id, let cid): send(.cancelled(index(id), cid), to: id)
            case .discover(let id, _): table.discovered(id)
            case .fail(_, _, let failure): failures.append(failure)
            case .check: break
            case .stream, .cancelStream, .abandonStream, .streamOver:
                Issue.record("nobody here streams")
            }
        }
        guard let deadline = table.deadline, wakeAt.map({ deadline < $0 || $0 <= now }) ?? true
        else { return }
        wakeAt = max(deadline, now)
        schedule(.wake, after: Double(deadline.since(now).wholeNanoseconds) / 1e9)
    }

    private func index(_ id: WantTable.SourceID) -> Int { ids.firstIndex(of: id) ?? 0 }

    private mutating func send(_ event: Event, to id: WantTable.SourceID) {
        schedule(event, after: models[index(id)].latency)
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .asked(let source, let cid):
            if case .hasEvery(let step) = models[source].temper,
                let index = indexOf[cid.hash], index % step != 0
            {
                schedule(.absent(source, cid), after: models[source].latency)
            } else {
                lines[source].queue.append(cid)
                startSending(source)
            }
        case .probed(let source, let cid):
            var has = true
            if case .hasEvery(let step) = models[source].temper, let index = indexOf[cid.hash] {
                has = index % step == 0
            }
            schedule(
                has ? .present(source, cid) : .absent(source, cid),
                after: models[source].latency)
        case .cancelled(let source, let cid): lines[source].queue.removeAll { $0 == cid }
        case .sent(let source, let ticket):
            guard let sending = lines[source].sending, sending.ticket == ticket else { return }
            lines[source].sending = nil
            lines[source].sent += 1
            schedule(.brought(source, sending.cid), after: models[source].latency)
            startSending(source)
        case .brought(let source, let cid):
            if case .lies = models[source].temper {
                table.failed(ids[source], .lied, now: now)
                return
            }
            broughtBy[source, default: 0] += 1
            switch table.arrived(
                cid.hash, byteCount: blockSize, from: ids[source], now: now)
            {
            case .wanted: arrival[indexOf[cid.hash] ?? 0] = seconds
            case .surplus: surplus += 1
            }
        case .absent(let source, let cid): table.lacks(cid.hash, ids[source], .answer, now: now)
        case .present(let source, let cid): table.has(cid.hash, ids[source], now: now)
        case .wake:
            wakeAt = nil
            table.advance(to: now)
        }
    }

    private mutating func startSending(_ source: Int) {
        if case .vanishes(let count) = models[source].temper, lines[source].sent >= count {
            return
        }
        guard lines[source].sending == nil, !lines[source].queue.isEmpty else { return }
        let cid = lines[source].queue.removeFirst()
        nextNumber += 1
        lines[source].sending = (cid, nextNumber)
        schedule(
            .sent(source, ticket: nextNumber), after: Double(blockSize) / models[source].rate)
    }

    private mutating func schedule(_ event: Event, after seconds: Double) {
        nextNumber += 1
        let at = now + .nanoseconds(Int64(seconds * 1e9))
        let entry = Scheduled(at: at, number: nextNumber, event: event)
        var low = 0
        var high = events.count
        // The soonest is last.
        while low < high {
            let middle = (low + high) / 2
            if (events[middle].at, events[middle].number) > (at, nextNumber) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        events.insert(entry, at: low)
    }

    private mutating func popFirst() -> Scheduled? { events.popLast() }
}
