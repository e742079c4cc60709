// The threads that contracts run on. They block, in compiled code and while they wait for other
// calls and for content, so they are none of the concurrency pool's, and there is a limit to them.

import DequeModule
import Glibc

/// A limited number of threads with large stacks, started when there is work.
public final class Workers: Sendable {
    private struct State {
        /// Work of calls that run, before work of new ones: what is begun comes to its end.
        var inner: Deque<@Sendable () -> Void> = []
        var outer: Deque<@Sendable () -> Void> = []
        var threads = 0
        var idle = 0
        var stopped = false
    }

    /// What becomes of new work.
    private enum Next {
        case refused, wait, start
    }

    private let state = Monitor(State())
    private let maxThreads: Int
    private let maxWaiting: Int
    private let stackBytes: Int

    /// - Parameters:
    ///   - maxThreads: how many threads there are at most.
    ///   - maxWaiting: how many new calls may wait for one.
    ///   - stackBytes: the address space of each one's stack; what is not used costs nothing.
    init(maxThreads: Int, maxWaiting: Int, stackBytes: Int) {
        self.maxThreads = maxThreads
        self.maxWaiting = maxWaiting
        self.stackBytes = stackBytes
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
        let next = state.change { state -> Next in
            guard !state.stopped, isInner || state.outer.count < maxWaiting else { return .refused }
            if isInner {
                state.inner.append { job.run() }
            } else {
                state.outer.append { job.run() }
            }
            let waiting = state.inner.count + state.outer.count
            guard waiting > state.idle, state.threads < maxThreads else { return .wait }
            state.threads += 1
            return .start
        }
        switch next {
        case .refused: throw .busy
        case .wait: break
        case .start: if !startThread() { throw .busy }
        }
        return job
    }

    /// Lets the threads end when they have done what waits.
    func stop() {
        state.change(wakingAll: true) { $0.stopped = true }
    }

    /// Starts a thread; false if there is none and the system gives none.
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
        let queue = Unmanaged.passRetained(state)
        let failure = pthread_create(
            &thread, attributes,
            { argument in
                guard let argument else { return nil }
                let queue = Unmanaged<Monitor<State>>.fromOpaque(argument).takeRetainedValue()
                while let work = Workers.next(of: queue) { work() }
                return nil
            }, queue.toOpaque())
        guard failure != 0 else { return true }
        queue.release()
        return state.withLock { state in
            state.threads -= 1
            return state.threads > 0
        }
    }

    private static func next(of queue: Monitor<State>) -> (@Sendable () -> Void)? {
        var wasIdle = false
        return queue.wait { state -> (@Sendable () -> Void)?? in
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
