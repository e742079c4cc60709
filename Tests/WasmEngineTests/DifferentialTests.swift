// Three engines on the same instrumented modules: Wasmtime here, V8 in node, and the interpreter
// WasmKit of the Swift toolchain give the same result, outcome and gas, for real programs and for
// modules made at random. WasmKit has no vectors, and does not tell why a call ended early.

import CWasmtime
import Foundation
import Testing
import Wire

@testable import WasmEngine
@testable import WasmRules

@Suite struct DifferentialTests {
    /// How a call of `run` went.
    struct Ending: Hashable, CustomStringConvertible {
        var status: CallStatus
        /// The result and what is left of the gas, if it came to its end.
        var result: UInt64?
        var left: Int64?

        init(trapped: Bool, status: Int32, left: Int64, result: UInt64) {
            self.status = CallStatus(trapped: trapped, status: status, gas: left)
            guard self.status == .ok else { return }
            (self.result, self.left) = (result, left)
        }

        var description: String { "\(status) \(result ?? 0) with \(left ?? 0) gas left" }
    }

    /// A module that is to be run.
    struct Case {
        var name: String
        var module: InstrumentedModule
        var hasVectors: Bool
    }

    static let gas: Int64 = 3_000_000

    @Test("engines agree on modules made at random")
    func generated() throws {
        let environment = ProcessInfo.processInfo.environment
        let isLong = environment["WEFT_LONG"] != nil
        let first = environment["WEFT_SEED"].flatMap { UInt64($0) } ?? 1
        let count: UInt64 = isLong ? 20_000 : 300
        var endings: [CallStatus: Int] = [:]
        for start in stride(from: first, to: first + count, by: 400) {
            let cases = try (start..<min(start + 400, first + count)).map { seed in
                let hasVectors = seed % 2 == 0
                let bytes = ModuleGenerator.module(seed: seed, hasVectors: hasVectors)
                do {
                    return Case(
                        name: "seed \(seed)", module: try InstrumentedModule(bytes),
                        hasVectors: hasVectors)
                } catch {
                    throw ToolError(description: "seed \(seed): \(error)")
                }
            }
            // The interpreter has a process for each, which takes its time.
            for ending in try compare(cases, interpreted: isLong ? 5 : 4) {
                endings[ending.status, default: 0] += 1
            }
        }
        // Too many that end early would show nothing.
        #expect(endings[.ok, default: 0] > Int(count) / 3, "\(endings)")
        #expect(endings[.trap, default: 0] > 0 && endings[.outOfGas, default: 0] > 0, "\(endings)")
    }

    @Test("engines agree on programs in C")
    func programs() throws {
        let place = try Workplace()
        var cases: [Case] = []
        for name in ["sort", "sha", "nbody", "matrix", "memory", "calls"] {
            for (flags, hasVectors) in [
                (["-O2", "-mbulk-memory"], false), (["-O3", "-msimd128", "-mbulk-memory"], true),
            ] {
                let source = repository.appending(path: "Vectors/webassembly/\(name).c").path
                try place.run(
                    ["clang"] + flags + [
                        "--target=wasm32", "-nostdlib", "-ffreestanding", "-Wl,--no-entry",
                        "-Wl,--export=run", "-o", "program.wasm", source,
                    ])
                let bytes = try Data(contentsOf: URL(filePath: place.path + "/program.wasm"))
                cases.append(
                    Case(
                        name: "\(name) \(flags)", module: try InstrumentedModule([UInt8](bytes)),
                        hasVectors: hasVectors))
            }
        }
        let endings = try compare(cases, gas: 1 << 32, interpreted: 1)
        #expect(endings.allSatisfy { $0.status == .ok })
    }

