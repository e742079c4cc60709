// Why a command failed, as the person at the terminal reads it.

import BlockStore
import Glibc
import Weft

/// A failure of a command: one line that says what to do, the exit code, and what was tried.
struct CommandFailure: Error, CustomStringConvertible {
    let message: String
    var status: ExitStatus
    /// One line for each thing that was tried.
    let trace: [String]
    /// What kind of failure the library says it is, if it does.
    var kind: FetchError.Code?
    /// Whether only a new index of the store mends it.
    var isIndexDamaged = false

    init(_ message: String, status: ExitStatus = .failed, trace: [String] = []) {
        self.message = message
        self.status = status
        self.trace = trace
    }

    /// The failure that an error of the library amounts to.
    init(_ error: any Error) {
        switch error {
        case let failure as CommandFailure:
            self = failure
        case let error as FetchError:
            self.init(
                error.message, status: error.code == .deadline ? .deadline : .failed,
                trace: error.trace.map(\.description))
        case StoreError.indexDamaged:
            self.init(String(describing: error))
            isIndexDamaged = true
        default:
            self.init(String(describing: error))
        }
    }

    var description: String { message }

    /// Writes the line, and the trace beneath it, to standard error.
    func print() {
        let line = message.split(separator: "\n").joined(separator: " ")
        StandardError.line("weft: \(line)")
        for step in trace { StandardError.line("  \(step)") }
    }
}

/// Standard error, which nothing reads back: a failure to write to it has nowhere to go.
enum StandardError {
    static let isTerminal = isatty(2) == 1

    /// Writes a line of text. On a terminal its control characters are shown and not obeyed.
    static func line(_ text: String, end: String = "\n") {
        write((isTerminal ? text.visible : text) + end)
    }

    /// Writes text as it is.
    static func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.write(2, bytes.baseAddress! + done, bytes.count - done)
                guard count > 0 || errno == EINTR else { return }
                done += max(count, 0)
            }
        }
    }
}
