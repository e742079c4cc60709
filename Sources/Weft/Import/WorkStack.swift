// The work of one import, handed out to its threads: last in, first out, so that a tree is
// finished branch by branch and little of it is held at a time.

import Glibc

/// A stack of work for a few threads that ends when all work is done, one piece fails, or it is
/// told to stop.
///
/// Not a queue of the standard kinds because threads have to sleep here while others may still
/// add work.
final class WorkStack<Work: Sendable>: @unchecked Sendable {
    // `mutex` protects everything below it.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var waiting: [Work] = []
    /// How much work was added and is not done: waiting or in a thread's hands.
    private var outstanding = 0
    private var failure: (any Error)?

    init(_ first: Work) {
        mutex = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
        waiting = [first]
        outstanding = 1
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Adds work. Only for whoever holds a piece of work, so that the end is not missed.
    func push(_ work: some Collection<Work>) {
        locked {
            waiting.append(contentsOf: work)
            outstanding += work.count
            if work.count == 1 {
                pthread_cond_signal(changed)
            } else if !work.isEmpty {
                pthread_cond_broadcast(changed)
            }
        }
    }

    /// Lets everybody stop; the first reason counts.
    func stop(_ reason: any Error) {
        locked {
            failure = failure ?? reason
            waiting.removeAll()
            pthread_cond_broadcast(changed)
        }
    }

    /// Does work until there is none left; called by each thread.
    func run(_ body: (Work) throws -> Void) {
        while let work = next() {
            do {
                try body(work)
            } catch {
                stop(error)
            }
            locked {
                outstanding -= 1
                if outstanding == 0 { pthread_cond_broadcast(changed) }
            }
        }
    }

    /// Throws why the work was stopped, if it was.
    func result() throws {
        if let failure = locked({ failure }) { throw failure }
    }

    private func next() -> Work? {
        locked {
            while failure == nil && outstanding > 0 {
                if let work = waiting.popLast() { return work }
                // A piece in another thread's hands may add more, and always ends: every wait is
                // bounded by the reading of one chunk.
                pthread_cond_wait(changed, mutex)
            }
            return nil
        }
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}
