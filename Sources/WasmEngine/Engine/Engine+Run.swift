// One run: an instance is made, its gas set, its method called, and its end understood.

import CWasmtime
import NIOCore
import Synchronization
import WasmRules

extension Engine {
    /// Runs a contract on one of the engine's threads.
    ///
    /// - Throws: ``ContractFault/noMethod(_:known:)``; ``ResourceFailure`` or the host's error when
    ///   this machine could not finish it; `CancellationError`.
    public func run(
        _ program: Program, _ request: ContractRequest, limits: RunLimits = RunLimits(),
        control: RunControl = RunControl(), host: any ContractHost = EmptyHost()
    ) async throws -> ContractOutcome {
        try await onWorker(control) {
            try self.execute(program, request, limits: limits, control: control, host: host)
        }
    }

    /// Has blocking work of a call done by one of the engine's threads. When its time is up or the
    /// task is cancelled, this ends at once, and the runs of the call are broken off.
    public func onWorker<Value: Sendable>(
        _ control: RunControl, _ work: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onWorker(control, work) { continuation.resume(with: $0) }
            }
        } onCancel: {
            control.cancel()
        }
    }

    /// The same for who does not wait in a task.
    ///
    /// - Parameters:
    ///   - done: called once with the result, on any thread.
    ///   - ended: called once when the thread has left the work, which may be later.
    public func onWorker<Value: Sendable>(
        _ control: RunControl, _ work: @escaping @Sendable () throws -> Value,
        ended: @escaping @Sendable () -> Void = {},
        done: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        let answer = Answer(done)
        let forget = control.onCancel { answer.give(.failure(CancellationError())) }
        let deadline = deadlines.add(control.end) {
            answer.give(.failure(control.timeout))
            control.cancel()
        }
        let finish: @Sendable (Result<Value, any Error>) -> Void = { [deadlines] result in
            deadlines.remove(deadline)
            for forget in forget { forget() }
            ended()
            answer.give(result)
        }
        do {
            try workers.submit {
                finish(
                    Result {
                        try control.check()
                        return try work()
                    })
            }
        } catch {
            finish(.failure(error))
        }
    }

    /// Whether this thread, whosever it is, has enough stack for a brief run.
    ///
    /// The engine's own threads have enough. On another one compiled code could run over the end of
    /// the stack, and that ends the process.
    public static var canRunHere: Bool { weft_stack_left() >= wasmStackBytes + 512 << 10 }

    /// Runs a contract on this thread: one of ``workers`` or, if the control is one of a brief
    /// run, one for which ``canRunHere`` holds.
    ///
    /// - Throws: as ``run(_:_:limits:control:host:)``; ``NotBrief``.
    public func execute(
        _ program: Program, _ request: ContractRequest, limits: RunLimits, control: RunControl,
        host: any ContractHost
    ) throws -> ContractOutcome {
        guard program.answers(request.method) else {
            throw ContractFault.noMethod(request.method, known: program.methods)
        }
        let run = Activation(
            request, isProgram: program.isCommand, limits, control, host, library)
        defer { run.abandonRest() }
        do throws(HostExit) {
            try run.pay(program.facts.instantiationGas)
        } catch {
            return try ended(run, run.outcome(.outOfGas))
        }
        return try ended(run, try withExtendedLifetime(run) { try start(program, run) })
    }

    /// The outcome of a run. What a brief one lacked may be no more than what it was not lent.
    private func ended(_ run: Activation, _ outcome: ContractOutcome) throws -> ContractOutcome {
        if outcome.status == .outOfGas, run.isBrief { throw NotBrief() }
        return outcome
    }

    private func start(_ program: Program, _ run: Activation) throws -> ContractOutcome {
        let api = library.api
        guard
            let store = api.wasmtime_store_new(
                pointer, Unmanaged.passUnretained(run).toOpaque(), nil),
            let context = api.wasmtime_store_context(store)
        else { throw ResourceFailure.memory }
        defer { api.wasmtime_store_delete(store) }
        api.wasmtime_store_limiter(store, run.limits.memoryBytes, -1, 1, -1, 1)
        var instance = wasmtime_instance_t()
        var trap: OpaquePointer?
        if let error = api.wasmtime_instance_pre_instantiate(
            program.instances, context, &instance, &trap)
        {
            throw ResourceFailure.engine(library.message(error))
        }
        if let trap {
            api.wasm_trap_delete(trap)
            return run.trapped("a segment does not fit into its memory or table")
        }
        run.context = context
        defer { program.noteMemory(run.memorySize) }
        var running = Instance(run, instance, library)
        guard let interruption = run.interruption else { return try running.call(program) }
        let forget = run.control.onCancel { interruption.raise() }
        defer {
            for forget in forget { forget() }
            interruption.end()
        }
        return try running.call(program)
    }
}

/// Who waits for a run, and gets one answer.
private final class Answer<Value: Sendable>: Sendable {
    private let waiting: Mutex<(@Sendable (Result<Value, any Error>) -> Void)?>

    init(_ done: @escaping @Sendable (Result<Value, any Error>) -> Void) { waiting = Mutex(done) }

    /// Gives the answer, unless there was one.
    func give(_ result: Result<Value, any Error>) {
        let done = waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        done?(result)
    }
}

/// An instance during its one run.
private struct Instance {
    let run: Activation
    let library: WasmtimeLibrary
    private var instance: wasmtime_instance_t

