/// Ceilings on blocks that every part of the system agrees on.
public enum BlockLimits {
    /// The largest block that is made, taken, kept or served, in bytes.
    public static let maxBytes = 2 << 20
}
