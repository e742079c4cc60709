// What programs cost, to the unit, and how they end. The expected numbers are worked out by hand
// from docs/contracts-rules.md.

import TestSupport
import Testing
import WasmRules

@Suite struct GasTests {
    /// A program's text, the gas it is given, how it ends and what it costs.
    struct Case: CustomTestStringConvertible {
        let title: String
        let text: String
        var status = CallStatus.ok
        var result: UInt64?
        var cost: Int64?
        var testDescription: String { title }
    }

    static let limit: Int64 = 1_000_000

    static let cases: [Case] = [
        // One constant.
        Case(
            title: "a constant", text: "(func (export \"run\") (result i64) (i64.const 7))",
            result: 7, cost: 1),
        // Two constants, an addition; three variables cost one, the fifth costs another.
        Case(
            title: "variables",
            text: """
                (func (export "run") (result i64) (local i32 i32 v128)
                    (i64.add (i64.const 1) (i64.const 2)))
                """,
            result: 3, cost: 3 + 1),
        Case(
            title: "more variables",
            text: """
                (func (export "run") (result i64) (local i32 i32 i32 v128)
                    (i64.add (i64.const 1) (i64.const 2)))
                """,
            result: 3, cost: 3 + 2),
        // A call costs 5; the callee's constant 1.
        Case(
            title: "a call",
            text: """
                (func $one (result i64) (i64.const 1))
                (func (export "run") (result i64) (call $one))
                """,
            result: 1, cost: 6),
        // The variable 1; each of 10 rounds: get, const, sub, tee, br_if; then a constant.
        Case(
            title: "a loop",
            text: """
                (func (export "run") (result i64) (local $n i32)
                    (local.set $n (i32.const 10))
                    (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                    (i64.const 4))
                """,
            result: 4, cost: 1 + 2 + 10 * 5 + 1),
        // Only the part that is taken is paid: constant, if, and constant; not the division.
        Case(
            title: "a choice",
            text: """
                (func (export "run") (result i64)
                    (if (result i64) (i32.const 1)
                        (then (i64.const 5))
                        (else (i64.div_u (i64.const 1) (i64.const 0)))))
                """,
            result: 5, cost: 3),
        // What comes after a branch costs nothing.
        Case(
            title: "dead code",
            text: """
                (func (export "run") (result i64)
                    (block (result i64)
                        (br 0 (i64.const 6)) (i64.div_u (i64.const 1) (i64.const 0)) (drop)))
                """,
            result: 6, cost: 2),
        // Three constants, 10 for the instruction, 80 bytes in words of 8, and the result.
        Case(
            title: "filling memory",
            text: """
                (memory 1)
                (func (export "run") (result i64)
                    (memory.fill (i32.const 0) (i32.const 1) (i32.const 87))
                    (i64.const 0))
                """,
            result: 0, cost: 3 + 10 + 10 + 1),
        // A constant, 50 and two pages, the conversion; then one page too many, which is free.
        Case(
            title: "growing memory",
            text: """
                (memory 1 3)
                (func (export "run") (result i64)
                    (drop (memory.grow (i32.const 2)))
                    (i64.extend_i32_u (memory.grow (i32.const 1))))
                """,
            result: 0xffff_ffff, cost: 1 + 50 + 2 * 8_192 + 1 + 1 + 50 + 1),
        Case(
            title: "growing memory within the limit of contracts",
            text: """
                (memory 1)
                (func (export "run") (result i64)
                    (i64.extend_i32_u (memory.grow (i32.const 4096))))
                """,
            result: 0xffff_ffff, cost: 1 + 50 + 1),
        // The reference, a constant, 50, two elements of 8; drop, get the size, convert.
        Case(
            title: "growing a table",
            text: """
                (table 1 10 funcref)
                (func (export "run") (result i64)
                    (drop (table.grow 0 (ref.null func) (i32.const 2)))
                    (i64.extend_i32_u (table.size 0)))
                """,
            result: 3, cost: 2 + 50 + 2 * 8 + 1 + 2),
        Case(
            title: "a start function",
            text: """
                (global $g (mut i64) (i64.const 0))
                (func $begin (global.set $g (i64.const 9)))
                (start $begin)
                (func (export "run") (result i64) (global.get $g))
                """,
            result: 9, cost: 2 + 1),
        Case(
            title: "a division by zero",
            text: """
                (func (export "run") (result i64) (i64.div_u (i64.const 1) (i64.const 0)))
                """,
            status: .trap),
        Case(
            title: "an endless loop",
            text: "(func (export \"run\") (result i64) (loop (br 0)) (i64.const 1))",
            status: .outOfGas),
        Case(
            title: "endless recursion",
            text: """
                (func $run (export "run") (result i64) (i64.add (i64.const 1) (call $run)))
                """,
            status: .stackExhausted),
        Case(
            title: "endless recursion through a table",
            text: """
                (table funcref (elem $run))
                (type $t (func (result i64)))
                (func $run (export "run") (result i64)
                    (i64.add (i64.const 1) (call_indirect (type $t) (i32.const 0))))
                """,
            status: .stackExhausted),
        Case(
            title: "too much to fill",
            text: """
                (memory 200)
                (func (export "run") (result i64)
                    (memory.fill (i32.const 0) (i32.const 1) (i32.const 8000001)) (i64.const 1))
                """,
            status: .outOfGas),
        Case(
            title: "too much to grow",
            text: """
                (memory 1)
                (func (export "run") (result i64)
                    (i64.extend_i32_u (memory.grow (i32.const 2000))))
                """,
            status: .outOfGas),
        Case(
            title: "a straight line longer than the gas",
            text: """
                (memory 1)
                (func $work (drop (memory.grow (i32.const 60))))
                (func (export "run") (result i64)
                    (call $work) (call $work) (i64.const 1))
                """,
            result: 1, cost: 2 * (5 + 1 + 50 + 60 * 8_192 + 1) + 1),
        Case(
            title: "a straight line that uses up the gas",
            text: """
                (memory 1)
                (func $work (drop (memory.grow (i32.const 62))))
                (func (export "run") (result i64)
                    (call $work) (call $work) (i64.const 1))
                """,
            status: .outOfGas),
    ]

