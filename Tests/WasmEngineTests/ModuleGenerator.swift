// Valid modules made at random: typed expressions over all instructions that contracts may use,
// with loops, calls, tables, memory and the NaNs that processors disagree about. A seed always
// gives the same module.

import Wire

@testable import WasmRules

/// Makes one module.
struct ModuleGenerator {
    /// Random numbers that are the same everywhere (splitmix64).
    struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
            return z ^ z >> 31
        }
    }

    private(set) var random: Random
    private let valueTypes: [ValueType]
    private var types: [FunctionType] = []
    private var functions: [FunctionType] = []
    private var globals: [ValueType] = []
    // Of the function that is being made:
    private var number = 0
    private(set) var locals: [ValueType] = []
    private var code: [UInt8] = []
    /// What a branch to each open block brings with it, the innermost last.
    private var labels: [[ValueType]] = []
    /// How many more instructions there may be, about.
    private var budget = 0

    /// Instructions of one result, by that, and those without a result, that need no care.
    private static let plain: [ValueType: [Opcode]] = {
        var rows: [ValueType: [Opcode]] = [:]
        for (number, row) in OpcodeInfo.table.enumerated() where row.isKnown && !row.isSpecial {
            if let type = row.gives { rows[type, default: []].append(Opcode(number)) }
        }
        return rows
    }()
    /// For each conversion to integers that can trap, the one that does not.
    private static let saturating: [Opcode: Opcode] = [
        0xa8: 0x100, 0xa9: 0x101, 0xaa: 0x102, 0xab: 0x103, 0xae: 0x104, 0xaf: 0x105, 0xb0: 0x106,
        0xb1: 0x107,
    ]
    private static let stores = OpcodeInfo.table.indices.filter {
        let row = OpcodeInfo.table[$0]
        return row.isKnown && !row.isSpecial && row.gives == nil
    }.map { Opcode($0) }

    private init(seed: UInt64, hasVectors: Bool) {
        random = Random(state: seed)
        valueTypes = [.i32, .i64, .f32, .f64] + (hasVectors ? [.v128] : [])
    }

    /// The module of a seed. It exports `run: [] -> i64`, whose result depends on all that it has
    /// computed.
    static func module(seed: UInt64, hasVectors: Bool) -> [UInt8] {
        var generator = Self(seed: seed, hasVectors: hasVectors)
        return generator.made()
    }

    // MARK: - The module

    private mutating func made() -> [UInt8] {
        types = [FunctionType(parameters: [], results: [.i64])]
        for _ in 0..<pick(1...5) {
            let parameters = (0..<pick(0...3)).map { _ in valueType() }
            let results = (0..<pick(0...2)).map { _ in valueType() }
            types.append(FunctionType(parameters: parameters, results: results))
        }
        // The last is `run`.
        functions = (0..<pick(1...5)).map { _ in types[pick(1...types.count - 1)] } + [types[0]]
        globals = valueTypes + (0..<pick(0...3)).map { _ in valueType() }
        let bodies = functions.indices.map { body($0) }
        var out: [UInt8] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
        section(1, list(types.map { encoded($0) }), &out)
        section(3, list(functions.map { leb(types.firstIndex(of: $0) ?? 0) }), &out)
        section(4, [1, 0x70, 1, 8, 16], &out)
        section(5, [1, 1, 1, 3], &out)
        section(6, list(globals.map { [$0.rawValue, 1] + constant($0) + [0x0b] }), &out)
        section(7, list([text("run") + [0] + leb(functions.count - 1)]), &out)
        let elements = (0..<6).map { _ in leb(pick(0...functions.count - 1)) }
        // The last declares that all may be referred to.
        let all = list(functions.indices.map { leb($0) })
        section(
            9,
            list([[0, 0x41, 1, 0x0b] + list(elements), [1, 0] + list(elements), [3, 0] + all]), &out
        )
        section(12, [2], &out)
        section(10, list(bodies.map { leb($0.count) + $0 }), &out)
        let bytes = (0..<64).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        section(11, list([[0, 0x41, 16, 0x0b, 64] + bytes, [1, 64] + bytes]), &out)
        return out
    }

    private func section(_ id: UInt8, _ content: [UInt8], _ out: inout [UInt8]) {
        out += [id] + leb(content.count) + content
    }

    private func leb(_ value: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.appendVarint(UInt64(value))
        return out
    }

    private func list(_ items: [[UInt8]]) -> [UInt8] { leb(items.count) + items.flatMap { $0 } }
    private func text(_ name: String) -> [UInt8] { leb(name.utf8.count) + Array(name.utf8) }

    private func encoded(_ type: FunctionType) -> [UInt8] {
        [0x60] + list(type.parameters.map { [$0.rawValue] })
            + list(type.results.map { [$0.rawValue] })
    }

    private mutating func body(_ index: Int) -> [UInt8] {
        let type = functions[index]
        number = index
        let added = valueTypes + (0..<pick(0...4)).map { _ in valueType() } + [.i32]
        locals = type.parameters + added
        code = []
        labels = [type.results]
        budget = 60
        for _ in 0..<pick(1...6) { statement(3) }
        if index == functions.count - 1 {
            digest()
        } else {
            for result in type.results { expression(result, 3) }
        }
        return list(added.map { [1, $0.rawValue] }) + code + [0x0b]
    }

    /// Leaves a number that depends on the globals, the variables, and some of the memory.
    private mutating func digest() {
        code += [0x42, 0]
        for (place, type) in globals.enumerated() {
            mix { $0.code += [0x23] + $0.leb(place) + $0.bits(type) }
        }
        for (place, type) in locals.enumerated() {
            mix { $0.code += [0x20] + $0.leb(place) + $0.bits(type) }
        }
        for address in stride(from: 0, to: 256, by: 8) {
            mix { $0.code += [0x41, 0, 0x29, 0] + $0.leb(address) }
        }
        mix { $0.code += [0x3f, 0, 0xad] }
    }

    /// Mixes a number of 64 bits into that on the stack.
    private mutating func mix(_ other: (inout Self) -> Void) {
        other(&self)
        code += [0x85, 0x42, 0xb3, 3, 0x7e]  // xor, const 435, mul
    }

    /// Makes the value on the stack an integer of 64 bits.
    private func bits(_ type: ValueType) -> [UInt8] {
        switch type {
        case .i32: [0xad]
        case .f32: [0xbc, 0xad]
        case .f64: [0xbd]
        case .v128: [0xfd, 29, 1]
        default: []
        }
    }

    // MARK: - Choosing

    private mutating func pick(_ range: ClosedRange<Int>) -> Int {
        Int.random(in: range, using: &random)
    }

    private mutating func happens(_ one: Int, in many: Int) -> Bool { pick(1...many) <= one }
    private mutating func valueType() -> ValueType { valueTypes[pick(0...valueTypes.count - 1)] }

    private mutating func local(of type: ValueType) -> Int {
        let places = locals.indices.filter { locals[$0] == type }
        // The last one counts the rounds of loops.
        return places[pick(0...max(0, places.count - (type == .i32 ? 2 : 1)))]
    }

    // MARK: - Expressions

    /// A constant of a type; among them those numbers that instructions treat in a special way.
    private mutating func constant(_ type: ValueType) -> [UInt8] {
        let word = random.next()
        switch type {
        case .i32:
            var out: [UInt8] = [0x41]
            let special: [Int32] = [0, 1, -1, .max, .min, 31, 255]
            out.appendSigned(
                Int64(
                    happens(1, in: 2)
                        ? special[pick(0...special.count - 1)]
                        : Int32(truncatingIfNeeded: word)))
            return out
        case .i64:
            var out: [UInt8] = [0x42]
            let special: [Int64] = [0, 1, -1, .max, .min, 63]
            out.appendSigned(
                happens(1, in: 2)
                    ? special[pick(0...special.count - 1)] : Int64(bitPattern: word))
            return out
        case .f32:
            let special: [UInt32] = [
                0, 1 << 31, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0000, 0x7fa0_0001,
                0xff80_0001, 1, 0x3f80_0000, 0x4f00_0000, 0x3fc0_0000,
            ]
            return [0x43] + little(UInt64(special[pick(0...special.count - 1)])).prefix(4)
        case .f64:
            let special: [UInt64] = [
                0, 1 << 63, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8 << 48, 0xfff8 << 48,
                0x7ff4_0000_0000_0001, 0xfff0_0000_0000_0001, 1, 0x3ff0 << 48, 0x43e0 << 48,
                0xbff8 << 48, 0x47f0_0000_0000_0001,
            ]
            return [0x44] + little(special[pick(0...special.count - 1)])
        default:
            let lanes = happens(1, in: 2) ? constant(.f64).dropFirst() : little(word)[...]
            let others = constant(.f32).dropFirst() + constant(.f32).dropFirst()
            return [0xfd, 12] + lanes + others
        }
    }

    private func little(_ word: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
    }

    /// Leaves a value of a type.
    private mutating func expression(_ type: ValueType, _ depth: Int) {
        budget -= 1
        guard depth > 0, budget > 0 else {
            switch pick(0...3) {
            case 0: code += constant(type)
            case 1:
                let places = globals.indices.filter { globals[$0] == type }
                code += [0x23] + leb(places[pick(0...places.count - 1)])
            default: code += [0x20] + leb(local(of: type))
            }
            return
        }
        switch pick(0...19) {
        case 0: structured(type, depth)
        case 1:
            expression(type, depth - 1)
            code += [0x22] + leb(local(of: type))
        case 2:
            expression(type, depth - 1)
            expression(type, depth - 1)
            expression(.i32, depth - 1)
            code += happens(1, in: 2) ? [0x1b] : [0x1c, 1, type.rawValue]
        case 3 where call(giving: type, depth): break
        case 4 where type == .i32: integer(depth)
        case 5: expression(type, 0)
        default: plain(type, depth)
        }
    }

    /// Results of instructions that are about more than values.
    private mutating func integer(_ depth: Int) {
        switch pick(0...5) {
        case 0: code += [0x3f, 0]
        case 1:
            expression(.i32, depth - 1)
            code += [0x41, 3, 0x71, 0x40, 0]  // memory.grow by up to 3
        case 2: code += [0xfc, 16, 0]
        case 3:
            code += [0xd0, 0x70]
            expression(.i32, depth - 1)
            code += [0x41, 7, 0x71, 0xfc, 15, 0]  // table.grow
        case 4:
            expression(.i32, depth - 1)
            code += [0x41, 7, 0x71, 0x25, 0, 0xd1]  // table.get, ref.is_null
        default: code += [0xd2] + leb(pick(0...functions.count - 1)) + [0xd1]
        }
    }

    private mutating func plain(_ type: ValueType, _ depth: Int) {
        guard let choices = Self.plain[type] else { return }
        var opcode = choices[pick(0...choices.count - 1)]
        var row = OpcodeInfo.table[Int(opcode)]
        let needed = [row.takes.0, row.takes.1, row.takes.2].compactMap { $0 }
        guard needed.allSatisfy({ valueTypes.contains($0) }) else {
            return code += constant(type)
        }
        // Most conversions of floating-point numbers that can trap do.
        if let saturating = Self.saturating[opcode], happens(9, in: 10) {
            opcode = saturating
            row = OpcodeInfo.table[Int(opcode)]
        }
        operands(row, depth)
        if [0x6d, 0x6e, 0x6f, 0x70].contains(opcode), happens(19, in: 20) {
            code += [0x41, 1, 0x72]  // or 1
        }
        if [0x7f, 0x80, 0x81, 0x82].contains(opcode), happens(19, in: 20) {
            code += [0x42, 1, 0x84]
        }
        emit(opcode, row)
    }

    /// The operands of an instruction. An address mostly lies in memory.
    private mutating func operands(_ row: OpcodeInfo, _ depth: Int) {
        for (place, type) in [row.takes.0, row.takes.1, row.takes.2].enumerated() {
            guard let type else { continue }
            expression(type, depth - 1)
            let isAddress =
                place == 0 && (row.immediate == .address || row.immediate == .addressAndLane)
            if isAddress, happens(49, in: 50) { code += [0x41, 0xff, 1, 0x71] }  // and 255
        }
    }

    private mutating func emit(_ opcode: Opcode, _ row: OpcodeInfo) {
        if opcode < 0x100 {
            // Constants bring their own number.
            if let type = row.gives, [.i32, .i64, .f32, .f64].contains(row.immediate) {
                return code += constant(type)
            }
            code.append(UInt8(opcode))
        } else if opcode == Op.v128Const {
            return code += constant(.v128)
        } else {
            code += [opcode < 0x200 ? 0xfc : 0xfd] + leb(Int(opcode & 0xff))
        }
        switch row.immediate {
        case .address: code += leb(pick(0...Int(row.width))) + leb(pick(0...40))
        case .addressAndLane:
            code += leb(pick(0...Int(row.width))) + leb(pick(0...40))
            code.append(UInt8(pick(0...Int(row.lanes) - 1)))
        case .lane: code.append(UInt8(pick(0...Int(row.lanes) - 1)))
        case .shuffle: for _ in 0..<16 { code.append(UInt8(pick(0...31))) }
        default: break
        }
    }

    /// A block, loop or `if` that leaves a value.
    private mutating func structured(_ type: ValueType, _ depth: Int) {
        let kind = pick(0...2)
        if kind == 2 { expression(.i32, depth - 1) }
        code += [[0x02, 0x03, 0x04][kind], type.rawValue]
        labels.append(kind == 1 ? [] : [type])
        if happens(1, in: 2) { statement(depth - 1) }
        if kind != 1, happens(1, in: 3) {
            expression(type, depth - 1)
            expression(.i32, depth - 1)
            code += [0x0d, 0]
        } else {
            expression(type, depth - 1)
        }
        if kind == 2 {
            code.append(0x05)
            expression(type, depth - 1)
        }
        code.append(0x0b)
        labels.removeLast()
    }

    /// A call of a function that gives a value of the type among others, if there is one.
    private mutating func call(giving type: ValueType, _ depth: Int) -> Bool {
        // Seldom a function calls itself or a later one, until the stack ends.
        let reach = happens(1, in: 12) ? functions.count : number
        let choices = functions[..<reach].indices.filter { functions[$0].results.contains(type) }
        guard !choices.isEmpty else { return false }
        let index = choices[pick(0...choices.count - 1)]
        let callee = functions[index]
        for parameter in callee.parameters { expression(parameter, depth - 1) }
        if happens(1, in: 3) {
            expression(.i32, depth - 1)
            let signature = types.firstIndex(of: callee) ?? 0
            code += [0x41, 7, 0x71, 0x11] + leb(signature) + [0]
        } else {
            code += [0x10] + leb(index)
        }
        keep(type, of: callee.results)
        return true
    }

    /// Of the values on the stack, leaves one of a type.
    private mutating func keep(_ type: ValueType, of results: [ValueType]) {
        var isKept = false
        for result in results.reversed() {
            if result == type, !isKept {
                isKept = true
                code += [0x21] + leb(local(of: type))
            } else {
                code.append(0x1a)
            }
        }
        code += [0x20] + leb(local(of: type))
    }

    // MARK: - Statements

    private mutating func statement(_ depth: Int) {
        budget -= 1
        guard depth > 0, budget > 0 else { return code.append(0x01) }
        switch pick(0...17) {
        case 0...3:
            let type = valueType()
            expression(type, depth)
            code += [0x21] + leb(local(of: type))
        case 4, 5:
            let place = pick(0...globals.count - 1)
            expression(globals[place], depth)
            code += [0x24] + leb(place)
        case 6...8: store(depth)
        case 9: counted(depth)
        case 10:
            expression(.i32, depth - 1)
            code += [0x04, 0x40]
            labels.append([])
            statement(depth - 1)
            if happens(1, in: 2) {
                code.append(0x05)
                statement(depth - 1)
            }
            code.append(0x0b)
            labels.removeLast()
        case 11: branches(depth)
        case 12: bulk(depth)
        case 13: tables(depth)
        case 14:
            let type = valueType()
            expression(type, depth)
            code.append(0x1a)
        case 15: leave(depth)
        case 16 where happens(1, in: 20): code.append(0x00)
        default: code += happens(1, in: 8) ? [0xfc, 9, 1] : [0x01]
        }
    }

    private mutating func store(_ depth: Int) {
        let choices = Self.stores.filter { opcode in
            let takes = OpcodeInfo.table[Int(opcode)].takes
            return takes.1.map { valueTypes.contains($0) } ?? true
        }
        let opcode = choices[pick(0...choices.count - 1)]
        let row = OpcodeInfo.table[Int(opcode)]
        operands(row, depth)
        emit(opcode, row)
    }

    /// A loop that mostly ends by itself.
    private mutating func counted(_ depth: Int) {
        let counter = leb(locals.count - 1)
        let isOuter = labels.count == 1
        if isOuter { code += [0x41, 0, 0x21] + counter }
        code += [0x03, 0x40]
        labels.append([])
        for _ in 0..<pick(1...3) { statement(depth - 1) }
        if isOuter || happens(1, in: 10) {
            code += [0x20] + counter + [0x41, 1, 0x6a, 0x22] + counter
            code += [0x41] + leb(pick(1...40)) + [0x49, 0x0d, 0]
        }
        code.append(0x0b)
        labels.removeLast()
    }

    /// Nested blocks, one of which is left by a `br_table`.
    private mutating func branches(_ depth: Int) {
        let count = pick(1...4)
        for _ in 0..<count { code += [0x02, 0x40] }
        labels += [[ValueType]](repeating: [], count: count)
        expression(.i32, depth - 1)
        code += [0x0e] + leb(count - 1)
        for _ in 0..<count { code += leb(pick(0...count - 1)) }
        for _ in 0..<count {
            code.append(0x0b)
            labels.removeLast()
            if happens(1, in: 2) { statement(depth - 1) }
        }
    }

    private mutating func bulk(_ depth: Int) {
        for _ in 0..<3 {
            expression(.i32, depth - 1)
            code += [0x41, 63, 0x71]
        }
        code += [[0xfc, 8, 1, 0], [0xfc, 10, 0, 0], [0xfc, 11, 0]][pick(0...2)]
    }

    private mutating func tables(_ depth: Int) {
        code += [0x41] + leb(pick(0...7))
        switch pick(0...3) {
        case 0: code += [0xd2] + leb(pick(0...functions.count - 1)) + [0x26, 0]
        case 1: code += [0xd0, 0x70, 0x41, 1, 0xfc, 17, 0]
        case 2: code += [0x41] + leb(pick(0...7)) + [0x41, 1, 0xfc, 14, 0, 0]
        default: code += [0x41, 1, 0x41] + leb(pick(0...3)) + [0xfc, 12, 1, 0]
        }
    }

    /// Leaves the function or a block under a condition.
    private mutating func leave(_ depth: Int) {
        let place = pick(0...labels.count - 1)
        let types = labels[labels.count - 1 - place]
        expression(.i32, depth - 1)
        code += [0x04, 0x40]
        labels.append([])
        for type in types { expression(type, depth - 1) }
        if place == labels.count - 2, happens(1, in: 2) {
            code.append(0x0f)
        } else {
            code += [0x0c] + leb(place + 1)
        }
        code.append(0x0b)
        labels.removeLast()
    }
}
