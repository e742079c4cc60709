// The threads that contracts run on. They block, in compiled code and while they wait for other
// calls and for content, so they are none of the concurrency pool's, and there is a limit to them.
//
// What waits never takes the last of them. For what is far away only so many wait as there are
// places. For each other, threads wait only where parts of a run were given to others: when many
// do, no more is given away, and each run goes on in its own thread. All else that they wait for
// comes by itself.

import DequeModule
import Glibc

/// A limited number of threads with large stacks, started when there is work.
public final class Workers: Sendable {
    /// How many threads wait at a time for what is not on this machine.
    static let maxDistant = 192
    /// How many wait for each other before no more is given away.
    static let maxJoining = 128

    /// Those of the threads that wait for what is not on this machine.
    public let places: WaitingPlaces
    private let pool: ThreadPool
    private let maxWaiting: Int

    /// - Parameters:
    ///   - maxThreads: how many threads work at most. Those that wait are not counted.
    ///   - maxWaiting: how many new calls may wait for one.
    ///   - stackBytes: the address space of each one's stack; what is not used costs nothing.
    init(
        maxThreads: Int, maxWaiting: Int, stackBytes: Int, maxDistant: Int = Workers.maxDistant,
        maxJoining: Int = Workers.maxJoining
    ) {
        places = WaitingPlaces(maxDistant)
        // What works when no more is given away may still come to wait.
        pool = ThreadPool(
            maxThreads: maxThreads, maxBlocked: maxDistant + maxJoining + 2 * maxThreads,
            maxJoining: maxJoining, stackBytes: stackBytes)
        self.maxWaiting = maxWaiting
    }

    deinit { stop() }

    /// How many threads wait for each other.
    var joining: Int { pool.joining }

    /// Has new work done by a thread.
    ///
    /// - Throws: ``ResourceFailure/busy`` when too much waits.
    public func submit(_ work: @escaping @Sendable () -> Void) throws(ResourceFailure) {
        guard pool.add(work, unlessWaiting: maxWaiting) else { throw .busy }
    }

    /// Gives away a part of work that has begun: a thread does it before what is new. Whoever asks
    /// limits how much of it there is.
    ///
    /// - Returns: false if no thread is to be spared: whoever waits for it has to do it.
    public func share(_ part: @escaping @Sendable () -> Void) -> Bool { pool.add(part: part) }

    /// Waits on this thread for what comes by itself. If it is one of these, another one takes its
    /// place meanwhile: what waits must not keep others from working.
    static func blocking<Result>(_ body: () -> Result) -> Result {
        blocking(isJoining: false, body)
    }

    /// Waits on this thread for another one.
    static func joining<Result>(_ body: () -> Result) -> Result {
        blocking(isJoining: true, body)
    }

    private static func blocking<Result>(isJoining: Bool, _ body: () -> Result) -> Result {
        guard let pool = ThreadPool.current else { return body() }
        pool.block(isJoining)
        defer { pool.unblock(isJoining) }
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
        /// How many wait for something else than work, and how many of them for each other.
        var blocked = 0
        var joining = 0
        var stopped = false
    }

    /// Where a thread finds the pool that it belongs to.
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()

    private let state = Monitor(State())
    private let maxThreads: Int
    /// How many that wait are replaced.
    private let maxBlocked: Int
    private let maxJoining: Int
    private let stackBytes: Int

    init(maxThreads: Int, maxBlocked: Int, maxJoining: Int, stackBytes: Int) {
        self.maxThreads = maxThreads
        self.maxBlocked = maxBlocked
        self.maxJoining = maxJoining
        self.stackBytes = stackBytes
    }

    /// Whether one more thread is wanted, which is then counted.
    private func wantsThread(_ state: inout State) -> Bool {
        let ready = state.outer.count + (givesAway(state) ? state.inner.count : 0)
        guard ready > state.idle, state.threads - state.blocked < maxThreads,
            state.threads < maxThreads + maxBlocked
        else { return false }
        state.threads += 1
        return true
    }

    /// Whether parts of runs are given to others.
    private func givesAway(_ state: State) -> Bool { state.joining < maxJoining }

    /// The pool of this thread; nil if it is none of a pool.
    static var current: ThreadPool? {
        pthread_getspecific(key).map {
            Unmanaged<ThreadPool>.fromOpaque($0).takeUnretainedValue()
        }
    }

    var joining: Int { state.withLock { $0.joining } }

    /// Takes new work; false if too much waits.
    func add(_ work: @escaping @Sendable () -> Void, unlessWaiting maxWaiting: Int) -> Bool {
        add { state in
            guard state.outer.count < maxWaiting else { return false }
            state.outer.append(work)
            return true
        }
    }

    /// Takes a part of work that has begun; false if none is given away.
    func add(part: @escaping @Sendable () -> Void) -> Bool {
        add { state in
            guard givesAway(state) else { return false }
            state.inner.append(part)
            return true
        }
    }

    private func add(_ append: (inout State) -> Bool) -> Bool {
        let (isTaken, mustStart) = state.change { state -> (Bool, Bool) in
            guard !state.stopped, append(&state) else { return (false, false) }
            return (true, wantsThread(&state))
        }
        return isTaken && (!mustStart || startThread())
    }

    /// This thread begins to wait.
    func block(_ isJoining: Bool) {
        let mustStart = state.withLock { state in
            state.blocked += 1
            if isJoining { state.joining += 1 }
            return wantsThread(&state)
        }
        // If the system gives none, the others do what there is.
        if mustStart { _ = startThread() }
    }

    /// This thread goes on. Should there be too many now, the next that has done its work ends.
    func unblock(_ isJoining: Bool) {
        let givesAwayAgain = state.withLock { state in
            state.blocked -= 1
            guard isJoining else { return false }
            state.joining -= 1
            return state.joining == maxJoining - 1 && !state.inner.isEmpty
        }
        if givesAwayAgain { state.change { _ in } }
    }

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
            let part = self.givesAway(state) ? state.inner.popFirst() : nil
            if let work = part ?? state.outer.popFirst() {
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
