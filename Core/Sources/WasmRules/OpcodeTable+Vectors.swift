// The rows of the instruction table that hold vectors of 128 bits.

extension OpcodeTable {
    /// Adds a run of vector instructions, by their numbers behind the prefix.
    private mutating func vector(
        _ codes: ClosedRange<Opcode>, _ takes: [ValueType], _ gives: ValueType? = .v128,
        gas: UInt8 = GasSchedule.vector, _ immediate: Immediate = .none
    ) {
        add(
            codes.lowerBound + 0x200...codes.upperBound + 0x200, takes, gives, gas: gas, immediate)
    }

    mutating func addVectorMemory() {
        addAccess(0x200, [.i32], .v128, width: 4)
        for code in 0x201...0x206 as ClosedRange<Opcode> {  // load8x8_s to load32x2_u
            addAccess(code, [.i32], .v128, width: 3)
        }
        for width in 0...3 as ClosedRange<UInt8> {
            let code = Opcode(width)
            addAccess(0x207 + code, [.i32], .v128, width: width)  // load splat
            addAccess(0x254 + code, [.i32, .v128], .v128, width: width, .addressAndLane)
            addAccess(0x258 + code, [.i32, .v128], nil, width: width, .addressAndLane)
            setLanes(0x254 + code...0x254 + code, 16 >> width)
            setLanes(0x258 + code...0x258 + code, 16 >> width)
        }
        addAccess(0x20b, [.i32, .v128], nil, width: 4)
        addAccess(0x25c, [.i32], .v128, width: 2)  // load32_zero
        addAccess(0x25d, [.i32], .v128, width: 3)
        vector(12...12, [], .v128, .vector)
        vector(13...13, [.v128, .v128], .v128, .shuffle)
        vector(14...14, [.v128, .v128])  // swizzle
    }

    mutating func addVectorLanes() {
        let lanes: [(ValueType, UInt8)] = [
            (.i32, 16), (.i32, 8), (.i32, 4), (.i64, 2), (.f32, 4), (.f64, 2),
        ]
        var code: Opcode = 21
        for (index, (type, count)) in lanes.enumerated() {
            vector(15 + Opcode(index)...15 + Opcode(index), [type])  // splat
            let extracts: Opcode = count > 4 ? 2 : 1  // with and without sign
            vector(code...code + extracts - 1, [.v128], type, .lane)
            vector(code + extracts...code + extracts, [.v128, type], .v128, .lane)
            setLanes(0x200 + code...0x200 + code + extracts, count)
            code += extracts + 1
        }
        vector(35...64, [.v128, .v128])  // comparisons of integers
        vector(65...76, [.v128, .v128])  // comparisons of floating-point numbers
        ignoreNaNBits(0x241...0x246, of: .f32x4)
        ignoreNaNBits(0x247...0x24c, of: .f64x2)
        vector(77...77, [.v128])  // not
        vector(78...81, [.v128, .v128])  // and, andnot, or, xor
        vector(82...82, [.v128, .v128, .v128])  // bitselect
        vector(83...83, [.v128], .i32)  // any_true
        vector(214...219, [.v128, .v128])  // comparisons of i64x2
    }

    mutating func addVectorIntegers() {
        // What the four shapes of integers have at the same places: abs and neg, all_true and
        // bitmask, extend, the shifts, extmul.
        for base in [96, 128, 160, 192] as [Opcode] {
            vector(base...base + 1, [.v128])
            vector(base + 3...base + 4, [.v128], .i32)
            vector(base + 11...base + 13, [.v128, .i32])
            guard base > 96 else { continue }
            vector(base + 7...base + 10, [.v128])
            vector(base + 28...base + 31, [.v128, .v128])
        }
        vector(98...98, [.v128])  // popcnt
        vector(101...102, [.v128, .v128])  // narrow
        vector(110...115, [.v128, .v128])  // add, sub and their saturating forms
        vector(118...121, [.v128, .v128])  // min, max
        vector(123...123, [.v128, .v128])  // avgr_u
        vector(124...127, [.v128])  // extadd_pairwise
        vector(130...130, [.v128, .v128])  // q15mulr_sat_s
        vector(133...134, [.v128, .v128])
        vector(142...147, [.v128, .v128])
        vector(149...153, [.v128, .v128])  // mul, min, max
        vector(155...155, [.v128, .v128])
        vector(174...174, [.v128, .v128])
        vector(177...177, [.v128, .v128])
        vector(181...186, [.v128, .v128])  // mul, min, max, dot
        vector(206...206, [.v128, .v128])
        vector(209...209, [.v128, .v128])
        vector(213...213, [.v128, .v128])
    }

    mutating func addVectorFloats() {
        let gas = GasSchedule.vectorFloat
        vector(94...95, [.v128], gas: gas)  // demote, promote
        makeNaN(0x25e...0x25e, .f32x4, from: .f64x2)
        makeNaN(0x25f...0x25f, .f64x2, from: .f32x4)
        vector(103...106, [.v128], gas: gas)  // f32x4 ceil, floor, trunc, nearest
        makeNaN(0x267...0x26a, .f32x4)
        for code in [116, 117, 122, 148] as [Opcode] {  // the same of f64x2
            vector(code...code, [.v128], gas: gas)
            makeNaN(0x200 + code...0x200 + code, .f64x2)
        }
        for (base, shape) in [(224, FloatShape.f32x4), (236, .f64x2)] as [(Opcode, FloatShape)] {
            vector(base...base + 1, [.v128])  // abs, neg
            changeSign(0x200 + base...0x201 + base)
            vector(base + 3...base + 3, [.v128], gas: GasSchedule.vectorDivision)  // sqrt
            vector(base + 4...base + 9, [.v128, .v128], gas: gas)  // add to max
            vector(base + 7...base + 7, [.v128, .v128], gas: GasSchedule.vectorDivision)
            vector(base + 10...base + 11, [.v128, .v128], gas: gas)  // pmin, pmax
            makeNaN(0x203 + base...0x209 + base, shape)
        }
        vector(248...255, [.v128], gas: gas)  // conversions from and to integers
        ignoreNaNBits(0x2f8...0x2f9, of: .f32x4)
        ignoreNaNBits(0x2fc...0x2fd, of: .f64x2)
    }
}
