// Writing the instructions that the instrumenter adds.

import Wire

extension Array where Element == UInt8 {
    mutating func append(local opcode: Opcode, _ index: UInt32) {
        append(UInt8(opcode))
        appendVarint(UInt64(index))
    }

    mutating func append(global opcode: Opcode, _ index: UInt32) {
        append(UInt8(opcode))
        appendVarint(UInt64(index))
    }

    mutating func append(i32 constant: Int32) {
        append(UInt8(Op.i32Const))
        appendSigned(Int64(constant))
    }

    mutating func append(i64 constant: Int64) {
        append(UInt8(Op.i64Const))
        appendSigned(constant)
    }

    /// Adds a constant to a global of 64 bits.
    mutating func append(adding number: Int64, to global: UInt32) {
        var constant: [UInt8] = []
        constant.append(i64: number)
        append(adding: constant, to: global)
    }

    /// Adds what some code leaves on the stack to a global of 64 bits.
    mutating func append(adding code: [UInt8], to global: UInt32) {
        append(global: Op.globalGet, global)
        append(contentsOf: code)
        append(0x7c)  // i64.add
        append(global: Op.globalSet, global)
    }

    /// Replaces a global by itself and a variable, combined by an instruction.
    mutating func append(combining variable: UInt32, _ opcode: UInt8, with global: UInt32) {
        append(global: Op.globalGet, global)
        append(local: Op.localGet, variable)
        append(opcode)
        append(global: Op.globalSet, global)
    }

    /// Branches to `label` if the gas on top of the stack is under the floor, which is 0 unless the
    /// host wants the call to end.
    mutating func appendIfUsedUp(leave label: Int, _ additions: Additions) {
        append(global: Op.globalGet, additions.floor)
        append(0x53)  // i64.lt_s
        append(UInt8(Op.brIf))
        appendVarint(UInt64(label))
    }

    /// Says why, and traps.
    mutating func appendTrap(_ status: CallStatus, _ additions: Additions) {
        append(i32: status.rawValue)
        append(global: Op.globalSet, additions.status)
        append(UInt8(Op.unreachable))
    }

    /// Takes `frame` bytes of the accounted stack, or traps; uses a variable for it.
    mutating func appendTakeStack(_ frame: UInt32, _ additions: Additions, scratch: UInt32) {
        append(global: Op.globalGet, additions.stack)
        append(i32: Int32(frame))
        append(0x6b)  // i32.sub
        append(local: Op.localTee, scratch)
        append(global: Op.globalSet, additions.stack)
        append(local: Op.localGet, scratch)
        append(i32: 0)
        append(contentsOf: [0x48, UInt8(Op.if), 0x40])  // i32.lt_s
        appendTrap(.stackExhausted, additions)
        append(UInt8(Op.end))
    }

    /// Appends a length and the bytes that have it.
    mutating func append(part: [UInt8]) {
        appendVarint(UInt64(part.count))
        append(contentsOf: part)
    }

    /// Appends a section, unless it is empty.
    mutating func append(_ section: SectionID, _ content: [UInt8]) {
        if content.isEmpty { return }
        append(section.rawValue)
        append(part: content)
    }
}

extension FunctionFacts {
    /// The declarations of a function's variables, with one more for each of `types`.
    func localDeclarations(
        in bytes: [UInt8], _ body: Range<Int>, adding types: [ValueType]
    ) throws(WasmRefusal) -> [UInt8] {
        var reader = WasmReader(bytes, body)
        let groups = try reader.readU32()
        var out: [UInt8] = []
        out.appendVarint(UInt64(groups) + UInt64(types.count))
        out.append(contentsOf: bytes[reader.offset..<code.lowerBound])
        for type in types { out.append(contentsOf: [1, type.rawValue]) }
        return out
    }
}
