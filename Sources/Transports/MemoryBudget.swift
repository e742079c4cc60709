// How many bytes all connections may hold: what has come and nobody has dealt with, and what waits
// to be sent.

public import NIOCore
import Synchronization

/// A ceiling of memory that connections share.
///
/// Windows grow while a quarter of it is in use at most. From a half on, a connection that holds
/// more is not read from, which holds its peer back; from three quarters on, or when it does not
/// get better for ``patience``, it is closed. Those that hold less than a quarter of an equal share
/// are let be, so that a flood does not cost the others their connections; together they hold a
/// quarter of the ceiling at most.
public final class MemoryBudget: Sendable {
    /// What becomes of a connection that holds more than before.
    enum Verdict {
        case fine, paused, refused
    }

    /// What a connection holds besides bytes of streams: its state, keys and buffers.
    static let base = 32 << 10

    private struct State {
        var limit: Int
        var used = 0
        var users = 0
        var refused: UInt64 = 0
    }

    /// How long a connection may be held back.
    let patience: TimeAmount
    private let state: Mutex<State>

    /// So many bytes.
    public init(limit: Int, patience: TimeAmount = .seconds(10)) {
        self.patience = patience
        state = Mutex(State(limit: limit))
    }

    /// Changes the ceiling. What is held above it goes as it is dealt with.
    public func set(limit: Int) { state.withLock { $0.limit = limit } }

    /// How much is held, how much may be, and how many connections were closed for it.
    public var use: (bytes: Int, limit: Int, refused: UInt64) {
        state.withLock { ($0.used, $0.limit, $0.refused) }
    }

    /// Whether windows may grow.
    var hasRoom: Bool { state.withLock { $0.used < $0.limit / 4 } }

    /// A connection comes or goes.
    func changeUsers(by count: Int) { state.withLock { $0.users += count } }

    /// A connection holds more or less than before.
    func change(from before: Int, to after: Int) -> Verdict {
        state.withLock { state in
            state.used += after - before
            guard state.used > state.limit / 2, after > state.limit / (4 * max(1, state.users))
            else { return .fine }
            guard state.used > state.limit / 4 * 3, after > before else { return .paused }
            state.refused += 1
            return .refused
        }
    }

    /// A connection was held back for too long.
    func refuse() { state.withLock { $0.refused += 1 } }
}
