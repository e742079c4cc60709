// One piece of work that blocks. Whoever waits for a job that no thread has begun runs it itself,
// so that a call whose own calls wait in line behind it can never stand still.

/// Work that is done once, by a thread of ``Workers`` or by whoever needs it first.
public final class Job<Value: Sendable>: Sendable {
    private enum State {
        case waiting(@Sendable () -> Value)
        case running
        /// It waits for somebody far away.
        case distant
        case done(Value)
    }

    private let state: Monitor<State>

    /// Work that begins when ``value()`` is asked for, or when a thread takes it.
    public init(_ work: @escaping @Sendable () -> Value) {
        state = Monitor(.waiting(work))
    }

    /// The result of the work: done here if nobody has begun it, else waited for.
    public func value() -> Value { value { wait in wait() } }

    /// The same for work that may turn out to wait for somebody far away: then `distant` decides
    /// whether to wait for it as well.
    public func value<Failure>(
        distant: (_ wait: () -> Value) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        if let value = run() { return value }
        let early = Workers.joining {
            state.wait { state -> Value?? in
                switch state {
                case .done(let value): .some(value)
                case .distant: .some(nil)
                case .waiting, .running: nil
                }
            }
        }
        if let early { return early }
        return try distant {
            Workers.joining {
                state.wait { state in
                    if case .done(let value) = state { value } else { nil }
                }
            }
        }
    }

    /// Says from within the work that it waits for somebody far away.
    public func goFar() {
        state.change(wakingAll: true) { state in
            if case .running = state { state = .distant }
        }
    }

    /// Does the work, unless somebody has begun it; then it gives nil.
    @discardableResult
    public func run() -> Value? {
        let work = state.withLock { state -> (@Sendable () -> Value)? in
            guard case .waiting(let work) = state else { return nil }
            state = .running
            return work
        }
        guard let work else { return nil }
        let value = work()
        state.change(wakingAll: true) { $0 = .done(value) }
        return value
    }
}
