// Validates the code of one function by the algorithm of the core specification 2.0 (appendix
// "Validation Algorithm"): one pass with a stack of operand types and one of open blocks, without
// recursion. It also finds out what the instrumenter has to know before it starts.

/// What validation says of a function.
struct FunctionFacts: Hashable {
    /// The types of its parameters and variables.
    var locals: [ValueType] = []
    /// Where its instructions lie.
    var code = 0..<0
    /// The most operand slots that it has on its stack at once.
    var operandSlots: UInt32 = 0
    /// Whether it calls functions, or helpers of the instrumenter.
    var calls = false
    /// Whether it contains a loop.
    var loops = false
    /// Whether it has instructions whose cost depends on their operands.
    var hasBulk = false
    /// Whether it grows the memory.
    var growsMemory = false
    /// The tables that it grows.
    var grownTables: Set<UInt32> = []
    /// Where the instructions stand whose results must have their NaNs made canonical, in order.
    var canonicalOffsets: [Int] = []
}

/// The state of validating one function after the other.
struct FunctionValidator {
    private struct Operand {
        /// Nil stands for any type, in code that is never reached.
        var type: ValueType?
        /// The place that the value comes from.
        var node: NaNFlow.Node = 0
    }

    private struct Frame {
        var opcode: Opcode
        var type: FunctionType
        /// How many operands there were below the block.
        var height: Int
        /// And how many slots they took.
        var slots: UInt32
        var isUnreachable = false

        /// What a branch to the block brings with it.
        var labelTypes: [ValueType] { opcode == Op.loop ? type.parameters : type.results }
    }

    let module: Module
    private(set) var facts = FunctionFacts()
    private var operands: [Operand] = []
    private var slots: UInt32 = 0
    private var frames: [Frame] = []
    private var flow = NaNFlow()
    /// What compiling the functions so far costs, and what it was before this one.
    private var moduleWork = 0
    private var workBefore = 0
    /// The function and byte that a refusal is about.
    private var function: UInt32 = 0
    private var offset = 0

    init(_ module: Module) { self.module = module }

    /// Validates the function whose code is number `body` of the module.
    mutating func validate(body: Int) throws(WasmRefusal) -> FunctionFacts {
        function = UInt32(module.importedFunctions + body)
        let type = module.type(ofFunction: function)
        facts = FunctionFacts()
        facts.locals = type.parameters
        operands.removeAll(keepingCapacity: true)
        slots = 0
        frames.removeAll(keepingCapacity: true)
        workBefore = moduleWork
        do throws(WasmRefusal) {
            var reader = WasmReader(module.bytes, module.bodies[body])
            try readLocals(&reader)
            facts.code = reader.offset..<reader.end
            flow.begin(locals: facts.locals.count)
            frames.append(
                Frame(
                    opcode: Op.block,
                    type: FunctionType(parameters: [], results: type.results), height: 0, slots: 0))
            var instruction = Instruction()
            while !frames.isEmpty {
                offset = reader.offset
                try reader.read(&instruction)
                try step(instruction)
            }
            guard reader.isAtEnd else { throw reader.malformed("code goes on after its end") }
            facts.canonicalOffsets = flow.canonicalOffsets()
            let each = CompileWork.canonicalNaN(variables: facts.locals.count)
            try count(facts.canonicalOffsets.count * each)
        } catch {
            var refusal = error
            refusal.function = function
            throw refusal
        }
        return facts
    }

    private mutating func readLocals(_ reader: inout WasmReader) throws(WasmRefusal) {
        let groups = try reader.readCount(
            limit: WasmLimits.maxLocals, "a function has too many groups of variables")
        for _ in 0..<groups {
            let start = reader.offset
            let count = try reader.readU32()
            guard count <= WasmLimits.maxLocals - UInt32(facts.locals.count) else {
                throw WasmRefusal(
                    .overLimit, "a function has more than 2,000 variables",
                    advice: "optimise (-O1 or more), or split the function", at: start)
            }
            let type = try reader.readValueType()
            facts.locals.append(contentsOf: repeatElement(type, count: Int(count)))
        }
    }

    private func invalid(_ reason: StaticString) -> WasmRefusal {
        WasmRefusal(.invalid, reason, at: offset)
    }

    // MARK: - The stacks

