// How the runs of a call are told to stop, and how a thread that runs one waits for what is
// asynchronous.

import Synchronization

/// Tells the runs of one call, and those of its own calls, to stop.
public final class RunControl: Sendable {
    private struct State {
        var isCancelled = false
        var waits: [Int: @Sendable () -> Void] = [:]
        var nextWait = 0
    }

    /// Whether they may block the thread that they are on.
    public let mayBlock: Bool
    /// When they have to stop.
    public let end: ContinuousClock.Instant
    /// How long that is from the start.
    private let time: Duration
    private let parent: RunControl?
    private let cancelled = Atomic<Bool>(false)
    private let waits = Atomic<Int64>(0)
    private let state = Mutex(State())

    /// A control of runs that may take some time together.
    public convenience init(time: Duration = .seconds(60)) {
        self.init(within: time, mayBlock: true)
    }

    private init(within time: Duration, mayBlock: Bool) {
        self.time = time
        end = .now + time
        self.mayBlock = mayBlock
        parent = nil
    }

    /// A control of a brief run on a thread that is not the engine's and must not block: it ends
    /// with ``NotBrief`` when it has used ``Engine/briefGas``, or would have to wait.
    public static func brief() -> RunControl {
        RunControl(within: .seconds(1), mayBlock: false)
    }

    /// A control of a part of the runs of another, which stops when that does.
    public init(within parent: RunControl) {
        time = parent.time
        end = parent.end
        mayBlock = parent.mayBlock
        self.parent = parent
    }

    /// Makes the runs stop soon.
    public func cancel() {
        let waits = state.withLock { state in
            state.isCancelled = true
            cancelled.store(true, ordering: .relaxed)
            defer { state.waits = [:] }
            return state.waits
        }
        for cancel in waits.values { cancel() }
    }

    /// How long they may still take.
    public var rest: Duration { max(.zero, ContinuousClock.now.duration(to: end)) }

    /// Whether they were told to stop.
    public var isCancelled: Bool {
        cancelled.load(ordering: .relaxed) || parent?.isCancelled ?? false
    }

    /// What is thrown when the time is up.
    var timeout: ResourceFailure { .time(time) }

    /// Throws why the runs cannot go on, if they cannot.
    public func check() throws {
        if isCancelled { throw CancellationError() }
        if ContinuousClock.now >= end { throw timeout }
    }

    /// Throws ``NotBrief`` if the thread must not block.
    public func checkMayBlock() throws(NotBrief) {
        guard mayBlock else { throw NotBrief() }
    }

    /// Waits for asynchronous work, on a thread of ``Workers``, which does what of it need not
    /// wait. The work is cancelled when the runs are; it has to end by itself at ``end``.
    public func wait<Value: Sendable>(
        for work: @escaping @Sendable () async throws -> Value
    ) throws -> Value {
        try checkMayBlock()
        try check()
        let result = Outcome<Value>()
        let thread = WaitingThread()
        let task = Task(executorPreference: thread) {
            do {
                result.set(.success(try await work()))
            } catch {
                result.set(.failure(error))
            }
        }
        let watches = onCancel { task.cancel() }
        let (outcome, idle) = thread.work { result.value }
        for forget in watches { forget() }
        noteWait(idle)
        return try outcome.get()
    }

    /// How long threads have waited for what is asynchronous, of those of these runs. What several
    /// wait for at a time counts for each.
    public var waited: Duration { .nanoseconds(waits.load(ordering: .relaxed)) }

    private func noteWait(_ time: Duration) {
        guard time > .zero else { return }
        waits.add(Int64(time / .nanoseconds(1)), ordering: .relaxed)
        parent?.noteWait(time)
    }

    /// What came of asynchronous work.
    private final class Outcome<Value: Sendable>: Sendable {
        private let state = Mutex<Result<Value, any Error>?>(nil)

        var value: Result<Value, any Error>? { state.withLock { $0 } }

        func set(_ outcome: Result<Value, any Error>) { state.withLock { $0 = outcome } }
    }

    /// Calls something when the runs are told to stop. What it gives forgets it again.
    public func onCancel(_ body: @escaping @Sendable () -> Void) -> [@Sendable () -> Void] {
        let number = state.withLock { state -> Int? in
            guard !state.isCancelled else { return nil }
            state.nextWait += 1
            state.waits[state.nextWait] = body
            return state.nextWait
        }
        guard let number else {
            body()
            return []
        }
        let forget: @Sendable () -> Void = { [weak self] in
            self?.state.withLock { _ = $0.waits.removeValue(forKey: number) }
        }
        return [forget] + (parent?.onCancel(body) ?? [])
    }
}

/// A run that was to be brief is not: it can be made again on one of the engine's threads.
public struct NotBrief: Error {}
