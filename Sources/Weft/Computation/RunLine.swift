// What the activations of one run have the engine's threads do. Much of it may wait for somebody
// far away; so much at a time leaves threads to others.

import DequeModule
import Synchronization
import WasmEngine

/// Work of one run, some of it at a time. Whoever waits for a piece that nobody has begun does it.
final class RunLine: Sendable {
    /// Enough for the cores of a large machine.
    private static let most = 32

    private let workers: Workers
    private let state = Mutex((active: 0, waiting: Deque<@Sendable () -> Void>()))

    init(_ workers: Workers) { self.workers = workers }

    /// Has work done, now or when some of what was begun before is over.
    func submit<Value>(_ work: @escaping @Sendable () -> Value) -> Job<Value> {
        let job = Job(work)
        let mayBegin = state.withLock { state in
            guard state.active < Self.most else {
                state.waiting.append { job.run() }
                return false
            }
            state.active += 1
            return true
        }
        if mayBegin { begin { job.run() } }
        return job
    }

    private func begin(_ work: @escaping @Sendable () -> Void) {
        let isShared = workers.share {
            work()
            self.next()
        }
        guard !isShared else { return }
        // There are no threads: whoever waits does it, and all that comes after it.
        state.withLock { $0 = (active: $0.active - 1, waiting: []) }
    }

    private func next() {
        let work = state.withLock { state -> (@Sendable () -> Void)? in
            if let next = state.waiting.popFirst() { return next }
            state.active -= 1
            return nil
        }
        if let work { begin(work) }
    }
}
