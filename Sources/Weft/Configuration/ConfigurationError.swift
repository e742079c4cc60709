// What can be wrong with a configuration, said so that it can be mended.

/// Why a configuration was refused.
public enum ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no such key; `nearest` is the known key that looks most like it.
    case unknownKey(String, nearest: String?)
    /// The value does not fit the key.
    case badValue(key: String, expected: String, found: String)
    /// The text is not TOML.
    case syntax(line: Int, message: String)
    /// The file is laid out so that the key cannot be changed without rewriting it.
    case cannotEdit(key: String)
    /// Another value that stands in the file twice or in two forms.
    case badFile(path: String, problem: String)

    public var description: String {
        switch self {
        case .unknownKey(let key, let nearest?):
            "there is no configuration key '\(key)'; did you mean '\(nearest)'?"
        case .unknownKey(let key, nil):
            "there is no configuration key '\(key)'; 'weft config show' lists them all"
        case .badValue(let key, let expected, let found):
            "'\(key)' must be \(expected), not '\(found)'"
        case .syntax(let line, let message):
            "line \(line) is not TOML: \(message)"
        case .cannotEdit(let key):
            "'\(key)' is written in a way that cannot be changed in place; edit the file by hand"
        case .badFile(let path, let problem):
            "\(path): \(problem)"
        }
    }
}
