// How runs end: what the rules end has an outcome, what this machine ends has none.

import NIOCore
import Testing
import WasmRules

@testable import WasmEngine

@Suite struct OutcomeTests {
    /// Modules without imports, what they do, and how that ends.
    static let modules: [(String, CallStatus)] = [
        ("(func (export \"run\"))", .ok),
        ("(func (export \"run\") (loop (br 0)))", .outOfGas),
        ("(func $f (export \"run\") (call $f))", .stackExhausted),
        ("(func (export \"run\") (unreachable))", .trap),
        ("(func (export \"run\") (drop (i32.div_u (i32.const 1) (i32.const 0))))", .trap),
        (
            "(memory 1) (func (export \"run\") (drop (i32.load (i32.const 65536))))", .trap
        ),
        (
            "(table 1 funcref) (func (export \"run\") (call_indirect (i32.const 0)))", .trap
        ),
        ("(memory 1) (data (i32.const 65535) \"ab\") (func (export \"run\"))", .trap),
        ("(func $s (unreachable)) (start $s) (func (export \"run\"))", .trap),
        // Growth beyond the module's own limit is -1, and no end.
        (
            """
            (memory 1 2) (func (export "run") (if (i32.ne (memory.grow (i32.const 2))
              (i32.const -1)) (then (unreachable))))
            """, .ok
        ),
    ]

    /// What code does that traps, and what is said of it.
    static let traps: [(String, String)] = [
        ("(func (export \"run\") (unreachable))", "unreachable"),
        ("(func (export \"run\") (drop (i32.div_u (i32.const 1) (i32.const 0))))", "zero"),
        (
            """
            (func (export "run")
              (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
            """, "too large"
        ),
        ("(func (export \"run\") (drop (i32.trunc_f32_s (f32.const nan))))", "number"),
        (
            "(memory 1) (func (export \"run\") (drop (i32.load (i32.const 65536))))", "memory"
        ),
        ("(memory 1) (data (i32.const 65535) \"ab\") (func (export \"run\"))", "segment"),
        (
            "(table 1 funcref) (func (export \"run\") (call_indirect (i32.const 0)))", "nowhere"
        ),
        (
            "(table 1 funcref) (func (export \"run\") (call_indirect (i32.const 1)))", "table"
        ),
        (
            """
            (table 1 funcref) (elem (i32.const 0) $f) (func $f (param i32))
            (func (export "run") (call_indirect (i32.const 0)))
            """, "another type"
        ),
    ]

    @Test("a trap says why", arguments: traps)
    func reasons(text: String, word: String) async throws {
        let outcome = try await program("(module \(text))").run()
        #expect(outcome.status == .trap)
        #expect(outcome.reason?.contains(word) == true, "\(outcome.reason ?? "nothing")")
    }

    @Test("what the rules end", arguments: modules)
    func endings(text: String, status: CallStatus) async throws {
        let program = try program("(module \(text))")
        let outcome = try await program.run()
        #expect(outcome.status == status)
        if status != .ok { #expect(outcome.gas == 10_000_000) }
        let again = try await program.run()
        #expect(again.status == outcome.status && again.gas == outcome.gas)
    }

    @Test("less gas than an instance costs is out of gas, and to the unit enough is enough")
    func instanceGas() async throws {
        let program = try program("(module (memory 3) (func (export \"run\") (nop) (nop)))")
        #expect(try await program.run(gas: 3 * 8_192 + 2).status == .ok)
        #expect(try await program.run(gas: 3 * 8_192 + 1).status == .outOfGas)
        #expect(try await program.run(gas: 3 * 8_192 - 1).status == .outOfGas)
    }

    @Test("memory grows to the rules' limit")
    func fullMemory() async throws {
        let program = try program(
            """
            (module (memory 1)
              (func (export "run")
                (if (i32.ne (memory.grow (i32.const 4095)) (i32.const 1)) (then (unreachable)))
                (i32.store (i32.const 0xffffffc) (i32.const 7))
                (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))))
            """)
        #expect(try await program.run(gas: 1 << 30).status == .ok)
    }

    @Test("memory that this machine does not give is no result, whatever the contract does then")
    func noMemory() async throws {
        let grow = try program(
            """
            (module (memory 1) (func (export "run") (drop (memory.grow (i32.const 64)))))
            """)
        let limits = RunLimits(memoryBytes: 1 << 20)
        await #expect(throws: ResourceFailure.memory) { try await grow.run(limits: limits) }
        let large = try program("(module (memory 64) (func (export \"run\")))")
        await #expect(throws: ResourceFailure.self) { try await large.run(limits: limits) }
        #expect(try await large.run().status == .ok)
    }

    @Test("an output larger than this machine takes is no result")
    func output() async throws {
        let program = try program(
            contract(
                """
                (func (export "run") (loop (call $write (i32.const 0) (i32.const 65536)) (br 0)))
                """))
        let limits = RunLimits(outputBytes: 1 << 20)
        await #expect(throws: ResourceFailure.output(limit: 1 << 20)) {
            try await program.run(gas: 1 << 40, limits: limits)
        }
    }

