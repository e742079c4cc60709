// The line of calls that peers have asked for: so many run at a time as are offered.

import DequeModule
import Synchronization

/// Lets so many through at a time, in the order in which they came.
final class PeerLine: Sendable {
    /// How many wait at most. The machine of calls takes no more of all peers together.
    static let maxWaiting = 1_024

    typealias Work = @Sendable () -> Void

    /// Something in line. It is begun with what it has to call at its end, and gives what stops it.
    private final class Entry: Sendable {
        enum State {
            case waiting
            case running(stop: Work?, since: ContinuousClock.Instant)
            /// It was taken back.
            case gone
        }

        let begin: @Sendable (_ end: @escaping Work) -> Work
        let state = Mutex(State.waiting)

        init(_ begin: @escaping @Sendable (_ end: @escaping Work) -> Work) { self.begin = begin }
    }

    private enum Place {
        case begins, waits, none
    }

    private let slots: Int
    private let state: Mutex<(free: Int, waiting: Deque<Entry>, heldBack: UInt64)>
    private let maxWaiting: Int

    init(slots: UInt32, maxWaiting: Int = PeerLine.maxWaiting) {
        self.slots = Int(max(1, slots))
        state = Mutex((free: self.slots, waiting: [], heldBack: 0))
        self.maxWaiting = maxWaiting
    }

    /// How many run, may run and wait, and how many have had to wait.
    var counts: (running: Int, slots: Int, waiting: Int, heldBack: UInt64) {
        state.withLock { (slots - $0.free, slots, $0.waiting.count, $0.heldBack) }
    }

    /// Has work begun, now or when it is its turn.
    ///
    /// - Parameters:
    ///   - begin: begins it; calls what it is given when it is over, and gives what stops it.
    ///   - gone: called instead, if it is taken back before it has begun, or if too much waits.
    /// - Returns: takes it back, and tells how long it has run.
    func enter(
        _ begin: @escaping @Sendable (_ end: @escaping Work) -> Work, gone: @escaping Work
    ) -> @Sendable () -> Duration {
        let entry = Entry(begin)
        let place = state.withLock { state -> Place in
            guard state.free == 0 else {
                state.free -= 1
                return .begins
            }
            state.heldBack += 1
            guard state.waiting.count < maxWaiting else { return .none }
            state.waiting.append(entry)
            return .waits
        }
        switch place {
        case .begins: start(entry)
        case .waits: break
        case .none:
            gone()
            return { .zero }
        }
        return { [self] in
            guard let (stop, start) = withdraw(entry) else {
                gone()
                return .zero
            }
            stop()
            return start.duration(to: .now)
        }
    }

    private func start(_ entry: Entry) {
        let isWanted = entry.state.withLock { state in
            guard case .waiting = state else { return false }
            state = .running(stop: nil, since: .now)
            return true
        }
        guard isWanted else { return leave() }
        let stop = entry.begin { [self] in leave() }
        let isGone = entry.state.withLock { state in
            guard case .running(_, let start) = state else { return true }
            state = .running(stop: stop, since: start)
            return false
        }
        if isGone { stop() }
    }

    /// Takes work back. Gives what stops it and when it had begun; nil if it had not.
    private func withdraw(_ entry: Entry) -> (stop: Work, since: ContinuousClock.Instant)? {
        let running = entry.state.withLock { state -> (Work, ContinuousClock.Instant)? in
            defer { state = .gone }
            guard case .running(let stop, let start) = state else { return nil }
            return (stop ?? {}, start)
        }
        guard running == nil else { return running }
        state.withLock { state in state.waiting.removeAll { $0 === entry } }
        return nil
    }

    /// Gives a place to the next.
    private func leave() {
        let next = state.withLock { state -> Entry? in
            if let first = state.waiting.popFirst() { return first }
            state.free += 1
            return nil
        }
        if let next { start(next) }
    }
}
