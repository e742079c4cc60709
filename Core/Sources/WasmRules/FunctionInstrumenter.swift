// Rewrites the code of one validated function so that it counts gas and stack, and gives the same
// floating-point results on every machine.
//
// Gas is kept in a variable of the function, `gas`. It is taken from the module's global at the
// start, put back before calls and at the end, and taken again after calls, since a callee spends
// too. The code is cut into segments that are entered at their start alone; each pays for all its
// instructions there. Whether anything is left is asked only where it must be for the function to
// end in bounded time: at its entry if it calls or is long, at the head of every loop, and where an
// instruction costs what its operands say. Elsewhere the rest may become negative, by less than the
// function and the short ones that it calls are long; at the end of a call a negative rest is seen
// by whoever asks (`CallStatus`).
//
// The rest is compared with a global, the floor. It is 0 until the host, from another thread,
// raises it over all gas to have the code end: so running code can be broken off, and the
// comparison costs what one with a constant does.
//
// The result of a function f with results R:
//
//     block                 ;; left when the gas has run out
//       block R             ;; takes the place of the function's own label
//         …
//       end
//       put the gas back, give the stack back, return
//     end
//     status = out of gas, unreachable

import Wire

/// The indices of what the instrumenter adds to a module.
struct Additions {
    /// The global that holds the gas that is left.
    var gas: UInt32
    /// The global that says why the module trapped by itself.
    var status: UInt32
    /// The global that holds the bytes of stack that are left.
    var stack: UInt32
    /// The global that the gas must not be under.
    var floor: UInt32
    /// The first of the globals that count the gas of each function; nil if none do.
    var profile: UInt32?
    /// The function that grows the memory.
    var growMemory: UInt32 = 0
    /// The functions that grow tables, by table.
    var growTable: [UInt32: UInt32] = [:]
    /// Whether an indirect call can lead to a function of the host.
    var tablesReachHost: Bool
    /// The types `[] -> results` that blocks need, by the index of a function's type.
    var bodyTypes: [UInt32: UInt32] = [:]
}

/// Rewrites one function.
struct FunctionInstrumenter {
    struct Frame {
        var opcode: Opcode
        /// Whether a branch leads to its end.
        var isTarget = false
        /// Whether the end of the first part of an `if` is reached.
        var isFirstPartLeft = false
    }

    let module: Module
    let additions: Additions
    let facts: FunctionFacts
    /// The code so far.
    var out: [UInt8] = []
    /// The code of the segment that is open, which its charge will precede.
    var segment: [UInt8] = []
    /// What the open segment costs.
    private var cost: Int64 = 0
    /// How many blocks are around the start of the open segment.
    private var segmentDepth = 1
    private var segmentStart: SegmentStart
    private var frames: [Frame] = [Frame(opcode: Op.block)]
    /// How many of the results that must be made canonical have been.
    private var canonicalCount = 0
    /// The added variables, in order, behind the function's own.
    var added: [ValueType] = [.i64]

    private enum SegmentStart { case entry, loop, other }

    /// The global that counts the function's gas, if that is wanted.
    private let profile: UInt32?

    init(_ body: Int, _ module: Module, _ additions: Additions, _ facts: FunctionFacts) {
        self.module = module
        self.additions = additions
        self.facts = facts
        profile = additions.profile.map { $0 + UInt32(body) }
        segmentStart = .entry
        let entry = facts.locals.reduce(0) { $0 + $1.slots } + GasSchedule.localsPerGas - 1
        cost = Int64(entry / GasSchedule.localsPerGas)
    }

    /// The variable that holds the gas.
    var gas: UInt32 { UInt32(facts.locals.count) }

    /// Whether it asks at its entry: a function of nothing but calls must not use what was never
    /// there. Only what is so short that asking would be felt does not ask.
    private var asksAtEntry: Bool { facts.calls || facts.code.count > GasSchedule.shortCode }

    /// Whether something may have to end it for lack of gas.
    private var canRunOut: Bool { asksAtEntry || facts.loops || facts.hasBulk }

