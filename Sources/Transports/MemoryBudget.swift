// How many bytes all connections may hold: what has come and nobody has dealt with, and what waits
// to be sent.

import Synchronization

/// A ceiling of memory that connections share. One that wants more than there is loses itself, if
/// it is not among those that hold little.
public final class MemoryBudget: Sendable {
    /// What a connection holds besides bytes of streams: its state, keys and buffers.
    static let base = 32 << 10

    private struct State {
        var limit: Int
        var used = 0
        var users = 0
        var refused: UInt64 = 0
    }

    private let state: Mutex<State>

    /// So many bytes.
    public init(limit: Int) {
        state = Mutex(State(limit: limit))
    }

    /// Changes the ceiling. What is held above it goes as it is dealt with.
    public func set(limit: Int) { state.withLock { $0.limit = limit } }

    /// How much is held, how much may be, and how many connections were closed for it.
    public var use: (bytes: Int, limit: Int, refused: UInt64) {
        state.withLock { ($0.used, $0.limit, $0.refused) }
    }

    /// Whether windows may grow: not beyond half of the ceiling.
    var hasRoom: Bool { state.withLock { $0.used < $0.limit / 2 } }

    /// A connection comes or goes.
    func changeUsers(by count: Int) { state.withLock { $0.users += count } }

    /// A connection holds more or less than before. False if it is too much and has not been
    /// counted; then the connection has to close.
    ///
    /// Those that hold less than a quarter of an equal share are let be, so that a flood does not
    /// cost the others their connections. Together they hold a quarter of the ceiling at most,
    /// which is why the others have to stop at three quarters.
    func change(from before: Int, to after: Int) -> Bool {
        state.withLock { state in
            let used = state.used - before + after
            if after > before, used > state.limit / 4 * 3,
                after > state.limit / (4 * max(1, state.users))
            {
                state.refused += 1
                return false
            }
            state.used = used
            return true
        }
    }
}
