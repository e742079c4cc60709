// Leaving out the replacement of NaNs whose bits nobody sees must not be seen. Random programs over
// floating-point variables, vectors, memory and control flow run in two forms: with every NaN made
// canonical, and as the instrumenter has it. Both must leave the same bits.

import TestSupport
import Testing

@testable import WasmRules

@Suite struct NaNFlowTests {
    /// The instrumented module, with the replacement at every place or only where it is needed.
    private func instrumented(_ bytes: [UInt8], everywhere: Bool) throws -> (
        InstrumentedModule, count: Int
    ) {
        let module = try ModuleDecoder.decode(bytes)
        var validator = FunctionValidator(module)
        var facts = try module.bodies.indices.map { try validator.validate(body: $0) }
        if everywhere {
            for index in facts.indices {
                var reader = WasmReader(module.bytes, facts[index].code)
                var instruction = Instruction()
                facts[index].canonicalOffsets = []
                while !reader.isAtEnd {
                    try reader.read(&instruction)
                    if instruction.info.makesNaN != nil {
                        facts[index].canonicalOffsets.append(instruction.range.lowerBound)
                    }
                }
            }
        }
        var instrumenter = ModuleInstrumenter(module, facts)
        let count = facts.reduce(0) { $0 + $1.canonicalOffsets.count }
        return (try instrumenter.instrumented(), count)
    }

    @Test("what is left out is not seen", arguments: 1...8 as ClosedRange<UInt64>)
    func leftOut(seed: UInt64) throws {
        let place = try Workplace()
        var programs = FloatPrograms(seed: seed)
        let bytes = try place.assemble(programs.module(functions: 60))
        let (careful, all) = try instrumented(bytes, everywhere: true)
        let (module, some) = try instrumented(bytes, everywhere: false)
        #expect(try InstrumentedModule(bytes) == module)
        #expect(some < all && some > 100, "\(some) of \(all)")
        let end = try place.runOnV8(module, gas: 1 << 40)
        #expect(end.status == .ok)
        #expect(end == (try place.runOnV8(careful, gas: 1 << 40)))
    }

    /// A function's text, and how many of its results must be made canonical.
    static let cases: [(String, Int)] = [
        // Consumed by arithmetic, then stored.
        (
            """
            (f64.store (i32.const 0)
                (f64.add (f64.mul (local.get $a) (local.get $b)) (local.get $a)))
            """,
            1
        ),
        // Only compared.
        ("(drop (f64.lt (f64.mul (local.get $a) (local.get $b)) (f64.const 1)))", 0),
        // Kept in a variable that only arithmetic and a comparison read.
        (
            """
            (local.set $a (f64.sqrt (local.get $b)))
            (drop (f64.eq (f64.neg (local.get $a)) (local.get $a)))
            """,
            0
        ),
        // The same, and read by a store elsewhere: all that the variable ever holds counts.
        (
            """
            (local.set $a (f64.sqrt (local.get $b)))
            (f64.store (i32.const 0) (local.get $a))
            (local.set $a (f64.div (local.get $b) (local.get $b)))
            """, 2
        ),
        // By way of a second variable and a choice.
        (
            """
            (local.set $a (f64.sqrt (local.get $b)))
            (local.set $b (select (local.get $a) (f64.const 1) (i32.const 1)))
            (f64.store (i32.const 0) (local.get $b))
            """, 1
        ),
        // The sign of a NaN is seen by what copies it.
        ("(drop (f64.lt (f64.copysign (f64.const 1) (f64.sqrt (local.get $b))) (f64.const 1)))", 1),
        ("(drop (f64.lt (f64.copysign (f64.sqrt (local.get $b)) (f64.const 1)) (f64.const 1)))", 0),
        // Lanes of another width see the bits.
        ("(local.set $v (f64x2.add (f32x4.sqrt (local.get $v)) (local.get $v)))", 2),
        ("(drop (f32x4.eq (f32x4.sqrt (local.get $v)) (local.get $v)))", 0),
        ("(drop (f64x2.eq (f32x4.sqrt (local.get $v)) (local.get $v)))", 1),
        // A conversion makes a new NaN, and sees no bits of the old.
        ("(f32.store (i32.const 0) (f32.demote_f64 (f64.sqrt (local.get $a))))", 1),
        // Out of a block, into a function, into a global.
        ("(f64.store (i32.const 0) (block (result f64) (f64.sqrt (local.get $a))))", 1),
        ("(call $take (f64.sqrt (local.get $a)))", 1),
        ("(global.set $g (f64.sqrt (local.get $a)))", 1),
        ("(drop (i64.reinterpret_f64 (f64.sqrt (local.get $a))))", 1),
        ("(drop (f64.sqrt (local.get $a)))", 0),
    ]

    @Test("where bits are seen")
    func places() throws {
        let place = try Workplace()
        for (text, expected) in Self.cases {
            let bytes = try place.assemble(
                """
                (module (memory 1) (global $g (mut f64) (f64.const 0)) (func $take (param f64))
                    (func (local $a f64) (local $b f64) (local $v v128) \(text)))
                """)
            let module = try ModuleDecoder.decode(bytes)
            var validator = FunctionValidator(module)
            #expect(
                try validator.validate(body: 1).canonicalOffsets.count == expected, "\(text)")
        }
    }
}

