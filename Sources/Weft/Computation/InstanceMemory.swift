// The memory that running contracts share. What they may have together is a ceiling, so each gets a
// part of it; and as runs without a result can be made again, one for which the part was too small
// waits for more.
//
// An outermost call holds nothing while it waits. One that is called holds what its callers have,
// so it waits only as long as another outermost call goes on, none of whose calls wait: that one
// comes to its end and gives back. When all wait, those of the call that began last get nothing: it
// fails, and gives back what it holds.

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
        let tree: Tree
        private let state = Mutex(State.new)

        init(_ bytes: Int64, _ tree: Tree) {
            self.bytes = bytes
            self.tree = tree
        }

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

    /// An outermost call with all that it calls, by the order in which they began.
    typealias Tree = UInt64

    private struct State {
        var free: Int64
        /// Outermost calls that wait.
        var line: [Waiter] = []
        /// Calls within others that wait.
        var inner: [Waiter] = []
        /// How many parts of the memory each outermost call holds with what it calls.
        var parts: [Tree: Int] = [:]

        mutating func lend(_ bytes: Int64, to tree: Tree) {
            free -= bytes
            parts[tree, default: 0] += 1
        }

        mutating func takeBack(_ bytes: Int64, from tree: Tree) {
            free += bytes
            let left = (parts[tree] ?? 1) - 1
            parts[tree] = left > 0 ? left : nil
        }
    }

    private let total: Int64
    private let state: Mutex<State>
    private let trees = Atomic<Tree>(0)

    init(_ bytes: Int64) {
        total = bytes
        state = Mutex(State(free: bytes))
    }

    /// A number for an outermost call that begins.
    func plant() -> Tree { trees.add(1, ordering: .relaxed).newValue }

    /// How much is lent now.
    var taken: Int64 { total - state.withLock { $0.free } }

    /// How many calls within others wait.
    var waiting: Int { state.withLock { $0.inner.count } }

    /// Takes memory for what a call holds beside its instances. It waits for none: who holds much
    /// must not wait for others.
    ///
    /// - Throws: ``Exhausted``.
    func hold(_ bytes: Int64) throws(Exhausted) {
        let isThere = state.withLock { state in
            guard bytes <= state.free else { return false }
            state.free -= bytes
            return true
        }
        if !isThere { throw Exhausted() }
    }

    /// There is no memory left for what a call holds beside its instance, or for one of those that
    /// it calls. To run it again with a larger instance would not help.
    struct Exhausted: Error, CustomStringConvertible {
        var description: String { "\(ResourceFailure.memory)" }
    }

    /// Gives back what was held.
    func letGo(_ bytes: Int64) {
        guard bytes > 0 else { return }
        state.withLock { state in
            state.free += bytes
            Self.grant(&state)
        }
    }

    /// Lends a part of the memory to one instance that needs some at least. If that was too little
    /// beside others, it is made again: an outermost call when there is all that it could need, one
    /// within it when there is more than it had.
    ///
    /// - Parameter usual: what such instances have needed so far; nil if that is not known.
    /// - Throws: `ResourceFailure.memory`, or ``Exhausted`` to a call within another, so that it is
    ///   not taken for a lack of the other's own; what `body` throws; what ends the wait.
    func lend<Result>(
        atLeast needed: Int64, usually usual: Int64? = nil, depth: Int, of tree: Tree,
        _ control: RunControl, _ body: (Int64) throws -> Result
    ) throws -> Result {
        do {
            return try lendOrWait(
                atLeast: needed, usually: usual, depth: depth, of: tree, control, body)
        } catch ResourceFailure.memory where depth > 1 {
            throw Exhausted()
        } catch is Exhausted where depth == 1 {
            throw ResourceFailure.memory
        }
    }

    private func lendOrWait<Result>(
        atLeast needed: Int64, usually usual: Int64?, depth: Int, of tree: Tree,
        _ control: RunControl, _ body: (Int64) throws -> Result
    ) throws -> Result {
        guard needed <= total else { throw ResourceFailure.memory }
        let most = max(needed, min(Self.instanceBytes, total))
        var share = take(atLeast: needed, usually: usual, depth: depth, of: tree)
        while let taken = share {
            do {
                defer { giveBack(taken, of: tree) }
                return try body(taken)
            } catch ResourceFailure.memory where taken < most {
                // A brief run is made again by one that may be long.
                try control.checkMayBlock()
            } catch is Exhausted where depth == 1 && taken < most {
                // Alone it may have enough.
                try control.checkMayBlock()
                break
            }
            guard let more = take(after: taken, upTo: most, of: tree) else { break }
            share = more
        }
        try control.checkMayBlock()
        if depth == 1 {
            try wait(for: most, isInner: false, of: tree, control)
            share = most
        } else if let rest = takeRest(upTo: most, moreThan: share ?? needed - 1, of: tree) {
            share = rest
        } else {
            let more = share.map { min(most, max(2 * $0, total / 4)) } ?? needed
            try wait(for: more, isInner: true, of: tree, control)
            share = more
        }
        guard let share else { throw ResourceFailure.memory }
        defer { giveBack(share, of: tree) }
        return try body(share)
    }

    /// Takes a little more than such instances have needed so far. Of one that is not known it
    /// takes a part of what is left, which is small for those that are called, so that calls may
    /// lie as deep in each other as they are allowed to, and while others wait; at least what it
    /// begins with.
    private func take(
        atLeast needed: Int64, usually usual: Int64?, depth: Int, of tree: Tree
    ) -> Int64? {
        state.withLock { state in
            let isWanted = !state.line.isEmpty || !state.inner.isEmpty
            let isModest = depth > 2 || isWanted
            let most = isModest ? state.free / 16 : state.free / 2
            let part = usual.map { min($0 + $0 / 4, most) } ?? (isModest ? most / 4 : most / 2)
            let share = max(needed, min(Self.instanceBytes, part))
            guard share <= state.free else { return nil }
            state.lend(share, to: tree)
            return share
        }
    }

    /// Takes a few times what was too little, if there is so much and nobody waits for any.
    private func take(after less: Int64, upTo most: Int64, of tree: Tree) -> Int64? {
        state.withLock { state in
            let share = min(most, max(4 * less, 1 << 20))
            guard share <= state.free / 2, state.line.isEmpty, state.inner.isEmpty else {
                return nil
            }
            state.lend(share, to: tree)
            return share
        }
    }

    /// Takes what is free, if that is more than what was too little.
    private func takeRest(upTo most: Int64, moreThan less: Int64, of tree: Tree) -> Int64? {
        state.withLock { state in
            let share = min(most, state.free)
            guard share > less else { return nil }
            state.lend(share, to: tree)
            return share
        }
    }

    /// Waits in line on this thread, one of the engine's, as long as the call may take.
    private func wait(
        for bytes: Int64, isInner: Bool, of tree: Tree, _ control: RunControl
    ) throws {
        let waiter = Waiter(bytes, tree)
        state.withLock { state in
            if isInner { state.inner.append(waiter) } else { state.line.append(waiter) }
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
            if waiter.leave() { state.takeBack(bytes, from: tree) }
            state.line.removeAll { $0 === waiter }
            state.inner.removeAll { $0 === waiter }
            Self.grant(&state)
        }
        try control.check()
        throw ResourceFailure.memory
    }

    private func giveBack(_ bytes: Int64, of tree: Tree) {
        state.withLock { state in
            state.takeBack(bytes, from: tree)
            Self.grant(&state)
        }
    }

    /// Lets those go on for whom there is enough now, in their order; first those whose callers
    /// hold something. If all who hold something wait, the youngest goes without.
    private static func grant(_ state: inout State) {
        var inner: [Waiter] = []
        for waiter in state.inner {
            if waiter.bytes > state.free {
                inner.append(waiter)
            } else if waiter.end(granted: true) {
                state.lend(waiter.bytes, to: waiter.tree)
            }
        }
        state.inner = inner
        let stuck = Set(state.inner.map { $0.tree })
        if let youngest = stuck.max() {
            if state.parts.keys.contains(where: { !stuck.contains($0) }) { return }
            state.inner.removeAll { waiter in
                guard waiter.tree == youngest else { return false }
                waiter.end(granted: false)
                return true
            }
            return
        }
        while let first = state.line.first, first.bytes <= state.free {
            if first.end(granted: true) { state.lend(first.bytes, to: first.tree) }
            state.line.removeFirst()
        }
    }
}
