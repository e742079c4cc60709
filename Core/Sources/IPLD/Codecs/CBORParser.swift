// Reading CBOR (RFC 8949) in three degrees of strictness
// (ipld.io/specs/codecs/dag-cbor/spec, "Strictness").

package import Multiformats
package import Wire

/// Which forms a CBOR parser takes.
enum CBORForm {
    /// dag-cbor as it must be written.
    case canonical
    /// dag-cbor as it has been written: padded lengths and integers, short floats and unsorted
    /// maps pass, as the specification lets decoders do for old data.
    case historical
    /// CBOR without links: indefinite lengths and undefined pass as well.
    case plain
}

/// A parser of one CBOR item that fills its input.
struct CBORParser: ~Escapable, ~Copyable {
    private struct Frame {
        let container: Container
        /// Items to come; a map has two an entry. Nil: until the break.
        var remaining: UInt64?
        var isAtKey: Bool
        var lastKey: Range<Int>?
    }

    private var reader: ByteReader
    private let form: CBORForm
    private var frames: [Frame] = []

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan, _ form: CBORForm) {
        reader = ByteReader(bytes)
        self.form = form
    }

    /// Reads the whole input into `sink`.
    @_lifetime(self: copy self)
    mutating func parse(into sink: inout some ValueSink) throws(DecodeError) {
        repeat {
            try readNext(into: &sink)
            while let top = frames.last, top.remaining == 0 {
                frames.removeLast()
                sink.close()
            }
        } while !frames.isEmpty
        guard reader.isAtEnd else {
            throw reader.error(.malformed, "cbor: there are bytes after the value")
        }
    }

    @_lifetime(self: copy self)
    private mutating func readNext(into sink: inout some ValueSink) throws(DecodeError) {
        guard let top = frames.indices.last else { return try readItem(into: &sink) }
        if frames[top].remaining == nil, reader.peek == 0xff {
            guard frames[top].container == .list || frames[top].isAtKey else {
                throw reader.error(.malformed, "cbor: a map ends after a key")
            }
            try reader.skip(1)
            frames[top].remaining = 0
            return
        }
        if let remaining = frames[top].remaining { frames[top].remaining = remaining - 1 }
        if frames[top].isAtKey {
            frames[top].isAtKey = false
            sink.addKey(try readKey(of: top))
        } else {
            frames[top].isAtKey = frames[top].container == .map
            try readItem(into: &sink)
        }
    }

    @_lifetime(self: copy self)
    private mutating func readKey(of frame: Int) throws(DecodeError) -> String {
        let start = reader.offset
        guard let first = reader.peek, first >> 5 == 3 else {
            throw reader.error(.unsupported, "cbor: a map key must be a text string")
        }
        guard form == .canonical else { return try readText() }
        let key = try readTextRange()
        if let last = frames[frame].lastKey {
            switch compareKeys(last, key) {
            case .ascending: break
            case .equal:
                throw DecodeError(.malformed, "dag-cbor: a map key is repeated", at: start)
            case .descending:
                throw DecodeError(.notCanonical, "dag-cbor: map keys are not sorted", at: start)
            }
        }
        frames[frame].lastKey = key
        return try text(in: key)
    }

    private enum Order { case ascending, equal, descending }

    /// The order of two keys of the input: shorter first, then byte by byte.
    private func compareKeys(_ left: Range<Int>, _ right: Range<Int>) -> Order {
        guard left.count == right.count else {
            return left.count < right.count ? .ascending : .descending
        }
        for offset in 0..<left.count {
            let leftByte = reader.bytes.byte(at: left.lowerBound + offset)
            let rightByte = reader.bytes.byte(at: right.lowerBound + offset)
            if leftByte != rightByte { return leftByte < rightByte ? .ascending : .descending }
        }
        return .equal
    }

    @_lifetime(self: copy self)
    private mutating func readItem(into sink: inout some ValueSink) throws(DecodeError) {
        let start = reader.offset
        guard let first = reader.peek else {
            throw reader.error(.truncated, "cbor: the input ends before the value")
        }
        switch first >> 5 {
        case 0: sink.add(.integer(Int128(try readArgument())))
        case 1: sink.add(.integer(-1 - Int128(try readArgument())))
        case 2: sink.add(.bytes(try readByteString()))
        case 3: sink.add(.string(try readText()))
        case 4: try open(.list, into: &sink)
        case 5: try open(.map, into: &sink)
        case 6: sink.add(.link(try readLink()))
        default: sink.add(try readSimple(at: start))
        }
    }

    /// Reads the head of a list or map. A count over what the input could hold is refused at once.
    @_lifetime(self: copy self)
    private mutating func open(
        _ container: Container, into sink: inout some ValueSink
    ) throws(DecodeError) {
        let start = reader.offset
        guard frames.count < Value.maxDepth else {
            throw DecodeError(.overLimit, "cbor: lists and maps lie too deep", at: start)
        }
        let factor: UInt64 = container == .map ? 2 : 1
        var remaining: UInt64?
        if isIndefinite {
            try reader.skip(1)
        } else {
            let count = try readArgument()
            guard count <= UInt64(reader.remaining) / factor else {
                throw DecodeError(.truncated, "cbor: more items are promised than fit", at: start)
            }
            remaining = count * factor
        }
        frames.append(
            Frame(container: container, remaining: remaining, isAtKey: container == .map))
        sink.open(container)
    }

    /// Whether a plain item of indefinite length comes next.
    private var isIndefinite: Bool {
        guard form == .plain, let first = reader.peek else { return false }
        return first & 0x1f == 31
    }

    @_lifetime(self: copy self)
    private mutating func readArgument() throws(DecodeError) -> UInt64 {
        try reader.readCBORArgument(isShortest: form == .canonical)
    }

    /// Reads the head of a string; its content must be there.
    @_lifetime(self: copy self)
    private mutating func readStringRange() throws(DecodeError) -> Range<Int> {
        let start = reader.offset
        let length = try readArgument()
        guard length <= UInt64(reader.remaining) else {
            throw DecodeError(.truncated, "cbor: a string is longer than the input", at: start)
        }
        let content = reader.offset
        try reader.skip(Int(length))
        return content..<reader.offset
    }

    /// Reads the pieces of a string of indefinite length, all of the same major type.
    @_lifetime(self: copy self)
    private mutating func readPieces() throws(DecodeError) -> [UInt8] {
        let majorType = try reader.readByte() >> 5
        var content: [UInt8] = []
        while let head = reader.peek, head != 0xff {
            guard head >> 5 == majorType else {
                throw reader.error(.malformed, "cbor: a string has pieces of another type")
            }
            let piece = try readStringRange()
            content.append(contentsOf: [UInt8](reader.bytes.extracting(piece)))
        }
        _ = try reader.readByte()
        return content
    }

    @_lifetime(self: copy self)
    private mutating func readByteString() throws(DecodeError) -> [UInt8] {
        guard !isIndefinite else { return try readPieces() }
        return [UInt8](reader.bytes.extracting(try readStringRange()))
    }

    @_lifetime(self: copy self)
    private mutating func readTextRange() throws(DecodeError) -> Range<Int> {
        try readStringRange()
    }

    @_lifetime(self: copy self)
    private mutating func readText() throws(DecodeError) -> String {
        guard isIndefinite else { return try text(in: try readStringRange()) }
        let start = reader.offset
        let pieces = try readPieces()
        guard let text = String(validating: pieces, as: UTF8.self) else {
            throw DecodeError(.malformed, "cbor: a text string is not UTF-8", at: start)
        }
        return text
    }

    private func text(in range: Range<Int>) throws(DecodeError) -> String {
        guard let text = String(utf8: reader.bytes.extracting(range)) else {
            throw DecodeError(
                .malformed, "cbor: a text string is not UTF-8", at: range.lowerBound)
        }
        return text
    }

    @_lifetime(self: copy self)
    private mutating func readLink() throws(DecodeError) -> CID {
        let start = reader.offset
        guard form != .plain else {
            throw reader.error(.unsupported, "cbor: tags have no meaning here")
        }
        guard try readArgument() == 42 else {
            throw DecodeError(.unsupported, "dag-cbor: the only tag is 42, for links", at: start)
        }
        guard let head = reader.peek, head >> 5 == 2 else {
            throw reader.error(.malformed, "dag-cbor: a link is a byte string")
        }
        let range = try readStringRange()
        do throws(DecodeError) {
            return try CID(cborLink: reader.bytes.extracting(range))
        } catch {
            throw DecodeError(error.kind, error.reason, at: range.lowerBound + error.offset)
        }
    }

    @_lifetime(self: copy self)
    private mutating func readSimple(at start: Int) throws(DecodeError) -> Value {
        let number: Double
        switch try reader.readByte() & 0x1f {
        case 20: return .bool(false)
        case 21: return .bool(true)
        case 22: return .null
        case 23 where form == .plain: return .null
        case 25 where form != .canonical:
            number = Double(halfPrecision: try reader.readBigEndian())
        case 26 where form != .canonical:
            number = Double(Float(bitPattern: try reader.readBigEndian()))
        case 27: number = Double(bitPattern: try reader.readBigEndian())
        case 25, 26:
            throw DecodeError(.notCanonical, "dag-cbor: a float has 64 bits", at: start)
        default:
            throw DecodeError(.unsupported, "cbor: a simple value without meaning", at: start)
        }
        guard number.isFinite else {
            throw DecodeError(.unsupported, "cbor: a float is not finite", at: start)
        }
        guard form != .canonical || number != 0 || number.sign == .plus else {
            throw DecodeError(.notCanonical, "dag-cbor: negative zero", at: start)
        }
        return .float(number)
    }
}

