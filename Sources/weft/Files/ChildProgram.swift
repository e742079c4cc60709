// Other programs that a command runs: compilers and the second engine.

import CoreFoundation
import Glibc
import NIOPosix

/// A program that is run to its end.
struct ChildProgram: Sendable {
    /// How long one may take.
    static let patience = Duration.seconds(600)

    /// Its name or path, and its arguments.
    let words: [String]
    /// Where it runs.
    var folder = "."
    /// The file that takes its standard output; nil for this program's standard error.
    var output: String?
    /// The file that takes its standard error; nil for this program's.
    var errors: String?

    /// Runs it; its exit code. Nil if there is no such program.
    func run() async throws -> Int32? {
        try await NIOThreadPool.singleton.runIfActive { [self] in try runToEnd() }
    }

    /// Whether a program of this name can be found.
    static func exists(_ name: String) -> Bool {
        let places = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return places.split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
    }

    private func runToEnd() throws -> Int32? {
        guard words[0].contains("/") || Self.exists(words[0]) else { return nil }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        let flags = O_WRONLY | O_CREAT | O_TRUNC
        if let output {
            posix_spawn_file_actions_addopen(&actions, 1, output, flags, 0o600)
        } else {
            posix_spawn_file_actions_adddup2(&actions, 2, 1)
        }
        if let errors {
            posix_spawn_file_actions_addopen(&actions, 2, errors, flags, 0o600)
        }
        let limited =
            ["timeout", "\(Self.patience.components.seconds)", "env", "-C", folder] + words
        let arguments = limited.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, "timeout", &actions, nil, arguments, environ)
        guard error == 0 else {
            throw CommandFailure("cannot run \(words[0]): \(String(cString: strerror(error)))")
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else {
                throw CommandFailure("lost \(words[0]): \(String(cString: strerror(errno)))")
            }
        }
        let code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
        guard code != 124 else {
            throw CommandFailure("\(words[0]) took more than 10 minutes", status: .deadline)
        }
        return code
    }
}

/// A folder for files of this command, gone with them at its end. Links in it are not to be made.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/weft-\(String(repeating: "X", count: 6))".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw CommandFailure(
                "cannot make a folder in \(base): \(String(cString: strerror(errno)))")
        }
        path = String(cString: made)
    }

    deinit {
        Self.remove(path)
    }

    private static func remove(_ path: String) {
        guard WholeFile.kind(of: path) == .folder else {
            unlink(path)
            return
        }
        // What cannot be removed is the system's to remove.
        for name in (try? WholeFile.names(in: path, .all)) ?? [] { remove("\(path)/\(name)") }
        rmdir(path)
    }
}
