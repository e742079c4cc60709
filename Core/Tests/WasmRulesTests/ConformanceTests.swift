// WebAssembly's own test suite on instrumented modules: every assertion must still hold, and every
// NaN that arithmetic makes must be the canonical one.
//
// The suite (github.com/WebAssembly/testsuite, commit 3a04b2c, all of Wasm 2.0) is no part of this
// repository. WEFT_WASM_TESTSUITE names a folder that holds it; `Vectors/webassembly` has a few
// files of the same form that are always run.

import Foundation
import Testing

@testable import WasmRules

@Suite struct ConformanceTests {
    static let suite = ProcessInfo.processInfo.environment["WEFT_WASM_TESTSUITE"]

    /// What one file came to.
    struct Report: Decodable {
        var passed: Int
        var refused: Int
        var failed: [String]
    }

    static func scripts(in folder: URL) -> [URL] {
        let files = try? FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil)
        return (files ?? []).filter { $0.pathExtension == "wast" }
            .sorted { $0.path < $1.path }
    }

    /// Splits a script into its modules, instruments them, and runs it.
    func report(on script: URL) throws -> Report {
        let place = try Workplace()
        _ = try place.run("wast2json", [script.path, "-o", "script.json"])
        let files = try FileManager.default.contentsOfDirectory(
            at: place.url, includingPropertiesForKeys: nil)
        for file in files where file.pathExtension == "wasm" {
            let name = file.deletingPathExtension().lastPathComponent
            do throws(WasmRefusal) {
                let bytes = (try? place.read("\(name).wasm")) ?? []
                let module = try InstrumentedModule(bytes, for: .conformance)
                _ = try? place.write(module.bytes, "\(name).instrumented.wasm")
            } catch {
                _ = try? place.write(Array(error.description.utf8), "\(name).refused")
            }
        }
        let runner = root.appending(path: "Tests/WebAssembly/conformance.mjs").path
        let text = try place.run("node", [runner, "script.json"])
        return try JSONDecoder().decode(Report.self, from: Data(text.utf8))
    }

    @Test("every assertion of our own scripts holds", arguments: scripts(in: vectors))
    func ownScripts(script: URL) throws {
        let report = try report(on: script)
        #expect(report.failed == [] && report.refused == 0 && report.passed > 10)
    }

    @Test("there are scripts of our own")
    func count() {
        #expect(Self.scripts(in: vectors).count >= 3)
    }

    /// What contracts cannot have, or what the suite has of memories that come from outside, which
    /// no contract has: growing one beyond what its owner allows is not -1, but no result at all.
    static let exceptions: [String: Int] = ["imports": 1, "linking": 1]

    @Test(
        "every assertion of the official suite holds", .enabled(if: suite != nil),
        arguments: scripts(in: URL(filePath: suite ?? "/nonexistent")))
    func officialScripts(script: URL) throws {
        let report = try report(on: script)
        let name = script.deletingPathExtension().lastPathComponent
        #expect(
            report.failed.count == Self.exceptions[name, default: 0], "\(name): \(report.failed)")
        // One of its br_tables has more labels than contracts may.
        #expect(report.refused == 0 || name == "br_table", "\(name): \(report.refused) refused")
    }
}
