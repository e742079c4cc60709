// What is to happen when the time of a call is up: whoever waits for it gets an answer, and its
// runs are told to stop (`RunControl`, `Interruption`).

import Glibc

/// A clock that calls back at given times. Its thread sleeps while nothing waits.
final class Deadlines: Sendable {
    /// How exactly times are kept.
    private static let interval = Duration.milliseconds(10)
    /// How many intervals pass with nothing to wait for before the thread sleeps.
    private static let idleIntervals = 100

    private struct Wait {
        let end: ContinuousClock.Instant
        let act: @Sendable () -> Void
    }

    private struct State {
        var waits: [Int: Wait] = [:]
        var next = 0
        var isBorn = false
        var isAsleep = false
    }

    private let state = Monitor(State())

    /// Has something called at a time, unless ``remove(_:)`` comes first; gives its number.
    func add(_ end: ContinuousClock.Instant, _ act: @escaping @Sendable () -> Void) -> Int {
        let (number, isFirst, wakes) = state.withLock { state in
            state.next += 1
            state.waits[state.next] = Wait(end: end, act: act)
            defer { (state.isBorn, state.isAsleep) = (true, false) }
            return (state.next, !state.isBorn, state.isAsleep)
        }
        if isFirst { start() } else if wakes { state.change { _ in } }
        return number
    }

    /// Forgets what was to be called.
    func remove(_ number: Int) {
        state.withLock { _ = $0.waits.removeValue(forKey: number) }
    }

    private func start() {
        var thread = pthread_t()
        let clock = Unmanaged.passRetained(self)
        let failure = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Deadlines>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, clock.toOpaque())
        guard failure != 0 else {
            pthread_detach(thread)
            return
        }
        clock.release()
        // The next call tries again.
        state.withLock { $0.isBorn = false }
    }

    private func run() {
        var idle = 0
        while true {
            var pause = timespec(
                tv_sec: 0, tv_nsec: Int(Self.interval.components.attoseconds / 1_000_000_000))
            nanosleep(&pause, nil)
            let now = ContinuousClock.now
            let (due, isEmpty) = state.withLock { state in
                let due = state.waits.filter { $0.value.end <= now }
                for number in due.keys { state.waits[number] = nil }
                return (due.values.map { $0.act }, state.waits.isEmpty)
            }
            for act in due { act() }
            idle = isEmpty ? idle + 1 : 0
            guard idle >= Self.idleIntervals else { continue }
            idle = 0
            state.withLock { $0.isAsleep = $0.waits.isEmpty }
            state.wait { $0.isAsleep ? nil : () }
        }
    }
}
