// The driver of one retrieval: it owns the tasks and the timer, and does what the schedule says.
// All decisions are in Schedule; here are only tasks, waiting readers and the trace.

import AsyncHTTPClient
import BlockStore
import Multiformats
import NIOCore
import Synchronization

/// The driver of one retrieval. Its tasks hold it; ``close()`` ends them.
final class RetrievalCore: Sendable {
    let scope: RetrievalScope
    let policy: Retrieval.Policy
    private let storing: Retrieval.Storing
    let limits: MeshOptions
    let trace: Trace
    let shared: Retrieval.Shared

    private typealias Reader = CheckedContinuation<ByteBuffer, any Error>

    private struct State {
        var schedule: Schedule
        var readers: [Multihash: [Int: Reader]] = [:]
        var nextReader = 0
        var tasks: [Schedule.JobID: Task<Void, Never>] = [:]
        /// Why requests were stopped.
        var reasons: [Schedule.JobID: Fault] = [:]
        /// Readers to be resumed and tasks to be cancelled once the lock is let go: both take the
        /// task's own lock, and a task that is being cancelled holds that while it waits for ours.
        var delivered: [(ByteBuffer, [Reader])] = []
        var stopped: [Task<Void, Never>] = []
        var oldTimers: [Scheduled<Void>] = []
        var paused: [Schedule.JobID: CheckedContinuation<Void, Never>] = [:]
        var providers: [BlockProvider] = []
        /// What the node's peers are asked for.
        var peers: MeshSession?
        var names: Set<String> = []
        var tallies: [Tally] = []
        var discovery: Task<Void, Never>?
        var timer: (at: Duration, task: Scheduled<Void>)?
        var failure: FetchError?
        var isClosed = false
    }

    /// What the single blocks of one provider came to, for one line of the trace.
    private struct Tally {
        var mark: Trace.Mark?
        var blocks = 0
        var bytes: UInt64 = 0
    }

    private let state: Mutex<State>
    private let began = ContinuousClock.now

    init(
        _ scope: RetrievalScope, policy: Retrieval.Policy, storing: Retrieval.Storing,
        limits: MeshOptions, trace: Trace, shared: Retrieval.Shared
    ) {
        self.scope = scope
        self.policy = policy
        self.storing = storing
        self.limits = limits
        self.trace = trace
        self.shared = shared
        let options = shared.options
        var bounds = Schedule.Limits()
        bounds.lookAhead = options.lookAhead
        bounds.requestsPerProvider = options.requestsPerProvider
        bounds.stall = options.stallTimeout
        bounds.hedge = options.hedgeDelay
        bounds.idle = limits.idleDeadline
        state = Mutex(State(schedule: Schedule(scope, limits: bounds)))
    }

    private var now: Duration { began.duration(to: .now) }

    /// Why a block could not be had, if one could not.
    var failure: FetchError? { state.withLock { $0.failure } }

    // MARK: Readers

    /// A block that came and was not read yet.
    func shelved(_ hash: Multihash) -> ByteBuffer? {
        let (bytes, isWaitedFor) = state.withLock { state in
            (state.schedule.shelf.read(hash), state.schedule.waitsForRoom)
        }
        // Reading made room.
        if isWaitedFor { update { _, _ in } }
        return bytes
    }

    /// The first of these blocks, as far as they came and were not read yet.
    func shelved(_ cids: ArraySlice<CID>) -> [Block] {
        let (blocks, isWaitedFor) = state.withLock { state in
            var blocks: [Block] = []
            for cid in cids {
                guard let bytes = state.schedule.shelf.read(cid.hash) else { break }
                blocks.append(Block(bytes, checkedAs: cid))
            }
            return (blocks, state.schedule.waitsForRoom && !blocks.isEmpty)
        }
        if isWaitedFor { update { _, _ in } }
        return blocks
    }

    /// Whether a block came and is still in memory.
    func isShelved(_ hash: Multihash) -> Bool {
        state.withLock { $0.schedule.shelf.contains(hash) }
    }

    /// Notes what will be read next.
    func hint(_ cids: [CID]) {
        let isWaitedFor = state.withLock { state in
            state.schedule.hints = Array(cids.prefix(128))
            return state.schedule.waitsForHints
        }
        if isWaitedFor { update { _, _ in } }
    }

