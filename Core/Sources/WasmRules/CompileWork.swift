// What instructions cost the engine that compiles them. It bounds how long a module can keep a
// processor busy, and how much memory, before anybody has paid for anything.

/// The work of compiling, in about a tenth of a microsecond: measured with Wasmtime, of the
/// instrumented code. What is not named here costs in proportion to its bytes, which are few.
enum CompileWork {
    /// A result whose NaNs are made canonical: in a branch and a block of its own.
    static func canonicalNaN(variables: Int) -> Int { 2 * variables + 70 }

    /// What an instruction of a function with so many variables costs. At each place where ways
    /// part or meet, a compiler looks at all variables.
    static func of(_ instruction: Instruction, variables: Int) -> Int {
        switch instruction.opcode {
        case Op.block, Op.if, Op.else, Op.br, Op.brIf: variables + 20
        case Op.loop: variables + 120
        case Op.brTable: instruction.labels.count * (variables + 20)
        case Op.call: 40
        case Op.callIndirect: 350
        case Op.tableGet: 220
        case Op.tableSet: 110
        case Op.tableCopy, Op.tableInit: 1_400
        case Op.tableFill: 450
        case Op.tableGrow, Op.memoryGrow, Op.elemDrop, Op.dataDrop: 60
        case Op.memoryCopy, Op.memoryFill, Op.memoryInit: 300
        default: 0
        }
    }
}
