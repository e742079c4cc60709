// Structured logs on standard error, as text for people or as JSON, one object a line.

import CoreFoundation
import Gateway
import Glibc
import IPLD
import Logging

/// Where logs go and how they look.
enum Log {
    /// The form of a line.
    enum Form: Sendable {
        case text
        case json
    }

    /// A logger that only speaks when something is badly wrong, for commands.
    static let quiet: Logger = logger(.critical, .text)

    /// A logger for a node.
    static func logger(_ level: Logger.Level, _ form: Form) -> Logger {
        var logger = Logger(label: "weft") { _ in LineHandler(form) }
        logger.logLevel = level
        return logger
    }
}

/// Writes each entry as one line on standard error.
private struct LineHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    private let form: Log.Form

    init(_ form: Log.Form) { self.form = form }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        switch form {
        case .text:
            let details = all.map { " \($0.key)=\($0.value)" }.joined()
            StandardError.line("\(Self.time()) \(event.level) \(event.message)\(details)")
        case .json:
            var entries: [Value.Entry] = [
                .init("time", .string(Self.time())), .init("level", .string("\(event.level)")),
                .init("message", .string("\(event.message)")),
            ]
            for (key, value) in all { entries.append(.init(key, .string("\(value)"))) }
            StandardError.write(JSONText.text(of: .map(entries)) + "\n")
        }
    }

    /// Now, in UTC, as RFC 3339 says.
    private static func time() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        var text = [CChar](repeating: 0, count: 32)
        let length = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
        let milliseconds = now.tv_nsec / 1_000_000
        let digits = String(1000 + milliseconds).dropFirst()
        return String(decoding: text[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            + ".\(digits)Z"
    }
}
