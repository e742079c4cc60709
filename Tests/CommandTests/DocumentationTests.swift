// Runs the guides: every code block marked `sh` of a document under docs/ and of README.md, in
// order, in an empty directory with a repository of its own. A guide that lies fails here.

import Foundation
import Testing

@Suite struct DocumentationTests {
    /// One document and the commands that it shows.
    struct Guide: Sendable, CustomTestStringConvertible {
        let path: String
        let script: String
        var testDescription: String { path }

        /// Reads the blocks that open with exactly "```sh".
        init(_ url: URL) throws {
            path = url.lastPathComponent
            var blocks: [String] = []
            var inside = false
            for line in try String(contentsOf: url, encoding: .utf8).components(separatedBy: "\n") {
                if line.hasPrefix("```") {
                    inside = line == "```sh"
                } else if inside {
                    blocks.append(line)
                }
            }
            script = blocks.joined(separator: "\n")
        }
    }

    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let guides: [Guide] = {
        let docs = root.appending(path: "docs")
        // A missing folder leaves the list empty, which the first test reports.
        let files = (try? FileManager.default.contentsOfDirectory(atPath: docs.path)) ?? []
        return files.filter { $0.hasSuffix(".md") }.sorted()
            .compactMap { try? Guide(docs.appending(path: $0)) }
            .filter { !$0.script.isEmpty }
    }()

    @Test("the guides show commands") func guidesExist() {
        #expect(Self.guides.count >= 5)
    }

    @Test("the commands of a guide work as written", arguments: guides)
    func run(guide: Guide) throws {
        let home = FileManager.default.temporaryDirectory.appending(path: "weft-docs-\(UUID())")
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: home) }

        let shell = Process()
        shell.executableURL = URL(filePath: "/usr/bin/timeout")
        shell.arguments = ["300", "bash", Self.root.appending(path: "Scripts/run-guide").path]
        shell.currentDirectoryURL = home
        shell.environment = ProcessInfo.processInfo.environment.merging(
            ["WEFT": Self.executable.path, "GUIDE": guide.script]) { $1 }
        let output = Pipe()
        shell.standardOutput = output
        shell.standardError = output
        try shell.run()
        let report = output.fileHandleForReading.readDataToEndOfFile()
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 0, "\(String(decoding: report, as: UTF8.self))")
    }

    /// The program that the build put beside this test bundle.
    static let executable: URL = {
        let binary = URL(filePath: CommandLine.arguments[0]).standardizedFileURL
        for folder in [binary.deletingLastPathComponent(), root.appending(path: ".build/debug")] {
            let candidate = folder.appending(path: "weft")
            if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
        }
        return root.appending(path: ".build/debug/weft")
    }()
}
