// The same program gives the same result and costs the same gas on every engine: V8's compilers,
// the interpreters WasmKit and wabt, before and after instrumentation.

import Foundation
import Testing
import WasmRules

@Suite struct EngineTests {
    static let programs = ["sort", "sha", "nbody", "matrix", "memory", "calls"]
    static let gas: Int64 = 1 << 40

    @Test("three engines agree on C programs", arguments: programs)
    func programsAgree(name: String) throws {
        let place = try Workplace()
        var results: Set<UInt64> = []
        for flags in [["-O0"], ["-O2", "-mbulk-memory"]] {
            let original = try place.compile(name, flags)
            let module = try InstrumentedModule(original)
            #expect(try InstrumentedModule(original) == module)
            let end = try place.runOnV8(module, gas: Self.gas)
            #expect(end.status == .ok)
            for engine in Interpreter.allCases {
                #expect(
                    try place.runOn(engine, module, gas: Self.gas) == end, "\(engine) \(flags)")
            }
            results.insert(try #require(end.result))
        }
        #expect(results.count == 1, "optimisation changes the result")
    }

    @Test("vectors give what scalars give", arguments: programs)
    func vectorsAgree(name: String) throws {
        let place = try Workplace()
        let scalar = try InstrumentedModule(place.compile(name, ["-O2"]))
        let vector = try InstrumentedModule(
            place.compile(name, ["-O3", "-msimd128", "-mbulk-memory"]))
        let end = try place.runOnV8(vector, gas: Self.gas)
        #expect(end.status == .ok)
        #expect(end.result == (try place.runOnV8(scalar, gas: Self.gas).result))
    }

    @Test("the SHA-256 of a known message")
    func sha256() throws {
        let place = try Workplace()
        let module = try InstrumentedModule(place.compile("sha", ["-O2"]))
        // The first bytes of the digest that hashlib gives.
        #expect(try place.runOnV8(module, gas: Self.gas).result == 0x4b64_0d85_ab3b_a30f)
    }

    /// Instructions that make a NaN from constants, in text, with what they give.
    static let makers: [(String, String)] = [
        ("f32", "(f32.div (f32.const 0) (f32.const 0))"),
        ("f32", "(f32.sub (f32.const inf) (f32.const inf))"),
        ("f32", "(f32.mul (f32.const -inf) (f32.const 0))"),
        ("f32", "(f32.add (f32.const 1) (f32.const -nan:0x200001))"),
        ("f32", "(f32.min (f32.const 1) (f32.const nan:0x123))"),
        ("f32", "(f32.max (f32.const -nan) (f32.const 1))"),
        ("f32", "(f32.sqrt (f32.const -1))"),
        ("f32", "(f32.ceil (f32.const -nan))"), ("f32", "(f32.floor (f32.const -nan:0x7))"),
        ("f32", "(f32.trunc (f32.const nan:0x7))"), ("f32", "(f32.nearest (f32.const -nan))"),
        ("f32", "(f32.demote_f64 (f64.const -nan:0x8000000000001))"),
        ("f64", "(f64.div (f64.const 0) (f64.const 0))"),
        ("f64", "(f64.sub (f64.const inf) (f64.const inf))"),
        ("f64", "(f64.mul (f64.const -inf) (f64.const 0))"),
        ("f64", "(f64.add (f64.const 1) (f64.const -nan:0x4000000000001))"),
        ("f64", "(f64.min (f64.const 1) (f64.const nan:0x123))"),
        ("f64", "(f64.max (f64.const -nan) (f64.const 1))"),
        ("f64", "(f64.sqrt (f64.const -1))"),
        ("f64", "(f64.ceil (f64.const -nan))"), ("f64", "(f64.floor (f64.const -nan:0x7))"),
        ("f64", "(f64.trunc (f64.const nan:0x7))"), ("f64", "(f64.nearest (f64.const -nan))"),
        ("f64", "(f64.promote_f32 (f32.const -nan:0x400001))"),
        ("f64", "(f64.sqrt (f64.neg (f64.add (f64.const 1) (f64.const 1))))"),
    ]

    @Test("every NaN that an instruction makes is the canonical one", arguments: makers)
    func canonicalNaN(type: String, text: String) throws {
        let place = try Workplace()
        let bits =
            type == "f32"
            ? "(i64.extend_i32_u (i32.reinterpret_f32 \(text)))" : "(i64.reinterpret_f64 \(text))"
        let module = try InstrumentedModule(
            place.assemble("(module (func (export \"run\") (result i64) \(bits)))"))
        let canonical: UInt64 = type == "f32" ? 0x7fc0_0000 : 0x7ff8_0000_0000_0000
        #expect(try place.runOnV8(module, gas: Self.gas).result == canonical)
        for engine in Interpreter.allCases {
            #expect(try place.runOn(engine, module, gas: Self.gas).result == canonical)
        }
    }

    @Test("bits of a NaN that no arithmetic made are left as they are")
    func boxedNaN() throws {
        let place = try Workplace()
        let module = try InstrumentedModule(
            place.assemble(
                """
                (module (memory 1) (data (i32.const 0) "\\01\\02\\03\\04\\05\\06\\f4\\ff")
                    (func (export "run") (result i64)
                        (f64.store (i32.const 8) (f64.neg (f64.abs (f64.load (i32.const 0)))))
                        (i64.load (i32.const 8))))
                """))
        #expect(try place.runOnV8(module, gas: Self.gas).result == 0xfff4_0605_0403_0201)
    }

    @Test("V8 takes every instrumented module")
    func valid() throws {
        let place = try Workplace()
        var files: [String] = []
        for (index, example) in GasTests.cases.enumerated() {
            let module = try InstrumentedModule(place.assemble("(module \(example.text))"))
            files.append(try place.write(module.bytes, "valid-\(index).wasm"))
        }
        let script = scripts.appending(path: "validate.mjs").path
        #expect(try place.run("node", [script] + files) == "")
    }
}
