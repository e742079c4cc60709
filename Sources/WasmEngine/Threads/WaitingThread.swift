// A thread that waits for a task does that task's work itself: what a contract reads is mostly
// here, and handing the task to another thread and its result back takes longer than reading it.

import DequeModule

/// Runs the parts of one task, and of those within it, on the thread that waits for it.
final class WaitingThread: TaskExecutor {
    private let jobs = Monitor<Deque<UnownedJob>>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.change { $0.append(job) }
    }

    /// Does what the task has to do until `outcome` gives something: on this thread alone. Also
    /// says for how long there was nothing to do.
    func work<Outcome>(until outcome: () -> Outcome?) -> (outcome: Outcome, idle: Duration) {
        var idle = Duration.zero
        while true {
            if let outcome = outcome() { return (outcome, idle) }
            let job: UnownedJob
            if let next = jobs.withLock({ $0.popFirst() }) {
                job = next
            } else {
                let start = ContinuousClock.now
                job = Workers.blocking { jobs.wait { $0.popFirst() } }
                idle += start.duration(to: .now)
            }
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
