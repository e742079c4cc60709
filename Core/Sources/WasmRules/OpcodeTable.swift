// The rows of the instruction table that hold single values.

/// The table while it is being written.
struct OpcodeTable {
    private(set) var rows = [OpcodeInfo](repeating: OpcodeInfo(), count: 0x300)

    /// Adds a run of instructions of one type.
    mutating func add(
        _ codes: ClosedRange<Opcode>, _ takes: [ValueType], _ gives: ValueType?,
        gas: UInt8 = GasSchedule.simple, _ immediate: Immediate = .none
    ) {
        for code in codes {
            var row = OpcodeInfo()
            row.isKnown = true
            row.immediate = immediate
            row.takes.0 = takes.count > 0 ? takes[0] : nil
            row.takes.1 = takes.count > 1 ? takes[1] : nil
            row.takes.2 = takes.count > 2 ? takes[2] : nil
            row.gives = gives
            row.gas = gas
            rows[Int(code)] = row
        }
    }

    /// Adds an instruction whose type depends on more than its number.
    mutating func addSpecial(_ code: Opcode, _ immediate: Immediate = .none, gas: UInt8) {
        add(code...code, [], nil, gas: gas, immediate)
        rows[Int(code)].isSpecial = true
    }

    /// Adds a load or store of 1 << `width` bytes.
    mutating func addAccess(
        _ code: Opcode, _ takes: [ValueType], _ gives: ValueType?, width: UInt8,
        _ immediate: Immediate = .address
    ) {
        add(code...code, takes, gives, gas: GasSchedule.memory, immediate)
        rows[Int(code)].width = width
    }

    /// Says that instructions can make a NaN from values of `taken`, or of the same shape.
    mutating func makeNaN(
        _ codes: ClosedRange<Opcode>, _ shape: FloatShape, from taken: FloatShape? = nil
    ) {
        for code in codes { rows[Int(code)].makesNaN = shape }
        ignoreNaNBits(codes, of: taken ?? shape)
    }

    /// Says that instructions give the same whatever the bits of a NaN that they take.
    mutating func ignoreNaNBits(_ codes: ClosedRange<Opcode>, of shape: FloatShape) {
        for code in codes { rows[Int(code)].ignoresNaNBits = shape }
    }

    /// Says that instructions change the sign of their first operand alone.
    mutating func changeSign(_ codes: ClosedRange<Opcode>) {
        for code in codes { rows[Int(code)].changesSign = true }
    }

    /// Gives an instruction that names a lane the number of lanes.
    mutating func setLanes(_ codes: ClosedRange<Opcode>, _ lanes: UInt8) {
        for code in codes { rows[Int(code)].lanes = lanes }
    }

    mutating func addControl() {
        let free = GasSchedule.free
        let simple = GasSchedule.simple
        addSpecial(Op.unreachable, gas: simple)
        addSpecial(Op.nop, gas: simple)
        addSpecial(Op.block, .blockType, gas: free)
        addSpecial(Op.loop, .blockType, gas: free)
        addSpecial(Op.if, .blockType, gas: simple)
        addSpecial(Op.else, gas: free)
        addSpecial(Op.end, gas: free)
        addSpecial(Op.br, .label, gas: simple)
        addSpecial(Op.brIf, .label, gas: simple)
        addSpecial(Op.brTable, .labels, gas: GasSchedule.branchTable)
        addSpecial(Op.return, gas: simple)
        addSpecial(Op.call, .function, gas: GasSchedule.call)
        addSpecial(Op.callIndirect, .typeAndTable, gas: GasSchedule.indirectCall)
        addSpecial(Op.drop, gas: simple)
        addSpecial(Op.select, gas: simple)
        addSpecial(Op.selectTyped, .types, gas: simple)
        addSpecial(Op.localGet, .local, gas: simple)
        addSpecial(Op.localSet, .local, gas: simple)
        addSpecial(Op.localTee, .local, gas: simple)
        addSpecial(Op.globalGet, .global, gas: simple)
        addSpecial(Op.globalSet, .global, gas: simple)
        addSpecial(Op.tableGet, .table, gas: GasSchedule.memory)
        addSpecial(Op.tableSet, .table, gas: GasSchedule.memory)
        addSpecial(Op.refNull, .referenceType, gas: simple)
        addSpecial(Op.refIsNull, gas: simple)
        addSpecial(Op.refFunc, .function, gas: simple)
    }

    mutating func addMemory() {
        let loads: [(ValueType, UInt8)] = [
            (.i32, 2), (.i64, 3), (.f32, 2), (.f64, 3), (.i32, 0), (.i32, 0), (.i32, 1), (.i32, 1),
            (.i64, 0), (.i64, 0), (.i64, 1), (.i64, 1), (.i64, 2), (.i64, 2),
        ]
        for (index, (type, width)) in loads.enumerated() {
            addAccess(0x28 + Opcode(index), [.i32], type, width: width)
        }
        let stores: [(ValueType, UInt8)] = [
            (.i32, 2), (.i64, 3), (.f32, 2), (.f64, 3), (.i32, 0), (.i32, 1), (.i64, 0), (.i64, 1),
            (.i64, 2),
        ]
        for (index, (type, width)) in stores.enumerated() {
            addAccess(0x36 + Opcode(index), [.i32, type], nil, width: width)
        }
        addSpecial(Op.memorySize, .memory, gas: GasSchedule.simple)
        addSpecial(Op.memoryGrow, .memory, gas: GasSchedule.grow)
        add(Op.i32Const...Op.i32Const, [], .i32, .i32)
        add(Op.i64Const...Op.i64Const, [], .i64, .i64)
        add(Op.f32Const...Op.f32Const, [], .f32, .f32)
        add(Op.f64Const...Op.f64Const, [], .f64, .f64)
    }

