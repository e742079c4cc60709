// The interpreter WasmKit, the third engine: what V8 ran of real contracts, run again with the host
// in the module (Tests/WebAssembly/record.mjs). It calls the host as often, with the same numbers,
// gas and memory, and has the same memory and gas at the end.

import Foundation
import Testing

@Suite struct InterpretedTests {
    static let isLong = ProcessInfo.processInfo.environment["WEFT_LONG"] != nil

    /// Builds the programs of the benchmark; their modules.
    static let built: Result<[URL], any Error> = Result {
        let root = DocumentationTests.root
        let outcome = try Workplace().shell(
            "'\(root.appending(path: "bench/build-programs").path)'")
        guard outcome.status == 0 else { throw BuildFailure(output: outcome.errors) }
        return try FileManager.default.contentsOfDirectory(
            at: root.appending(path: ".build/contracts/programs"),
            includingPropertiesForKeys: nil
        ).filter { $0.pathExtension == "wasm" }
    }

    struct BuildFailure: Error {
        let output: String
    }

    @Test("three engines agree on the programs of the benchmark", .enabled(if: isLong))
    func programs() throws {
        let modules = try Self.built.get()
        #expect(modules.count == 12)
        for module in modules {
            let place = try Workplace()
            let request = "GET /run\nweft-gas: \(1 << 40)\n"
            try place.write("cases/tests/run.request", Data(request.utf8))
            let outcome = try place.weft(
                "contract", "test", "--json", "--module", module.path, place.path("cases"),
                environment: try place.recording())
            #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
            #expect(try outcome.objects().last?["engines"] as? [String] == ["Wasmtime", "V8"])
            guard module.lastPathComponent != "vectors.wasm" else {
                // It is written with vectors, whose instructions this interpreter does not know.
                let refusal = try place.interpret("0")
                #expect(refusal.status != 0 && refusal.errors.contains("Illegal opcode: [253]"))
                continue
            }
            #expect(try place.interpretRecorded(atMost: 1) == 1)
        }
    }
}

extension Workplace {
    /// What has node write down what a run of `weft contract test` does.
    func recording() throws -> [String: String] {
        try FileManager.default.createDirectory(
            atPath: path("recorded"), withIntermediateDirectories: true)
        let script = DocumentationTests.root.appending(path: "Tests/WebAssembly/record.mjs").path
        return ["WEFT_RECORD": path("recorded"), "NODE_OPTIONS": "--import \(script)"]
    }

    /// Runs one recorded activation on the interpreter.
    func interpret(_ name: String) throws -> Outcome {
        try shell("timeout 600 wasmkit run recorded/\(name).wasm measure")
    }

    /// Runs recorded activations on the interpreter, some if there are many; gives how many.
    func interpretRecorded(atMost limit: Int) throws -> Int {
        let count = try FileManager.default.contentsOfDirectory(atPath: path("recorded"))
            .count { $0.hasSuffix(".wasm") }
        let chosen = Array(stride(from: 0, to: count, by: max(1, count / limit)))
        for number in chosen {
            let expected = String(decoding: try read("recorded/\(number).txt"), as: UTF8.self)
            let outcome = try interpret("\(number)")
            let values = outcome.output.matches(of: /i64[(:](\d+)/).map { "\($0.1)" }
            #expect(values.joined(separator: " ") == expected, "\(number): \(outcome.errors)")
        }
        return chosen.count
    }
}
