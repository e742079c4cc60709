// Writes the instrumented module: the author's sections with additions at their ends, so that no
// index of the author's changes; the code function by function; no custom section.

import Wire

/// Instruments one validated module.
struct ModuleInstrumenter {
    private let module: Module
    private let facts: [FunctionFacts]
    private var additions: Additions
    private var types: [FunctionType] = []
    private var functionTypes: [UInt32] = []
    private var helpers: [[UInt8]] = []

    init(_ module: Module, _ facts: [FunctionFacts], profiles: Bool = false) {
        self.module = module
        self.facts = facts
        let globals = UInt32(module.globals.count)
        additions = Additions(
            gas: globals, status: globals + 1, stack: globals + 2, floor: globals + 3,
            profile: profiles ? globals + 4 : nil,
            tablesReachHost: module.referenced.contains { Int($0) < module.importedFunctions })
    }

    mutating func instrumented() throws(WasmRefusal) -> InstrumentedModule {
        addHelpers()
        addBodyTypes()
        let code = try rewrittenCode()
        var out: [UInt8] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
        out.append(.type, try extended(.type, by: types.map { $0.encoded }))
        out.append(.import, content(.import))
        out.append(.function, try extended(.function, by: functionTypes.map(Self.varint)))
        out.append(.table, tableSection)
        out.append(.memory, memorySection)
        out.append(.global, try extended(.global, by: globals))
        out.append(.export, try extended(.export, by: exports))
        out.append(.element, content(.element))
        out.append(.dataCount, content(.dataCount))
        out.append(.code, code)
        out.append(.data, content(.data))
        try checkSize(out.count)
        return InstrumentedModule(bytes: out, of: module)
    }

    private func checkSize(_ count: Int) throws(WasmRefusal) {
        guard count <= WasmLimits.maxInstrumentedBytes else {
            throw WasmRefusal(
                .overLimit, "it has more than 12 MiB when instrumented",
                advice: "optimise for size (-Oz)", at: module.bytes.count)
        }
    }

    // MARK: - Additions

    private mutating func addHelpers() {
        if facts.contains(where: { $0.growsMemory }), let limits = module.memories.first {
            additions.growMemory = addFunction(
                FunctionType(parameters: [.i32], results: [.i32]),
                growth(
                    count: 0, cap: Module.memoryCap(limits), price: GasSchedule.page,
                    size: [0x3f, 0], grow: [0x20, 0, 0x40, 0]))
        }
        for (index, table) in module.tables.enumerated() {
            let index = UInt32(index)
            guard facts.contains(where: { $0.grownTables.contains(index) }) else { continue }
            let number = Self.varint(index)
            additions.growTable[index] = addFunction(
                FunctionType(parameters: [table.element, .i32], results: [.i32]),
                growth(
                    count: 1, cap: Module.tableCap(table.limits), price: GasSchedule.tableElement,
                    size: [0xfc, 0x10] + number, grow: [0x20, 0, 0x20, 1, 0xfc, 0x0f] + number))
        }
    }

    private mutating func addFunction(_ type: FunctionType, _ body: [UInt8]) -> UInt32 {
        functionTypes.append(addType(type))
        helpers.append(body)
        return UInt32(module.functions.count + helpers.count - 1)
    }

    private mutating func addType(_ type: FunctionType) -> UInt32 {
        types.append(type)
        return UInt32(module.types.count + types.count - 1)
    }

    /// The blocks that take the place of a function's own label need a type of their own if the
    /// function has several results.
    private mutating func addBodyTypes() {
        for index in module.functions.dropFirst(module.importedFunctions)
        where additions.bodyTypes[index] == nil {
            let results = module.types[Int(index)].results
            guard results.count > 1 else { continue }
            additions.bodyTypes[index] = addType(FunctionType(parameters: [], results: results))
        }
    }

    /// The code of a function that grows the memory or a table by its parameter `count`, unless
    /// that goes beyond `cap`. If the engine cannot do what the rules grant, that is no result: it
    /// traps.
    private func growth(
        count: UInt32, cap: UInt32, price: Int64, size: [UInt8], grow: [UInt8]
    ) -> [UInt8] {
        var code: [UInt8] = [0]
        code.append(local: Op.localGet, count)
        code.append(i32: Int32(cap))
        code += size
        code += [0x6b, 0x4b, UInt8(Op.if), 0x40]  // i32.sub, i32.gt_u
        code.append(i32: -1)
        code += [UInt8(Op.return), UInt8(Op.end)]
        code.append(global: Op.globalGet, additions.gas)
        code.append(local: Op.localGet, count)
        code.append(0xad)  // i64.extend_i32_u
        code.append(i64: price)
        code += [0x7e, 0x7d]  // i64.mul, i64.sub
        code.append(global: Op.globalSet, additions.gas)
        code.append(global: Op.globalGet, additions.gas)
        code.append(i64: 0)
        code += [0x53, UInt8(Op.if), 0x40]  // i64.lt_s
        code.appendTrap(.outOfGas, additions)
        code.append(UInt8(Op.end))
        code += grow
        code.append(local: Op.localTee, count)
        code.append(i32: -1)
        code += [0x46, UInt8(Op.if), 0x40]  // i32.eq
        code.appendTrap(.resource, additions)
        code.append(UInt8(Op.end))
        code.append(local: Op.localGet, count)
        code.append(UInt8(Op.end))
        return code
    }

