// The engine: one for each process, because its address space for instances and its compiler's
// threads are. It knows modules and runs; calls and content are its host's.

import CWasmtime
import Glibc
import Synchronization
import WasmRules

/// Wasmtime, set up for contracts.
///
/// Only what the rules allow is switched on in it: what they refuse, it refuses too.
public final class Engine: @unchecked Sendable {
    /// The most instances at a time.
    static let maxInstances: UInt32 = 512
    /// Native stack for one instance's code. The rules end a call long before: they count 256 KiB.
    static let wasmStackBytes = 2 << 20
    /// How much gas a brief run may use: some 50 to 200 µs, on a thread that others need. It pays
    /// for 24 pages of memory at the most, so that clearing them takes no longer either.
    public static let briefGas: Int64 = 200_000
    /// How deep calls of contracts within calls may be on one thread.
    public static let maxDepth = 64

    let library: WasmtimeLibrary
    let pointer: OpaquePointer
    let linker: OpaquePointer
    let deadlines = Deadlines()
    /// The threads that contracts run on.
    public let workers: Workers
    private var functions: [LinkedFunction] = []
    private let drafter = Mutex<OpaquePointer?>(nil)

    /// The engine of this process, started when it is first needed.
    public static func shared() throws(EngineUnavailable) -> Engine { try started.get() }

    private static let started = Result { () throws(EngineUnavailable) in try Engine() }

    /// What tells compiled code of this engine from that of others.
    static let version = "wasmtime-\(WasmtimeLibrary.version)-rules-\(GasSchedule.version)-4"

    private init() throws(EngineUnavailable) {
        library = try WasmtimeLibrary.shared.get()
        let api = library.api
        guard let engine = api.wasm_engine_new_with_config(Self.runningConfiguration(library)),
            let linker = api.wasmtime_linker_new(engine)
        else { throw .refused("it has no address space for instances (ulimit -v)") }
        pointer = engine
        self.linker = linker
        workers = Workers(
            maxThreads: 4 * max(2, Self.processors), maxWaiting: 4_096,
            stackBytes: Self.maxDepth * (Self.wasmStackBytes + 512 << 10))
        for function in HostFunction.all.values {
            functions.append(try LinkedFunction(function, in: linker, of: library))
        }
    }

    private static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// A second engine that runs nothing: its compiler takes half of the time for code that is
    /// slower. What it compiles, this engine can load. Nil if there is no room for it.
    func compilerOfDrafts() -> OpaquePointer? {
        drafter.withLock { drafter in
            if drafter == nil {
                let config = Self.configuration(library)
                // Not optimized, and registers given out in one pass.
                library.api.wasmtime_config_cranelift_opt_level_set(config, 0)
                library.api.wasmtime_config_cranelift_regalloc_algorithm_set(config, 1)
                drafter = library.api.wasm_engine_new_with_config(config)
            }
            return drafter
        }
    }

    /// What compiled code depends on.
    private static func configuration(_ library: WasmtimeLibrary) -> OpaquePointer? {
        let api = library.api
        let config = api.wasm_config_new()
        api.wasmtime_config_wasm_threads_set(config, false)
        api.wasmtime_config_wasm_relaxed_simd_set(config, false)
        api.wasmtime_config_wasm_tail_call_set(config, false)
        api.wasmtime_config_wasm_memory64_set(config, false)
        api.wasmtime_config_wasm_multi_memory_set(config, false)
        api.wasmtime_config_wasm_gc_set(config, false)
        api.wasmtime_config_wasm_function_references_set(config, false)
        api.wasmtime_config_wasm_exceptions_set(config, false)
        api.wasmtime_config_wasm_stack_switching_set(config, false)
        api.wasmtime_config_wasm_wide_arithmetic_set(config, false)
        api.wasmtime_config_wasm_custom_page_sizes_set(config, false)
        api.wasmtime_config_wasm_component_model_set(config, false)
        // Cranelift, for speed.
        api.wasmtime_config_strategy_set(config, 1)
        api.wasmtime_config_cranelift_opt_level_set(config, 1)
        api.wasmtime_config_parallel_compilation_set(config, true)
        api.wasmtime_config_native_unwind_info_set(config, false)
        api.wasmtime_config_max_wasm_stack_set(config, wasmStackBytes)
        // With 4 GiB of address space an access needs no check of its own.
        api.wasmtime_config_memory_reservation_set(config, 4 << 30)
        api.wasmtime_config_memory_guard_size_set(config, 32 << 20)
        return config
    }

    /// The same with places for instances.
    private static func runningConfiguration(_ library: WasmtimeLibrary) -> OpaquePointer? {
        let api = library.api
        let config = configuration(library)
        let pool = api.wasmtime_pooling_allocation_config_new()
        api.wasmtime_pooling_allocation_config_total_core_instances_set(pool, maxInstances)
        api.wasmtime_pooling_allocation_config_total_memories_set(pool, maxInstances)
        api.wasmtime_pooling_allocation_config_total_tables_set(
            pool, maxInstances * WasmLimits.maxTables)
        api.wasmtime_pooling_allocation_config_max_core_instance_size_set(pool, 4 << 20)
        api.wasmtime_pooling_allocation_config_max_tables_per_module_set(
            pool, WasmLimits.maxTables)
        api.wasmtime_pooling_allocation_config_table_elements_set(
            pool, Int(WasmLimits.maxTableElements))
        api.wasmtime_pooling_allocation_config_max_memory_size_set(
            pool, Int(WasmLimits.maxMemoryPages) << 16)
        api.wasmtime_pooling_allocation_config_max_unused_warm_slots_set(pool, 64)
        // What a small contract touches is cleared by hand, which is cheaper than page faults.
        api.wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, 256 << 10)
        api.wasmtime_pooling_allocation_config_table_keep_resident_set(pool, 16 << 10)
        api.wasmtime_pooling_allocation_strategy_set(config, pool)
        api.wasmtime_pooling_allocation_config_delete(pool)
        return config
    }
}
