// What can be set when a store is opened.

/// Limits of a store.
public struct StoreOptions: Sendable {
    /// The most that the store's directory may ever hold, in bytes, index and logs included.
    public var maxBytes: UInt64
    /// How long content that is not pinned is kept after it was last used; nil: until the space
    /// is needed.
    public var cacheTTL: Duration?
    /// How much memory small blocks and their places may occupy, in bytes.
    public var memoryBytes: Int
    /// How many threads read from the disk when the page cache does not have the bytes.
    public var readThreads: Int

    /// Limits with their usual values: 10 GiB, no time limit, 16 MiB of memory, 4 threads.
    public init(
        maxBytes: UInt64 = 10 << 30, cacheTTL: Duration? = nil, memoryBytes: Int = 16 << 20,
        readThreads: Int = 4
    ) {
        self.maxBytes = maxBytes
        self.cacheTTL = cacheTTL
        self.memoryBytes = memoryBytes
        self.readThreads = readThreads
    }

    /// The smallest ``maxBytes`` that a store can work within.
    public static let minimumBytes: UInt64 = 8 << 20
}
