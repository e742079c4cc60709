// How the calls that ran here have ended since the node started, so that its operator sees what
// callers have met with.

import Compute
import Logging
import Synchronization
import WasmEngine

/// How a call ended that ran here, by itself and not within another.
public enum CallEnding: String, CaseIterable, Sendable {
    /// The contract answered, or failed in a way that is the same everywhere.
    case ok
    case outOfGas = "out-of-gas"
    case stackExhausted = "stack-exhausted"
    case trap
    /// There was nothing to call: no contract, or no such method.
    case notCalled = "not-called"

    /// This machine lacked something, or its limits were too narrow.
    case memory, time, busy, stack, output, input, written, calls, depth, engine
    /// The caller's own time was up, or it went away.
    case deadline, cancelled
    /// Something that it reads could not be had.
    case content

    /// Whether it is an outcome, and no failure of this node or its caller.
    public var isOutcome: Bool {
        switch self {
        case .ok, .outOfGas, .stackExhausted, .trap, .notCalled: true
        default: false
        }
    }

    /// Whether more of this machine would have helped.
    var isShortage: Bool {
        switch self {
        case .memory, .time, .busy, .stack, .engine: true
        default: false
        }
    }
}

/// How many calls ended in which way.
public struct CallCounts: Sendable {
    /// By how they ended.
    public fileprivate(set) var endings: [CallEnding: UInt64] = [:]
    /// The gas of those that have a result.
    public fileprivate(set) var gas: UInt64 = 0
}

/// Counts the ends of calls, and tells of those for which this machine was too small.
final class CallTally: Sendable {
    /// How often the log tells of one kind of shortage at most, whatever callers do.
    private static let interval = Duration.seconds(60)

    private struct State {
        var counts = CallCounts()
        /// When the log told of it, and how many there have been since.
        var told: [CallEnding: (last: ContinuousClock.Instant, since: UInt64)] = [:]
    }

    private let maxTime: Duration
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter maxTime: how long this node lets a call run.
    init(maxTime: Duration, _ logger: Logger) {
        self.maxTime = maxTime
        self.logger = logger
    }

    var counts: CallCounts { state.withLock { $0.counts } }

    /// A call came to its end. What was remembered of an earlier one is none.
    func note(_ end: CallsUnderway.End, of call: Call) {
        if case .success(.result(_, isFresh: false)) = end { return }
        let (ending, why) = ending(of: end)
        var gas: UInt64 = 0
        if case .success(.result(let result, _)) = end { gas = result.record.gas }
        let untold = state.withLock { state -> UInt64? in
            state.counts.endings[ending, default: 0] += 1
            state.counts.gas += min(gas, .max - state.counts.gas)
            guard ending.isShortage else { return nil }
            let now = ContinuousClock.now
            if let told = state.told[ending], told.last.duration(to: now) < Self.interval {
                state.told[ending]?.since += 1
                return nil
            }
            return state.told.updateValue((now, 0), forKey: ending)?.since ?? 0
        }
        guard ending != .ok else { return }
        let url = call.url.prefix(200)
        logger.debug(
            "a call did not answer", metadata: ["call": "\(url)", "why": "\(why)"])
        if let untold {
            logger.warning(
                "a call of a contract has no result",
                metadata: ["call": "\(url)", "why": "\(why)", "likewise before": "\(untold)"])
        }
    }

    private func ending(of end: CallsUnderway.End) -> (CallEnding, why: String) {
        switch end {
        case .success(.result(let result, _)):
            return (CallEnding(result.record.outcome), result.ending)
        case .success(.noMethod(let why)), .success(.noContract(let why)):
            return (.notCalled, why)
        case .failure(let error):
            return (ending(of: error), "\(error)")
        }
    }

    private func ending(of error: any Error) -> CallEnding {
        switch error {
        case let failure as ResourceFailure:
            switch failure {
            case .memory: .memory
            case .time(let limit): limit < maxTime ? .deadline : .time
            case .busy: .busy
            case .stack: .stack
            case .output: .output
            case .input: .input
            case .written: .written
            case .calls: .calls
            case .depth: .depth
            case .engine: .engine
            }
        case is CancellationError: .cancelled
        default: .content
        }
    }
}

extension CallEnding {
    fileprivate init(_ outcome: Outcome) {
        self =
            switch outcome {
            case .ok: .ok
            case .outOfGas: .outOfGas
            case .stackExhausted: .stackExhausted
            case .trap: .trap
            }
    }
}

/// What calls of contracts take of this machine, and how they have ended since the node started.
public struct CallFigures: Sendable {
    /// How many run, by themselves and not within others.
    public let running: Int
    /// How many wait until they may.
    public let waiting: Int
    /// The memory that is lent to contracts, in bytes, and how much may be (`compute.memory`).
    public let memory: (bytes: UInt64, limit: UInt64)
    /// How many calls of peers run, how many may (`compute.slots`), and how many had to wait.
    public let peers: (running: Int, limit: Int, heldBack: UInt64)
    /// How many results are kept in memory.
    public let remembered: Int
    /// How calls have ended.
    public let counts: CallCounts
}

extension Computation {
    /// What calls of contracts take now.
    public var figures: CallFigures {
        let (own, line) = (underway.counts, peerLine.counts)
        return CallFigures(
            running: own.running, waiting: own.waiting + line.waiting,
            memory: (UInt64(max(0, memory.taken)), limits.memory),
            peers: (line.running, line.slots, line.heldBack), remembered: memo.count,
            counts: tally.counts)
    }
}