    /// The code of the function with its variables, as it stands in the code section.
    static func instrument(
        _ body: Int, _ module: Module, _ additions: Additions, _ facts: FunctionFacts
    ) throws(WasmRefusal) -> [UInt8] {
        var instrumenter = Self(body, module, additions, facts)
        let index = module.functions[module.importedFunctions + body]
        try instrumenter.rewrite()
        return try instrumenter.assembled(type: index, variables: module.bodies[body])
    }

    private mutating func rewrite() throws(WasmRefusal) {
        var reader = WasmReader(module.bytes, facts.code)
        var instruction = Instruction()
        while !frames.isEmpty {
            try reader.read(&instruction)
            step(instruction)
            if isDead, !frames.isEmpty { try skipDead(&reader, &instruction) }
        }
    }

    // MARK: - Segments

    /// Whether the place that has been reached is never reached.
    private var isDead = false

    /// Ends the open segment: its charge, then its instructions.
    private mutating func flush() {
        charge()
        out.append(contentsOf: segment)
        segment.removeAll(keepingCapacity: true)
        cost = 0
        segmentStart = .other
        segmentDepth = frames.count
    }

    private mutating func charge() {
        switch segmentStart {
        case .entry: out.append(global: Op.globalGet, additions.gas)
        case .loop, .other:
            if cost == 0 { return }
            out.append(local: Op.localGet, gas)
        }
        if cost > 0 {
            out.append(i64: cost)
            out.append(0x7d)  // i64.sub
            if let profile { out.append(adding: cost, to: profile) }
        }
        let asks = segmentStart == .loop || (segmentStart == .entry && asksAtEntry)
        if asks && cost > 0 {
            out.append(local: Op.localTee, gas)
            out.appendIfUsedUp(leave: segmentDepth, additions)
        } else {
            out.append(local: Op.localSet, gas)
        }
    }

    private mutating func copy(_ instruction: Instruction) {
        segment.append(contentsOf: module.bytes[instruction.range])
        cost += Int64(instruction.info.gas)
    }

    // MARK: - Instructions

    private mutating func step(_ instruction: Instruction) {
        switch instruction.opcode {
        case Op.block:
            copy(instruction)
            frames.append(Frame(opcode: Op.block))
        case Op.loop: beginLoop(instruction)
        case Op.if:
            copy(instruction)
            flush()
            frames.append(Frame(opcode: Op.if))
            segmentDepth = frames.count
        case Op.else: beginElse(isReached: true)
        case Op.end: end(isReached: true)
        case Op.br:
            copy(instruction)
            mark(instruction.index)
            flush()
            isDead = true
        case Op.brIf:
            copy(instruction)
            mark(instruction.index)
            flush()
        case Op.brTable:
            copy(instruction)
            for label in instruction.labels { mark(label) }
            flush()
            isDead = true
        case Op.return:
            // The function's own label is that of the inner block.
            cost += Int64(instruction.info.gas)
            segment.append(UInt8(Op.br))
            segment.appendVarint(UInt64(frames.count - 1))
            mark(UInt32(frames.count - 1))
            flush()
            isDead = true
        case Op.unreachable:
            copy(instruction)
            flush()
            isDead = true
        case Op.call, Op.callIndirect:
            if mayCallHost(instruction) {
                segment.append(local: Op.localGet, gas)
                segment.appendIfUsedUp(leave: frames.count, additions)
            }
            putGasBack()
            copy(instruction)
            takeGas()
        case Op.memoryGrow: callHelper(instruction, additions.growMemory)
        case Op.tableGrow:
            callHelper(instruction, additions.growTable[instruction.index] ?? 0)
        case Op.memoryInit, Op.memoryCopy, Op.memoryFill:
            chargeOperand(shift: GasSchedule.bulkBytesShift, times: 1)
            copy(instruction)
        case Op.tableInit, Op.tableCopy, Op.tableFill:
            chargeOperand(shift: 0, times: GasSchedule.tableElement)
            copy(instruction)
        default:
            copy(instruction)
            if let shape = instruction.info.makesNaN, isCanonical(instruction) {
                makeCanonical(shape)
            }
        }
    }

