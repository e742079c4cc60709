// What authors are told: the gas of each function, and what a module is made of. The numbers are
// worked out by hand from docs/contracts-rules.md.

import Foundation
import Testing
import WasmRules

@Suite struct ProfileTests {
    static let program = """
        (module
            (import "weft" "size" (func $size (param i32) (result i64)))
            (memory 1)
            (func $fill (memory.fill (i32.const 0) (i32.const 7) (i32.const 64)))
            (func $loop (local $n i32)
                (local.set $n (i32.const 10))
                (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
            (func $grow (result i32) (memory.grow (i32.const 2)))
            (func (export "run") (result i64)
                (call $fill) (call $loop) (drop (call $grow)) (call $size (i32.const 0))))
        """

    @Test("the gas of the functions adds up to that of the call")
    func profile() throws {
        let place = try Workplace()
        let bytes = try place.assemble(Self.program)
        let module = try InstrumentedModule(profiling: bytes)
        let file = try place.write(module.bytes, "profiled.wasm")
        let script = scripts.appending(path: "profile.mjs").path
        let lines = try place.run("node", [script, file, "1000000"])
            .split(separator: "\n").map { $0.split(separator: " ").compactMap { Int64($0) } }
        let counts = Dictionary(uniqueKeysWithValues: lines.dropFirst().map { ($0[0], $0[1]) })
        let expected: [Int64: Int64] = [
            // Three constants, 10 for the instruction, 8 for 64 bytes.
            1: 3 + 10 + 8,
            // A variable, two instructions, ten rounds of five.
            2: 1 + 2 + 50,
            // A constant, 50 for the instruction, two pages.
            3: 1 + 50 + 2 * 8_192,
            // Four calls, a drop, a constant.
            4: 4 * 5 + 1 + 1,
        ]
        #expect(counts == expected)
        // And what the host takes.
        #expect(counts.reduce(200) { $0 + $1.value } == lines[0][0])

        let plain = try InstrumentedModule(bytes)
        #expect(plain.bytes.count < module.bytes.count)
        #expect(plain.instantiationGas == module.instantiationGas)
    }

    @Test("a module's survey")
    func survey() throws {
        let place = try Workplace()
        let survey = try ModuleSurvey(place.assemble(Self.program))
        #expect(survey.features == [.bulkMemory])
        #expect(survey.functionCount == 4)
        #expect(survey.instructionCount == 5 + 10 + 3 + 7)
        #expect(survey.largest?.function == 2)
        let run = try #require(survey.functions.first)
        #expect(run.name == "run")
        #expect(run.type == FunctionType(parameters: [], results: [.i64]))
        // As in the profile, with the loop gone through once, and without what depends on operands.
        #expect(try survey.leastGas() == [13 + 8 + 51 + 222])
    }

    static let ways: [(code: String, gas: Int64?)] = [
        ("(if (i32.const 0) (then (call $dear)) (else (nop)))", 3),
        ("(if (i32.const 0) (then (call $dear)))", 2),
        ("(block (br_if 0 (i32.const 1)) (call $dear))", 2),
        ("(block (block (br_table 0 1 (i32.const 1))) (call $dear))", 4),
        ("(call $dear) (return)", 5 + 13 + 1),
        ("(if (i32.const 1) (then (unreachable))) (nop)", 3),
        ("(call $endless)", nil), ("(unreachable)", nil),
    ]

    @Test("the cheapest way through a function", arguments: ways)
    func leastGas(code: String, gas: Int64?) throws {
        let place = try Workplace()
        let survey = try ModuleSurvey(
            place.assemble(
                """
                (module
                    (func (export "run") \(code))
                    (func $dear (drop (i32.div_u (i32.const 1) (i32.const 1))))
                    (func $endless (call $endless)))
                """))
        #expect(try survey.leastGas() == [gas])
    }

    @Test("every feature is found")
    func features() throws {
        let place = try Workplace()
        let survey = try ModuleSurvey(
            place.assemble(
                """
                (module (memory 1) (table 1 funcref)
                    (func (result i32 i32) (i32.const 1) (i32.extend8_s (i32.const 1)))
                    (func (drop (i32.trunc_sat_f32_s (f32.const 1))))
                    (func (drop (ref.null func)))
                    (func (drop (v128.const i32x4 1 2 3 4)))
                    (func (memory.copy (i32.const 1) (i32.const 2) (i32.const 3))))
                """))
        #expect(survey.features == ModuleSurvey.Feature.allCases)
    }
}
