// A page in a browser that stays open while a test goes on.

import Foundation
import Testing

/// A page of Tests/Browsers, shown until it is let go.
final class OpenPage {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var unread = Data()
    /// What the page reported first.
    private(set) var report: [String: Any] = [:]

    init(_ page: String, _ argument: [String: Any]) throws {
        let json = try JSONSerialization.data(withJSONObject: argument)
        process.executableURL = URL(filePath: "/usr/bin/timeout")
        process.arguments = [
            "600", try Workplace.interpreter(), Workplace.script("../Browsers/chromium.py"), page,
            String(decoding: json, as: UTF8.self), "hold",
        ]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        report = try next()
    }

    /// What the page reports next.
    func next() throws -> [String: Any] {
        while !unread.contains(0x0a) {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            unread += more
        }
        let line = unread.prefix { $0 != 0x0a }
        unread = Data(unread.dropFirst(line.count + 1))
        return try #require(
            try JSONSerialization.jsonObject(with: line) as? [String: Any], "the page said nothing")
    }

    /// Closes the page.
    func close() {
        input.fileHandleForWriting.closeFile()
        process.waitUntilExit()
    }

    deinit { if process.isRunning { process.terminate() } }
}
