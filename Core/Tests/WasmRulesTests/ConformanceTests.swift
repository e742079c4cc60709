// WebAssembly's own test suite on instrumented modules, with V8 and with Wasmtime: every assertion
// must still hold, and every NaN that arithmetic makes must be the canonical one.
//
// The suite is no part of this repository. `Scripts/wasm-testsuite` brings a large part of it from
// Debian, and in the long runs all of it (github.com/WebAssembly/testsuite, commit 3a04b2c), which
// WEFT_WASM_TESTSUITE can also name; `Vectors/webassembly` has a few scripts of the same form.

import Foundation
import Testing

@testable import WasmRules

@Suite struct ConformanceTests {
    /// What one script, or many, came to.
    struct Report: Decodable {
        /// The assertions that hold.
        var passed = 0
        /// Those about modules that contracts cannot be: by the reason in ``reasons``.
        var refused = 0
        /// What does not hold.
        var failed: [String] = []
        /// Modules by what becomes of them under the rules of contracts, which import less than the
        /// suite does.
        var asContracts: [String: Int] = [:]
        /// Why modules that the specification allows are refused even without those.
        var reasons: Set<String> = []

        private enum CodingKeys: String, CodingKey { case passed, refused, failed }

        mutating func add(_ other: Report) {
            passed += other.passed
            refused += other.refused
            failed += other.failed
            asContracts.merge(other.asContracts) { $0 + $1 }
            reasons.formUnion(other.reasons)
        }
    }

    /// The part of a script that `wast2json` writes which is of interest here.
    private struct Script: Decodable {
        struct Command: Decodable {
            var type: String
            var filename: String?
        }

        var commands: [Command]
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
        let text = try Data(contentsOf: place.url.appending(path: "script.json"))
        let valid = Set(
            try JSONDecoder().decode(Script.self, from: text).commands
                .filter { $0.type == "module" }.compactMap { $0.filename })
        var report = Report()
        let files = try FileManager.default.contentsOfDirectory(
            at: place.url, includingPropertiesForKeys: nil)
        for file in files where file.pathExtension == "wasm" {
            let name = file.deletingPathExtension().lastPathComponent
            let bytes = try place.read("\(name).wasm")
            do {
                let module = try InstrumentedModule(bytes, for: .conformance)
                _ = try place.write(module.bytes, "\(name).instrumented.wasm")
            } catch let refusal as WasmRefusal {
                _ = try place.write(Array(refusal.description.utf8), "\(name).refused")
                if valid.contains("\(name).wasm") { report.reasons.insert("\(refusal.reason)") }
            }
            if valid.contains("\(name).wasm") {
                report.asContracts[Self.asContract(bytes), default: 0] += 1
            }
        }
        let name = script.deletingPathExtension().lastPathComponent
        let onV8 = try place.conformance("node", "conformance.mjs", of: name)
        let onWasmtime = try place.conformance(python, "conformance.py", of: name)
        // What fails is told in each engine's own words.
        #expect(onWasmtime.passed == onV8.passed && onWasmtime.refused == onV8.refused, "\(name)")
        #expect(
            onWasmtime.failed.map(Self.place) == onV8.failed.map(Self.place),
            "\(onWasmtime.failed)")
        report.add(onV8)
        return report
    }

    /// The script, line and command of what failed.
    private static func place(of failure: String) -> String {
        failure.split(separator: ":").prefix(3).joined(separator: ":")
    }

    /// What the rules of contracts say of a module.
    private static func asContract(_ bytes: [UInt8]) -> String {
        do throws(WasmRefusal) {
            _ = try InstrumentedModule(bytes)
            return "taken"
        } catch {
            return "\(error.reason)"
        }
    }

    /// Runs all scripts of a folder.
    private func report(onAllIn folder: URL) async throws -> Report {
        try await withThrowingTaskGroup { group in
            var whole = Report()
            var scripts = Self.scripts(in: folder)[...]
            for script in scripts.prefix(4) { group.addTask { try report(on: script) } }
            scripts = scripts.dropFirst(4)
            while let one = try await group.next() {
                whole.add(one)
                if let script = scripts.popFirst() {
                    group.addTask { try report(on: script) }
                }
            }
            return whole
        }
    }

    /// The Python that has Wasmtime (`Scripts/install-packages test`).
    private var python: String { root.appending(path: ".build/venv/bin/python3").path }

    @Test("every assertion of our own scripts holds", arguments: scripts(in: vectors))
    func ownScripts(script: URL) throws {
        let report = try report(on: script)
        #expect(report.failed == [] && report.refused == 0 && report.passed > 10)
    }

    @Test("there are scripts of our own")
    func count() {
        #expect(Self.scripts(in: vectors).count >= 3)
    }

    static let debian = root.appending(path: ".build/wasm-testsuite/debian")

    /// What Binaryen's copy asks that is no rule of WebAssembly 2.0: that functions have one result
    /// (`func`, `type`), that modules are linked as an older draft says (`linking`, `imports`),
    /// that a module is there which its script does not make (`ref_func`), memories larger than
    /// contracts may have (`resizing`).
    static let changed: Set<Substring> = [
        "func", "imports", "linking", "ref_func", "resizing", "type",
    ]

    @Test(
        "every assertion of the suite holds, as far as Debian has it",
        .enabled(if: !scripts(in: debian).isEmpty, "Scripts/wasm-testsuite brings it"))
    func suiteOfDebian() async throws {
        let report = try await report(onAllIn: Self.debian)
        let others = report.failed.filter { !Self.changed.contains($0.prefix { $0 != ":" }) }
        #expect(others == [])
        #expect(report.failed.count == 11 && report.passed == 19_427 && report.refused == 893)
        #expect(report.reasons == ["a br_table has too many labels", "64-bit memories and tables"])
        #expect(
            report.asContracts == [
                "taken": 778, "64-bit memories and tables": 49,
                "it imports something other than a function": 58,
                "it imports a function of other than integers": 3,
                "a br_table has too many labels": 1,
            ])
    }

    static let official =
        ProcessInfo.processInfo.environment["WEFT_WASM_TESTSUITE"].map { URL(filePath: $0) }
        ?? root.appending(path: ".build/wasm-testsuite/official")

    @Test(
        "every assertion of the official suite holds",
        .enabled(if: !scripts(in: official).isEmpty, "Scripts/wasm-testsuite official brings it"))
    func officialSuite() async throws {
        let report = try await report(onAllIn: Self.official)
        // What the suite has of memories that come from outside, which no contract has: growing one
        // beyond what its owner allows is not -1, but no result at all.
        #expect(report.failed.map { $0.prefix { $0 != ":" } }.sorted() == ["imports", "linking"])
        // One of its br_tables has more labels than contracts may.
        #expect(report.passed == 52_670 && report.refused == 150)
        #expect(report.reasons == ["a br_table has too many labels"])
        #expect(
            report.asContracts == [
                "taken": 1_509, "it imports something other than a function": 82,
                "it imports a function of other than integers": 3,
                "a br_table has too many labels": 1,
            ])
    }
}

extension Workplace {
    /// What a runner says of the script that lies here, split and instrumented.
    fileprivate func conformance(
        _ program: String, _ runner: String, of name: String
    ) throws -> ConformanceTests.Report {
        let file = scripts.appending(path: runner).path
        let answer = try run(program, [file, "script.json"])
        var result = try JSONDecoder().decode(
            ConformanceTests.Report.self, from: Data(answer.utf8))
        result.failed = result.failed.map { "\(name): \($0)" }
        return result
    }
}
