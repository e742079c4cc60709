// Other people's programs: the assembler and disassembler of wabt, the toolchain's C compiler, and
// the engines that instrumented modules are run on (V8 in node, the interpreters WasmKit and wabt).

import Foundation
import WasmRules

/// What went wrong outside of what is tested.
struct ToolError: Error, CustomStringConvertible {
    let description: String
}

/// A directory that is gone at the end of the test.
final class Workplace {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "weft-wasm-\(UUID())")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        // What is left of a test's files is the system's to remove.
        try? FileManager.default.removeItem(at: url)
    }

    /// Writes a file and gives its path.
    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        let file = url.appending(path: name)
        try Data(bytes).write(to: file)
        return file.path
    }

    /// The bytes of a file.
    func read(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: url.appending(path: name)))
    }

    /// Runs a program with the directory as its own; gives what it prints.
    func run(_ program: String, _ arguments: [String], mayFail: Bool = false) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        // A program that hangs is ended, and fails the test.
        process.arguments = ["timeout", "60", program] + arguments
        process.currentDirectoryURL = url
        process.standardInput = FileHandle.nullDevice
        let output = url.appending(path: "output-\(UUID())")
        try Data().write(to: output)
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        try handle.close()
        let text = String(decoding: try Data(contentsOf: output), as: UTF8.self)
        if process.terminationStatus != 0 && !mayFail {
            throw ToolError(description: "\(program) \(arguments): \(text.prefix(2_000))")
        }
        return text
    }

    /// Assembles a module from its text.
    func assemble(_ text: String) throws -> [UInt8] {
        let source = try write(Array(text.utf8), "source-\(UUID()).wat")
        _ = try run("wat2wasm", ["--debug-names", source, "-o", "assembled.wasm"])
        return try read("assembled.wasm")
    }

    /// Compiles one of the C programs under `Vectors/webassembly` to a module that exports `run`.
    func compile(_ name: String, _ flags: [String]) throws -> [UInt8] {
        let source = vectors.appending(path: "\(name).c").path
        _ = try run(
            "clang",
            flags + [
                "--target=wasm32", "-nostdlib", "-ffreestanding", "-Wl,--no-entry",
                "-Wl,--export=run", "-o", "compiled.wasm", source,
            ])
        return try read("compiled.wasm")
    }
}

/// The top of the repository.
let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// The folder of the programs that these tests run.
let vectors = root.appending(path: "Vectors/webassembly")

/// The folder of the scripts that drive node.
let scripts = root.appending(path: "Tests/WebAssembly")

/// How a call of `run` went on some engine.
struct Measured: Hashable {
    var status: CallStatus
    /// The function's result, if it came to its end.
    var result: UInt64?
    /// The gas that is left, if it came to its end.
    var gas: Int64?
}

extension Workplace {
    /// Calls the export `run: [] -> i64` of an instrumented module in node.
    func runOnV8(_ module: InstrumentedModule, gas: Int64) throws -> Measured {
        let file = try write(module.bytes, "module-\(UUID()).wasm")
        let list = try write(Array("\(file) \(gas)".utf8), "list")
        let script = scripts.appending(path: "run.mjs").path
        let words = try run("node", [script, list]).split(whereSeparator: \.isWhitespace)
        guard words.count == 4, let status = Int32(words[1]), let left = Int64(words[2]) else {
            throw ToolError(description: "node says \(words)")
        }
        return measured(
            trapped: words[0] == "trap", status: status, gas: left, UInt64(words[3]))
    }

    private func measured(
        trapped: Bool, status: Int32, gas: Int64, _ result: UInt64?
    ) -> Measured {
        let status = CallStatus(trapped: trapped, status: status, gas: gas)
        return Measured(
            status: status, result: status == .ok ? result : nil, gas: status == .ok ? gas : nil)
    }

    /// Calls it on an interpreter that can neither set nor read globals, and so gets a module whose
    /// exports do.
    func runOn(_ engine: Interpreter, _ module: InstrumentedModule, gas: Int64) throws -> Measured {
        let file = try write(module.bytes, "module-\(UUID()).wasm")
        let text = try run("wasm2wat", [file])
        let globals = text.matches(of: /\(export "weft:(gas|status)" \(global (\d+)\)\)/)
        let exported = text.firstMatch(of: /\(export "run" \(func (\d+)\)\)/)
        guard globals.count == 2, let function = exported?.1, text.hasSuffix(")\n") else {
            throw ToolError(description: "wasm2wat writes something unexpected: \(text)")
        }
        let driven =
            text.replacing(
                "(global (;\(globals[0].2);) (mut i64) (i64.const 0))",
                with: "(global (;\(globals[0].2);) (mut i64) (i64.const \(gas)))"
            ).replacing(/\(export "[^"]*" \((func|memory|table|global) \d+\)\)/, with: "").dropLast(
                2)
                + """
                (func (export "measure") (result i64 i64)
                    (call \(function)) (global.get \(globals[0].2))))
                """
        let bytes = try assemble(String(driven))
        return try engine.measure(try write(bytes, "driven.wasm"), in: self)
    }
}

/// An engine without a compiler.
enum Interpreter: CaseIterable {
    case wasmKit, wabt

    fileprivate func measure(_ file: String, in place: Workplace) throws -> Measured {
        let text =
            switch self {
            case .wasmKit: try place.run("wasmkit", ["run", file, "measure"], mayFail: true)
            case .wabt: try place.run("wasm-interp", ["--run-all-exports", file], mayFail: true)
            }
        let values = text.matches(of: /i64[(:](\d+)/).compactMap { UInt64($0.1) }
        guard values.count == 2 else {
            // Why it trapped is not to be had.
            return Measured(status: .trap)
        }
        let gas = Int64(bitPattern: values[1])
        let status = CallStatus(trapped: false, status: 0, gas: gas)
        return Measured(
            status: status, result: status == .ok ? values[0] : nil,
            gas: status == .ok ? gas : nil)
    }
}
