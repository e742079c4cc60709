// The instructions that contracts may use, as one table: what follows each in the code, what it
// takes and gives, what it costs (core specification 2.0, chapters 3.3 and 5.4).

/// The number of an instruction: its byte; behind the prefix 0xfc its number plus 0x100; behind
/// 0xfd (vectors) its number plus 0x200.
typealias Opcode = UInt16

/// The instructions that are more than a row of the table.
enum Op {
    static let unreachable: Opcode = 0x00
    static let nop: Opcode = 0x01
    static let block: Opcode = 0x02
    static let loop: Opcode = 0x03
    static let `if`: Opcode = 0x04
    static let `else`: Opcode = 0x05
    static let end: Opcode = 0x0b
    static let br: Opcode = 0x0c
    static let brIf: Opcode = 0x0d
    static let brTable: Opcode = 0x0e
    static let `return`: Opcode = 0x0f
    static let call: Opcode = 0x10
    static let callIndirect: Opcode = 0x11
    static let drop: Opcode = 0x1a
    static let select: Opcode = 0x1b
    static let selectTyped: Opcode = 0x1c
    static let localGet: Opcode = 0x20
    static let localSet: Opcode = 0x21
    static let localTee: Opcode = 0x22
    static let globalGet: Opcode = 0x23
    static let globalSet: Opcode = 0x24
    static let tableGet: Opcode = 0x25
    static let tableSet: Opcode = 0x26
    static let memorySize: Opcode = 0x3f
    static let memoryGrow: Opcode = 0x40
    static let i32Const: Opcode = 0x41
    static let i64Const: Opcode = 0x42
    static let f32Const: Opcode = 0x43
    static let f64Const: Opcode = 0x44
    static let refNull: Opcode = 0xd0
    static let refIsNull: Opcode = 0xd1
    static let refFunc: Opcode = 0xd2
    static let memoryInit: Opcode = 0x108
    static let dataDrop: Opcode = 0x109
    static let memoryCopy: Opcode = 0x10a
    static let memoryFill: Opcode = 0x10b
    static let tableInit: Opcode = 0x10c
    static let elemDrop: Opcode = 0x10d
    static let tableCopy: Opcode = 0x10e
    static let tableGrow: Opcode = 0x10f
    static let tableSize: Opcode = 0x110
    static let tableFill: Opcode = 0x111
    static let v128Const: Opcode = 0x20c
}

/// What follows an instruction's number in the code.
enum Immediate: UInt8 {
    case none, blockType, label, labels, function, typeAndTable, types, local, global, table, memory
    case address, i32, i64, f32, f64, vector, shuffle, lane, addressAndLane, referenceType
    case dataAndMemory, data, twoMemories, elementAndTable, element, twoTables
}

/// The floating-point result of an instruction that can make a NaN.
enum FloatShape: UInt8 {
    case f32, f64, f32x4, f64x2

    /// What a value is compared with itself by. For scalars that is `ge`, which is true unless the
    /// value is a NaN, and which processors tell by one flag, unlike `eq`; for vectors `ne`, behind
    /// the prefix, which fills the lanes that are NaNs.
    var comparison: UInt8 {
        switch self {
        case .f32: 0x60
        case .f64: 0x66
        case .f32x4: 0x42
        case .f64x2: 0x48
        }
    }

    /// The instruction that gives the positive canonical NaN, in each lane of a vector.
    var canonicalNaN: [UInt8] {
        let single: [UInt8] = [0, 0, 0xc0, 0x7f]
        let double: [UInt8] = [0, 0, 0, 0, 0, 0, 0xf8, 0x7f]
        return switch self {
        case .f32: [UInt8(Op.f32Const)] + single
        case .f64: [UInt8(Op.f64Const)] + double
        case .f32x4: [0xfd, 0x0c] + single + single + single + single
        case .f64x2: [0xfd, 0x0c] + double + double
        }
    }

    /// The type of the value.
    var type: ValueType {
        switch self {
        case .f32: .f32
        case .f64: .f64
        case .f32x4, .f64x2: .v128
        }
    }
}

/// One row of the table.
struct OpcodeInfo {
    /// Whether contracts may use it; if not, all else is without meaning.
    var isKnown = false
    /// Whether its type is more than the table says, so that the validator looks at it by hand.
    var isSpecial = false
    var immediate = Immediate.none
    /// What it takes, the first deepest.
    var takes: (ValueType?, ValueType?, ValueType?) = (nil, nil, nil)
    var gives: ValueType?
    var gas: UInt8 = 0
    /// The shape of the result if that can be a new NaN.
    var makesNaN: FloatShape?
    /// The shape of what it takes, if its result is the same whatever the bits of a NaN in it, or
    /// is made canonical afterwards.
    var ignoresNaNBits: FloatShape?
    /// Whether it gives its first operand with another sign, and with no other change.
    var changesSign = false
    /// The binary logarithm of the bytes it loads or stores.
    var width: UInt8 = 0
    /// The number of lanes of the vector it names one of.
    var lanes: UInt8 = 0

    /// The rows of all instructions, by number.
    static let table: [OpcodeInfo] = {
        var table = OpcodeTable()
        table.addControl()
        table.addMemory()
        table.addIntegers()
        table.addFloats()
        table.addConversions()
        table.addBulk()
        table.addVectorMemory()
        table.addVectorLanes()
        table.addVectorIntegers()
        table.addVectorFloats()
        return table.rows
    }()
}