    private mutating func push(
        _ type: ValueType?, from node: NaNFlow.Node = 0
    ) throws(WasmRefusal) {
        guard operands.count < WasmLimits.maxOperands else {
            throw WasmRefusal(
                .overLimit, "a function has more than 2,000 operands on its stack", at: offset)
        }
        operands.append(Operand(type: type, node: node))
        slots += type?.slots ?? 1
        facts.operandSlots = max(facts.operandSlots, slots)
    }

    private mutating func push(_ types: [ValueType]) throws(WasmRefusal) {
        for type in types { try push(type) }
    }

    private mutating func pop() throws(WasmRefusal) -> Operand {
        let last = frames.count - 1
        if operands.count == frames[last].height {
            if frames[last].isUnreachable { return Operand(type: nil) }
            throw invalid("an instruction takes more than there is")
        }
        let operand = operands.removeLast()
        slots -= operand.type?.slots ?? 1
        return operand
    }

    /// Takes a value of a type; gives the place that it comes from.
    private mutating func take(_ expected: ValueType) throws(WasmRefusal) -> NaNFlow.Node {
        let operand = try pop()
        if let type = operand.type, type != expected {
            throw invalid("an instruction takes another type than there is")
        }
        return operand.node
    }

    /// Takes a value of a type, whose bits are seen.
    private mutating func pop(_ expected: ValueType) throws(WasmRefusal) {
        flow.use(try take(expected), .bits)
    }

    private mutating func pop(_ types: [ValueType]) throws(WasmRefusal) {
        for type in types.reversed() { try pop(type) }
    }

    private mutating func open(_ opcode: Opcode, _ type: FunctionType) throws(WasmRefusal) {
        guard frames.count < WasmLimits.maxNesting else {
            throw WasmRefusal(
                .overLimit, "a function has more than 4,000 blocks within each other",
                advice: "split its largest switch", at: offset)
        }
        frames.append(Frame(opcode: opcode, type: type, height: operands.count, slots: slots))
        try push(type.parameters)
    }

    /// Counts what compiling costs.
    private mutating func count(_ work: Int) throws(WasmRefusal) {
        moduleWork += work
        guard moduleWork - workBefore <= WasmLimits.maxFunctionWork else {
            throw WasmRefusal(
                .overLimit, "a function has too many branches, for its variables, or calls",
                advice: "optimise (-O1 or more), or split the function", at: offset)
        }
        guard moduleWork <= WasmLimits.maxModuleWork else {
            throw WasmRefusal(
                .overLimit, "its functions have too many branches, for their variables, or calls",
                advice: "optimise (-O1 or more), or divide the contract", at: offset)
        }
    }

    private mutating func close() throws(WasmRefusal) -> FunctionType {
        let frame = frames[frames.count - 1]
        try pop(frame.type.results)
        guard operands.count == frame.height else {
            throw invalid("a block leaves more than its results")
        }
        frames.removeLast()
        return frame.type
    }

    private mutating func becomeUnreachable() {
        let last = frames.count - 1
        operands.removeLast(operands.count - frames[last].height)
        slots = frames[last].slots
        frames[last].isUnreachable = true
    }

    // MARK: - Indices

    private mutating func labelTypes(_ label: UInt32) throws(WasmRefusal) -> [ValueType] {
        guard label < UInt32(frames.count) else { throw invalid("a label that is not there") }
        return frames[frames.count - 1 - Int(label)].labelTypes
    }

    private func type(_ index: UInt32) throws(WasmRefusal) -> FunctionType {
        guard index < UInt32(module.types.count) else {
            throw invalid("a type that is not there")
        }
        return module.types[Int(index)]
    }

    private func type(_ block: BlockType) throws(WasmRefusal) -> FunctionType {
        switch block {
        case .empty: FunctionType(parameters: [], results: [])
        case .value(let type): FunctionType(parameters: [], results: [type])
        case .type(let index): try type(index)
        }
    }

    private func local(_ index: UInt32) throws(WasmRefusal) -> ValueType {
        guard index < UInt32(facts.locals.count) else {
            throw invalid("a variable that is not there")
        }
        return facts.locals[Int(index)]
    }

    private func global(_ index: UInt32) throws(WasmRefusal) -> GlobalType {
        guard index < UInt32(module.globals.count) else {
            throw invalid("a global that is not there")
        }
        return module.globals[Int(index)]
    }

