// Paths as the node sees them.

import Glibc

/// Paths of this machine.
enum LocalPath {
    /// The path from the root, so that a node finds it from wherever it runs.
    static func absolute(_ path: String) throws -> String {
        guard !path.isEmpty else { throw CommandFailure("an empty path names nothing") }
        guard !path.hasPrefix("/") else { return path }
        guard let current = getcwd(nil, 0) else {
            throw CommandFailure("the current directory is gone; go to another one")
        }
        defer { free(current) }
        return String(cString: current) + "/" + path
    }
}
