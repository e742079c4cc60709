// Reading one instruction of a function's code with what follows its number, and refusing by name
// what belongs to a proposal that contracts cannot use.

/// One instruction as it stands in the code. The value is used again for the next.
struct Instruction {
    var opcode: Opcode = 0
    var info = OpcodeInfo()
    /// Where it stands in the module.
    var range = 0..<0
    /// The index, label, or lane that it names; of two, the first.
    var index: UInt32 = 0
    /// The second index.
    var secondIndex: UInt32 = 0
    /// The constant of `i32.const` and `i64.const`.
    var constant: Int64 = 0
    var blockType = BlockType.empty
    /// The type that `select` or `ref.null` names.
    var type: ValueType?
    /// The labels of `br_table`, the default last.
    var labels: [UInt32] = []
}

extension WasmReader {
    /// Reads the next instruction into `instruction`.
    mutating func read(_ instruction: inout Instruction) throws(WasmRefusal) {
        let start = offset
        instruction.opcode = try readOpcode()
        instruction.info = OpcodeInfo.table[Int(instruction.opcode)]
        switch instruction.info.immediate {
        case .none: break
        case .label, .function, .local, .global, .table, .data, .element:
            instruction.index = try readU32()
        case .i32: instruction.constant = try readSigned(bits: 32)
        case .i64: instruction.constant = try readSigned(bits: 64)
        case .f32: try skip(4)
        case .f64: try skip(8)
        case .address: try readAddress(width: instruction.info.width)
        case .blockType: instruction.blockType = try readBlockType()
        default: try readRareImmediate(&instruction)
        }
        instruction.range = start..<offset
    }

    private mutating func readRareImmediate(
        _ instruction: inout Instruction
    ) throws(WasmRefusal) {
        switch instruction.info.immediate {
        case .typeAndTable, .elementAndTable, .twoTables:
            instruction.index = try readU32()
            instruction.secondIndex = try readU32()
        case .labels: try readLabels(&instruction)
        case .types: try readSelectTypes(&instruction)
        case .memory: try readMemoryIndex()
        case .twoMemories:
            try readMemoryIndex()
            try readMemoryIndex()
        case .dataAndMemory:
            instruction.index = try readU32()
            try readMemoryIndex()
        case .vector: try skip(16)
        case .shuffle:
            for _ in 0..<16 { try readLane(below: 32) }
        case .lane: try readLane(below: instruction.info.lanes)
        case .addressAndLane:
            try readAddress(width: instruction.info.width)
            try readLane(below: instruction.info.lanes)
        case .referenceType: instruction.type = try readReferenceType()
        default: break
        }
    }

    private mutating func readLabels(_ instruction: inout Instruction) throws(WasmRefusal) {
        let count = try readCount(
            limit: WasmLimits.maxBranchTargets, "a br_table has too many labels")
        instruction.labels.removeAll(keepingCapacity: true)
        for _ in 0...count { instruction.labels.append(try readU32()) }
    }

    private mutating func readSelectTypes(_ instruction: inout Instruction) throws(WasmRefusal) {
        let start = offset
        guard try readU32() == 1 else {
            throw WasmRefusal(.invalid, "a select of other than one value", at: start)
        }
        instruction.type = try readValueType()
    }

    private mutating func readAddress(width: UInt8) throws(WasmRefusal) {
        let start = offset
        let alignment = try readU32()
        if alignment & 0x40 != 0, alignment < 0x80 {
            throw WasmRefusal(.multipleMemories, at: start)
        }
        guard alignment <= UInt32(width) else {
            throw WasmRefusal(.invalid, "an alignment is larger than the access", at: start)
        }
        _ = try readU32()
    }

    private mutating func readMemoryIndex() throws(WasmRefusal) {
        let start = offset
        guard try readByte() == 0 else { throw WasmRefusal(.multipleMemories, at: start) }
    }

    private mutating func readLane(below count: UInt8) throws(WasmRefusal) {
        let start = offset
        guard try readByte() < count else {
            throw WasmRefusal(.invalid, "a lane that the vector does not have", at: start)
        }
    }

    /// Reads a value type; a type of a later proposal is refused by the proposal's name.
    mutating func readValueType() throws(WasmRefusal) -> ValueType {
        let start = offset
        let byte = try readByte()
        if let type = ValueType(rawValue: byte) { return type }
        switch byte {
        case 0x63, 0x64: throw WasmRefusal(.typedFunctionReferences, at: start)
        case 0x69, 0x74: throw WasmRefusal(.exceptions, at: start)
        case 0x68, 0x75: throw WasmRefusal(.stackSwitching, at: start)
        case 0x65...0x6e, 0x71...0x78: throw WasmRefusal(.garbageCollection, at: start)
        default: throw WasmRefusal(.malformed, "no value type has this number", at: start)
        }
    }

    /// Reads `funcref` or `externref`.
    mutating func readReferenceType() throws(WasmRefusal) -> ValueType {
        let start = offset
        let type = try readValueType()
        guard type.isReference else {
            throw WasmRefusal(.malformed, "a reference type was expected", at: start)
        }
        return type
    }

    private mutating func readBlockType() throws(WasmRefusal) -> BlockType {
        guard let byte = peek, byte & 0xc0 == 0x40 else {
            let start = offset
            let index = try readSigned(bits: 33)
            guard index >= 0 else {
                throw WasmRefusal(.malformed, "the type of a block is negative", at: start)
            }
            return .type(UInt32(truncatingIfNeeded: index))
        }
        if byte == 0x40 {
            _ = try readByte()
            return .empty
        }
        return .value(try readValueType())
    }

    private mutating func readOpcode() throws(WasmRefusal) -> Opcode {
        let start = offset
        let byte = try readByte()
        if OpcodeInfo.table[Int(byte)].isKnown { return Opcode(byte) }
        let number: UInt32 = byte >= 0xfb && byte <= 0xfe ? try readU32() : 0
        switch byte {
        case 0xfc where number < 0x100:
            let opcode = 0x100 + Opcode(number)
            if OpcodeInfo.table[Int(opcode)].isKnown { return opcode }
            if number == 0x12 { throw WasmRefusal(.memoryControl, at: start) }
            if 0x13...0x16 ~= number { throw WasmRefusal(.wideArithmetic, at: start) }
        case 0xfd where number < 0x100:
            let opcode = 0x200 + Opcode(number)
            if OpcodeInfo.table[Int(opcode)].isKnown { return opcode }
        case 0xfd where number < 0x140: throw WasmRefusal(.relaxedSIMD, at: start)
        case 0xfe: throw WasmRefusal(.threads, at: start)
        case 0xfb: throw WasmRefusal(.garbageCollection, at: start)
        case 0x06...0x0a, 0x18, 0x19, 0x1f: throw WasmRefusal(.exceptions, at: start)
        case 0x12, 0x13: throw WasmRefusal(.tailCalls, at: start)
        case 0x14, 0x15, 0xd4...0xd6: throw WasmRefusal(.typedFunctionReferences, at: start)
        case 0xd3: throw WasmRefusal(.garbageCollection, at: start)
        case 0xe0...0xe6: throw WasmRefusal(.stackSwitching, at: start)
        default: break
        }
        throw WasmRefusal(.malformed, "no instruction has this number", at: start)
    }
}