    @Test("a run that takes too long, or is cancelled, is no result")
    func time() async throws {
        let program = try program("(module (func (export \"run\") (loop (br 0))))")
        await #expect(throws: ResourceFailure.time(.milliseconds(50))) {
            try await program.run(gas: 1 << 60, control: RunControl(time: .milliseconds(50)))
        }
        let task = Task { try await program.run(gas: 1 << 60) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        let control = RunControl()
        let other = Task { try await program.run(gas: 1 << 60, control: control) }
        control.cancel()
        await #expect(throws: CancellationError.self) { try await other.value }
    }

    @Test("an activation uses 2^32 gas by itself at most, whatever its call was given")
    func ownGas() async throws {
        let endless = try program(
            """
            (module (memory 1) (func (export "run") (loop
              (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0))))
            """)
        let outcome = try await endless.run(gas: 1 << 40)
        #expect(outcome.status == .outOfGas && outcome.gas == 1 << 40)

        // What it sets aside for a callee is not its own.
        let caller = try program(
            contract(
                """
                (data (i32.const 16) "/called") (data (i32.const 32) "weft-gas: 1000000000000")
                (func (export "run")
                  (drop (call $status (call $fetch (i32.const 16) (i32.const 7) (i32.const 0)
                    (i32.const 0) (i32.const 32) (i32.const 23) (i32.const 0) (i32.const 0)))))
                """))
        let host = ScriptedHost { _ in ContractAnswer(status: 200, gas: 999_999_999_999) }
        let good = try await caller.run(gas: 1 << 40, host: host)
        #expect(good.status == .ok && good.ownGas < 20_000 && good.gas > 999_999_999_999)
    }

    @Test("only methods can be called")
    func methods() async throws {
        let program = try program(
            """
            (module (func (export "run")) (func (export "word-count2")) (func (export "Run"))
              (func (export "_secret")) (func (export "takes") (param i32))
              (func (export "gives") (result i32) (i32.const 1)) (memory (export "memory") 1))
            """)
        #expect(program.methods == ["run", "word-count2"])
        await #expect(throws: ContractFault.self) { try await program.run("takes") }
        await #expect(throws: ContractFault.self) { try await program.run("memory") }
    }

    @Test("the start function and _initialize run first, with gas")
    func initialisers() async throws {
        let program = try program(
            contract(
                """
                (global $n (mut i32) (i32.const 48))
                (func $start (global.set $n (i32.add (global.get $n) (i32.const 1))))
                (start $start)
                (func (export "_initialize")
                  (global.set $n (i32.mul (global.get $n) (i32.const 2))))
                (func (export "run") (i32.store8 (i32.const 0) (global.get $n))
                  (call $write (i32.const 0) (i32.const 1)))
                """))
        for _ in 0..<3 { #expect(try await program.run().text == "b") }
    }

    @Test("modules that are none, or import what no host has, are refused")
    func refusals() throws {
        let engine = try Engine.shared()
        #expect(throws: ContractFault.self) { try Program([0, 1, 2], engine: engine) }
        for text in [
            "(import \"env\" \"print\" (func (param i32)))",
            "(import \"weft\" \"write\" (func (param i32)))",
            "(import \"weft\" \"write\" (func (param i32 i64)))",
            "(import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32)))",
        ] {
            #expect(throws: ContractFault.self) { try program("(module \(text))") }
        }
    }

    @Test("1,000 calls at once, each with its own memory and the same gas")
    func concurrent() async throws {
        let program = try program(
            contract(
                """
                (func (export "run") (local $n i32)
                  (if (i32.load (i32.const 1000)) (then (unreachable)))
                  (i32.store (i32.const 1000) (i32.const 1))
                  (local.set $n
                    (call $read (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 100)))
                  (call $write (i32.const 0) (local.get $n)))
                """))
        let gas = try await withThrowingTaskGroup { group in
            for index in 0..<1_000 {
                group.addTask {
                    let text = "call-\(1_000 + index)"
                    let outcome = try await program.run {
                        $0.body = .bytes(ByteBuffer(string: text))
                    }
                    #expect(outcome.status == .ok && outcome.text == text)
                    return outcome.gas
                }
            }
            return try await group.reduce(into: Set<Int64>()) { $0.insert($1) }
        }
        #expect(gas.count == 1)
    }
}
