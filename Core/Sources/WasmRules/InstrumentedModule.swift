// From a module as its author made it to the one that engines run. Every node does this for itself:
// an instrumented module is never taken from others. Equal input gives equal output, byte for byte.

import Wire

/// A contract's module, checked, and rewritten so that it counts its gas and stack and gives the
/// same result on every engine and machine.
///
/// Beside what its author exported it exports the mutable globals `weft:gas` (i64: what is left;
/// the host sets it before a call), `weft:status` (i32: see `CallStatus`), `weft:stack` (i32: bytes
/// of stack left) and `weft:floor` (i64: 0; raised over all gas, it has the call end soon as if the
/// gas had run out), and, if the module has a start function, that under the name `weft:start`: the
/// host calls it first, with gas.
public struct InstrumentedModule: Hashable, Sendable {
    /// The module for the engine.
    public let bytes: [UInt8]
    /// The functions that it wants of its host.
    public let imports: [FunctionImport]
    /// What its author exported.
    public let exports: [ModuleExport]
    /// The names of the exported functions that take and give nothing, in their order.
    public let procedures: [String]
    /// The pages of its memory: from the start, and at most. Nil if it has none.
    public let memory: SizeLimits?
    /// Whether it exports `weft:start`.
    public let hasStart: Bool
    /// What it costs to make an instance: its pages, tables and segments. The host takes it off the
    /// gas of a call before it sets the rest.
    public let instantiationGas: Int64

    /// The prefix of the names of added exports, which authors cannot use.
    public static let reservedPrefix = "weft:"

    /// The prefix of the names of the globals that count the gas of each function.
    public static let profilePrefix = "weft:profile/"

    /// Checks a contract's module by all the rules, and instruments it.
    public init(_ module: [UInt8]) throws(WasmRefusal) {
        try self.init(module, for: .contract)
    }

    /// As ``init(_:)``, but the module also counts what each of its functions costs by itself, in
    /// an exported global (mutable i64) whose name is ``profilePrefix`` and the function's index.
    /// What the host's functions cost is the host's to count. It costs, answers and ends as the
    /// other does, but is slower: it serves authors, not nodes.
    public init(profiling module: [UInt8]) throws(WasmRefusal) {
        try self.init(module, for: .profile)
    }

    /// What a module is to be used for.
    enum Purpose {
        /// As a contract, whose host offers functions of integers alone.
        case contract
        /// As a contract whose functions' gas is counted one by one.
        case profile
        /// As part of the specification's own tests, which import other things too.
        case conformance
    }

    init(_ bytes: [UInt8], for purpose: Purpose) throws(WasmRefusal) {
        do throws(WasmRefusal) {
            let module = try ModuleDecoder.decode(bytes)
            var facts: [FunctionFacts] = []
            var validator = FunctionValidator(module)
            for body in module.bodies.indices { facts.append(try validator.validate(body: body)) }
            if purpose != .conformance { try module.checkContract() }
            var instrumenter = ModuleInstrumenter(module, facts, profiles: purpose == .profile)
            self = try instrumenter.instrumented()
        } catch {
            var refusal = error
            if let function = refusal.function {
                refusal.functionName = FunctionNames.name(of: function, in: bytes)
            }
            throw refusal
        }
    }

    init(bytes: [UInt8], of module: Module) {
        self.bytes = bytes
        imports = module.imports.filter { $0.kind == .function }.map {
            FunctionImport(
                module: $0.module, name: $0.name, type: module.types[Int($0.type)])
        }
        exports = module.exports
        procedures = module.exports.filter {
            guard $0.kind == .function else { return false }
            let type = module.type(ofFunction: $0.index)
            return type.parameters.isEmpty && type.results.isEmpty
        }.map { $0.name }
        memory = module.memories.first.map {
            SizeLimits(minimum: $0.minimum, maximum: Module.memoryCap($0))
        }
        hasStart = module.start != nil
        let pages = Int64(module.memories.first?.minimum ?? 0)
        let elements = module.tables.reduce(Int64(module.elementCount)) {
            $0 + Int64($1.limits.minimum)
        }
        instantiationGas =
            pages * GasSchedule.page + elements * GasSchedule.tableElement
            + Int64(module.dataBytes) >> GasSchedule.bulkBytesShift
    }
}

extension InstrumentedModule {
    /// The names of a contract's methods: those procedures that begin with a small letter, go on
    /// with small letters, digits and hyphens, and so can stand in a URL.
    public var methods: [String] {
        procedures.filter { name in
            guard let first = name.utf8.first, (0x61...0x7a).contains(first) else { return false }
            return name.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
            }
        }
    }

    /// Whether it exports a function of this name that takes and gives nothing.
    public func isProcedure(_ name: String) -> Bool {
        procedures.contains { $0.utf8.elementsEqual(name.utf8) }
    }
}

extension Module {
    /// The rules that hold for contracts beyond those of the specification.
    func checkContract() throws(WasmRefusal) {
        for entry in imports {
            guard entry.kind == .function else {
                throw WasmRefusal(
                    .rule, "it imports something other than a function",
                    advice: "link statically, with a memory of its own (no --import-memory)",
                    at: entry.offset)
            }
            let type = types[Int(entry.type)]
            guard (type.parameters + type.results).allSatisfy({ $0.isInteger }) else {
                throw WasmRefusal(
                    .rule, "it imports a function of other than integers",
                    advice: "pass floating-point numbers through memory", at: entry.offset)
            }
        }
        for export in exports
        where export.name.utf8.starts(with: InstrumentedModule.reservedPrefix.utf8) {
            throw WasmRefusal(
                .rule, "it exports a name that begins with weft:", advice: "choose another name",
                at: sections[.export]?.lowerBound ?? 0)
        }
    }

    static func memoryCap(_ limits: SizeLimits) -> UInt32 {
        min(limits.maximum ?? WasmLimits.maxMemoryPages, WasmLimits.maxMemoryPages)
    }

    static func tableCap(_ limits: SizeLimits) -> UInt32 {
        min(limits.maximum ?? WasmLimits.maxTableElements, WasmLimits.maxTableElements)
    }
}
