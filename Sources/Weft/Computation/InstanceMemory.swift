// The memory that running contracts share. What they may have together is a ceiling, so each gets a
// part of it; and as runs without a result can be made again, one for which the part was too small
// waits for more.

import Synchronization
import WasmEngine

/// The memory that running contracts may have together.
final class InstanceMemory: Sendable {
    /// The most that one instance can need.
    private static let instanceBytes: Int64 = 256 << 20

    /// One that waits in line, until it is told how that ended.
    private final class Waiter: Sendable {
        private enum State {
            case new
            case waiting(CheckedContinuation<Bool, Never>)
            case over(granted: Bool)
        }

        let bytes: Int64
        private let state = Mutex(State.new)

        init(_ bytes: Int64) { self.bytes = bytes }

        /// Ends the wait, unless it is over.
        @discardableResult
        func end(granted: Bool) -> Bool {
            let (isFirst, continuation) = state.withLock { state in
                defer { if case .over = state {} else { state = .over(granted: granted) } }
                switch state {
                case .new: return (true, nil as CheckedContinuation<Bool, Never>?)
                case .waiting(let continuation): return (true, continuation)
                case .over: return (false, nil)
                }
            }
            continuation?.resume(returning: granted)
            return isFirst
        }

        /// Ends the wait; says whether it had been granted what it waited for.
        func leave() -> Bool {
            end(granted: false)
            return state.withLock { if case .over(true) = $0 { true } else { false } }
        }

        /// Whether it is granted what it waits for.
        func isGranted() async -> Bool {
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let known = state.withLock { state -> Bool? in
                        if case .over(let granted) = state { return granted }
                        state = .waiting(continuation)
                        return nil
                    }
                    if let known { continuation.resume(returning: known) }
                }
            } onCancel: {
                end(granted: false)
            }
        }
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

    /// How much is lent now.
    var taken: Int64 { total - state.withLock { $0.free } }

    /// Lends a part of the memory to one instance that needs some at least. If that was too little
    /// beside others, an outermost call waits in line for all that it could need, and is made
    /// again; those within it, whose callers hold memory meanwhile, are made again with what is
    /// free.
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
            } catch ResourceFailure.memory where taken < most && control.mayBlock {
                // It is looked for below.
            }
        }
        try control.checkMayBlock()
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
    /// which is small for those that are called, so that calls may lie as deep in each other as
    /// they are allowed to, and while others wait; at least what it begins with.
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

    /// Waits in line on this thread, one of the engine's, as long as the call may take.
    private func wait(for bytes: Int64, _ control: RunControl) throws {
        let waiter = Waiter(bytes)
        state.withLock { state in
            state.line.append(waiter)
            Self.grant(&state)
        }
        let outcome = Result {
            try control.wait {
                let timer = Task {
                    // Cancelled when the wait is over.
                    try? await Task.sleep(until: control.end, clock: .continuous)
                    waiter.end(granted: false)
                }
                defer { timer.cancel() }
                return await waiter.isGranted()
            }
        }
        if case .success(true) = outcome { return }
        state.withLock { state in
            // What was granted before anybody looked goes back.
            if waiter.leave() { state.free += bytes }
            state.line.removeAll { $0 === waiter }
            Self.grant(&state)
        }
        try control.check()
        throw ResourceFailure.memory
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
            if first.end(granted: true) { state.free -= first.bytes }
            state.line.removeFirst()
        }
    }
}