extension ByteReader {
    /// Reads an initial byte and its argument, in shortest form where that is demanded.
    @_lifetime(self: copy self)
    package mutating func readCBORArgument(isShortest: Bool) throws(DecodeError) -> UInt64 {
        let start = offset
        let (value, least): (UInt64, UInt64)
        switch try readByte() & 0x1f {
        case let small where small < 24: return UInt64(small)
        case 24: (value, least) = (UInt64(try readByte()), 24)
        case 25: (value, least) = (UInt64(try readBigEndian(UInt16.self)), 1 << 8)
        case 26: (value, least) = (UInt64(try readBigEndian(UInt32.self)), 1 << 16)
        case 27: (value, least) = (try readBigEndian(), 1 << 32)
        default:
            throw DecodeError(.notCanonical, "cbor: indefinite or reserved length", at: start)
        }
        guard !isShortest || value >= least else {
            throw DecodeError(.notCanonical, "dag-cbor: not the shortest form", at: start)
        }
        return value
    }
}

extension CID {
    /// What a link of dag-cbor names: a zero byte, then the binary form.
    package init(cborLink bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        guard reader.peek == 0 else {
            throw DecodeError(.malformed, "dag-cbor: a link starts with a zero byte")
        }
        try reader.skip(1)
        do throws(DecodeError) {
            self = try CID(decoding: try reader.readSpan(reader.remaining))
        } catch {
            throw DecodeError(error.kind, error.reason, at: 1 + error.offset)
        }
    }
}

extension Double {
    /// The value of an IEEE 754 half-precision number, which not every platform has a type for.
    fileprivate init(halfPrecision bits: UInt16) {
        let exponent = Int(bits >> 10 & 0x1f)
        let fraction = Double(bits & 0x3ff)
        let magnitude: Double
        switch exponent {
        case 0: magnitude = fraction * 0x1p-24
        case 31: magnitude = fraction == 0 ? .infinity : .nan
        default: magnitude = (1024 + fraction) * 0x1p-25 * Double(UInt32(1) << UInt32(exponent))
        }
        self = bits >> 15 == 0 ? magnitude : -magnitude
    }
}
