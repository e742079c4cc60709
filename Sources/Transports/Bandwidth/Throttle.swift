// A rate that connections on many event loops share, and one user's place in its line.

import Connections
public import NIOCore
import Synchronization
import Wire

/// A ceiling of bytes per second. Without one it costs the reading of a flag.
public final class Throttle: Sendable {
    private struct Waiter {
        let eventLoop: any EventLoop
        let turn: @Sendable (Int) -> Void
    }

    private struct State {
        var line = RateLine()
        var waiters: [RateLine.Flow: Waiter] = [:]
        var timer: (at: Instant, task: Scheduled<Void>)?
    }

    private let eventLoop: any EventLoop
    private let isLimitedFlag = Atomic(false)
    private let lastFlow = Atomic<UInt64>(0)
    private let state = Mutex(State())

    /// A throttle without a limit, whose timers run on this event loop.
    public init(timersOn eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    static func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    /// Bytes per second; nil for any number.
    public var rate: UInt64? { state.withLock { $0.line.rate } }

    /// How often somebody was held back, since the start.
    public var waits: UInt64 { state.withLock { $0.line.waits } }

    /// Whether there is a limit.
    var isLimited: Bool { isLimitedFlag.load(ordering: .relaxed) }

    /// The most bytes that pass in one turn.
    var quantum: Int { state.withLock { $0.line.quantum } }

    /// Changes the rate. Those who wait get a turn at once.
    public func setRate(_ rate: UInt64?) {
        isLimitedFlag.store(rate != nil, ordering: .relaxed)
        state.withLock { state in
            state.line.setRate(rate, now: Self.now())
            state.timer?.task.cancel()
            state.timer = nil
            setTimer(&state)
        }
    }

    func makeFlow() -> RateLine.Flow { lastFlow.add(1, ordering: .relaxed).newValue }

    /// Asks for bytes, as ``RateLine/ask(_:for:now:)`` does. A later turn is told on an event loop.
    func ask(
        _ flow: RateLine.Flow, for count: Int, on eventLoop: any EventLoop,
        turn: @escaping @Sendable (Int) -> Void
    ) -> Int {
        state.withLock { state in
            let got = state.line.ask(flow, for: count, now: Self.now())
            guard got == 0, count > 0 else { return got }
            state.waiters[flow] = Waiter(eventLoop: eventLoop, turn: turn)
            setTimer(&state)
            return 0
        }
    }

    func leave(_ flow: RateLine.Flow) {
        state.withLock { state in
            guard state.waiters.removeValue(forKey: flow) != nil else { return }
            state.line.leave(flow)
        }
    }

    func giveBack(_ count: Int) {
        state.withLock { $0.line.giveBack(count, now: Self.now()) }
    }

    private func setTimer(_ state: inout State) {
        guard let deadline = state.line.deadline() else { return }
        if let timer = state.timer {
            guard deadline < timer.at else { return }
            timer.task.cancel()
        }
        let task = eventLoop.scheduleTask(
            deadline: NIODeadline.uptimeNanoseconds(deadline.nanoseconds)
        ) { self.giveTurns() }
        state.timer = (deadline, task)
    }

    private func giveTurns() {
        let turns = state.withLock { state in
            state.timer = nil
            var turns: [(Waiter, Int)] = []
            while let turn = state.line.nextTurn(now: Self.now()) {
                guard let waiter = state.waiters.removeValue(forKey: turn.flow) else { continue }
                turns.append((waiter, turn.byteCount))
            }
            setTimer(&state)
            return turns
        }
        for (waiter, count) in turns { waiter.eventLoop.execute { waiter.turn(count) } }
    }
}

/// One user of a throttle, on its event loop. It pays before bytes go (``room(for:)``) or, where
/// nobody knows how many will come, afterwards (``isClear``).
public final class ThrottledFlow {
    /// What is asked for at once, at least, in bytes.
    static let least = RateLine.little

    private let throttle: Throttle
    private let eventLoop: any EventLoop
    private let flow: RateLine.Flow
    private let resume: () -> Void
    /// Bytes that are paid for and have not gone; below zero, bytes that have gone unpaid.
    private var balance = 0
    private var isWaiting = false
    private var hasEnded = false

    /// A user; `resume` is called when it may go on after it was held back.
    public init(
        _ throttle: Throttle, on eventLoop: any EventLoop, resume: @escaping () -> Void
    ) {
        self.throttle = throttle
        self.eventLoop = eventLoop
        self.resume = resume
        flow = throttle.makeFlow()
    }

    /// Whether there is a limit.
    public var isLimited: Bool { throttle.isLimited }

    /// How many of `count` bytes may go now, at least ``least`` of them or none; with none,
    /// `resume` is called later.
    func room(for count: Int) -> Int {
        guard throttle.isLimited else { return count }
        while balance < Self.least {
            guard ask(for: max(Self.least, count - Self.least) - balance) else { return 0 }
        }
        return min(count, balance)
    }

    /// Bytes have gone.
    public func spend(_ count: Int) {
        if throttle.isLimited { balance -= count }
    }

    /// Whether everything is paid that has gone; if not, `resume` is called when it is.
    public var isClear: Bool {
        while balance < 0 {
            guard ask(for: -balance) else { return false }
        }
        return true
    }

    /// Gives back what was paid for too much.
    func settle() {
        guard balance > 0 else { return }
        throttle.giveBack(balance)
        balance = 0
    }

    /// Gives up its place.
    public func end() {
        hasEnded = true
        if isWaiting { throttle.leave(flow) }
        settle()
    }

    /// Returns whether something was granted.
    private func ask(for count: Int) -> Bool {
        guard !isWaiting, !hasEnded else { return false }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let got = throttle.ask(flow, for: count, on: eventLoop) { bound.value.takeTurn($0) }
        balance += got
        isWaiting = got == 0
        return got > 0
    }

    private func takeTurn(_ count: Int) {
        isWaiting = false
        balance += count
        guard !hasEnded else { return settle() }
        if isClear { resume() }
    }
}
