// Calls that run here: who asks for one that runs already waits for its end instead of running it
// once more. Nobody's leaving ends it for the others.

import Compute
import Multiformats
import Synchronization
import WasmEngine

/// The outermost calls that run here now.
final class CallsUnderway: Sendable {
    /// What makes two of them the same.
    struct Key: Hashable {
        let call: CID
        /// On what terms peers may be asked for what it calls; nil if all runs here.
        let asking: CallAsking?
        let memory: Computation.Memory
        let policy: Retrieval.Policy
        let time: Duration
        /// Whether it is bound as the calls of peers are.
        let isBound: Bool
    }

    typealias End = Result<CallEnd, any Error>

    /// A run, with those who want its end.
    private final class Run: Sendable {
        struct State {
            var waiting: [UInt64: @Sendable (End) -> Void] = [:]
            var nextNumber: UInt64 = 0
            var end: End?
        }

        let control: RunControl
        let state = Mutex(State())

        init(time: Duration) { control = RunControl(time: time) }

        /// One more wants the end; nil if it is over, or stopped because nobody wanted it.
        func join(_ done: @escaping @Sendable (End) -> Void) -> UInt64? {
            state.withLock { state in
                guard state.end == nil, state.nextNumber == 0 || !state.waiting.isEmpty else {
                    return nil
                }
                state.nextNumber += 1
                state.waiting[state.nextNumber] = done
                return state.nextNumber
            }
        }

        /// One wants it no longer. The last one ends it.
        func leave(_ number: UInt64) {
            let (left, isLast) = state.withLock { state in
                (state.waiting.removeValue(forKey: number), state.waiting.isEmpty)
            }
            guard let left else { return }
            if isLast { control.cancel() }
            left(.failure(CancellationError()))
        }

        func finish(_ end: End) {
            let waiting = state.withLock { state in
                state.end = end
                defer { state.waiting = [:] }
                return state.waiting
            }
            for done in waiting.values { done(end) }
        }
    }

    private let runs = Mutex<[Key: Run]>([:])
    /// How many are on threads: also those whose end nobody waits for any more.
    private let begun = Atomic<Int>(0)
    private let load: CallLoad
    private let tally: CallTally

    init(_ load: CallLoad, _ tally: CallTally) {
        self.load = load
        self.tally = tally
    }

    /// How many run, and how many wait for a thread.
    var counts: (running: Int, waiting: Int) {
        let running = begun.load(ordering: .relaxed)
        return (running, max(0, runs.withLock { $0.count } - running))
    }

    /// How many wait for the end of a run.
    var waiting: Int {
        runs.withLock { runs in
            runs.values.reduce(0) { $0 + $1.state.withLock { $0.waiting.count } }
        }
    }

    /// Runs a call on one of the engine's threads, or waits for the run that is under way.
    ///
    /// - Parameters:
    ///   - ended: called once when no thread is busy with it any more: at the end, and after
    ///     somebody has left it perhaps a little later.
    ///   - done: called once, on any thread, when it has come to its end or is left.
    /// - Returns: leaves it.
    func run(
        _ call: Call, _ key: Key, on engine: Engine,
        _ body: @escaping @Sendable (RunControl) throws -> CallEnd,
        ended: @escaping @Sendable () -> Void, done: @escaping @Sendable (End) -> Void
    ) -> @Sendable () -> Void {
        let (run, number, isFirst) = runs.withLock { runs in
            if let run = runs[key], let number = run.join(done) { return (run, number, false) }
            let run = Run(time: key.time)
            runs[key] = run
            return (run, run.join(done) ?? 0, true)
        }
        if isFirst {
            let work = load.begin(call, whole: key.asking == nil)
            engine.onWorker(run.control) { [self] in
                begun.add(1, ordering: .relaxed)
                defer { begun.subtract(1, ordering: .relaxed) }
                return try body(run.control)
            } ended: { [load] in
                load.end(work)
                ended()
            } done: { end in
                self.runs.withLock { if $0[key] === run { $0[key] = nil } }
                self.tally.note(end, of: call)
                run.finish(end)
            }
        } else {
            ended()
        }
        return { run.leave(number) }
    }
}
