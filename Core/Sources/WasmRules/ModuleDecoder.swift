// Decodes the sections of a module and checks all that the specification asks of them (core
// specification 2.0, chapters 3.4 and 5.5), except the code of functions.

/// Reads one module.
struct ModuleDecoder {
    var module: Module
    private var reader: WasmReader

    /// Decodes a module. The function that a refusal is about has its name.
    static func decode(_ bytes: [UInt8]) throws(WasmRefusal) -> Module {
        guard bytes.count <= WasmLimits.maxModuleBytes else {
            throw WasmRefusal(
                .overLimit, "it has more than 4 MiB",
                advice: "optimise for size (-Oz) and strip it",
                at: WasmLimits.maxModuleBytes)
        }
        var decoder = ModuleDecoder(bytes)
        try decoder.decodeSections()
        return decoder.module
    }

    private init(_ bytes: [UInt8]) {
        module = Module(bytes: bytes)
        reader = WasmReader(bytes, 0..<bytes.count)
    }

    private mutating func decodeSections() throws(WasmRefusal) {
        try decodeHeader()
        var place = 0
        var customs = 0
        while !reader.isAtEnd {
            let start = reader.offset
            let number = try reader.readByte()
            if number == 13 { throw WasmRefusal(.exceptions, at: start) }
            guard let id = SectionID(rawValue: number) else {
                throw WasmRefusal(.malformed, "no section has this number", at: start)
            }
            let content = try reader.readPart()
            if id == .custom {
                customs += 1
                guard customs <= WasmLimits.maxCustomSections else {
                    throw WasmRefusal(.overLimit, "it has too many custom sections", at: start)
                }
                var section = WasmReader(module.bytes, content)
                _ = try section.readName()
                continue
            }
            guard id.place > place else {
                throw WasmRefusal(
                    .malformed, "a section comes twice or in the wrong place", at: start)
            }
            place = id.place
            module.sections[id] = content
            var section = WasmReader(module.bytes, content)
            try decode(id, &section)
            guard section.isAtEnd else {
                throw section.malformed("a section is longer than its content")
            }
        }
        try checkCounts()
    }

    private mutating func decodeHeader() throws(WasmRefusal) {
        for expected in [0, 0x61, 0x73, 0x6d] as [UInt8] {
            guard reader.peek == expected else {
                throw reader.malformed("it does not begin as modules do")
            }
            _ = try reader.readByte()
        }
        let version = [try reader.readByte(), try reader.readByte()]
        let layer = [try reader.readByte(), try reader.readByte()]
        if layer == [1, 0] { throw WasmRefusal(.components, at: 6) }
        guard version == [1, 0], layer == [0, 0] else {
            throw WasmRefusal(.malformed, "its version is not 1", at: 4)
        }
    }

    private mutating func decode(
        _ id: SectionID, _ section: inout WasmReader
    ) throws(WasmRefusal) {
        switch id {
        case .custom: break
        case .type: try decodeTypes(&section)
        case .import: try decodeImports(&section)
        case .function: try decodeFunctions(&section)
        case .table: try decodeTables(&section)
        case .memory: try decodeMemories(&section)
        case .global: try decodeGlobals(&section)
        case .export: try decodeExports(&section)
        case .start: try decodeStart(&section)
        case .element: try decodeElements(&section)
        case .dataCount: module.announcedDataCount = try section.readU32()
        case .code: try decodeCode(&section)
        case .data: try decodeData(&section)
        }
    }

    private func checkCounts() throws(WasmRefusal) {
        let end = module.bytes.count
        guard module.bodies.count == module.functions.count - module.importedFunctions else {
            throw WasmRefusal(.malformed, "there are functions without code", at: end)
        }
        if let announced = module.announcedDataCount, announced != module.dataCount {
            throw WasmRefusal(
                .malformed, "there are more or fewer data segments than announced", at: end)
        }
    }
}

// MARK: - Types and imports