    init(_ run: Activation, _ instance: wasmtime_instance_t, _ library: WasmtimeLibrary) {
        self.run = run
        self.instance = instance
        self.library = library
    }

    /// Calls what has to be called, in order, and says how it ended.
    mutating func call(_ program: Program) throws -> ContractOutcome {
        let facts = program.facts
        if let memory = export("memory"), memory.kind == 3 { run.memory = memory.of.memory }
        guard let gas = export("weft:gas"), gas.kind == 1 else {
            throw ResourceFailure.engine("a module without weft:gas")
        }
        run.gasGlobal = gas.of.global
        if let interruption = run.interruption {
            guard let floor = export("weft:floor"), floor.kind == 1 else {
                throw ResourceFailure.engine("a module without weft:floor")
            }
            interruption.begin(library, context: run.context, floor: floor.of.global)
        }
        run.storeGas()
        let method = facts.isCommand ? "_start" : run.request.method
        if facts.hasStart, let end = try call("weft:start") { return end }
        if facts.hasInitializer, !facts.isCommand, let end = try call("_initialize") { return end }
        if let end = try call(method) { return end }
        if facts.isCommand { return try finish(code: 0) }
        return try finish()
    }

    private mutating func export(_ name: String) -> wasmtime_extern_t? {
        var found = wasmtime_extern_t()
        let context = run.context
        let isThere = library.api.wasmtime_instance_export_get(
            context, &instance, name, name.utf8.count, &found)
        return isThere ? found : nil
    }

    /// Calls a function without parameters and results; gives how the run ended, if that ended it.
    private mutating func call(_ name: String) throws -> ContractOutcome? {
        guard var function = export(name), function.kind == 0 else {
            throw ResourceFailure.engine("a module without \(name)")
        }
        var none = wasmtime_val_raw_t()
        var trap: OpaquePointer?
        let error = library.api.wasmtime_func_call_unchecked(
            run.context, &function.of.func, &none, 1, &trap)
        guard error != nil || trap != nil else {
            run.loadGas()
            return nil
        }
        var code: UInt8 = 0
        let hasCode = trap.map { library.api.wasmtime_trap_code($0, &code) } ?? false
        if let trap { library.api.wasm_trap_delete(trap) }
        let message = error.map { library.message($0) }
        switch run.exit {
        case .trap(let reason): return run.trapped("\(reason)")
        case .outOfGas: return run.outcome(.outOfGas)
        case .failed(let failure): throw failure
        case .ended(let code):
            return run.isProgram
                ? try finish(code: code) : run.trapped("only programs for WASI exit")
        case nil:
            if let message { throw ResourceFailure.engine(message) }
            return try understand(hasCode ? code : nil)
        }
    }

    /// How a run ended that compiled code ended by a trap.
    private mutating func understand(_ code: UInt8?) throws -> ContractOutcome {
        // Then it may look as if its gas had run out.
        if run.interruption?.isRaised == true { throw CancellationError() }
        // The native stack overflowed: the rules' own limit comes first, unless a frame is huge.
        if code == 0 { throw ResourceFailure.stack }
        var value = wasmtime_val_t()
        if var status = export("weft:status") {
            library.api.wasmtime_global_get(run.context, &status.of.global, &value)
        }
        let status = CallStatus(trapped: true, status: value.of.i32, gas: 0)
        if status == .resource { throw ResourceFailure.memory }
        return run.outcome(status, status == .trap ? code.flatMap(Self.reason) : nil)
    }

    /// Why compiled code trapped, by Wasmtime's number for it.
    private static func reason(_ code: UInt8) -> String? {
        switch code {
        case 1: "an access lies outside of its memory"
        case 3: "an access lies outside of a table"
        case 4: "an indirect call leads nowhere"
        case 5: "an indirect call leads to a function of another type"
        case 6: "an integer is too large"
        case 7: "it divides by zero"
        case 8: "a number is none that an integer can be"
        case 9: "it came to unreachable, as failed checks do"
        default: nil
        }
    }

    /// The end of a program for WASI.
    private func finish(code: UInt32) throws -> ContractOutcome {
        do throws(HostExit) {
            try run.finishCGI(code: code)
        } catch {
            return try ended(by: error)
        }
        return try finish()
    }

    /// The end of a run by what the host did not grant after it.
    private func ended(by exit: HostExit) throws -> ContractOutcome {
        switch exit {
        case .failed(let failure): throw failure
        case .trap(let reason): return run.trapped("\(reason)")
        case .outOfGas, .ended: return run.outcome(.trap)
        }
    }

    /// The end of a run that came to its end.
    private func finish() throws -> ContractOutcome {
        do throws(HostExit) {
            try run.settleAll()
        } catch {
            return try ended(by: error)
        }
        return run.outcome(run.isOverdrawn ? .outOfGas : .ok)
    }
}

extension Activation {
    /// The outcome of the run. What did not end well has no response.
    fileprivate func outcome(_ status: CallStatus, _ reason: String? = nil) -> ContractOutcome {
        let used = gasUsed(status)
        return ContractOutcome(
            status: status, gas: used, ownGas: used - calleeGas,
            response: status == .ok ? response : ContractResponse(status: 500),
            diagnostics: usedWASI?.diagnostics ?? ByteBuffer(), reason: reason)
    }

    fileprivate func trapped(_ reason: String) -> ContractOutcome { outcome(.trap, reason) }
}
