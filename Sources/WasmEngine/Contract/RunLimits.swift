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
