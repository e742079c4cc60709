// Reading the primitive forms of the WebAssembly binary format (core specification 2.0, chapter 5):
// LEB128 numbers of a bounded width, names and lengths.

/// A cursor over a module's bytes, up to the end of the part that is being read.
struct WasmReader {
    let bytes: [UInt8]
    /// The next byte to read, from the start of the module.
    private(set) var offset: Int
    /// Where the part ends.
    let end: Int

    init(_ bytes: [UInt8], _ range: Range<Int>) {
        precondition(range.upperBound <= bytes.count, "the part lies in the module")
        self.bytes = bytes
        offset = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { offset == end }

    var peek: UInt8? { isAtEnd ? nil : bytes[offset] }

    func malformed(_ reason: StaticString) -> WasmRefusal {
        WasmRefusal(.malformed, reason, at: offset)
    }

    mutating func readByte() throws(WasmRefusal) -> UInt8 {
        guard offset < end else { throw malformed("it ends too early") }
        let byte = bytes[offset]
        offset += 1
        return byte
    }

    mutating func skip(_ count: UInt32) throws(WasmRefusal) {
        guard count <= UInt32(end - offset) else { throw malformed("it ends too early") }
        offset += Int(count)
    }

    /// Reads an unsigned number of at most 32 bits. It may be padded, as linkers do.
    mutating func readU32() throws(WasmRefusal) -> UInt32 {
        if offset < end, bytes[offset] < 0x80 {
            offset += 1
            return UInt32(bytes[offset - 1])
        }
        var value: UInt32 = 0
        for index in 0..<5 as Range<UInt32> {
            let byte = try readByte()
            if index == 4 && byte > 0x0f { break }
            value |= UInt32(byte & 0x7f) << (7 * index)
            if byte < 0x80 { return value }
        }
        throw malformed("a number is too long")
    }

    /// Reads a signed number of at most `bits` bits, 33 for the types of blocks.
    mutating func readSigned(bits: UInt32) throws(WasmRefusal) -> Int64 {
        var value: Int64 = 0
        var shift: UInt32 = 0
        while shift < bits {
            let byte = try readByte()
            let left = bits - shift
            if left < 7 {
                // What does not fit must repeat the sign, and nothing may follow.
                let extra = Int8(bitPattern: byte << 1) >> Int8(left)
                guard byte < 0x80, extra == 0 || extra == -1 else { break }
            }
            value |= Int64(byte & 0x7f) << Int64(shift)
            shift += 7
            if byte < 0x80 {
                if shift < 64, byte & 0x40 != 0 { value |= -1 << Int64(shift) }
                return value
            }
        }
        throw malformed("a number is too long")
    }

    /// Reads the count of a list whose elements take a byte at least.
    mutating func readCount(
        limit: UInt32, _ reason: StaticString
    ) throws(WasmRefusal) -> UInt32 {
        let start = offset
        let count = try readU32()
        guard count <= limit else { throw WasmRefusal(.overLimit, reason, at: start) }
        guard count <= UInt32(end - offset) else { throw malformed("a list is cut off") }
        return count
    }

    /// Reads a name: a length and that many bytes of UTF-8.
    mutating func readName() throws(WasmRefusal) -> String {
        let count = try readCount(limit: WasmLimits.maxNameBytes, "a name is too long")
        let start = offset
        try skip(count)
        guard let name = String(validating: bytes[start..<offset], as: UTF8.self) else {
            throw WasmRefusal(.malformed, "a name is not UTF-8", at: start)
        }
        return name
    }

    /// Reads the length of a part, and passes over it.
    mutating func readPart() throws(WasmRefusal) -> Range<Int> {
        let count = try readU32()
        let start = offset
        try skip(count)
        return start..<offset
    }
}

extension Array where Element == UInt8 {
    /// Appends a signed LEB128 number in its shortest form.
    mutating func appendSigned(_ value: Int64) {
        var rest = value
        while true {
            let byte = UInt8(truncatingIfNeeded: rest & 0x7f)
            rest >>= 7
            if (rest == 0 && byte & 0x40 == 0) || (rest == -1 && byte & 0x40 != 0) {
                append(byte)
                return
            }
            append(byte | 0x80)
        }
    }
}