extension ModuleDecoder {
    private mutating func decodeTypes(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(limit: WasmLimits.maxTypes, "it has too many types")
        for _ in 0..<count {
            let start = section.offset
            switch try section.readByte() {
            case 0x60: break
            case 0x4e...0x50, 0x5e, 0x5f: throw WasmRefusal(.garbageCollection, at: start)
            case 0x5d: throw WasmRefusal(.stackSwitching, at: start)
            default: throw WasmRefusal(.malformed, "no type has this form", at: start)
            }
            module.types.append(
                FunctionType(
                    parameters: try readTypes(
                        &section, limit: WasmLimits.maxParameters,
                        "a type has too many parameters"),
                    results: try readTypes(
                        &section, limit: WasmLimits.maxResults, "a type has too many results")))
        }
    }

    private func readTypes(
        _ section: inout WasmReader, limit: UInt32, _ reason: StaticString
    ) throws(WasmRefusal) -> [ValueType] {
        let count = try section.readCount(limit: limit, reason)
        var types: [ValueType] = []
        types.reserveCapacity(Int(count))
        for _ in 0..<count { types.append(try section.readValueType()) }
        return types
    }

    private mutating func decodeImports(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(limit: WasmLimits.maxImports, "it has too many imports")
        for _ in 0..<count {
            let offset = section.offset
            let from = try section.readName()
            let name = try section.readName()
            let kind = try readKind(&section)
            var entry = ImportEntry(module: from, name: name, kind: kind, offset: offset)
            switch kind {
            case .function:
                entry.type = try readTypeIndex(&section)
                module.functions.append(entry.type)
                module.importedFunctions += 1
            case .table: try addTable(&section)
            case .memory: try addMemory(&section)
            case .global:
                module.globals.append(try readGlobalType(&section))
                module.importedGlobals += 1
            }
            module.imports.append(entry)
        }
    }

    private func readKind(_ section: inout WasmReader) throws(WasmRefusal) -> ExternalKind {
        let start = section.offset
        let number = try section.readByte()
        if number == 4 { throw WasmRefusal(.exceptions, at: start) }
        guard let kind = ExternalKind(rawValue: number) else {
            throw WasmRefusal(.malformed, "an import or export has an unknown kind", at: start)
        }
        return kind
    }

    private func readTypeIndex(_ section: inout WasmReader) throws(WasmRefusal) -> UInt32 {
        let start = section.offset
        let index = try section.readU32()
        guard index < UInt32(module.types.count) else {
            throw WasmRefusal(.invalid, "a type that is not there", at: start)
        }
        return index
    }

    private mutating func decodeFunctions(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(
            limit: WasmLimits.maxFunctions, "it has too many functions")
        for _ in 0..<count { module.functions.append(try readTypeIndex(&section)) }
    }
}

// MARK: - Tables, memories, globals

extension ModuleDecoder {
    private mutating func decodeTables(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(limit: WasmLimits.maxTables, "it has too many tables")
        for _ in 0..<count {
            if section.peek == 0x40 {
                throw WasmRefusal(.typedFunctionReferences, at: section.offset)
            }
            try addTable(&section)
        }
    }

    private mutating func addTable(_ section: inout WasmReader) throws(WasmRefusal) {
        let start = section.offset
        let element = try section.readReferenceType()
        let limits = try readLimits(&section)
        guard limits.minimum <= WasmLimits.maxTableElements else {
            throw WasmRefusal(.overLimit, "a table has more than 65,536 elements", at: start)
        }
        guard module.tables.count < Int(WasmLimits.maxTables) else {
            throw WasmRefusal(.overLimit, "it has too many tables", at: start)
        }
        module.tables.append(TableType(element: element, limits: limits))
    }

    private mutating func decodeMemories(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(limit: 100, "it has too many memories")
        for _ in 0..<count { try addMemory(&section) }
    }

    private mutating func addMemory(_ section: inout WasmReader) throws(WasmRefusal) {
        let start = section.offset
        if !module.memories.isEmpty { throw WasmRefusal(.multipleMemories, at: start) }
        let limits = try readLimits(&section)
        guard limits.minimum <= 65_536, limits.maximum ?? 0 <= 65_536 else {
            throw WasmRefusal(.invalid, "a memory has more than 65,536 pages", at: start)
        }
        guard limits.minimum <= WasmLimits.maxMemoryPages else {
            throw WasmRefusal(
                .overLimit, "its memory begins with more than 4,096 pages",
                advice: "link with a smaller --initial-memory", at: start)
        }
        module.memories.append(limits)
    }