    /// Runs modules on all engines, those of every `interpreted`-th case also on the interpreter;
    /// once with enough gas, and with one less than they used. Gives how they ended at first.
    private func compare(
        _ cases: [Case], gas: Int64 = gas, interpreted: Int
    ) throws -> [Ending] {
        let place = try Workplace()
        var lines: [String] = []
        var expected: [(name: String, ending: Ending)] = []
        var firsts: [Ending] = []
        for (index, item) in cases.enumerated() {
            let file = "\(place.path)/\(index).wasm"
            try Data(item.module.bytes).write(to: URL(filePath: file))
            let runner = try RawModule(item.module.bytes)
            let first = try runner.run(gas: gas)
            firsts.append(first)
            lines.append("\(file) \(gas)")
            expected.append((item.name, first))
            guard let left = first.left else { continue }
            let less = gas - left - 1
            let second = try runner.run(gas: less)
            #expect(second.status == .outOfGas, "\(item.name)")
            lines.append("\(file) \(less)")
            expected.append((item.name, second))
            if item.hasVectors || index / 2 % interpreted != 0 { continue }
            let other = try place.interpret(item.module.bytes, gas: gas)
            #expect(other == first, "WasmKit on \(item.name)")
        }
        let others = try place.runOnV8(lines)
        try #require(others.count == expected.count)
        for (other, (name, ending)) in zip(others, expected) {
            #expect(other == ending, "V8 on \(name)")
        }
        return firsts
    }
}

/// The top of the repository.
let repository = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

extension Workplace {
    /// Runs modules in node: lines of a file and its gas.
    func runOnV8(_ lines: [String]) throws -> [DifferentialTests.Ending] {
        let list = path + "/list"
        try Data(lines.joined(separator: "\n").utf8).write(to: URL(filePath: list))
        let script = repository.appending(path: "Tests/WebAssembly/run.mjs").path
        return try output(of: ["node", script, list]).split(separator: "\n").map { line in
            let words = line.split(separator: " ")
            guard words.count == 4, let status = Int32(words[1]), let left = Int64(words[2]),
                let result = UInt64(words[3])
            else { throw ToolError(description: "node says \(line)") }
            return DifferentialTests.Ending(
                trapped: words[0] == "trap", status: status, left: left, result: result)
        }
    }

    /// Runs a module that comes to its end on WasmKit, which can neither set nor read globals: it
    /// gets one whose gas is there from the start, and whose export `measure` gives both.
    func interpret(_ module: [UInt8], gas: Int64) throws -> DifferentialTests.Ending {
        try Data(MeasuredModule.bytes(of: module, gas: gas)).write(
            to: URL(filePath: path + "/measured.wasm"))
        let text = try output(of: ["wasmkit", "run", path + "/measured.wasm", "measure"])
        let numbers = text.matches(of: /i64[(:](\d+)/).compactMap { UInt64($0.1) }
        guard numbers.count == 2 else { throw ToolError(description: "WasmKit says \(text)") }
        return DifferentialTests.Ending(
            trapped: false, status: 0, left: Int64(bitPattern: numbers[1]), result: numbers[0])
    }

    /// What a program that must succeed prints.
    private func output(of arguments: [String]) throws -> String {
        let file = path + "/output"
        try run(["sh", "-c", "exec \"$@\" >\(file)", "sh"] + arguments)
        return String(decoding: try Data(contentsOf: URL(filePath: file)), as: UTF8.self)
    }
}

/// An instrumented module on the engine of this process, beside the ways of contracts.
final class RawModule {
    private let engine: Engine
    private let module: OpaquePointer
    private let instances: OpaquePointer

    init(_ bytes: [UInt8]) throws {
        engine = try Engine.shared()
        let library = engine.library
        var compiled: OpaquePointer?
        if let error = library.api.wasmtime_module_new(
            engine.pointer, bytes, bytes.count, &compiled)
        {
            throw ToolError(description: library.message(error))
        }
        var linked: OpaquePointer?
        if let error = library.api.wasmtime_linker_instantiate_pre(
            engine.linker, compiled, &linked)
        {
            throw ToolError(description: library.message(error))
        }
        guard let compiled, let linked else { throw ToolError(description: "nothing was compiled") }
        (module, instances) = (compiled, linked)
    }

    deinit {
        engine.library.api.wasmtime_instance_pre_delete(instances)
        engine.library.api.wasmtime_module_delete(module)
    }

