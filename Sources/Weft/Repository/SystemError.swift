// A system call that failed, with what it was about.

import Glibc

/// A system call that failed.
public struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was tried, for a person: `open`, `write`, `rename`.
    public let operation: String
    /// The file or directory it was about.
    public let path: String
    /// The error number of the system (`errno`).
    public let code: Int32

    /// Creates an error; take `errno` before any other call changes it.
    public init(_ operation: String, _ path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    public var description: String {
        "cannot \(operation) '\(path)': \(String(cString: strerror(code)))"
    }
}
