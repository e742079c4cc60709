// The threads that contracts run on. They block, in compiled code and while they wait for other
// calls and for content, so they are none of the concurrency pool's, and there is a limit to them.

import DequeModule
import Glibc

/// A limited number of threads with large stacks, started when there is work.
public final class Workers: Sendable {
    private let pool: ThreadPool
    private let maxWaiting: Int

    /// - Parameters:
    ///   - maxThreads: how many threads work at most. Those that wait are not counted.
    ///   - maxWaiting: how many new calls may wait for one.
    ///   - stackBytes: the address space of each one's stack; what is not used costs nothing.
    init(maxThreads: Int, maxWaiting: Int, stackBytes: Int) {
        pool = ThreadPool(maxThreads: maxThreads, stackBytes: stackBytes)
        self.maxWaiting = maxWaiting
    }

    deinit { stop() }

    /// Has work done by a thread, or by whoever waits for it first.
    ///
    /// - Parameter isInner: whether it is part of work that has begun. Such work is never refused:
    ///   who asks for it limits how much of it there is.
    /// - Throws: ``ResourceFailure/busy`` when too much new work waits.
    public func submit<Value>(
        inner isInner: Bool = false, _ work: @escaping @Sendable () -> Value
    ) throws(ResourceFailure) -> Job<Value> {
        let job = Job(work)
        guard pool.add(inner: isInner, unlessWaiting: maxWaiting, { job.run() }) else {
            throw .busy
        }
        return job
    }

    /// Waits on this thread. If it is one of these, another one takes its place meanwhile: what
    /// waits for somebody far away must not keep others from working.
    static func blocking<Result>(_ body: () -> Result) -> Result {
        guard let pool = ThreadPool.current else { return body() }
        pool.block()
        defer { pool.unblock() }
        return body()
    }

    /// Lets the threads end when they have done what waits.
    func stop() { pool.stop() }
}

/// What the threads share. It lives as long as one of them.
private final class ThreadPool: Sendable {
    private struct State {
        /// Work of calls that run, before work of new ones: what is begun comes to its end.
        var inner: Deque<@Sendable () -> Void> = []
        var outer: Deque<@Sendable () -> Void> = []
        var threads = 0
        var idle = 0
        /// How many wait for something else than work.
        var blocked = 0
        var stopped = false

        /// Whether one more thread is wanted, which is then counted.
        mutating func wantsThread(_ maxThreads: Int) -> Bool {
            guard inner.count + outer.count > idle, threads - blocked < maxThreads,
                threads < maxThreads + ThreadPool.maxBlocked
            else { return false }
            threads += 1
            return true
        }
    }

    /// How many that wait are replaced.
    private static let maxBlocked = 256

    /// Where a thread finds the pool that it belongs to.
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()

    private let state = Monitor(State())
    private let maxThreads: Int
    private let stackBytes: Int

    init(maxThreads: Int, stackBytes: Int) {
        self.maxThreads = maxThreads
        self.stackBytes = stackBytes
    }

    /// The pool of this thread; nil if it is none of a pool.
    static var current: ThreadPool? {
        pthread_getspecific(key).map {
            Unmanaged<ThreadPool>.fromOpaque($0).takeUnretainedValue()
        }
    }

    /// Takes work; false if it is refused.
    func add(
        inner isInner: Bool, unlessWaiting maxWaiting: Int, _ work: @escaping @Sendable () -> Void
    ) -> Bool {
        let (isTaken, mustStart) = state.change { state -> (Bool, Bool) in
            guard !state.stopped, isInner || state.outer.count < maxWaiting else {
                return (false, false)
            }
            if isInner { state.inner.append(work) } else { state.outer.append(work) }
            return (true, state.wantsThread(maxThreads))
        }
        return isTaken && (!mustStart || startThread())
    }

    /// This thread begins to wait.
    func block() {
        let mustStart = state.withLock { state in
            state.blocked += 1
            return state.wantsThread(maxThreads)
        }
        // If the system gives none, the others do what there is.
        if mustStart { _ = startThread() }
    }

    /// This thread goes on. Should there be too many now, the next that has done its work ends.
    func unblock() { state.withLock { $0.blocked -= 1 } }

    func stop() {
        state.change(wakingAll: true) { $0.stopped = true }
    }

    /// Starts a thread that has been counted; false if there is none and the system gives none.
    private func startThread() -> Bool {
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        pthread_attr_init(attributes)
        pthread_attr_setstacksize(attributes, stackBytes)
        pthread_attr_setdetachstate(attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer {
            pthread_attr_destroy(attributes)
            attributes.deallocate()
        }
        var thread = pthread_t()
        let pool = Unmanaged.passRetained(self)
        let failure = pthread_create(
            &thread, attributes,
            { argument in
                guard let argument else { return nil }
                pthread_setspecific(ThreadPool.key, argument)
                let pool = Unmanaged<ThreadPool>.fromOpaque(argument).takeRetainedValue()
                while let work = pool.next() { work() }
                return nil
            }, pool.toOpaque())
        guard failure != 0 else { return true }
        pool.release()
        return state.withLock { state in
            state.threads -= 1
            return state.threads > 0
        }
    }

    /// The next work of a thread; nil if it is to end.
    private func next() -> (@Sendable () -> Void)? {
        var wasIdle = false
        return state.wait { state -> (@Sendable () -> Void)?? in
            if state.threads - state.blocked > self.maxThreads {
                state.threads -= 1
                if wasIdle { state.idle -= 1 }
                return .some(nil)
            }
            if let work = state.inner.popFirst() ?? state.outer.popFirst() {
                if wasIdle { state.idle -= 1 }
                return .some(work)
            }
            if state.stopped {
                state.threads -= 1
                return .some(nil)
            }
            if !wasIdle {
                wasIdle = true
                state.idle += 1
            }
            return nil
        }
    }
}