    private func table(_ index: UInt32) throws(WasmRefusal) -> TableType {
        guard index < UInt32(module.tables.count) else {
            throw invalid("a table that is not there")
        }
        return module.tables[Int(index)]
    }

    private func checkMemory() throws(WasmRefusal) {
        if module.memories.isEmpty { throw invalid("a memory that is not there") }
    }

    private func checkFunction(_ index: UInt32) throws(WasmRefusal) {
        guard index < UInt32(module.functions.count) else {
            throw invalid("a function that is not there")
        }
    }

    // MARK: - Instructions

    private mutating func step(_ instruction: Instruction) throws(WasmRefusal) {
        let info = instruction.info
        if info.isSpecial { return try stepSpecial(instruction) }
        if info.immediate == .address || info.immediate == .addressAndLane { try checkMemory() }
        let uses = info.ignoresNaNBits.map(NaNFlow.Uses.numbers) ?? .bits
        if let type = info.takes.2 { flow.use(try take(type), uses) }
        if let type = info.takes.1 { flow.use(try take(type), uses) }
        var node: NaNFlow.Node = 0
        if let type = info.takes.0 {
            node = try take(type)
            // What changes the sign alone gives a NaN for a NaN.
            if !info.changesSign {
                flow.use(node, uses)
                node = 0
            }
        }
        if let shape = info.makesNaN { node = flow.source(shape, at: instruction.range.lowerBound) }
        if let type = info.gives { try push(type, from: node) }
    }

    private mutating func stepSpecial(_ instruction: Instruction) throws(WasmRefusal) {
        try count(CompileWork.of(instruction, variables: facts.locals.count))
        switch instruction.opcode {
        case Op.localGet: try push(try local(instruction.index), from: instruction.index + 1)
        case Op.localSet:
            let node = try take(try local(instruction.index))
            flow.flow(from: node, to: instruction.index + 1)
        case Op.localTee:
            let type = try local(instruction.index)
            flow.flow(from: try take(type), to: instruction.index + 1)
            try push(type, from: instruction.index + 1)
        case Op.globalGet: try push(try global(instruction.index).value)
        case Op.globalSet:
            let global = try global(instruction.index)
            guard global.isMutable else { throw invalid("a constant is set") }
            try pop(global.value)
        case Op.drop: _ = try pop()
        case Op.nop: break
        case Op.select, Op.selectTyped: try stepSelect(instruction.type, instruction.opcode)
        case Op.refNull: try push(instruction.type)
        case Op.refIsNull:
            if let type = try pop().type, !type.isReference { throw invalid("it is no reference") }
            try push(.i32)
        case Op.refFunc:
            try checkFunction(instruction.index)
            guard module.referenced.contains(instruction.index) else {
                throw invalid("a reference to a function that is not declared as referenced")
            }
            try push(.funcref)
        case Op.memorySize, Op.memoryGrow, Op.memoryInit, Op.dataDrop, Op.memoryCopy,
            Op.memoryFill:
            try stepMemory(instruction)
        case Op.tableGet, Op.tableSet, Op.tableInit, Op.elemDrop, Op.tableCopy, Op.tableGrow,
            Op.tableSize, Op.tableFill:
            try stepTable(instruction)
        default: try stepControl(instruction)
        }
    }

    private mutating func stepSelect(
        _ type: ValueType?, _ opcode: Opcode
    ) throws(WasmRefusal) {
        try pop(.i32)
        if opcode == Op.selectTyped, let type {
            try pop(type)
            try pop(type)
            return try push(type)
        }
        let first = try pop()
        let second = try pop()
        if first.type?.isReference == true || second.type?.isReference == true {
            throw invalid("a select without a type is of references")
        }
        if let type = first.type, let other = second.type, type != other {
            throw invalid("a select is of two types")
        }
        try push(first.type ?? second.type, from: flow.either(first.node, second.node))
    }

