// A call that a running contract makes and that may be answered by a peer. The contract's thread
// waits for it. What nobody has begun when it waits, or what is to run here after all, it does
// itself: so threads that wait can never keep out the work that they wait for.

import Compute
import DequeModule
import Synchronization
import WasmEngine

/// How many calls of running contracts are asked of the mesh at a time. The others wait in line.
final class AskingLine: Sendable {
    /// Enough to keep many peers busy, few enough that none has to do much more than another.
    static let places = 64
    /// How many wait. One more is not asked: the thread that waits for it runs it.
    static let maxWaiting = 16_384

    /// Asks; false if that is not wanted any more.
    typealias Begin = @Sendable () -> Bool

    private let state: Mutex<(free: Int, waiting: Deque<Begin>)>
    private let maxWaiting: Int

    init(places: Int = AskingLine.places, maxWaiting: Int = AskingLine.maxWaiting) {
        state = Mutex((free: places, waiting: []))
        self.maxWaiting = maxWaiting
    }

    /// Lets a call be asked now or later, or not at all.
    func enter(_ begin: @escaping Begin) {
        let mayBegin = state.withLock { state in
            guard state.free > 0 else {
                if state.waiting.count < maxWaiting { state.waiting.append(begin) }
                return false
            }
            state.free -= 1
            return true
        }
        if mayBegin, !begin() { leave() }
    }

    /// Gives a place to the next that is still in line.
    func leave() {
        while let next = next() { if next() { return } }
    }

    private func next() -> Begin? {
        state.withLock { state in
            if let next = state.waiting.popFirst() { return next }
            state.free += 1
            return nil
        }
    }
}

/// A call that is asked of the mesh for a contract that runs here.
final class AskedCall: Sendable {
    private enum Phase {
        /// Nobody has begun it.
        case inLine
        /// The mesh is asked.
        case asked(Task<Void, Never>?)
        /// A thread does it, or nobody wants it.
        case taken
    }

    private struct State {
        var phase = Phase.inLine
        var holdsPlace = false
        /// The run here, as long as the waiting thread has not taken it up.
        var job: Job<Void>?
        var result: Result<CallEnd, any Error>?
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private enum Step: Sendable {
        case over(Result<CallEnd, any Error>)
        case work(Job<Void>)
    }

    private let run: CallRun
    private let asking: CallAsking
    private let call: Call
    private let depth: Int
    private let control: RunControl
    /// What it has in common with those that were begun just before and after it: neighbours mostly
    /// read what lies side by side.
    let locality: UInt64
    private let state = Mutex(State())

    /// How many calls that are begun one after the other are neighbours.
    private static let neighbours = 32

    private var line: AskingLine { run.computation.askingLine }

    /// A call that is asked as soon as there is a place. It blocks nobody.
    ///
    /// - Parameter place: how many calls its caller has begun before.
    init(
        _ run: CallRun, _ asking: CallAsking, _ call: Call, _ control: RunControl, depth: Int,
        place: Int
    ) {
        self.run = run
        self.asking = asking
        self.call = call
        self.depth = depth
        self.control = control
        locality = UInt64(place / Self.neighbours)
    }

    /// Asks the mesh. Returns whether that is still wanted.
    @Sendable func begin() -> Bool {
        let isWanted = state.withLock { state in
            guard case .inLine = state.phase else { return false }
            state.phase = .asked(nil)
            state.holdsPlace = true
            return true
        }
        guard isWanted else { return false }
        let task = Task { @concurrent in
            let result: Result<CallEnd, any Error>
            do {
                result = .success(
                    try await self.run.computation.ask(
                        self.call, self.asking, within: self.control.rest,
                        memory: self.run.memory, self.run.content.trace, for: self
                    ).end)
            } catch {
                result = .failure(error)
            }
            self.change { $0.result = result }
            self.leaveLine()
        }
        let isAbandoned = state.withLock { state in
            guard case .asked = state.phase else { return true }
            state.phase = .asked(task)
            return false
        }
        if isAbandoned { task.cancel() }
        return true
    }

    private func leaveLine() {
        let held = state.withLock { state in
            defer { state.holdsPlace = false }
            return state.holdsPlace
        }
        if held { line.leave() }
    }

    // MARK: The waiting thread

    /// The end of the call. It blocks; the thread must be one of the engine's.
    func value() throws -> CallEnd {
        let isOurs = state.withLock { state in
            guard case .inLine = state.phase else { return false }
            state.phase = .taken
            return true
        }
        if isOurs {
            let result = Result { try run.perform(call, control, depth: depth) }
            change { $0.result = result }
            return try result.get()
        }
        while true {
            switch try control.wait(for: next) {
            case .over(let result): return try result.get()
            case .work(let job): job.value()
            }
        }
    }

    /// Nobody waits for it any more.
    func abandon() {
        control.cancel()
        let (task, job) = state.withLock { state -> (Task<Void, Never>?, Job<Void>?) in
            defer { (state.phase, state.job) = (.taken, nil) }
            if case .asked(let task) = state.phase { return (task, state.job) }
            return (nil, state.job)
        }
        task?.cancel()
        // If nobody has begun it, it comes to its end at once.
        job?.run()
    }

    @Sendable private func next() async throws -> Step {
        while true {
            try Task.checkCancellation()
            let step = state.withLock { state -> Step? in
                if let result = state.result { return .over(result) }
                defer { state.job = nil }
                return state.job.map { .work($0) }
            }
            if let step { return step }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isReady = state.withLock { state in
                        guard state.result == nil, state.job == nil, !Task.isCancelled else {
                            return true
                        }
                        state.waiting.append(continuation)
                        return false
                    }
                    if isReady { continuation.resume() }
                }
            } onCancel: {
                change { _ in }
            }
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let waiting = state.withLock { state in
            body(&state)
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    // MARK: Running here

    /// Runs it here, on the thread that waits for it or on another.
    ///
    /// - Parameter done: called once, on any thread, when that is over.
    /// - Returns: stops it.
    func runHere(
        done: @escaping @Sendable (CallsUnderway.End) -> Void
    ) -> @Sendable () -> Void {
        let control = RunControl(within: control)
        let job = Job { [self] in
            leaveLine()
            done(Result { try run.perform(call, control, depth: depth) })
        }
        _ = run.engine.workers.share { job.run() }
        change { $0.job = job }
        return {
            control.cancel()
            // What nobody has begun comes to its end at once.
            job.run()
        }
    }
}