    @Test("a program costs what the schedule says, and ends as it must", arguments: cases)
    func costs(of example: Case) throws {
        let place = try Workplace()
        let module = try InstrumentedModule(
            place.assemble("(module \(example.text))"))
        let end = try place.runOnV8(module, gas: Self.limit)
        #expect(end.status == example.status)
        #expect(end.result == example.result)
        #expect(end.gas.map { Self.limit - $0 } == example.cost)
    }

    @Test("a program needs its cost to the unit: one less, and it runs out")
    func exactLimit() throws {
        let place = try Workplace()
        let example = try #require(Self.cases.first { $0.title == "a loop" })
        let module = try InstrumentedModule(place.assemble("(module \(example.text))"))
        let cost = try #require(example.cost)
        #expect(try place.runOnV8(module, gas: cost).status == .ok)
        #expect(try place.runOnV8(module, gas: cost - 1).status == .outOfGas)
        #expect(try place.runOnV8(module, gas: 0).status == .outOfGas)
    }

    @Test("nothing but calls of long functions runs on credit", arguments: [6, 40])
    func credit(divisions: Int) throws {
        let place = try Workplace()
        let work = (0..<divisions).reduce("(i64.const 9)") { sum, _ in
            "(i64.div_u \(sum) (i64.const 1))"
        }
        // Whoever is not asked before the end gets there and traps.
        let module = try InstrumentedModule(
            place.assemble(
                """
                (module (func $work (result i64) \(work))
                    (func (export "run") (result i64)
                        (drop (call $work)) (drop (call $work)) unreachable))
                """))
        let end = try place.runOnV8(module, gas: Int64(divisions * 11))
        #expect(end.status == (divisions > 6 ? .outOfGas : .trap))
    }

    @Test("an instance costs its pages, elements and data")
    func instantiation() throws {
        let place = try Workplace()
        let module = try InstrumentedModule(
            place.assemble(
                """
                (module (memory 3 5) (table 4 funcref) (func $f) (elem (i32.const 0) $f $f)
                    (data (i32.const 0) "0123456789abcdef"))
                """))
        #expect(module.instantiationGas == 3 * 8_192 + (4 + 2) * 8 + 2)
        #expect(module.memory == SizeLimits(minimum: 3, maximum: 5))
    }

    @Test("equal bytes become equal bytes, the same as ever")
    func pinned() throws {
        let pairs = rows(of: "webassembly/instrumented.csv")
        #expect(pairs.count == 1)
        for pair in pairs {
            #expect(hex(try InstrumentedModule(hex(pair[0])).bytes) == pair[1])
        }
    }

    @Test("what ends early costs all that it was given")
    func failuresCost() {
        #expect(CallStatus.ok.gasUsed(of: 100, left: 30) == 70)
        for status in [CallStatus.outOfGas, .trap, .stackExhausted, .resource] {
            #expect(status.gasUsed(of: 100, left: 30) == 100)
        }
        #expect(CallStatus(trapped: false, status: 0, gas: -1) == .outOfGas)
        #expect(CallStatus(trapped: true, status: 0, gas: -1) == .trap)
        #expect(CallStatus(trapped: true, status: 3, gas: 5) == .resource)
    }
}
