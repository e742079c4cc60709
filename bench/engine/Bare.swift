// Wasmtime without anything of ours: what contracts are measured against.

import CWasmtime
import Glibc
import WasmEngine

/// Wasmtime with its own defaults, for speed.
final class BareEngine {
    private typealias Switch = @convention(c) (OpaquePointer?, Bool) -> Void
    private typealias SetFuel = @convention(c) (OpaquePointer?, UInt64) -> OpaquePointer?
    private typealias DefineDefaults =
        @convention(c) (OpaquePointer?, OpaquePointer?, OpaquePointer?) -> OpaquePointer?

    let api: weft_wasmtime_t
    let pointer: OpaquePointer
    private let isMetered: Bool
    private let setFuel: SetFuel
    private let defineDefaults: DefineDefaults

    nonisolated(unsafe) static let plain = Result { try BareEngine(isMetered: false) }
    nonisolated(unsafe) static let metered = Result { try BareEngine(isMetered: true) }

    /// - Parameter isMetered: whether it counts fuel and makes NaNs canonical.
    private init(isMetered: Bool) throws {
        let path = try EngineCheck.library()
        var functions = weft_wasmtime_t()
        if let fault = weft_wasmtime_open(path, &functions) {
            throw BenchFailure(text: String(cString: fault))
        }
        let library = dlopen(path, RTLD_NOW)
        func function<Function>(_ name: String, _ type: Function.Type) throws -> Function {
            guard let address = dlsym(library, name) else {
                throw BenchFailure(text: "Wasmtime has no \(name)")
            }
            return unsafeBitCast(address, to: type)
        }
        setFuel = try function("wasmtime_context_set_fuel", SetFuel.self)
        defineDefaults = try function(
            "wasmtime_linker_define_unknown_imports_as_default_values", DefineDefaults.self)
        let config = functions.wasm_config_new()
        functions.wasmtime_config_strategy_set(config, 1)
        functions.wasmtime_config_cranelift_opt_level_set(config, 1)
        if isMetered {
            try function("wasmtime_config_consume_fuel_set", Switch.self)(config, true)
            try function("wasmtime_config_cranelift_nan_canonicalization_set", Switch.self)(
                config, true)
        }
        guard let engine = functions.wasm_engine_new_with_config(config) else {
            throw BenchFailure(text: "Wasmtime made no engine")
        }
        api = functions
        pointer = engine
        self.isMetered = isMetered
    }

    /// Makes an instance, whose imports do nothing but for `write`, and calls its `run`.
    func run(_ module: OpaquePointer) throws -> [UInt8] {
        guard let linker = api.wasmtime_linker_new(pointer),
            let store = api.wasmtime_store_new(pointer, nil, nil),
            let context = api.wasmtime_store_context(store)
        else { throw BenchFailure(text: "Wasmtime made no store") }
        defer {
            api.wasmtime_store_delete(store)
            api.wasmtime_linker_delete(linker)
        }
        if isMetered { try check(setFuel(context, .max)) }
        var answer = (address: 0, count: 0)
        return try withUnsafeMutablePointer(to: &answer) { answer in
            try defineWrite(linker, answer)
            try check(defineDefaults(linker, context, module))
            var pre: OpaquePointer?
            try check(api.wasmtime_linker_instantiate_pre(linker, module, &pre))
            defer { api.wasmtime_instance_pre_delete(pre) }
            var instance = wasmtime_instance_t()
            var trap: OpaquePointer?
            try check(api.wasmtime_instance_pre_instantiate(pre, context, &instance, &trap))
            for name in ["_initialize", "run"] {
                var found = wasmtime_extern_t()
                guard
                    api.wasmtime_instance_export_get(
                        context, &instance, name, name.utf8.count, &found)
                else { continue }
                var none = wasmtime_val_raw_t()
                try check(
                    api.wasmtime_func_call_unchecked(context, &found.of.func, &none, 1, &trap))
                guard trap == nil else { throw BenchFailure(text: "the program trapped") }
            }
            var memory = wasmtime_extern_t()
            guard api.wasmtime_instance_export_get(context, &instance, "memory", 6, &memory),
                let base = api.wasmtime_memory_data(context, &memory.of.memory)
            else { throw BenchFailure(text: "the program has no memory") }
            return Array(
                UnsafeBufferPointer(
                    start: base + answer.pointee.address, count: answer.pointee.count))
        }
    }

    /// Defines `weft.write`, which remembers where the last answer is.
    private func defineWrite(
        _ linker: OpaquePointer, _ answer: UnsafeMutablePointer<(address: Int, count: Int)>
    ) throws {
        var kinds = [api.wasm_valtype_new(0), api.wasm_valtype_new(0)]
        var parameters = wasm_valtype_vec_t()
        var results = wasm_valtype_vec_t()
        api.wasm_valtype_vec_new(&parameters, 2, &kinds)
        api.wasm_valtype_vec_new(&results, 0, nil)
        let type = api.wasm_functype_new(&parameters, &results)
        defer { api.wasm_functype_delete(type) }
        try check(
            api.wasmtime_linker_define_func_unchecked(
                linker, "weft", 4, "write", 5, type,
                { answer, _, values, _ in
                    guard let answer, let values else { return nil }
                    answer.assumingMemoryBound(to: (address: Int, count: Int).self).pointee = (
                        Int(values[0].i32), Int(values[1].i32)
                    )
                    return nil
                }, answer, nil))
    }

    func check(_ error: OpaquePointer?) throws {
        guard let error else { return }
        var text = wasm_byte_vec_t()
        api.wasmtime_error_message(error, &text)
        throw BenchFailure(
            text: String(
                decoding: UnsafeRawBufferPointer(start: text.data, count: text.size), as: UTF8.self)
        )
    }
}

/// A module as it is, compiled.
struct BareModule {
    private let engine: BareEngine
    private let pointer: OpaquePointer

    init(_ bytes: [UInt8], in engine: BareEngine) throws {
        var module: OpaquePointer?
        try engine.check(
            engine.api.wasmtime_module_new(engine.pointer, bytes, bytes.count, &module))
        guard let module else { throw BenchFailure(text: "Wasmtime compiled nothing") }
        self.engine = engine
        pointer = module
    }

    /// What `run` answers.
    func run() throws -> [UInt8] { try engine.run(pointer) }
}
