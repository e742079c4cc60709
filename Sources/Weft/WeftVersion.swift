/// The version of this library and program.
public enum WeftVersion {
    /// The version number (semver.org).
    public static let current = "0.1.0"
    /// How this program names itself to others.
    public static let agent = "weft/\(current)"
}