    /// Waits until a block comes from a provider.
    func wait(for cid: CID) async throws -> ByteBuffer {
        discover()
        let number = state.withLock { state in
            state.nextReader += 1
            return state.nextReader
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (reader: Reader) in
                let ready: Result<ByteBuffer, any Error>? = update { state, now in
                    if let bytes = state.schedule.shelf.read(cid.hash) { return .success(bytes) }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if state.isClosed {
                        return .failure(state.failure ?? CancellationError())
                    }
                    state.readers[cid.hash, default: [:]][number] = reader
                    state.schedule.want(cid, now: now)
                    return nil
                }
                if let ready { reader.resume(with: ready) }
            }
        } onCancel: {
            let reader = update { state, now in
                let reader = state.readers[cid.hash]?.removeValue(forKey: number)
                if state.readers[cid.hash]?.isEmpty == true {
                    state.readers[cid.hash] = nil
                    state.schedule.unwant(cid.hash, now: now)
                }
                return reader
            }
            reader?.resume(throwing: CancellationError())
        }
    }

    /// Notes why a block could not be had, and answers it.
    func failed(_ code: FetchError.Code, _ message: String) -> FetchError {
        let error = FetchError(code, message, trace: trace.entries)
        state.withLock { $0.failure = error }
        return error
    }

    /// Ends all requests. Readers that still wait fail.
    func close(_ reason: FetchError? = nil) {
        let (tasks, readers, paused, timers, peers) = state.withLock { state in
            state.isClosed = true
            state.failure = state.failure ?? reason
            if let timer = state.timer { state.oldTimers.append(timer.task) }
            state.timer = nil
            var tasks = Array(state.tasks.values)
            if let discovery = state.discovery { tasks.append(discovery) }
            let readers = state.readers.values.flatMap(\.values)
            let paused = Array(state.paused.values)
            state.readers = [:]
            state.paused = [:]
            var timers: [Scheduled<Void>] = []
            swap(&timers, &state.oldTimers)
            return (tasks, readers, paused, timers, state.peers)
        }
        peers?.close()
        for timer in timers { timer.cancel() }
        for task in tasks { task.cancel() }
        for pause in paused { pause.resume() }
        for reader in readers { reader.resume(throwing: reason ?? CancellationError()) }
    }

    // MARK: Doing what the schedule says

    /// Changes the state, lets the schedule look at it, and does what it says.
    @discardableResult
    private func update<Result>(_ body: (inout State, Duration) -> Result) -> Result {
        var resumed: [CheckedContinuation<Void, Never>] = []
        var failed: [(FetchError, [Reader])] = []
        var isOverdue = false
        var silent: [String] = []
        var delivered: [(ByteBuffer, [Reader])] = []
        var stopped: [Task<Void, Never>] = []
        var timers: [Scheduled<Void>] = []
        let result = state.withLock { state in
            defer {
                swap(&delivered, &state.delivered)
                swap(&stopped, &state.stopped)
                swap(&timers, &state.oldTimers)
            }
            let now = self.now
            let result = body(&state, now)
            guard !state.isClosed else { return result }
            state.schedule.plan(now: now)
            for action in state.schedule.takeActions() {
                switch action {
                case .start(let job, let provider, let request):
                    begin(job, provider, request, in: &state)
                case .cancel(let job, let fault):
                    state.reasons[job] = fault
                    if let task = state.tasks[job] { state.stopped.append(task) }
                case .resume(let job):
                    if let pause = state.paused.removeValue(forKey: job) { resumed.append(pause) }
                case .fail(let cid, let code):
                    let error = failure(of: cid, code, in: state)
                    state.failure = error
                    state.schedule.unwant(cid.hash, now: now)
                    let readers = state.readers.removeValue(forKey: cid.hash) ?? [:]
                    failed.append((error, Array(readers.values)))
                }
            }
            isOverdue = limits.deadline.map { trace.elapsed >= $0 } ?? false
            if isOverdue { silent = waitedFor(in: state) }
            setTimer(in: &state, now: now)
            return result
        }
        for timer in timers { timer.cancel() }
        for task in stopped { task.cancel() }
        for (bytes, readers) in delivered {
            for reader in readers { reader.resume(returning: bytes) }
        }
        for pause in resumed { pause.resume() }
        for (error, readers) in failed {
            for reader in readers { reader.resume(throwing: error) }
        }
        if isOverdue {
            state.withLock { $0.peers }?.conclude("no answer when the deadline passed")
            for name in silent {
                trace.note(
                    .provider, "content", peer: name, "no answer when the deadline passed",
                    succeeded: false)
            }
            let text = "the deadline passed"
            close(FetchError(.deadline, text, trace: trace.entries))
        }
        return result
    }

    /// The names of the providers that have been asked and have not answered yet.
    private func waitedFor(in state: State) -> [String] {
        let numbers = Set(state.schedule.open.values.map(\.provider.number))
        return numbers.sorted().map { state.providers[$0] }.filter { !$0.isPeers }.map(\.name)
    }

    private func begin(
        _ job: Schedule.JobID, _ id: Schedule.ProviderID, _ request: Schedule.Job,
        in state: inout State
    ) {
        let provider = state.providers[id.number]
        state.tasks[job] = Task {
            switch request {
            case .block(let cid): await self.run(job, provider, id, block: cid)
            case .stream(let scope): await self.run(job, provider, stream: scope)
            }
        }
    }

    private func setTimer(in state: inout State, now: Duration) {
        var due = state.schedule.wake
        if let deadline = limits.deadline, !state.readers.isEmpty {
            let end = now + max(.zero, deadline - trace.elapsed)
            due = due.map { min($0, end) } ?? end
        }
        guard let due, due < state.timer?.at ?? .seconds(1 << 40) else { return }
        if let timer = state.timer { state.oldTimers.append(timer.task) }
        let delay = TimeAmount(max(due - now, .milliseconds(1)))
        let task = shared.client.eventLoopGroup.any().scheduleTask(in: delay) { [weak self] in
            guard let self else { return }
            self.update { state, _ in state.timer = nil }
        }
        state.timer = (due, task)
    }

    private func failure(
        of cid: CID, _ code: FetchError.Code, in state: State
    ) -> FetchError {
        let count =
            state.providers.count { !$0.isPeers } + (state.peers.map(\.askedCount) ?? 0)
        let message =
            switch code {
            case .deadline: "no progress for \(limits.idleDeadline) while waiting for \(cid)"
            case .unverifiable: "nobody had the right bytes of \(cid)"
            case .notFound where count == 0: "no provider of \(scope.root) is known"
            case .notFound: "none of \(count) providers has \(cid)"
            default: "none of \(count) providers brought \(cid)"
            }
        return FetchError(code, message, trace: trace.entries)
    }

    // MARK: Requests

    private func run(
        _ job: Schedule.JobID, _ provider: BlockProvider, _ id: Schedule.ProviderID,
        block cid: CID
    ) async {
        do {
            if policy == .network, let bytes = try await shared.stored(cid.hash) {
                return update { state, now in
                    state.schedule.shelf.put(cid.hash, bytes)
                    state.schedule.unwant(cid.hash, now: now)
                    finish(job, fault: nil, in: &state, now: now)
                    deliver(cid.hash, in: &state)
                }
            }
            let block = try await asking(provider) {
                try await provider.block(cid) { self.progressed(job, bytes: $0) }
            }
            if !provider.isPeers { store([block]) }
            arrived([ArrivedBlock(block: block, anatomy: BlockAnatomy(block))], by: job)
            await shared.writer.room()
            update { state, now in
                if !provider.isPeers { tally(block, provider, id, in: &state) }
                finish(job, fault: nil, in: &state, now: now)
            }
        } catch {
            let fault = self.fault(error, of: job)
            if fault != .cancelled, !provider.isPeers {
                let mark = trace.begin(.provider, "block \(cid)", peer: provider.name)
                trace.end(mark, "\(fault)", succeeded: false, status: fault.status)
            }
            end(job, provider, fault)
        }
    }

    private func run(
        _ job: Schedule.JobID, _ provider: BlockProvider, stream scope: RetrievalScope
    ) async {
        guard !provider.isPeers else { return await run(job, peers: provider, stream: scope) }
        let mark = trace.begin(
            .provider, "car \(TrustlessGateway.target(of: scope))", peer: provider.name)
        let count = Mutex((blocks: 0, bytes: UInt64(0)))
        let events = BlockProvider.Events(
            progress: { self.progressed(job, bytes: $0) },
            blocks: { blocks in
                count.withLock {
                    $0.blocks += blocks.count
                    for entry in blocks { $0.bytes += UInt64(entry.block.bytes.readableBytes) }
                }
                self.store(blocks.map(\.block))
                if !self.arrived(blocks, by: job) { await self.pause(job) }
                await self.shared.writer.room()
                return !Task.isCancelled
            })
        do {
            try await provider.stream(scope, maxBytes: bound(of: scope), events: events)
            let (blocks, bytes) = count.withLock { $0 }
            trace.end(mark, "\(blocks) blocks", succeeded: true, status: 200, bytes: bytes)
            end(job, provider, nil)
        } catch {
            let fault = self.fault(error, of: job)
            let (blocks, bytes) = count.withLock { $0 }
            trace.end(
                mark, blocks > 0 ? "\(blocks) blocks, then: \(fault)" : "\(fault)",
                succeeded: fault == .cancelled && blocks > 0,
                status: fault.status ?? (blocks > 0 ? 200 : nil), bytes: bytes)
            end(job, provider, fault)
        }
    }

    /// What went wrong, or why we stopped it ourselves.
    private func fault(_ error: any Error, of job: Schedule.JobID) -> Fault {
        let fault = error as? Fault ?? .unreachable("\(error)")
        guard fault == .cancelled else { return fault }
        return state.withLock { $0.reasons[job] } ?? .cancelled
    }

    /// How long a stream may be: what is left of the file, the nodes above it and some play.
    private func bound(of scope: RetrievalScope) -> UInt64? {
        guard case .entity(let bytes?) = scope.extent, scope.path.isEmpty,
            let size = state.withLock({ $0.schedule.layout.size(of: scope.root) }),
            bytes.from >= 0
        else { return nil }
        let end = bytes.through.map { $0 < 0 ? size : min(size, UInt64($0) + 1) } ?? size
        let wanted = end - min(end, UInt64(bytes.from))
        let (padded, overflow) = wanted.addingReportingOverflow(wanted / 16 + (8 << 20))
        return overflow ? nil : padded
    }

    private func progressed(_ job: Schedule.JobID, bytes: Int) {
        state.withLock { $0.schedule.progressed(job, bytes: bytes, now: now) }
    }

    /// Keeps verified blocks, unless somebody else does or nobody is to.
    private func store(_ blocks: [Block]) {
        guard policy != .noStore, storing == .asCache else { return }
        shared.writer.put(blocks)
        guard blocks.contains(where: { $0.cid.hash == scope.root.hash }) else { return }
        shared.mesh?.announcer?.fetched(scope.root)
    }

    /// Takes in verified blocks. Answers whether the stream that brought them may go on at once.
    @discardableResult
    private func arrived(_ blocks: [ArrivedBlock], by job: Schedule.JobID) -> Bool {
        update { state, now in
            var goesOn = true
            for entry in blocks {
                goesOn = state.schedule.arrived(
                    entry.block.cid, entry.block.bytes, children: entry.anatomy.children,
                    by: job, now: now)
                deliver(entry.block.cid.hash, in: &state)
            }
            return goesOn
        }
    }

    /// Hands a block on the shelf to those who wait for it.
    private func deliver(_ hash: Multihash, in state: inout State) {
        guard let readers = state.readers.removeValue(forKey: hash),
            let bytes = state.schedule.shelf.read(hash)
        else { return }
        state.delivered.append((bytes, Array(readers.values)))
    }

    /// Waits until a stream may go on.
    private func pause(_ job: Schedule.JobID) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    guard !state.isClosed, !Task.isCancelled,
                        state.schedule.open[job]?.isPaused == true
                    else { return false }
                    state.paused[job] = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.paused.removeValue(forKey: job) }?.resume()
        }
    }

    private func tally(
        _ block: Block, _ provider: BlockProvider, _ id: Schedule.ProviderID,
        in state: inout State
    ) {
        let mark =
            state.tallies[id.number].mark
            ?? trace.begin(
                .provider, "single blocks", peer: provider.name)
        state.tallies[id.number].mark = mark
        state.tallies[id.number].blocks += 1
        state.tallies[id.number].bytes += UInt64(block.bytes.readableBytes)
        let tally = state.tallies[id.number]
        trace.end(
            mark, "\(tally.blocks) blocks", succeeded: true, status: 200, bytes: tally.bytes)
    }

    private func end(_ job: Schedule.JobID, _ provider: BlockProvider, _ fault: Fault?) {
        if let fault { shared.note(provider.name, fault) }
        update { state, now in finish(job, fault: fault, in: &state, now: now) }
    }

    private func finish(
        _ job: Schedule.JobID, fault: Fault?, in state: inout State, now: Duration
    ) {
        state.tasks[job] = nil
        state.reasons[job] = nil
        let provider = state.schedule.open[job]?.provider
        state.schedule.ended(job, fault: fault, now: now)
        if let number = provider?.number,
            let rate = state.schedule.seats[number].pace.rate(now: now)
        {
            shared.note(state.providers[number].name, rate: rate)
        }
    }

    // MARK: Providers

    /// Begins to look for providers, once.
    private func discover() {
        update { state, _ in
            guard state.discovery == nil, !state.isClosed else { return }
            joinPeers(in: &state)
            for address in shared.configured { join(address, .configured, in: &state) }
            state.discovery = Task { [weak self] in
                guard let self else { return }
                await self.shared.lookUp(self.scope.root, trace: self.trace) { addresses in
                    self.update { state, _ in
                        // The addresses are all of one provider: one of them is enough.
                        _ = addresses.first { self.join($0, .routing, in: &state) }
                    }
                }
                self.update { state, _ in state.schedule.isDiscovering = false }
            }
        }
    }

    /// Gives a provider its place, if it may be asked. Answers whether it has one.
    @discardableResult
    private func join(
        _ address: ProviderAddress, _ origin: TrustlessGateway.Origin, in state: inout State
    ) -> Bool {
        let options = shared.options
        guard state.names.insert(address.base).inserted else { return true }
        guard state.providers.count < options.maxProviders else { return false }
        if origin == .routing, options.privateAddresses == .ifConfigured, address.isPrivate {
            trace.note(
                .decision, address.base, "not asked: a private address from a router",
                succeeded: false)
            return false
        }
        if let fault = shared.ban(address.base) {
            trace.note(
                .decision, address.base, "not asked: earlier it gave \(fault)", succeeded: false)
            return false
        }
        state.providers.append(.gateway(shared.gateway(address, origin)))
        state.tallies.append(Tally())
        _ = state.schedule.joined(
            prior: shared.rank(address.base, unknown: origin == .configured ? 2 : 1))
        return true
    }

    // MARK: Peers

    /// Lets the node's peers take part, if it is one.
    private func joinPeers(in state: inout State) {
        guard let mesh = shared.mesh else { return }
        // A little more than the reader has, who knows better what to say when it is over.
        let patience = limits.idleDeadline + .seconds(5)
        let session = MeshSession(mesh, trace: trace, patience: patience) { [weak self] blocks in
            self?.brought(blocks)
        }
        state.peers = session
        let reads = policy == .network
        state.providers.append(
            .peers(
                PeerSource(
                    session: session, lookAhead: shared.options.lookAhead,
                    stored: { [shared] in reads ? try await shared.stored($0) : nil },
                    present: { [shared] in reads ? try await shared.present($0) : [] })))
        state.tallies.append(Tally())
        _ = state.schedule.joined(prior: .infinity, isMany: true)
    }

    /// Asks, and while the node is joining the network asks its peers again as soon as there are
    /// more of them, instead of giving up what those few do not have.
    private func asking<Result>(
        _ provider: BlockProvider, _ body: () async throws -> Result
    ) async throws -> Result {
        var known = Acquaintances()
        while true {
            do {
                return try await body()
            } catch let fault as Fault {
                guard provider.isPeers, case .missing = fault, let mesh = shared.mesh,
                    let more = await mesh.circle.growth(beyond: known, of: mesh)
                else { throw fault }
                known = more
            }
        }
    }

    /// Peers brought blocks, which are stored before their turn comes.
    private func brought(_ blocks: [Block]) {
        store(blocks)
        let bytes = blocks.reduce(0) { $0 + $1.bytes.readableBytes }
        state.withLock { state in
            for (job, entry) in state.schedule.open
            where state.providers[entry.provider.number].isPeers {
                state.schedule.progressed(job, bytes: bytes, now: now)
            }
        }
    }

    /// Asks the peers for a part of a DAG. They have lines of their own in the trace.
    private func run(
        _ job: Schedule.JobID, peers: BlockProvider, stream scope: RetrievalScope
    ) async {
        let events = BlockProvider.Events(
            progress: { _ in },
            blocks: { blocks in
                if !self.arrived(blocks, by: job) { await self.pause(job) }
                await self.shared.writer.room()
                return !Task.isCancelled
            })
        do {
            try await asking(peers) {
                try await peers.stream(scope, maxBytes: nil, events: events)
            }
            end(job, peers, nil)
        } catch {
            end(job, peers, fault(error, of: job))
        }
    }
}
