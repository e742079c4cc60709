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

/// One connection's part of the budget, on its event loop. While there is too much nothing is read,
/// and if that does not help the connection is closed.
final class MemoryShare {
    /// How often a connection that is held back looks whether it may go on.
    private static let interval = TimeAmount.milliseconds(20)

    private let budget: MemoryBudget
    private var counted = 0
    private var eventLoop: (any EventLoop)?
    private var onPause: ((Bool) -> Void)?
    private var recount: (() -> Void)?
    private var onEmpty: (() -> Void)?
    /// Until when more than there should be may be held, and when that is looked at again.
    private var pause: (end: NIODeadline, task: Scheduled<Void>)?

    init(_ budget: MemoryBudget) {
        self.budget = budget
        budget.changeUsers(by: 1)
    }

    /// `pause` is told whether reading is to rest, `recount` has to count again, `runOut` to end
    /// the connection.
    func start(
        on eventLoop: any EventLoop, pause: @escaping (Bool) -> Void,
        recount: @escaping () -> Void, runOut: @escaping () -> Void
    ) {
        self.eventLoop = eventLoop
        onPause = pause
        self.recount = recount
        onEmpty = runOut
    }

    /// Whether windows may grow.
    var hasRoom: Bool { budget.hasRoom }

    /// The connection holds so much, besides itself.
    func count(_ bytes: Int) {
        let held = MemoryBudget.base + bytes
        guard held != counted || pause != nil else { return }
        let verdict = budget.change(from: counted, to: held)
        counted = held
        switch verdict {
        case .fine:
            pause?.task.cancel()
            pause = nil
            onPause?(false)
        case .paused: wait()
        case .refused: onEmpty?()
        }
    }

    private func wait() {
        guard let eventLoop else { return }
        let end = pause?.end ?? NIODeadline.now() + budget.patience
        guard NIODeadline.now() < end else {
            budget.refuse()
            onEmpty?()
            return
        }
        onPause?(true)
        pause?.task.cancel()
        let task = eventLoop.assumeIsolated().scheduleTask(in: Self.interval) {
            guard let recount = self.recount else { return }
            recount()
        }
        pause = (end, task)
    }

    /// The connection is over.
    func end() {
        pause?.task.cancel()
        pause = nil
        (onPause, recount, onEmpty) = (nil, nil, nil)
        _ = budget.change(from: counted, to: 0)
        counted = 0
        budget.changeUsers(by: -1)
    }
}
