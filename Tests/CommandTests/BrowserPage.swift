// A page in a real browser that is told what to do line by line.

import Foundation
import Testing

/// A page of `Tests/Browsers` that stays.
final class BrowserPage {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var rest = Data()

    /// Shows a page; its first report is awaited.
    init(_ page: String, in browser: String = "chromium", argument: String = "") throws {
        process.executableURL = URL(filePath: "/usr/bin/timeout")
        process.arguments =
            ["1200", try Workplace.interpreter(), "-W", "ignore"]
            + [Workplace.script("../Browsers/\(browser).py"), page, argument, "hold"]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        _ = try report()
    }

    /// The next thing that the page reports.
    private func report() throws -> Any {
        while true {
            if let end = rest.firstIndex(of: 0x0a) {
                let line = rest[..<end]
                rest = Data(rest[(end + 1)...])
                return try JSONSerialization.jsonObject(with: line, options: .fragmentsAllowed)
            }
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "the browser has ended")
            rest += more
        }
    }

    /// Has the page do something; answers what it reports.
    func run(_ command: [String: Any]) throws -> [String: Any] {
        var line = try JSONSerialization.data(withJSONObject: command)
        line.append(0x0a)
        try input.fileHandleForWriting.write(contentsOf: line)
        let report = try report()
        return try #require(report as? [String: Any], "\(report)")
    }

    deinit {
        // The driver ends its browser when there is nothing more to read.
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}
