// The memory that running contracts share. What they may have together is a ceiling, so each gets a
// part of it; and as runs without a result can be made again, one for which the part was too small
// waits for more.

import Dispatch
import Synchronization
import WasmEngine

/// The memory that running contracts may have together.
final class InstanceMemory: Sendable {
    /// The most that one instance can need.
    private static let instanceBytes: Int64 = 256 << 20
    /// How often one that waits looks whether it still has to.
    private static let look = DispatchTimeInterval.milliseconds(50)

    /// One that waits in line.
    private final class Waiter: Sendable {
        let bytes: Int64
        let granted = DispatchSemaphore(value: 0)

        init(_ bytes: Int64) { self.bytes = bytes }
    }

    private struct State {
        var free: Int64
        var line: [Waiter] = []
    }

    private let total: Int64
    private let state: Mutex<State>

    init(_ bytes: Int64) {
        total = bytes
        state = Mutex(State(free: bytes))
    }

    /// Lends a part of the memory to one instance that needs some at least. If that was too little
    /// beside others, an outermost call waits in line for all that it could need, and is made again;
    /// those within it, whose callers hold memory meanwhile, are made again with what is free.
    ///
    /// - Throws: `ResourceFailure.memory`; what `body` throws; what ends the wait.
    func lend<Result>(
        atLeast needed: Int64, depth: Int, _ control: RunControl, _ body: (Int64) throws -> Result
    ) throws -> Result {
        guard needed <= total else { throw ResourceFailure.memory }
        let most = max(needed, min(Self.instanceBytes, total))
        var share = take(atLeast: needed, depth: depth)
        if let taken = share {
            defer { giveBack(taken) }
            do {
                return try body(taken)
            } catch ResourceFailure.memory where taken < most {
                // It is looked for below.
            }
        }
        if depth == 1 {
            try wait(for: most, control)
            share = most
        } else {
            share = takeRest(upTo: most, moreThan: share ?? needed - 1)
        }
        guard let share else { throw ResourceFailure.memory }
        defer { giveBack(share) }
        return try body(share)
    }

    /// Takes all that an instance could need while there is plenty, else a part of what is left,
    /// which is small for those that are called, so that calls may lie as deep in each other as they
    /// are allowed to, and while others wait; at least what it begins with.
    private func take(atLeast needed: Int64, depth: Int) -> Int64? {
        state.withLock { state in
            let part = depth > 2 || !state.line.isEmpty ? state.free / 16 : state.free / 2
            let share = max(needed, min(Self.instanceBytes, part))
            guard share <= state.free else { return nil }
            state.free -= share
            return share
        }
    }

    /// Takes what is free, if that is more than what was too little.
    private func takeRest(upTo most: Int64, moreThan less: Int64) -> Int64? {
        state.withLock { state in
            let share = min(most, state.free)
            guard share > less else { return nil }
            state.free -= share
            return share
        }
    }

    /// Waits in line on this thread, one of the engine's.
    private func wait(for bytes: Int64, _ control: RunControl) throws {
        let waiter = Waiter(bytes)
        state.withLock { state in
            state.line.append(waiter)
            Self.grant(&state)
        }
        do {
            while waiter.granted.wait(timeout: .now() + Self.look) == .timedOut {
                try control.check()
            }
        } catch {
            leave(waiter)
            throw error
        }
    }

    /// Takes one out of the line, or what it was granted meanwhile.
    private func leave(_ waiter: Waiter) {
        state.withLock { state in
            if let place = state.line.firstIndex(where: { $0 === waiter }) {
                state.line.remove(at: place)
            } else {
                state.free += waiter.bytes
            }
            Self.grant(&state)
        }
    }

    private func giveBack(_ bytes: Int64) {
        state.withLock { state in
            state.free += bytes
            Self.grant(&state)
        }
    }

    /// Lets those go on for whom there is enough now, in their order.
    private static func grant(_ state: inout State) {
        while let first = state.line.first, first.bytes <= state.free {
            state.free -= first.bytes
            state.line.removeFirst().granted.signal()
        }
    }
}
