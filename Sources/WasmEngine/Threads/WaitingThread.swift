// A thread that waits for a task does that task's work itself: what a contract reads is mostly
// here, and handing the task to another thread and its result back takes longer than reading it.

import DequeModule
import Synchronization

/// Runs the parts of one task, and of those within it, on the thread that waits for it.
final class WaitingThread: TaskExecutor {
    private let jobs = Monitor<Deque<UnownedJob>>([])
    /// How long the thread had nothing to do.
    private let idle = Atomic<Int64>(0)

    var idleTime: Duration { .nanoseconds(idle.load(ordering: .relaxed)) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.change { $0.append(job) }
    }

    /// Does what the task has to do until `outcome` gives something: on this thread alone.
    func work<Outcome>(until outcome: () -> Outcome?) -> Outcome {
        while true {
            if let outcome = outcome() { return outcome }
            next().runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    private func next() -> UnownedJob {
        if let job = jobs.withLock({ $0.popFirst() }) { return job }
        let start = ContinuousClock.now
        defer {
            let time = start.duration(to: .now) / .nanoseconds(1)
            idle.add(Int64(time), ordering: .relaxed)
        }
        return jobs.wait { $0.popFirst() }
    }
}
