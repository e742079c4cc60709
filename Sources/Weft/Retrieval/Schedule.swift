// Who is asked for what, and when: the plan of one retrieval as a value. It performs no I/O and
// has no clock; events and the time come in, actions come out. Time counts from its beginning.
//
// A retrieval begins with one CAR stream from the best provider, because that needs no knowledge
// of the DAG and no round trip per level. If the reader has to wait for it and others have the
// content too, what will be read next is shared out: each gets a span of the file, as long as it
// proved to deliver in a while, and the stream goes on as far as nobody else was asked. The rules
// for handing out work are in Schedule+Assignment.swift and Schedule+Spans.swift.

import Multiformats
import NIOCore

/// The plan of one retrieval.
struct Schedule {
    struct ProviderID: Hashable, Comparable {
        let number: Int
        static func < (left: Self, right: Self) -> Bool { left.number < right.number }
    }

    struct JobID: Hashable {
        let number: Int
    }

    /// One request to one provider.
    enum Job: Hashable {
        case stream(RetrievalScope)
        case block(CID)
    }

    /// What the driver is to do.
    enum Action: Hashable {
        case start(JobID, ProviderID, Job)
        /// Stop a request; the fault is what its end is to be put down to.
        case cancel(JobID, Fault)
        case resume(JobID)
        case fail(CID, FetchError.Code)
    }

    struct Limits {
        var lookAhead = 16 << 20
        var requestsPerProvider = 8
        var stall: Duration = .seconds(10)
        /// How long a reader waits without any progress.
        var idle: Duration = .seconds(30)
        /// When a request of an unmeasured provider is worth doubling.
        var hedge: Duration = .milliseconds(800)
        /// How often a provider that broke off may try again when there is nobody else.
        var strikes = 3
    }

    /// A block that a reader waits for.
    struct Demand {
        let cid: CID
        let since: Duration
    }

    /// A provider's place in this retrieval.
    struct Seat {
        let id: ProviderID
        /// What was known beforehand: higher is asked earlier.
        let prior: Double
        /// Whether it stands for many who are watched over elsewhere: it is asked beside others
        /// from the beginning, and may be silent, because who brought something and was lost is
        /// sought there.
        let isMany: Bool
        var fault: Fault?
        var isDropped = false
        var isSuspended = false
        var strikes = 0
        var pausedUntil: Duration = .zero
        var streams = true
        var blocks = true
        var missing: Set<Multihash> = []
        var open = 0
        var trials = 0
        var pace = Pace()

        var isUsable: Bool { !isDropped && !isSuspended && (streams || blocks) }
    }

    /// A request that is open.
    struct Open {
        let provider: ProviderID
        let job: Job
        /// What it was asked for first.
        let goal: Multihash
        let begun: Duration
        var progress: Duration
        var blocks = 0
        /// Bytes since the last that counted as progress.
        var trickle = 0
        var isPaused = false
        /// Where in which file the last block belongs.
        var place: FileLayout.Place?
        /// What of a stream is wanted and has not come, in order; nil for whatever it brings.
        var span: [CID]?
    }

    /// How many bytes of an unfinished block count as progress.
    static let progressBytes = 4 << 10

    /// Whether one stream brings all, or everyone is asked for parts.
    enum Mode { case stream, pull }

    let scope: RetrievalScope
    let limits: Limits
    var mode = Mode.stream
    var seats: [Seat] = []
    var demands: [Demand] = []
    var hints: [CID] = []
    var open: [JobID: Open] = [:]
    /// Open requests for single blocks.
    var requested: [Multihash: [JobID]] = [:]
    var layout = FileLayout()
    var shelf: Shelf
    var isDiscovering = true
    var lastProgress: Duration = .zero
    var streamsStarted = 0
    var waited: Duration = .zero
    var waitingSince: Duration?
    var actions: [Action] = []
    /// When ``plan(now:)`` has to be called again even if nothing happens.
    var wake: Duration?
    private var nextJob = 0

    init(_ scope: RetrievalScope, limits: Limits) {
        self.scope = scope
        self.limits = limits
        self.shelf = Shelf(capacity: limits.lookAhead + (4 << 20))
        if scope.extent == .block { mode = .pull }
    }

    // MARK: Events

