// The clock of running contracts: while any runs, a thread advances the engine's epoch, at which
// compiled code looks whether it may go on.

import CWasmtime
import Glibc
import Synchronization

/// Advances an engine's epoch while contracts run, and sleeps while none does.
final class Ticker: Sendable {
    /// How often running code looks up.
    static let interval = Duration.milliseconds(10)
    /// How many ticks pass without a running contract before the thread sleeps.
    private static let idleTicks = 100

    private enum State { case unborn, ticking, asleep, stopped }

    private let state = Monitor(State.unborn)
    private let running = Atomic<Int>(0)
    private let isTicking = Atomic<Bool>(false)
    private let tick: @Sendable () -> Void

    init(_ tick: @escaping @Sendable () -> Void) {
        self.tick = tick
    }

    /// Says that a contract begins to run.
    func begin() {
        running.add(1, ordering: .sequentiallyConsistent)
        guard !isTicking.load(ordering: .sequentiallyConsistent) else { return }
        let isNew = state.change { state in
            defer { if state != .stopped { state = .ticking } }
            isTicking.store(true, ordering: .sequentiallyConsistent)
            return state == .unborn
        }
        if isNew { start() }
    }

    /// Says that it ended.
    func end() {
        running.subtract(1, ordering: .sequentiallyConsistent)
    }

    private func start() {
        var thread = pthread_t()
        let ticker = Unmanaged.passRetained(self)
        let failure = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Ticker>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, ticker.toOpaque())
        if failure != 0 { ticker.release() } else { pthread_detach(thread) }
    }

    private func run() {
        var idle = 0
        while true {
            var pause = timespec(
                tv_sec: 0, tv_nsec: Int(Self.interval.components.attoseconds / 1_000_000_000))
            nanosleep(&pause, nil)
            tick()
            guard running.load(ordering: .sequentiallyConsistent) == 0 else {
                idle = 0
                continue
            }
            idle += 1
            guard idle >= Self.idleTicks else { continue }
            idle = 0
            state.withLock { state in
                isTicking.store(false, ordering: .sequentiallyConsistent)
                // Who began before this line saw a ticking clock, and counts here.
                guard running.load(ordering: .sequentiallyConsistent) == 0 else {
                    isTicking.store(true, ordering: .sequentiallyConsistent)
                    return
                }
                state = .asleep
            }
            state.wait { $0 == .asleep ? nil : () }
        }
    }
}