/// Makes random programs over floating-point values.
struct FloatPrograms {
    private var noise: Noise

    init(seed: UInt64) { noise = Noise(seed: seed) }

    /// A module whose `run` calls all its functions and gives a hash of the memory.
    mutating func module(functions: Int) -> String {
        var text = "(module (memory 1)\n"
        for index in 0..<functions {
            text += "(func $f\(index)"
            for local in 0..<4 { text += " (local $f32.\(local) f32) (local $f64.\(local) f64)" }
            text += " (local $v128.0 v128) (local $v128.1 v128) (local $n1 i32) (local $n2 i32)\n"
            for _ in 0..<pick(12) + 2 { text += statement(depth: 2) }
            text += ")\n"
        }
        let calls = (0..<functions).map { "(call $f\($0))" }.joined()
        return text + """
            (func (export "run") (result i64) (local $i i32) (local $hash i64)
                \(calls)
                (loop
                    (local.set $hash (i64.rotl
                        (i64.xor (i64.mul (local.get $hash) (i64.const 1099511628211))
                            (i64.load (local.get $i))) (i64.const 7)))
                    (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8)))
                        (i32.const 65536))))
                (local.get $hash)))
            """
    }

    private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &noise) }

    private mutating func pick(_ choices: [String]) -> String { choices[pick(choices.count)] }

    private mutating func statement(depth: Int) -> String {
        let type = pick(["f32", "f64", "f64", "v128"])
        let local = "$\(type).\(pick(type == "v128" ? 2 : 4))"
        let value = expression(type, depth: 3)
        switch pick(depth == 0 ? 6 : 9) {
        case 0: return "(\(type).store (i32.const \(8 * pick(8_000))) \(value))\n"
        case 1...5: return "(local.set \(local) \(value))\n"
        case 6:
            return "(if \(condition()) (then \(statement(depth: depth - 1)))"
                + " (else \(statement(depth: depth - 1))))\n"
        case 7:
            return """
                (local.set $n\(depth) (i32.const 3))
                (loop \(statement(depth: depth - 1)) \(statement(depth: 0))
                    (br_if 0 (local.tee $n\(depth)
                        (i32.sub (local.get $n\(depth)) (i32.const 1)))))\n
                """
        default: return "(block (br_if 0 \(condition())) \(statement(depth: depth - 1)))\n"
        }
    }

    private mutating func condition() -> String {
        let type = pick(["f32", "f64"])
        let comparison = pick(["eq", "lt", "ge", "ne"])
        return "(\(type).\(comparison) \(expression(type, depth: 1)) \(expression(type, depth: 1)))"
    }

    private mutating func expression(_ type: String, depth: Int) -> String {
        if depth == 0 || pick(5) == 0 { return leaf(type) }
        let next = depth - 1
        if type == "v128" { return vector(next) }
        switch pick(10) {
        case 0...4:
            return "(\(type).\(pick(["add", "sub", "mul", "div", "min", "max", "copysign"])) "
                + "\(expression(type, depth: next)) \(expression(type, depth: next)))"
        case 5, 6:
            return "(\(type).\(pick(["sqrt", "neg", "abs", "ceil", "nearest"])) "
                + "\(expression(type, depth: next)))"
        case 7:
            return type == "f32"
                ? "(f32.demote_f64 \(expression("f64", depth: next)))"
                : "(f64.promote_f32 \(expression("f32", depth: next)))"
        case 8:
            return "(select \(expression(type, depth: next)) \(expression(type, depth: next)) "
                + "\(condition()))"
        default:
            return "(\(type == "f32" ? "f32x4" : "f64x2").extract_lane 1 "
                + "\(expression("v128", depth: next)))"
        }
    }

    private mutating func vector(_ depth: Int) -> String {
        let shape = pick(["f32x4", "f64x2"])
        switch pick(6) {
        case 0...2:
            return "(\(shape).\(pick(["add", "sub", "mul", "div", "max", "pmin", "eq"])) "
                + "\(expression("v128", depth: depth)) \(expression("v128", depth: depth)))"
        case 3:
            return "(\(shape).\(pick(["sqrt", "neg", "abs", "floor"])) "
                + "\(expression("v128", depth: depth)))"
        case 4:
            return shape == "f32x4"
                ? "(f32x4.demote_f64x2_zero \(expression("v128", depth: depth)))"
                : "(f64x2.promote_low_f32x4 \(expression("v128", depth: depth)))"
        default:
            return shape == "f32x4"
                ? "(f32x4.splat \(expression("f32", depth: depth)))"
                : "(f64x2.splat \(expression("f64", depth: depth)))"
        }
    }

    private mutating func leaf(_ type: String) -> String {
        let local = "$\(type).\(pick(type == "v128" ? 2 : 4))"
        switch pick(5) {
        case 0...2: return "(local.get \(local))"
        case 3:
            let value = "(local.get $\(type).\(pick(2)))"
            return "(local.tee \(local) \(value))"
        default:
            let values = ["0", "-1", "inf", "-inf", "1.5", "-nan", "nan:0x12345"]
            return type == "v128"
                ? "(v128.const f64x2 \(pick(values)) \(pick(values)))"
                : "(\(type).const \(pick(values)))"
        }
    }
}