    private mutating func mark(_ label: UInt32) {
        frames[frames.count - 1 - Int(label)].isTarget = true
    }

    private mutating func beginLoop(_ instruction: Instruction) {
        // Compilers may take what they have read of a global for what it holds, until another is
        // written: the loop has to see it when the floor is raised.
        putGasBack()
        flush()
        out.append(contentsOf: module.bytes[instruction.range])
        frames.append(Frame(opcode: Op.loop))
        segmentStart = .loop
        segmentDepth = frames.count
    }

    private mutating func beginElse(isReached: Bool) {
        flush()
        out.append(UInt8(Op.else))
        let last = frames.count - 1
        frames[last].isFirstPartLeft = isReached
        frames[last].opcode = Op.else
        isDead = false
    }

    /// Ends a block. A segment goes on beyond the end of a block that is left in one way only.
    private mutating func end(isReached: Bool) {
        let frame = frames[frames.count - 1]
        let isLeft =
            switch frame.opcode {
            case Op.loop: isReached
            case Op.if: true
            case Op.else: isReached || frame.isTarget || frame.isFirstPartLeft
            default: isReached || frame.isTarget
            }
        let joins = frame.opcode == Op.if || frame.opcode == Op.else || frame.isTarget
        let cuts = (joins && frame.opcode != Op.loop) || !isReached || frames.count == 1
        if cuts { flush() }
        frames.removeLast()
        isDead = !isLeft
        if frames.isEmpty { return }
        guard cuts else { return segment.append(UInt8(Op.end)) }
        out.append(UInt8(Op.end))
        // To the engine, which follows no branches, what comes after the end of a block is reached.
        if isDead { out.append(UInt8(Op.unreachable)) }
        segmentDepth = frames.count
    }

    /// Passes over code that is never reached, up to the `else` or `end` of its block.
    private mutating func skipDead(
        _ reader: inout WasmReader, _ instruction: inout Instruction
    ) throws(WasmRefusal) {
        flush()
        var depth = 0
        while isDead, !frames.isEmpty {
            try reader.read(&instruction)
            switch instruction.opcode {
            case Op.block, Op.loop, Op.if: depth += 1
            case Op.end where depth > 0: depth -= 1
            case Op.end: end(isReached: false)
            case Op.else where depth == 0: beginElse(isReached: false)
            default: break
            }
        }
    }

    // MARK: - Calls and dynamic costs

    private mutating func putGasBack() {
        segment.append(local: Op.localGet, gas)
        segment.append(global: Op.globalSet, additions.gas)
    }

    private mutating func takeGas() {
        segment.append(global: Op.globalGet, additions.gas)
        segment.append(local: Op.localSet, gas)
    }

    /// Whether a call may lead to a function of the host, which must not be asked on credit.
    private func mayCallHost(_ instruction: Instruction) -> Bool {
        instruction.opcode == Op.call
            ? Int(instruction.index) < module.importedFunctions : additions.tablesReachHost
    }

    private mutating func callHelper(_ instruction: Instruction, _ function: UInt32) {
        putGasBack()
        if let profile { segment.append(combining: gas, 0x7c, with: profile) }  // i64.add
        segment.append(UInt8(Op.call))
        segment.appendVarint(UInt64(function))
        takeGas()
        if let profile { segment.append(combining: gas, 0x7d, with: profile) }  // i64.sub
        cost += Int64(instruction.info.gas)
    }

