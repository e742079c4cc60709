// Standard output: buffered, quiet when its reader goes away, coloured only for a person.

import CoreFoundation
import Glibc
import NIOCore
import Synchronization

/// Writes to standard output.
enum StandardOutput {
    /// Whether a person looks at it.
    static let isTerminal = isatty(1) == 1
    /// Whether it may be coloured (no-color.org).
    static let hasColour =
        isTerminal && getenv("NO_COLOR").map { $0.pointee == 0 } ?? true
        && getenv("TERM").map { String(cString: $0) != "dumb" } ?? false

    /// How many lines the terminal shows; 24 where it does not say.
    static var rows: Int {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return 24 }
        return Int(size.ws_row)
    }

    private static let flushSize = 64 << 10
    private static let pending = Mutex<[UInt8]>([])

    /// Writes a line of text. On a terminal its control characters are shown and not obeyed.
    static func line(_ text: String) throws {
        try write(Array((isTerminal ? text.visible : text).utf8) + [0x0a])
    }

    /// Writes text without a line break.
    static func text(_ text: String) throws {
        try write(Array(text.utf8))
    }

    /// Writes bytes as they are, after what was written before.
    static func write(_ buffer: ByteBuffer) throws {
        try flush()
        try buffer.withUnsafeReadableBytes { try put($0) }
    }

    /// How text is set off: dim, bold, and what ends that.
    static let styles = ["\u{1b}[2m", "\u{1b}[1m", "\u{1b}[0m"]

    /// Text that is dim when a person reads it.
    static func dim(_ text: String) -> String { hasColour ? styles[0] + text + styles[2] : text }

    /// Text that is bold when a person reads it.
    static func bold(_ text: String) -> String { hasColour ? styles[1] + text + styles[2] : text }

    /// Writes what is still held back.
    static func flush() throws {
        let bytes = pending.withLock { pending in
            defer { pending.removeAll(keepingCapacity: true) }
            return pending
        }
        try bytes.withUnsafeBytes { try put($0) }
    }

    private static func write(_ bytes: [UInt8]) throws {
        let isFull = pending.withLock { pending in
            pending += bytes
            return isTerminal || pending.count >= flushSize
        }
        if isFull { try flush() }
    }

    private static func put(_ bytes: UnsafeRawBufferPointer) throws {
        var done = 0
        while done < bytes.count, let base = bytes.baseAddress {
            let count = Glibc.write(1, base + done, bytes.count - done)
            if count >= 0 {
                done += count
            } else if errno == EPIPE {
                endQuietly()
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, -1)
            } else if errno != EINTR {
                throw CommandFailure(
                    "standard output cannot be written: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Ends as a program does whose reader has gone away: by SIGPIPE, which networking code
    /// turned off.
    private static func endQuietly() -> Never {
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
        exit(ExitStatus.failed.rawValue)
    }
}
