// Other programs that a command runs: compilers and the second engine.

import ArgumentParser
import CoreFoundation
import Glibc
import NIOPosix
import Synchronization

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
        // The threads of a pool take no signals, and what they start would inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var process: pid_t = 0
        let error = posix_spawnp(&process, "timeout", &actions, &attributes, arguments, environ)
        guard error == 0 else {
            throw CommandFailure("cannot run \(words[0]): \(String(cString: strerror(error)))")
        }
        let interruption = Interruption(ending: process)
        defer { interruption.forget() }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else {
                throw CommandFailure("lost \(words[0]): \(String(cString: strerror(errno)))")
            }
        }
        if let signal = interruption.signal { throw ExitCode(128 + signal) }
        let code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
        guard code != 124 else {
            throw CommandFailure("\(words[0]) took more than 10 minutes", status: .deadline)
        }
        return code
    }
}

/// Ctrl-C and the like while a program runs: they end it, and what this command has begun is tidied
/// up as after a failure. The second time they end the command at once.
private struct Interruption {
    private static let process = Atomic<pid_t>(0)
    private static let received = Atomic<Int32>(0)
    private static let signals = [SIGINT, SIGTERM, SIGHUP]

    init(ending process: pid_t) {
        Self.received.store(0, ordering: .relaxed)
        Self.process.store(process, ordering: .sequentiallyConsistent)
        for number in Self.signals {
            var action = sigaction()
            sigaction(number, nil, &action)
            // What is ignored, as in the background of a script, stays so.
            guard action.__sigaction_handler.sa_handler == nil else { continue }
            Glibc.signal(number) { number in
                Interruption.received.store(number, ordering: .relaxed)
                // It passes that on to all that it has begun.
                kill(Interruption.process.load(ordering: .relaxed), SIGTERM)
                Glibc.signal(number, SIG_DFL)
            }
        }
    }

    /// The signal that came.
    var signal: Int32? {
        let number = Self.received.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }

    func forget() {
        for number in Self.signals {
            var action = sigaction()
            sigaction(number, nil, &action)
            guard let handler = action.__sigaction_handler.sa_handler,
                unsafeBitCast(handler, to: Int.self) != unsafeBitCast(SIG_IGN, to: Int.self)
            else { continue }
            Glibc.signal(number, SIG_DFL)
        }
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