    /// Charges for as many bytes or elements as the operand on top of the stack says.
    private mutating func chargeOperand(shift: Int64, times: Int64) {
        let count = scratch(.i32)
        var price: [UInt8] = []
        price.append(local: Op.localGet, count)
        price.append(0xad)  // i64.extend_i32_u
        if shift > 0 {
            price.append(i64: shift)
            price.append(0x88)  // i64.shr_u
        }
        if times > 1 {
            price.append(i64: times)
            price.append(0x7e)  // i64.mul
        }
        segment.append(local: Op.localTee, count)
        if let profile { segment.append(adding: price, to: profile) }
        segment.append(local: Op.localGet, gas)
        segment.append(contentsOf: price)
        segment.append(0x7d)  // i64.sub
        segment.append(local: Op.localTee, gas)
        segment.appendIfUsedUp(leave: frames.count, additions)
    }

    /// The added variable of a type, other than that of the gas.
    private mutating func scratch(_ type: ValueType) -> UInt32 {
        for (place, other) in added.enumerated() where place > 0 && other == type {
            return gas + UInt32(place)
        }
        added.append(type)
        return gas + UInt32(added.count - 1)
    }

    // MARK: - NaN

    /// Whether the bits of a NaN that an instruction makes can be seen.
    private mutating func isCanonical(_ instruction: Instruction) -> Bool {
        let offsets = facts.canonicalOffsets
        // Those in code that is never reached have been passed over.
        while canonicalCount < offsets.count,
            offsets[canonicalCount] < instruction.range.lowerBound
        {
            canonicalCount += 1
        }
        return canonicalCount < offsets.count
            && offsets[canonicalCount] == instruction.range.lowerBound
    }

    /// Makes the value on top of the stack canonical. A scalar is replaced behind a branch that is
    /// nearly always taken, so that the constant costs nothing; a vector by a mask.
    private mutating func makeCanonical(_ shape: FloatShape) {
        let value = scratch(shape.type)
        segment.append(local: Op.localSet, value)
        if shape.type == .v128 {
            segment.append(contentsOf: shape.canonicalNaN)
            for _ in 0..<3 { segment.append(local: Op.localGet, value) }
            segment.append(contentsOf: [0xfd, shape.comparison, 0xfd, 0x52])  // v128.bitselect
            return
        }
        segment.append(contentsOf: [UInt8(Op.block), 0x40])
        segment.append(local: Op.localGet, value)
        segment.append(local: Op.localGet, value)
        segment.append(contentsOf: [shape.comparison, UInt8(Op.brIf), 0])
        segment.append(contentsOf: shape.canonicalNaN)
        segment.append(local: Op.localSet, value)
        segment.append(UInt8(Op.end))
        segment.append(local: Op.localGet, value)
    }

    // MARK: - The whole

    private mutating func assembled(type: UInt32, variables: Range<Int>) throws(WasmRefusal)
        -> [UInt8]
    {
        let stackScratch = facts.calls ? scratch(.i32) : 0
        let results = module.types[Int(type)].results
        var code = try facts.localDeclarations(in: module.bytes, variables, adding: added)
        let frame = GasSchedule.frameBytes(
            slots: facts.locals.reduce(0) { $0 + $1.slots } + facts.operandSlots)
        if facts.calls { code.appendTakeStack(frame, additions, scratch: stackScratch) }
        if canRunOut { code.append(contentsOf: [UInt8(Op.block), 0x40]) }
        code.append(UInt8(Op.block))
        switch results.count {
        case 0: code.append(0x40)
        case 1: code.append(results[0].rawValue)
        default: code.appendSigned(Int64(additions.bodyTypes[type] ?? 0))
        }
        code.append(contentsOf: out)
        code.append(UInt8(Op.end))
        code.append(local: Op.localGet, gas)
        code.append(global: Op.globalSet, additions.gas)
        if facts.calls {
            code.append(global: Op.globalGet, additions.stack)
            code.append(i32: Int32(frame))
            code.append(0x6a)  // i32.add
            code.append(global: Op.globalSet, additions.stack)
        }
        if canRunOut {
            code.append(contentsOf: [UInt8(Op.return), UInt8(Op.end)])
            code.appendTrap(.outOfGas, additions)
        }
        code.append(UInt8(Op.end))
        return code
    }
}
