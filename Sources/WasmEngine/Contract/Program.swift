// A contract that can run: instrumented by the rules, compiled, and linked to the host's functions.

import CWasmtime
import WasmRules

/// A compiled contract. It can run on many threads at once.
public final class Program: @unchecked Sendable {
    /// What is known of a contract besides its code.
    struct Facts: Hashable, Sendable {
        /// The names that a URL can call.
        var methods: [String]
        /// Whether it is a program for WASI, which answers every path.
        var isCommand: Bool
        /// Whether it exports `_initialize`, which runs first.
        var hasInitializer: Bool
        /// Whether it exports `weft:start`, which runs before that.
        var hasStart: Bool
        /// What an instance costs.
        var instantiationGas: Int64
        /// The pages of memory that an instance begins with.
        var memoryPages: UInt32

    }

    let facts: Facts
    let engine: Engine
    private let module: OpaquePointer
    let instances: OpaquePointer
    /// How many bytes its compiled code takes, about.
    public let codeBytes: Int

    /// The names that a URL can call; a program for WASI answers every name.
    public var methods: [String] { facts.methods }
    /// Whether it is a program for WASI.
    public var isCommand: Bool { facts.isCommand }
    /// The bytes of memory that an instance begins with.
    public var memoryBytes: Int64 { Int64(facts.memoryPages) << 16 }

    /// Whether a URL can call this name.
    public func answers(_ method: String) -> Bool { isCommand || methods.contains(method) }

    /// Takes a module from this node's cache, or checks, instruments and compiles it.
    ///
    /// - Throws: ``ContractFault`` if it is no contract; ``ResourceFailure`` if it cannot be
    ///   compiled here.
    public convenience init(
        _ bytes: [UInt8], engine: Engine, cache: CompiledCache? = nil
    ) throws {
        let name = cache.map { _ in CompiledCache.name(of: bytes) } ?? ""
        if let cached = cache?.load(name), let module = engine.deserialize(cached.code) {
            try self.init(cached.facts, module, cached.code.count, engine)
            return
        }
        let instrumented: InstrumentedModule
        do throws(WasmRefusal) {
            instrumented = try InstrumentedModule(bytes)
        } catch {
            throw ContractFault.refused(error)
        }
        for entry in instrumented.imports { _ = try HostFunction.matching(entry) }
        let module = try engine.compile(instrumented.bytes)
        let facts = Facts(instrumented)
        let code = engine.serialize(module)
        if let cache, let code { cache.store(name, facts, code) }
        try self.init(facts, module, code?.count ?? 0, engine)
    }

    /// Links a compiled module, which belongs to the program from then on.
    private init(
        _ facts: Facts, _ module: OpaquePointer, _ codeBytes: Int, _ engine: Engine
    ) throws {
        let api = engine.library.api
        var linked: OpaquePointer?
        if let error = api.wasmtime_linker_instantiate_pre(engine.linker, module, &linked) {
            api.wasmtime_module_delete(module)
            throw ResourceFailure.engine(engine.library.message(error))
        }
        guard let linked else { throw ResourceFailure.engine("it linked nothing") }
        self.facts = facts
        self.module = module
        self.codeBytes = codeBytes
        self.engine = engine
        instances = linked
    }

    deinit {
        engine.library.api.wasmtime_instance_pre_delete(instances)
        engine.library.api.wasmtime_module_delete(module)
    }
}

extension Program.Facts {
    fileprivate init(_ module: InstrumentedModule) {
        self.init(
            methods: module.methods, isCommand: module.isProcedure("_start"),
            hasInitializer: module.isProcedure("_initialize"), hasStart: module.hasStart,
            instantiationGas: module.instantiationGas,
            memoryPages: module.memory?.minimum ?? 0)
    }
}

extension Engine {
    /// Compiles an instrumented module.
    fileprivate func compile(_ bytes: [UInt8]) throws(ResourceFailure) -> OpaquePointer {
        var module: OpaquePointer?
        if let error = library.api.wasmtime_module_new(pointer, bytes, bytes.count, &module) {
            throw .engine(library.message(error))
        }
        guard let module else { throw .engine("it compiled nothing") }
        return module
    }

    /// A module's compiled code; nil if the engine does not give it.
    fileprivate func serialize(_ module: OpaquePointer) -> [UInt8]? {
        var code = wasm_byte_vec_t()
        if let error = library.api.wasmtime_module_serialize(module, &code) {
            library.api.wasmtime_error_delete(error)
            return nil
        }
        defer { library.api.wasm_byte_vec_delete(&code) }
        return [UInt8](UnsafeRawBufferPointer(start: code.data, count: code.size))
    }

    /// The module of compiled code that this node made; nil if it is of another version, processor
    /// or configuration.
    fileprivate func deserialize(_ code: ArraySlice<UInt8>) -> OpaquePointer? {
        var module: OpaquePointer?
        let error = code.withUnsafeBufferPointer {
            library.api.wasmtime_module_deserialize(pointer, $0.baseAddress, $0.count, &module)
        }
        if let error { library.api.wasmtime_error_delete(error) }
        return module
    }
}
