// Who may knock: asked before anything is spent on a connection.

public import NIOCore
import Synchronization

/// How many connections peers may have to this node, those in their handshake among them, and from
/// where. It can be changed while listeners use it.
public final class Admission: Sendable {
    private struct State {
        var limit: Int
        var admits: @Sendable (SocketAddress) -> Bool
        var count = 0
        var overLimit: UInt64 = 0
        var denied: UInt64 = 0
    }

    private let state: Mutex<State>

    /// Admits so many connections from anywhere.
    public init(limit: Int) {
        state = Mutex(State(limit: limit, admits: { _ in true }))
    }

    /// Changes who is admitted. Connections that are there stay.
    public func set(limit: Int, _ admits: @escaping @Sendable (SocketAddress) -> Bool) {
        state.withLock { state in
            state.limit = limit
            state.admits = admits
        }
    }

    /// How many connections there are, and how many were turned away since the start: because there
    /// were too many, and because of where they came from.
    public var counts: (open: Int, overLimit: UInt64, denied: UInt64) {
        state.withLock { ($0.count, $0.overLimit, $0.denied) }
    }

    /// Counts one more connection; false if it is turned away.
    func enter(from address: SocketAddress?) -> Bool {
        let admits = state.withLock { $0.admits }
        let isWelcome = address.map(admits) ?? true
        return state.withLock { state in
            guard isWelcome else {
                state.denied += 1
                return false
            }
            guard state.count < state.limit else {
                state.overLimit += 1
                return false
            }
            state.count += 1
            return true
        }
    }

    func leave() { state.withLock { $0.count -= 1 } }
}