    private func readLimits(_ section: inout WasmReader) throws(WasmRefusal) -> SizeLimits {
        let start = section.offset
        let flags = try section.readByte()
        switch flags {
        case 0, 1: break
        case 2, 3: throw WasmRefusal(.threads, at: start)
        case 4...7: throw WasmRefusal(.memory64, at: start)
        case 8...15: throw WasmRefusal(.customPageSizes, at: start)
        default: throw WasmRefusal(.malformed, "limits have unknown flags", at: start)
        }
        let minimum = try section.readU32()
        let maximum = flags == 1 ? try section.readU32() : nil
        if let maximum, maximum < minimum {
            throw WasmRefusal(.invalid, "a maximum is less than its minimum", at: start)
        }
        return SizeLimits(minimum: minimum, maximum: maximum)
    }

    private func readGlobalType(_ section: inout WasmReader) throws(WasmRefusal) -> GlobalType {
        let value = try section.readValueType()
        let start = section.offset
        switch try section.readByte() {
        case 0: return GlobalType(value: value, isMutable: false)
        case 1: return GlobalType(value: value, isMutable: true)
        case 2, 3: throw WasmRefusal(.threads, at: start)
        default: throw WasmRefusal(.malformed, "a global is neither constant nor not", at: start)
        }
    }

    private mutating func decodeGlobals(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(limit: WasmLimits.maxGlobals, "it has too many globals")
        for _ in 0..<count {
            let type = try readGlobalType(&section)
            try readConstant(type.value, &section)
            module.globals.append(type)
        }
    }

    /// Reads a constant expression: one instruction that gives a value of `type`, and `end`.
    private mutating func readConstant(
        _ type: ValueType, _ section: inout WasmReader
    ) throws(WasmRefusal) {
        var instruction = Instruction()
        let start = section.offset
        try section.read(&instruction)
        let given: ValueType?
        switch instruction.opcode {
        case Op.i32Const, Op.i64Const, Op.f32Const, Op.f64Const, Op.v128Const:
            given = instruction.info.gives
        case Op.refNull: given = instruction.type
        case Op.refFunc:
            try markReferenced(instruction.index, at: start)
            given = .funcref
        case Op.globalGet:
            let index = Int(clamping: instruction.index)
            guard index < module.importedGlobals, !module.globals[index].isMutable else {
                throw WasmRefusal(
                    .invalid, "a constant is read from other than an imported constant", at: start)
            }
            given = module.globals[index].value
        default: throw WasmRefusal(.invalid, "a constant expression is not constant", at: start)
        }
        guard given == type else {
            throw WasmRefusal(.invalid, "a constant has another type", at: start)
        }
        let next = section.offset
        try section.read(&instruction)
        switch instruction.opcode {
        case Op.end: break
        case Op.i32Const, Op.i64Const, Op.globalGet, 0x6a...0x6c, 0x7c...0x7e:
            throw WasmRefusal(.extendedConstants, at: next)
        default: throw WasmRefusal(.invalid, "a constant expression goes on", at: next)
        }
    }

    private mutating func markReferenced(_ index: UInt32, at offset: Int) throws(WasmRefusal) {
        guard index < UInt32(module.functions.count) else {
            throw WasmRefusal(.invalid, "a function that is not there", at: offset)
        }
        module.referenced.insert(index)
    }
}

// MARK: - Exports and segments

