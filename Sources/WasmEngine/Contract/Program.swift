// A contract that can run: instrumented by the rules, compiled, and linked to the host's functions.

import CWasmtime
import Synchronization
public import WasmRules

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
    /// How many bytes its compiled code takes, about, and what it is compiled from once more.
    public let codeBytes: Int
    /// What it can be compiled from once more; nil if its code is as good as it can be.
    private let draft: Draft?
    /// The most memory that a run has had at its end.
    private let mostMemory = Atomic<Int>(0)

    private struct Draft {
        let instrumented: [UInt8]
        let cache: CompiledCache?
        let name: String
    }

    /// How much time compiling may take.
    public enum Effort: Sendable {
        /// As much as the code gets faster by.
        case full
        /// Little, for someone who waits for the first call: the code is slower, until it is
        /// compiled once more. Small modules are compiled in full at once.
        case draft
    }

    /// From so many bytes on, instrumented, a draft is worth it: compiling less in full takes a
    /// tenth of a second, and a draft that is used at once is compiled again beside its users.
    private static let draftBytes = 256 << 10

    /// Whether compiling it once more makes it faster.
    public var isDraft: Bool { draft != nil }

    /// The names that a URL can call; a program for WASI answers every name.
    public var methods: [String] { facts.methods }
    /// Whether it is a program for WASI.
    public var isCommand: Bool { facts.isCommand }
    /// The bytes of memory that an instance begins with.
    public var memoryBytes: Int64 { Int64(facts.memoryPages) << 16 }

    /// The most memory that one of its runs had, in bytes; nil if none has ended.
    public var usedMemory: Int64? {
        let most = mostMemory.load(ordering: .relaxed)
        return most > 0 ? Int64(most) : nil
    }

    func noteMemory(_ bytes: Int) { mostMemory.max(bytes, ordering: .relaxed) }

    /// Whether a URL can call this name.
    public func answers(_ method: String) -> Bool { isCommand || methods.contains(method) }

    /// Takes a module from this node's cache, or checks, instruments and compiles it.
    ///
    /// - Throws: ``ContractFault`` if it is no contract; ``ResourceFailure`` if it cannot be
    ///   compiled here.
    public convenience init(
        _ bytes: [UInt8], engine: Engine, cache: CompiledCache? = nil, effort: Effort = .full
    ) throws {
        let name = cache.map { _ in CompiledCache.name(of: bytes) } ?? ""
        if let cached = cache?.load(name), let module = engine.deserialize(cached.code) {
            try self.init(cached.facts, module, cached.code.count, nil, engine)
            return
        }
        let instrumented: InstrumentedModule
        do throws(WasmRefusal) {
            instrumented = try InstrumentedModule(bytes)
        } catch {
            throw ContractFault.refused(error)
        }
        try Self.checkImports(of: instrumented)
        let draft = Draft(instrumented: instrumented.bytes, cache: cache, name: name)
        let facts = Facts(instrumented)
        if effort == .draft, instrumented.bytes.count >= Self.draftBytes,
            let (module, count) = engine.draft(instrumented.bytes)
        {
            try self.init(facts, module, count, draft, engine)
        } else {
            try self.init(facts, draft, engine)
        }
    }

    /// Looks whether hosts offer what a module imports.
    public static func checkImports(of module: InstrumentedModule) throws(ContractFault) {
        for entry in module.imports { _ = try HostFunction.matching(entry) }
    }

    /// Compiles in full.
    private convenience init(_ facts: Facts, _ draft: Draft, _ engine: Engine) throws {
        let module = try engine.compile(draft.instrumented)
        let code = engine.serialize(module)
        if let cache = draft.cache, let code { cache.store(draft.name, facts, code) }
        try self.init(facts, module, code?.count ?? 0, nil, engine)
    }

    /// The same program, compiled in full. It takes its time.
    ///
    /// - Throws: ``ResourceFailure``.
    public func improved() throws -> Program {
        guard let draft else { return self }
        return try Program(facts, draft, engine)
    }

    /// Links a compiled module, which belongs to the program from then on.
    private init(
        _ facts: Facts, _ module: OpaquePointer, _ codeBytes: Int, _ draft: Draft?,
        _ engine: Engine
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
        self.codeBytes = codeBytes + (draft?.instrumented.count ?? 0)
        self.draft = draft
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

    /// Compiles in haste. Gives the module and the bytes of its code; nil if that does not work,
    /// and compiling in full has to.
    fileprivate func draft(_ bytes: [UInt8]) -> (OpaquePointer, Int)? {
        guard let drafter = compilerOfDrafts() else { return nil }
        var module: OpaquePointer?
        if let error = library.api.wasmtime_module_new(drafter, bytes, bytes.count, &module) {
            library.api.wasmtime_error_delete(error)
            return nil
        }
        guard let module else { return nil }
        defer { library.api.wasmtime_module_delete(module) }
        guard let code = serialize(module), let loaded = deserialize(code[...]) else { return nil }
        return (loaded, code.count)
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