    private mutating func stepControl(_ instruction: Instruction) throws(WasmRefusal) {
        switch instruction.opcode {
        case Op.unreachable: becomeUnreachable()
        case Op.block, Op.loop:
            let type = try type(instruction.blockType)
            try pop(type.parameters)
            try open(instruction.opcode, type)
            if instruction.opcode == Op.loop { facts.loops = true }
        case Op.if:
            let type = try type(instruction.blockType)
            try pop(.i32)
            try pop(type.parameters)
            try open(Op.if, type)
        case Op.else:
            guard frames[frames.count - 1].opcode == Op.if else {
                throw invalid("an else without its if")
            }
            try open(Op.else, try close())
        case Op.end:
            let opcode = frames[frames.count - 1].opcode
            let type = try close()
            guard opcode != Op.if || type.parameters == type.results else {
                throw invalid("an if without an else gives other than it takes")
            }
            if !frames.isEmpty { try push(type.results) }
        case Op.br:
            try pop(try labelTypes(instruction.index))
            becomeUnreachable()
        case Op.brIf:
            try pop(.i32)
            let types = try labelTypes(instruction.index)
            try pop(types)
            try push(types)
        case Op.brTable: try stepBranchTable(instruction)
        case Op.return:
            try pop(frames[0].type.results)
            becomeUnreachable()
        default: try stepCall(instruction)
        }
    }

    private mutating func stepBranchTable(_ instruction: Instruction) throws(WasmRefusal) {
        try pop(.i32)
        let last = try labelTypes(instruction.labels[instruction.labels.count - 1])
        for label in instruction.labels.dropLast() {
            let types = try labelTypes(label)
            guard types.count == last.count else {
                throw invalid("the labels of a br_table take different numbers of values")
            }
            // In reachable code all labels must agree with what is there, and so with each other.
            var popped: [Operand] = []
            for type in types.reversed() {
                let operand = try pop()
                if let known = operand.type, known != type {
                    throw invalid("an instruction takes another type than there is")
                }
                popped.append(operand)
            }
            for operand in popped.reversed() { try push(operand.type, from: operand.node) }
        }
        try pop(last)
        becomeUnreachable()
    }

    private mutating func stepCall(_ instruction: Instruction) throws(WasmRefusal) {
        let called: FunctionType
        if instruction.opcode == Op.call {
            try checkFunction(instruction.index)
            called = module.type(ofFunction: instruction.index)
        } else {
            called = try type(instruction.index)
            guard try table(instruction.secondIndex).element == .funcref else {
                throw invalid("a call through a table of other than functions")
            }
            try pop(.i32)
        }
        facts.calls = true
        try pop(called.parameters)
        try push(called.results)
    }

    private mutating func stepMemory(_ instruction: Instruction) throws(WasmRefusal) {
        if instruction.opcode != Op.dataDrop { try checkMemory() }
        switch instruction.opcode {
        case Op.memorySize: return try push(.i32)
        case Op.memoryGrow:
            facts.calls = true
            facts.growsMemory = true
            try pop(.i32)
            return try push(.i32)
        case Op.memoryInit, Op.dataDrop:
            guard let count = module.announcedDataCount else {
                throw WasmRefusal(.malformed, "data segments were not announced", at: offset)
            }
            guard instruction.index < count else {
                throw invalid("a data segment that is not there")
            }
        default: break
        }
        if instruction.opcode != Op.dataDrop {
            facts.hasBulk = true
            for _ in 0..<3 { try pop(.i32) }
        }
    }

    private mutating func stepTable(_ instruction: Instruction) throws(WasmRefusal) {
        switch instruction.opcode {
        case Op.elemDrop: _ = try element(instruction.index)
        case Op.tableInit:
            let element = try element(instruction.index)
            guard try table(instruction.secondIndex).element == element else {
                throw invalid("elements of another type than the table's")
            }
            try popBulk()
        case Op.tableCopy:
            let source = try table(instruction.secondIndex).element
            guard try table(instruction.index).element == source else {
                throw invalid("elements of another type than the table's")
            }
            try popBulk()
        default:
            let element = try table(instruction.index).element
            switch instruction.opcode {
            case Op.tableGet:
                try pop(.i32)
                try push(element)
            case Op.tableSet: try pop([.i32, element])
            case Op.tableSize: try push(.i32)
            case Op.tableGrow:
                facts.calls = true
                facts.grownTables.insert(instruction.index)
                try pop([element, .i32])
                try push(.i32)
            default:
                facts.hasBulk = true
                try pop([.i32, element, .i32])
            }
        }
    }

    private mutating func popBulk() throws(WasmRefusal) {
        facts.hasBulk = true
        for _ in 0..<3 { try pop(.i32) }
    }

    private func element(_ index: UInt32) throws(WasmRefusal) -> ValueType {
        guard index < UInt32(module.elements.count) else {
            throw invalid("an element segment that is not there")
        }
        return module.elements[Int(index)]
    }
}