    /// A provider can be asked.
    mutating func joined(prior: Double, isMany: Bool = false) -> ProviderID {
        let id = ProviderID(number: seats.count)
        seats.append(Seat(id: id, prior: prior, isMany: isMany))
        return id
    }

    /// A reader waits for a block.
    mutating func want(_ cid: CID, now: Duration) {
        guard !demands.contains(where: { $0.cid.hash == cid.hash }) else { return }
        if demands.isEmpty { waitingSince = now }
        demands.append(Demand(cid: cid, since: now))
    }

    /// No reader waits for it any longer.
    mutating func unwant(_ hash: Multihash, now: Duration) {
        guard !demands.isEmpty else { return }
        demands.removeAll { $0.cid.hash == hash }
        guard demands.isEmpty, let since = waitingSince else { return }
        waited += now - since
        waitingSince = nil
    }

    /// Bytes of an answer came. A trickle is no progress: only every few KiB count.
    mutating func progressed(_ job: JobID, bytes: Int, now: Duration) {
        guard var entry = open[job] else { return }
        entry.trickle += bytes
        if entry.trickle >= Self.progressBytes {
            entry.trickle = 0
            entry.progress = now
            lastProgress = max(lastProgress, now)
        }
        open[job] = entry
    }

    /// A verified block came. Answers whether the stream that brought it may go on at once.
    mutating func arrived(
        _ cid: CID, _ bytes: ByteBuffer, children: [FileLayout.Child], by job: JobID, now: Duration
    ) -> Bool {
        // Nothing else refers to the entry while it is changed, or it would be copied.
        guard var entry = open.removeValue(forKey: job) else {
            layout.learn(cid, children: children)
            shelf.put(cid.hash, bytes)
            settle(cid.hash, by: job, now: now)
            return false
        }
        layout.learn(cid, children: children)
        if isExpected(cid.hash, by: entry) { shelf.put(cid.hash, bytes) }
        settle(cid.hash, by: job, now: now)
        fulfil(cid.hash, of: job, &entry)
        if entry.blocks == 0, entry.span == nil, case .stream = entry.job {
            settleRace(of: job, now: now)
        }
        entry.progress = now
        entry.blocks += 1
        entry.place = layout.place(of: cid.hash) ?? entry.place
        seats[entry.provider.number].pace.received(bytes.readableBytes, now: now)
        let goesOn = mayContinue(entry)
        if !goesOn {
            entry.isPaused = true
            seats[entry.provider.number].pace.ended(now: now)
        }
        open[job] = entry
        return goesOn
    }

    /// Nobody waits for a block any longer, of whomever it was asked.
    private mutating func settle(_ hash: Multihash, by job: JobID, now: Duration) {
        unwant(hash, now: now)
        lastProgress = max(lastProgress, now)
        guard !requested.isEmpty else { return }
        for other in requested[hash] ?? [] where other != job { giveUp(other, now: now) }
    }

    /// A request is over; with a fault, or as it should be.
    mutating func ended(_ job: JobID, fault: Fault?, now: Duration) {
        guard let entry = open.removeValue(forKey: job) else { return }
        let index = entry.provider.number
        seats[index].open -= 1
        if !entry.isPaused { seats[index].pace.ended(now: now) }
        if case .block(let cid) = entry.job { forget(job, asFor: cid.hash) }
        for cid in entry.span ?? [] { forget(job, asFor: cid.hash) }
        guard let fault else {
            seats[index].strikes = 0
            // A stream that leaves out what it was asked for would do so again.
            let isIncomplete =
                entry.span.map { !$0.isEmpty }
                ?? demands.contains { $0.cid.hash == entry.goal }
            if case .stream = entry.job, isIncomplete { seats[index].streams = false }
            return
        }
        punish(index, fault, entry: entry, now: now)
    }

    private mutating func punish(_ index: Int, _ fault: Fault, entry: Open, now: Duration) {
        if fault != .cancelled { seats[index].fault = fault }
        switch fault.consequence {
        case .none: break
        case .lacksThis:
            if case .missing(let cid, _) = fault {
                seats[index].missing.insert(cid.hash)
                // Nobody has the first thing that was asked for, so that this is over for now.
                seats[index].isDropped = seats[index].isDropped || !seats[index].pace.isProven
                return
            }
            switch entry.job {
            case .block(let cid): seats[index].missing.insert(cid.hash)
            case .stream(let scope): seats[index].missing.insert(scope.root.hash)
            }
        case .lacksForm:
            switch entry.job {
            case .block: seats[index].blocks = false
            case .stream: seats[index].streams = false
            }
        case .pause(let pause): seats[index].pausedUntil = now + pause
        case .suspend:
            // Whoever brought something before breaking off gets another chance sooner.
            seats[index].strikes += entry.blocks > 0 ? 1 : 2
            seats[index].isSuspended = true
        case .drop: seats[index].isDropped = true
        }
    }