extension ModuleDecoder {
    private mutating func decodeExports(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(limit: WasmLimits.maxExports, "it has too many exports")
        var names: Set<[UInt8]> = []
        for _ in 0..<count {
            let start = section.offset
            let name = try section.readName()
            guard names.insert(Array(name.utf8)).inserted else {
                throw WasmRefusal(.invalid, "two exports have the same name", at: start)
            }
            let kind = try readKind(&section)
            let index = try section.readU32()
            let count =
                switch kind {
                case .function: module.functions.count
                case .table: module.tables.count
                case .memory: module.memories.count
                case .global: module.globals.count
                }
            guard index < UInt32(count) else {
                throw WasmRefusal(.invalid, "an export is of nothing", at: start)
            }
            if kind == .function { module.referenced.insert(index) }
            module.exports.append(ModuleExport(name: name, kind: kind, index: index))
        }
    }

    private mutating func decodeStart(_ section: inout WasmReader) throws(WasmRefusal) {
        let offset = section.offset
        let index = try section.readU32()
        guard index < UInt32(module.functions.count),
            module.type(ofFunction: index) == FunctionType(parameters: [], results: [])
        else {
            throw WasmRefusal(.invalid, "the start function takes or gives something", at: offset)
        }
        module.start = index
    }

    private mutating func decodeElements(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(
            limit: WasmLimits.maxElementSegments, "it has too many element segments")
        for _ in 0..<count { try decodeElementSegment(&section) }
    }

    private mutating func decodeElementSegment(
        _ section: inout WasmReader
    ) throws(WasmRefusal) {
        let start = section.offset
        let flags = try section.readU32()
        guard flags < 8 else {
            throw WasmRefusal(.malformed, "an element segment has unknown flags", at: start)
        }
        let isActive = flags & 1 == 0
        let hasExplicitTable = flags & 2 != 0
        let hasExpressions = flags & 4 != 0
        var table: TableType?
        if isActive {
            let index = hasExplicitTable ? try section.readU32() : 0
            guard index < UInt32(module.tables.count) else {
                throw WasmRefusal(.invalid, "an element segment without its table", at: start)
            }
            table = module.tables[Int(index)]
            try readConstant(.i32, &section)
        }
        var type = ValueType.funcref
        if flags & 3 != 0 {
            if hasExpressions {
                type = try section.readReferenceType()
            } else if try section.readByte() != 0 {
                throw section.malformed("an element segment is of an unknown kind")
            }
        }
        if let table, table.element != type {
            throw WasmRefusal(.invalid, "elements of another type than the table's", at: start)
        }
        let count = try section.readCount(
            limit: WasmLimits.maxSegmentElements - module.elementCount, "it has too many elements")
        for _ in 0..<count {
            if hasExpressions {
                try readConstant(type, &section)
            } else {
                let offset = section.offset
                try markReferenced(try section.readU32(), at: offset)
            }
        }
        module.elementCount += count
        module.elements.append(type)
    }

    private mutating func decodeCode(_ section: inout WasmReader) throws(WasmRefusal) {
        let start = section.offset
        let count = try section.readU32()
        guard Int(clamping: count) == module.functions.count - module.importedFunctions else {
            throw WasmRefusal(.malformed, "there are more or fewer codes than functions", at: start)
        }
        for number in 0..<count {
            let offset = section.offset
            let body = try section.readPart()
            guard body.count <= Int(WasmLimits.maxBodyBytes) else {
                throw WasmRefusal(
                    .overLimit, "a function's code has more than 256 KiB",
                    advice: "split it, or inline less", at: offset,
                    function: UInt32(module.importedFunctions) + number)
            }
            module.bodies.append(body)
        }
    }

    private mutating func decodeData(_ section: inout WasmReader) throws(WasmRefusal) {
        let count = try section.readCount(
            limit: WasmLimits.maxDataSegments, "it has too many data segments")
        for _ in 0..<count {
            let start = section.offset
            let flags = try section.readU32()
            guard flags < 3 else {
                throw WasmRefusal(.malformed, "a data segment has unknown flags", at: start)
            }
            if flags == 2, try section.readU32() != 0 {
                throw WasmRefusal(.multipleMemories, at: start)
            }
            if flags != 1 {
                guard !module.memories.isEmpty else {
                    throw WasmRefusal(.invalid, "a data segment without a memory", at: start)
                }
                try readConstant(.i32, &section)
            }
            module.dataBytes += try section.readPart().count
        }
        module.dataCount = count
    }
}