    private var globals: [[UInt8]] {
        let stack = [0x7f, 1, 0x41] + Self.signed(Int64(WasmLimits.stackBytes)) + [0x0b]
        let zero: [UInt8] = [0x7e, 1, 0x42, 0, 0x0b]
        let profile = additions.profile == nil ? 0 : module.bodies.count
        return [zero, [0x7f, 1, 0x41, 0, 0x0b], stack, zero]
            + Array(repeating: zero, count: profile)
    }

    private var exports: [[UInt8]] {
        var all = [
            Self.export("gas", .global, additions.gas),
            Self.export("status", .global, additions.status),
            Self.export("stack", .global, additions.stack),
            Self.export("floor", .global, additions.floor),
        ]
        if let start = module.start { all.append(Self.export("start", .function, start)) }
        if let profile = additions.profile {
            for body in module.bodies.indices {
                let name = "profile/\(module.importedFunctions + body)"
                all.append(Self.export(name, .global, profile + UInt32(body)))
            }
        }
        return all
    }

    // MARK: - Sections

    /// The content of a section as its author made it.
    private func content(_ id: SectionID) -> [UInt8] {
        module.sections[id].map { Array(module.bytes[$0]) } ?? []
    }

    /// The content of a section that is a list, with more elements at its end.
    private func extended(
        _ id: SectionID, by elements: [[UInt8]]
    ) throws(WasmRefusal) -> [UInt8] {
        var reader = WasmReader(module.bytes, module.sections[id] ?? 0..<0)
        let count = module.sections[id] == nil ? 0 : try reader.readU32()
        if count == 0 && elements.isEmpty { return [] }
        var out = Self.varint(count + UInt32(elements.count))
        out += module.bytes[reader.offset..<reader.end]
        for element in elements { out += element }
        return out
    }

    private var tableSection: [UInt8] {
        let imported = module.imports.count { $0.kind == .table }
        let tables = module.tables.dropFirst(imported)
        if tables.isEmpty { return [] }
        var out = Self.varint(UInt32(tables.count))
        for table in tables {
            out += [table.element.rawValue, 1]
            out += Self.varint(table.limits.minimum)
            out += Self.varint(Module.tableCap(table.limits))
        }
        return out
    }

    private var memorySection: [UInt8] {
        guard let limits = module.memories.first,
            !module.imports.contains(where: { $0.kind == .memory })
        else { return [] }
        return [1, 1] + Self.varint(limits.minimum) + Self.varint(Module.memoryCap(limits))
    }

    private func rewrittenCode() throws(WasmRefusal) -> [UInt8] {
        let count = module.bodies.count + helpers.count
        if count == 0 { return [] }
        var out = Self.varint(UInt32(count))
        out.reserveCapacity(2 * module.bytes.count)
        for (body, facts) in facts.enumerated() {
            out.append(part: try FunctionInstrumenter.instrument(body, module, additions, facts))
            try checkSize(out.count)
        }
        for helper in helpers { out.append(part: helper) }
        return out
    }

    // MARK: - Encoding

    private static func varint(_ value: UInt32) -> [UInt8] {
        var out: [UInt8] = []
        out.appendVarint(UInt64(value))
        return out
    }

    private static func signed(_ value: Int64) -> [UInt8] {
        var out: [UInt8] = []
        out.appendSigned(value)
        return out
    }

    private static func export(_ name: String, _ kind: ExternalKind, _ index: UInt32) -> [UInt8] {
        var out: [UInt8] = []
        out.append(part: Array((InstrumentedModule.reservedPrefix + name).utf8))
        out.append(kind.rawValue)
        out.appendVarint(UInt64(index))
        return out
    }
}

extension FunctionType {
    /// The type in the binary format.
    fileprivate var encoded: [UInt8] {
        var out: [UInt8] = [0x60]
        out.append(part: parameters.map { $0.rawValue })
        out.append(part: results.map { $0.rawValue })
        return out
    }
}