    // MARK: Small rules

    /// Whether something is done as soon as there is more room.
    var waitsForRoom: Bool { mode == .pull || open.values.contains { $0.isPaused } }

    /// Whether something is done as soon as it is known what will be read next.
    var waitsForHints: Bool { mode == .pull || hints.count > 1 && seats.count > 1 }

    /// Whether a stream may bring more: there is room, or someone waits for what only it brings.
    func mayContinue(_ entry: Open) -> Bool {
        guard shelf.unreadBytes >= limits.lookAhead else { return true }
        return demands.contains { demand in
            entry.span?.contains { $0.hash == demand.cid.hash }
                ?? (requested[demand.cid.hash] == nil && covers(entry, demand.cid.hash))
        }
    }

    /// Whether a stream of whatever comes may still bring a block.
    func covers(_ entry: Open, _ hash: Multihash) -> Bool {
        guard case .stream = entry.job, entry.span == nil else { return false }
        guard let at = entry.place, let wanted = layout.place(of: hash), wanted.file == at.file
        else { return true }
        return wanted.offset >= at.offset
    }

    /// A second stream began to bring something: the one that makes no progress ends, or, if the
    /// other one recovered meanwhile, the newcomer.
    private mutating func settleRace(of newcomer: JobID, now: Duration) {
        for (job, entry) in open where job != newcomer && entry.span == nil {
            guard case .stream = entry.job else { continue }
            let recovered =
                entry.blocks > 0 && !entry.isPaused
                && now - entry.progress < patience(with: entry)
            if recovered {
                actions.append(.cancel(newcomer, .cancelled))
            } else {
                let fault: Fault = entry.blocks > 0 && !entry.isPaused ? .stalled : .cancelled
                actions.append(.cancel(job, fault))
            }
        }
    }

    /// How long a stream may bring nothing before another provider is asked as well.
    func patience(with entry: Open) -> Duration {
        guard let latency = seats[entry.provider.number].pace.latency else { return limits.hedge }
        return max(latency * 4, limits.hedge / 4)
    }

    /// Notes a request and asks the driver to start it.
    mutating func start(
        _ job: Job, at seat: Int, goal: Multihash, span: [CID]? = nil, now: Duration
    ) {
        let id = JobID(number: nextJob)
        nextJob += 1
        switch job {
        case .block(let cid): requested[cid.hash, default: []].append(id)
        case .stream: streamsStarted += 1
        }
        for cid in span ?? [] { requested[cid.hash, default: []].append(id) }
        open[id] = Open(
            provider: seats[seat].id, job: job, goal: goal, begun: now, progress: now, span: span)
        seats[seat].open += 1
        seats[seat].pace.began(now: now)
        actions.append(.start(id, seats[seat].id, job))
    }
}

/// How fast a provider is: bytes over the time in which at least one request was running.
struct Pace {
    private(set) var bytes = 0
    private var busy: Duration = .zero
    private var running = 0
    private var since: Duration = .zero
    private var asked: Duration = .zero
    /// How long the first answer took; nil before it.
    private(set) var latency: Duration?

    /// Whether anything came yet.
    var isProven: Bool { bytes > 0 }

    mutating func began(now: Duration) {
        if running == 0 { since = now }
        if latency == nil { asked = now }
        running += 1
    }

    mutating func ended(now: Duration) {
        guard running > 0 else { return }
        running -= 1
        if running == 0 { busy += now - since }
    }

    mutating func received(_ count: Int, now: Duration) {
        if latency == nil { latency = now - asked }
        bytes += count
    }

    /// Bytes a second so far; nil if nothing came yet.
    func rate(now: Duration) -> Double? {
        guard bytes > 0 else { return nil }
        let time = (busy + (running > 0 ? now - since : .zero)) / .seconds(1)
        return Double(bytes) / max(time, 0.000_1)
    }
}
