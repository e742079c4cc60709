// The repository as the tidy tests see it: its Swift files, cut into lines.

import Foundation
import Testing

/// One Swift source file of the repository.
struct SourceFile: Sendable, CustomTestStringConvertible {
    /// The path relative to the repository, with forward slashes.
    let path: String
    let lines: [String]

    var testDescription: String { path }

    /// Whether it is part of what ships, rather than a test, benchmark or manifest.
    var isProduct: Bool { path.hasPrefix("Sources/") || path.hasPrefix("Core/Sources/") }

    /// The target that a product file belongs to; nil for other files.
    var target: String? {
        guard isProduct else { return nil }
        let parts = path.split(separator: "/")
        return String(parts[parts.firstIndex(of: "Sources")! + 1])
    }

    /// The modules that the file imports, in order.
    var imports: [String] {
        lines.compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard let index = words.firstIndex(of: "import"), index + 1 < words.count,
                words[..<index].allSatisfy({ Self.importModifiers.contains($0) })
            else { return nil }
            let kinds = ["struct", "class", "enum", "func", "protocol", "typealias", "var", "let"]
            let name = kinds.contains(words[index + 1]) ? words[index + 2] : words[index + 1]
            return name.split(separator: ".").first.map(String.init)
        }
    }

    private static let importModifiers: Set<String> = [
        "public", "internal", "package", "private", "fileprivate", "@testable", "@preconcurrency",
        "@_spi(CryptoExtras)", "unsafe",
    ]
}

/// Finds the repository's files from the place of this file.
enum SourceTree {
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Every file that git tracks, or would track if it were added now.
    static let paths: [String] = {
        let git = Process()
        git.executableURL = URL(filePath: "/usr/bin/env")
        git.arguments = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        git.currentDirectoryURL = root
        let output = Pipe()
        git.standardOutput = output
        do { try git.run() } catch { return [] }
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        git.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
            .filter { FileManager.default.fileExists(atPath: root.appending(path: $0).path) }
    }()

    static let swiftFiles: [SourceFile] = paths.filter { $0.hasSuffix(".swift") }.map { path in
        SourceFile(path: path, lines: text(path).components(separatedBy: "\n"))
    }

    static func text(_ path: String) -> String {
        guard let bytes = FileManager.default.contents(atPath: root.appending(path: path).path)
        else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }
}