    mutating func addIntegers() {
        add(0x45...0x45, [.i32], .i32)  // eqz
        add(0x46...0x4f, [.i32, .i32], .i32)  // eq to ge_u
        add(0x50...0x50, [.i64], .i32)
        add(0x51...0x5a, [.i64, .i64], .i32)
        add(0x67...0x69, [.i32], .i32)  // clz, ctz, popcnt
        add(0x6a...0x78, [.i32, .i32], .i32)  // add to rotr
        add(0x6d...0x70, [.i32, .i32], .i32, gas: GasSchedule.division)
        add(0x79...0x7b, [.i64], .i64)
        add(0x7c...0x8a, [.i64, .i64], .i64)
        add(0x7f...0x82, [.i64, .i64], .i64, gas: GasSchedule.division)
        add(0xc0...0xc1, [.i32], .i32)  // extend8_s, extend16_s
        add(0xc2...0xc4, [.i64], .i64)
    }

    mutating func addFloats() {
        let gas = GasSchedule.float
        add(0x5b...0x60, [.f32, .f32], .i32, gas: gas)  // eq to ge
        add(0x61...0x66, [.f64, .f64], .i32, gas: gas)
        ignoreNaNBits(0x5b...0x60, of: .f32)
        ignoreNaNBits(0x61...0x66, of: .f64)
        for (first, type, shape) in [(0x8b, ValueType.f32, FloatShape.f32), (0x99, .f64, .f64)] {
            let first = Opcode(first)
            add(first...first + 1, [type], type)  // abs, neg
            add(first + 2...first + 5, [type], type, gas: gas)  // ceil, floor, trunc, nearest
            add(first + 6...first + 6, [type], type, gas: GasSchedule.floatDivision)  // sqrt
            add(first + 7...first + 12, [type, type], type, gas: gas)  // add to max
            add(first + 10...first + 10, [type, type], type, gas: GasSchedule.floatDivision)
            add(first + 13...first + 13, [type, type], type)  // copysign
            makeNaN(first + 2...first + 12, shape)
            changeSign(first...first + 1)
            changeSign(first + 13...first + 13)
        }
    }

    mutating func addConversions() {
        let gas = GasSchedule.float
        add(0xa7...0xa7, [.i64], .i32)  // wrap
        add(0xa8...0xa9, [.f32], .i32, gas: gas)  // trunc
        add(0xaa...0xab, [.f64], .i32, gas: gas)
        add(0xac...0xad, [.i32], .i64)  // extend
        add(0xae...0xaf, [.f32], .i64, gas: gas)
        add(0xb0...0xb1, [.f64], .i64, gas: gas)
        add(0xb2...0xb3, [.i32], .f32, gas: gas)  // convert
        add(0xb4...0xb5, [.i64], .f32, gas: gas)
        add(0xb6...0xb6, [.f64], .f32, gas: gas)  // demote
        add(0xb7...0xb8, [.i32], .f64, gas: gas)
        add(0xb9...0xba, [.i64], .f64, gas: gas)
        add(0xbb...0xbb, [.f32], .f64, gas: gas)  // promote
        add(0xbc...0xbc, [.f32], .i32)  // reinterpret
        add(0xbd...0xbd, [.f64], .i64)
        add(0xbe...0xbe, [.i32], .f32)
        add(0xbf...0xbf, [.i64], .f64)
        add(0x100...0x101, [.f32], .i32, gas: gas)  // trunc_sat
        add(0x102...0x103, [.f64], .i32, gas: gas)
        add(0x104...0x105, [.f32], .i64, gas: gas)
        add(0x106...0x107, [.f64], .i64, gas: gas)
        makeNaN(0xb6...0xb6, .f32, from: .f64)
        makeNaN(0xbb...0xbb, .f64, from: .f32)
        for first in [0xa8, 0xae, 0x100, 0x104] as [Opcode] {  // trunc, trunc_sat
            ignoreNaNBits(first...first + 1, of: .f32)
            ignoreNaNBits(first + 2...first + 3, of: .f64)
        }
    }

    mutating func addBulk() {
        let gas = GasSchedule.bulk
        addSpecial(Op.memoryInit, .dataAndMemory, gas: gas)
        addSpecial(Op.dataDrop, .data, gas: gas)
        addSpecial(Op.memoryCopy, .twoMemories, gas: gas)
        addSpecial(Op.memoryFill, .memory, gas: gas)
        addSpecial(Op.tableInit, .elementAndTable, gas: gas)
        addSpecial(Op.elemDrop, .element, gas: gas)
        addSpecial(Op.tableCopy, .twoTables, gas: gas)
        addSpecial(Op.tableGrow, .table, gas: GasSchedule.grow)
        addSpecial(Op.tableSize, .table, gas: GasSchedule.simple)
        addSpecial(Op.tableFill, .table, gas: gas)
    }
}
