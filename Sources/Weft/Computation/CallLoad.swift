// What this machine has measured of the contracts that it ran, and what it has still to do: by this
// it is compared with peers when it is decided who runs a call.

import Compute
import Multiformats
import Synchronization
import Wire

/// How fast this machine runs calls, and how busy it is.
final class CallLoad: Sendable {
    /// What is assumed before anything was measured, in gas a second.
    static let usualSpeed: UInt64 = 10_000_000_000
    /// How long it takes until a module can run that is in the store, or has to be fetched first.
    static let compiling = Duration.milliseconds(30)
    static let fetching = Duration.milliseconds(500)
    /// Of how many methods figures are kept.
    private static let maxMethods = 1_024
    /// Runs with so much gas tell how fast the machine is; shorter ones tell what starting costs.
    private static let tellingGas: UInt64 = 5_000_000
    /// How much work a call counts for at most whose method has not been run, in nanoseconds.
    private static let unknownWork: UInt64 = 100_000_000
    /// What is brief: some 50 µs, told by gas because time is longer on a busy machine; and how
    /// many calls of a method pass after one was not.
    private static let briefGas: UInt64 = 50_000
    private static let retryAfter: UInt8 = 15

    fileprivate struct Method: Hashable {
        let contract: CID
        let path: String
    }

    /// Averages of one method, in which each run counts for an eighth.
    private struct Figures {
        var gas: UInt64
        var ownGas: UInt64
        /// How long runs took that called nothing, without what they waited for, in nanoseconds.
        var time: UInt64?
        /// For how many calls it is not tried to run them briefly: some could not.
        var callsUntilRetry: UInt8 = 0
    }

    private struct State {
        var figures: [Method: Figures] = [:]
        var speed: UInt64?
        /// What has begun or waits, in nanoseconds of one core.
        var work: UInt64 = 0
        var count = 0
        var activations: UInt64 = 0
    }

    private let state = Mutex(State())
    private let slots: UInt64

    /// - Parameter slots: how many calls run at a time.
    init(slots: UInt32) { self.slots = UInt64(max(1, slots)) }

    // MARK: What follows from it

    /// The gas that a call is expected to use; nil if its method has not been run.
    func expectedGas(of call: Call) -> UInt64? {
        let method = Method(call)
        return state.withLock { $0.figures[method]?.gas }
    }

    /// What this machine can do for a call now.
    ///
    /// - Parameter sharers: how many machines, this one counted, may do what the call calls.
    func capacity(for call: Call, loading: Duration, sharers: UInt64 = 1) -> LocalCapacity {
        let method = Method(call)
        return state.withLock { state in
            let figures = state.figures[method]
            let gas = figures?.gas ?? call.gas
            var time = Self.time(of: call, figures, state)
            if let figures, figures.gas > figures.ownGas {
                let called = Self.time(ofGas: figures.gas - figures.ownGas, state)
                let (sum, isTooMuch) = time.addingReportingOverflow(called / max(1, sharers))
                time = isTooMuch ? .max : sum
            }
            let speed = UInt64(
                clamping: UInt128(gas) * 1_000_000_000 / UInt128(max(time, 1)))
            let queue = Duration.nanoseconds(Int64(clamping: state.work / slots)) + loading
            return LocalCapacity(speed: max(speed, 1), queue: queue)
        }
    }

    /// How long a call takes here without what it calls; nil if its method has not been run.
    func expectedTime(of call: Call) -> Duration? {
        let method = Method(call)
        return state.withLock { state in
            guard let figures = state.figures[method] else { return nil }
            return .nanoseconds(Int64(clamping: Self.time(of: call, figures, state)))
        }
    }

    /// Whether a call is expected to be so brief that it is best done by whoever asks for it:
    /// handing it to another thread takes longer.
    func isBrief(_ call: Call) -> Bool {
        let method = Method(call)
        return state.withLock { state in
            guard let figures = state.figures[method], figures.gas <= Self.briefGas else {
                return false
            }
            if figures.callsUntilRetry > 0 { state.figures[method]?.callsUntilRetry -= 1 }
            return figures.callsUntilRetry == 0
        }
    }

