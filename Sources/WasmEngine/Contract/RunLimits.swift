// What this machine grants a run besides its gas, and how it is told to stop.

import Synchronization

/// What this machine grants one run. Going beyond is never a result.
public struct RunLimits: Sendable {
    /// The bytes of a response's body.
    public var outputBytes: Int
    /// The bytes of memory that one instance may have.
    public var memoryBytes: Int64

    /// Limits.
    public init(outputBytes: Int = 64 << 20, memoryBytes: Int64 = 256 << 20) {
        self.outputBytes = outputBytes
        self.memoryBytes = memoryBytes
    }
}

/// Tells the runs of one call, and those of its own calls, to stop.
public final class RunControl: Sendable {
    /// When they have to stop.
    let end: ContinuousClock.Instant
    /// How long that is from the start.
    let time: Duration
    private let cancelled = Atomic<Bool>(false)

    /// A control of runs that may take some time together.
    public init(time: Duration = .seconds(60)) {
        self.time = time
        end = .now + time
    }

    /// Makes the runs stop soon.
    public func cancel() { cancelled.store(true, ordering: .relaxed) }

    /// Whether they were told to stop.
    public var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    /// Why the runs cannot go on, if they cannot.
    public func check() throws {
        if isCancelled { throw CancellationError() }
        if ContinuousClock.now >= end { throw ResourceFailure.time(time) }
    }
}
