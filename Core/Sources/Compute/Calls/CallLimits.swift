// How large calls and their records may be. Part of the rules: a call that exceeds one is refused
// before it is run.

/// The ceilings of calls and call records.
public enum CallLimits {
    /// The longest path of a call, in bytes of its decoded form.
    public static let maxPathBytes = 4 << 10
    /// The longest query, in bytes.
    public static let maxQueryBytes = 8 << 10
    /// Headers of a request or response.
    public static let maxHeaders = 32
    /// Bytes of all names and values of a request's or response's headers together.
    public static let maxHeaderBytes = 8 << 10
    /// The longest name of a header, in bytes.
    public static let maxHeaderNameBytes = 64
    /// The longest body that stands in a call or record itself; a longer one is named by its CID.
    public static let maxInlineBytes = 32 << 10
    /// The most gas that a call may be given.
    public static let maxGas: UInt64 = 1 << 48
    /// The most calls that one activation may make.
    public static let maxChildren = 4_096
    /// The most pieces of content that one activation may read.
    public static let maxReads = 4_096
    /// Bytes of the names of what one activation reads, together.
    public static let maxReadNameBytes = 160 << 10
    /// How deep calls may lie in each other; a call that calls nothing has depth 1.
    public static let maxDepth = 64
    /// The longest encoded call, in bytes.
    public static let maxCallBytes = 64 << 10
    /// The longest encoded record, in bytes.
    public static let maxRecordBytes = 512 << 10
}
