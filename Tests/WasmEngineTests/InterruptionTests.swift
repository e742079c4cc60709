// Running code is broken off when its time is up: its thread does something else long before its
// gas has run out, whatever the code does.

import NIOCore
import Synchronization
import Testing
import WasmRules

@testable import WasmEngine

@Suite struct InterruptionTests {
    /// A step through 64 MiB of memory in an order that no processor foresees: some 10 gas, and
    /// time for hundreds.
    static let step = """
        (local.set $at (i32.and (i32.const 0x3fffffc) (i32.add (i32.load (local.get $at))
          (i32.add (i32.const 0x3c6ef35c) (i32.mul (local.get $at) (i32.const 0x19660d))))))
        """
    static let some = "(br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))"

    /// What a contract does, which would take ten seconds and more until its gas has run out.
    static let bodies: [(title: String, text: String)] = [
        ("one loop", "(loop \(step) (br 0))"),
        ("a loop after others", "(loop \(step) \(some)) (loop \(step) (br 0))"),
        (
            "a loop within one, after others",
            "(loop \(step) \(some)) (loop (loop \(step) \(some)) (loop \(step) (br 0)) (br 0))"
        ),
        (
            "a short loop within an endless one",
            "(loop (local.set $n (i32.const 3)) (loop \(step) \(some)) (br 0))"
        ),
        ("two ways within a loop", "(loop \(step) (br_if 0 (local.get $at)) \(step) (br 0))"),
        ("a call within a loop", "(loop (local.set $at (call $leaf (local.get $at))) (br 0))"),
        ("recursion without a loop", "(call $deep (i32.const 60) (local.get $at))"),
        (
            "vectors",
            """
            (loop (local.set $v (f32x4.mul (local.get $v) (local.get $v))) \(step) (br 0))
            """
        ),
    ]

    static func text(_ body: String) -> String {
        """
        (module (memory 1024)
          (func $leaf (param $at i32) (result i32) \(step) (local.get $at))
          (func $deep (param $n i32) (param $at i32)
            \(step)
            (if (i32.eqz (local.get $n)) (then (return)))
            (call $deep (i32.sub (local.get $n) (i32.const 1)) (local.get $at))
            (call $deep (i32.sub (local.get $n) (i32.const 1)) (local.get $at)))
          (func (export "run") (local $at i32) (local $n i32) (local $v v128)
            (local.set $n (i32.const 100)) \(body)))
        """
    }

    @Test("a thread is free soon after the time is up", arguments: bodies.indices)
    func deadline(index: Int) async throws {
        let program = try program(Self.text(Self.bodies[index].text))
        let engine = program.engine
        let control = RunControl(time: .milliseconds(50))
        let end = Mutex<Result<ContractOutcome, any Error>?>(nil)
        // The thread leaves the work with a failure: it did not run until its gas was used up.
        await withCheckedContinuation { continuation in
            engine.onWorker(
                control,
                {
                    let result = Result {
                        try engine.execute(
                            program, ContractRequest(method: "run", gas: 1 << 60),
                            limits: RunLimits(), control: control, host: EmptyHost())
                    }
                    end.withLock { $0 = result }
                }, ended: { continuation.resume() }, done: { _ in })
        }
        let result = try #require(end.withLock { $0 })
        #expect(throws: CancellationError.self) { try result.get() }
        // The next run of the same contract is none the worse for it.
        #expect(try await program.run(gas: 20_000_000).status == .outOfGas)
    }

    @Test("a run that is told to stop before it begins does not, and one that has ended is no more")
    func early() async throws {
        let program = try program(Self.text(Self.bodies[0].text))
        let cancelled = RunControl()
        cancelled.cancel()
        #expect(throws: CancellationError.self) {
            try program.engine.execute(
                program, ContractRequest(method: "run", gas: 1 << 60), limits: RunLimits(),
                control: cancelled, host: EmptyHost())
        }
        let control = RunControl()
        #expect(try await program.run(gas: 20_000_000, control: control).status == .outOfGas)
        control.cancel()
    }

    @Test("what a contract called is broken off with it")
    func children() async throws {
        let endless = try program(Self.text(Self.bodies[0].text))
        let caller = try program(
            contract(
                """
                (data (i32.const 16) "/called")
                (func (export "run")
                  (drop (call $status (call $fetch (i32.const 16) (i32.const 7) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))
                """))
        let control = RunControl(time: .milliseconds(50))
        let inner = Mutex<(any Error)?>(nil)
        let host = ScriptedHost { _ in
            do {
                _ = try endless.engine.execute(
                    endless, ContractRequest(method: "run", gas: 1 << 50), limits: RunLimits(),
                    control: RunControl(within: control), host: EmptyHost())
            } catch {
                inner.withLock { $0 = error }
                throw error
            }
            return ContractAnswer(status: 200, gas: 0)
        }
        await withCheckedContinuation { continuation in
            caller.engine.onWorker(
                control,
                {
                    try caller.engine.execute(
                        caller, ContractRequest(method: "run", gas: 1 << 60),
                        limits: RunLimits(), control: control, host: host)
                }, ended: { continuation.resume() }, done: { _ in })
        }
        #expect(inner.withLock { $0 } is CancellationError)
    }
}