    /// A call was not as brief as was expected.
    func noteDetour(_ call: Call) {
        let method = Method(call)
        state.withLock { $0.figures[method]?.callsUntilRetry = Self.retryAfter }
    }

    /// How long calls have to wait now.
    var queue: Duration {
        state.withLock { .nanoseconds(Int64(clamping: $0.work / slots)) }
    }

    /// How fast the machine runs contracts, in gas a second.
    var speed: UInt64 { state.withLock { $0.speed ?? Self.usualSpeed } }

    /// How much gas this machine uses in such a time, about.
    func gas(of time: Duration) -> UInt64 {
        let nanoseconds = UInt128(max(0, time / .nanoseconds(1)))
        return UInt64(clamping: nanoseconds * UInt128(speed) / 1_000_000_000)
    }

    /// How many activations have come to their end here.
    var activations: UInt64 { state.withLock { $0.activations } }

    /// How many calls run here or wait.
    var count: Int { state.withLock { $0.count } }

    /// How long a call takes here without what it calls, in nanoseconds.
    private static func time(of call: Call, _ figures: Figures?, _ state: State) -> UInt64 {
        figures?.time ?? time(ofGas: figures?.ownGas ?? call.gas, state)
    }

    private static func time(ofGas gas: UInt64, _ state: State) -> UInt64 {
        UInt64(clamping: UInt128(gas) * 1_000_000_000 / UInt128(max(1, state.speed ?? usualSpeed)))
    }

    // MARK: What happens

    /// A call is to run here. Gives the work that it is, for ``end(_:)``.
    ///
    /// - Parameter whole: whether all that it calls runs here, too.
    func begin(_ call: Call, whole: Bool) -> UInt64 {
        let method = Method(call)
        return state.withLock { state in
            var figures = state.figures[method]
            if whole, let gas = figures?.gas { figures?.ownGas = gas }
            let time = Self.time(of: call, figures, state)
            // What is not known to be long does not keep everything else away.
            let work = state.figures[method] == nil ? min(time, Self.unknownWork) : time
            state.work += min(work, .max - state.work)
            state.count += 1
            return work
        }
    }

    /// A call does not run any more.
    func end(_ work: UInt64) {
        state.withLock { state in
            state.work -= min(work, state.work)
            state.count -= 1
        }
    }

    /// An activation came to its end.
    ///
    /// - Parameter time: how long it ran, without what it waited for.
    func note(_ record: CallRecord, took time: Duration) {
        let method = Method(record.call)
        let nanoseconds = UInt64(max(1, time / .nanoseconds(1)))
        let isLeaf = record.children.isEmpty
        state.withLock { state in
            state.activations += 1
            if isLeaf, record.gas >= Self.tellingGas {
                let measured = UInt64(
                    clamping: UInt128(record.gas) * 1_000_000_000 / UInt128(nanoseconds))
                state.speed = Self.average(
                    state.speed, measured, isFaster: measured > state.speed ?? 0)
            }
            if state.figures[method] == nil, state.figures.count >= Self.maxMethods {
                state.figures = [:]
            }
            let before = state.figures[method]
            state.figures[method] = Figures(
                gas: Self.average(before?.gas, record.gas),
                ownGas: Self.average(before?.ownGas, record.ownGas),
                time: isLeaf
                    ? Self.average(
                        before?.time, nanoseconds, isFaster: nanoseconds < before?.time ?? .max)
                    : before?.time,
                callsUntilRetry: before?.callsUntilRetry ?? 0)
        }
    }

    /// What is measured now counts for an eighth. What is faster than before counts for half: as
    /// with peers, that tells more than what is slow.
    private static func average(
        _ before: UInt64?, _ new: UInt64, isFaster: Bool = false
    ) -> UInt64 {
        guard let before else { return new }
        return isFaster ? before / 2 + new / 2 : before - before / 8 + new / 8
    }
}

extension CallLoad.Method {
    fileprivate init(_ call: Call) {
        contract = call.contract
        path = call.function
    }
}