    /// Calls `run: [] -> i64` of a new instance.
    func run(gas: Int64) throws -> DifferentialTests.Ending {
        let (library, api) = (engine.library, engine.library.api)
        guard let store = api.wasmtime_store_new(engine.pointer, nil, nil),
            let context = api.wasmtime_store_context(store)
        else { throw ToolError(description: "there is no store") }
        defer { api.wasmtime_store_delete(store) }
        var instance = wasmtime_instance_t()
        var trap: OpaquePointer?
        if let error = api.wasmtime_instance_pre_instantiate(
            instances, context, &instance, &trap)
        {
            throw ToolError(description: library.message(error))
        }
        func export(_ name: String) throws -> wasmtime_extern_t {
            var found = wasmtime_extern_t()
            guard
                api.wasmtime_instance_export_get(
                    context, &instance, name, name.utf8.count, &found)
            else { throw ToolError(description: "there is no \(name)") }
            return found
        }
        var (left, status) = (try export("weft:gas"), try export("weft:status"))
        var value = wasmtime_val_t()
        value.kind = 1
        value.of.i64 = gas
        _ = api.wasmtime_global_set(context, &left.of.global, &value)
        var run = try export("run")
        var result = wasmtime_val_raw_t()
        let error = api.wasmtime_func_call_unchecked(context, &run.of.func, &result, 1, &trap)
        if let error { throw ToolError(description: library.message(error)) }
        if let trap { api.wasm_trap_delete(trap) }
        api.wasmtime_global_get(context, &left.of.global, &value)
        let rest = value.of.i64
        api.wasmtime_global_get(context, &status.of.global, &value)
        return DifferentialTests.Ending(
            trapped: trap != nil, status: value.of.i32, left: rest,
            result: UInt64(bitPattern: result.i64))
    }
}

/// An instrumented module with gas in it, and with the export `measure: [] -> i64 i64`: what `run`
/// gives, and what is left of the gas.
enum MeasuredModule {
    static func bytes(of bytes: [UInt8], gas: Int64) throws -> [UInt8] {
        let module = try ModuleDecoder.decode(bytes)
        func index(_ name: String) -> UInt64 {
            UInt64(module.exports.first { $0.name == name }?.index ?? 0)
        }
        var call: [UInt8] = [0, 0x10]
        call.appendVarint(index("run"))
        call.append(0x23)
        call.appendVarint(index("weft:gas"))
        call.append(0x0b)
        var type: [UInt8] = []
        type.appendVarint(UInt64(module.types.count))
        var body: [UInt8] = []
        body.append(part: call)
        var name: [UInt8] = [1]
        name.append(part: Array("measure".utf8))
        name.append(0)
        name.appendVarint(UInt64(module.functions.count))
        var out: [UInt8] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
        for id in module.sections.keys.sorted(by: { $0.place < $1.place }) {
            let content = Array(bytes[module.sections[id] ?? 0..<0])
            switch id {
            case .type: out.append(id, try longer(content, by: [0x60, 0, 2, 0x7e, 0x7e]))
            case .function: out.append(id, try longer(content, by: type))
            case .code: out.append(id, try longer(content, by: body))
            case .export: out.append(id, name)
            case .global:
                // The last four are the gas, the status, the stack and the floor.
                let zero: [UInt8] = [0x7e, 1, 0x42, 0, 0x0b, 0x7f, 1, 0x41, 0, 0x0b]
                let place = content.count - zero.count - 12
                try #require(content[place...].starts(with: zero))
                var filled = Array(content[..<(place + 2)])
                filled.append(i64: gas)
                out.append(id, filled + content[(place + 4)...])
            default: out.append(id, content)
            }
        }
        return out
    }

    /// A list with one more element.
    private static func longer(_ list: [UInt8], by element: [UInt8]) throws -> [UInt8] {
        var reader = WasmReader(list, 0..<list.count)
        let count = try reader.readU32()
        var out: [UInt8] = []
        out.appendVarint(UInt64(count) + 1)
        return out + list[reader.offset...] + element
    }
}
