// Writing CBOR (RFC 8949, section 4.2: shortest heads, definite lengths, 64-bit floats).

package import Multiformats
import Wire

/// Writes values as dag-cbor, or as plain cbor, which has no links and keeps the order of maps.
struct CBOREncoder {
    private let form: CBORForm
    private(set) var out: [UInt8] = []

    init(_ form: CBORForm) {
        self.form = form
    }

    /// Appends `value`, which lies `depth` lists and maps deep.
    mutating func append(_ value: Value, depth: Int = 0) throws(EncodeError) {
        switch value {
        case .null: out.append(0xf6)
        case .bool(let bool): out.append(bool ? 0xf5 : 0xf4)
        case .integer(let number): try append(number)
        case .float(let number): try append(number)
        case .string(let text): append(text)
        case .bytes(let bytes):
            out.appendCBORHead(2, UInt64(bytes.count))
            out.append(contentsOf: bytes)
        case .list(let elements):
            try checkDepth(depth)
            out.appendCBORHead(4, UInt64(elements.count))
            for element in elements { try append(element, depth: depth + 1) }
        case .map(let entries):
            try checkDepth(depth)
            try append(entries, depth: depth)
        case .link(let cid): try append(cid)
        }
    }

    private func checkDepth(_ depth: Int) throws(EncodeError) {
        guard depth < Value.maxDepth else {
            throw EncodeError(.tooDeep, "lists and maps lie too deep for cbor")
        }
    }

    private mutating func append(_ entries: [Value.Entry], depth: Int) throws(EncodeError) {
        // What is in dag-cbor's order already has no key twice, and needs no second look.
        let isSorted = zip(entries, entries.dropFirst()).allSatisfy(Self.precedes)
        guard isSorted || Value.haveUniqueKeys(entries) else {
            throw EncodeError(.key, "a map has the same key twice")
        }
        out.appendCBORHead(5, UInt64(entries.count))
        for entry in isSorted || form == .plain ? entries : entries.sorted(by: Self.precedes) {
            append(entry.key)
            try append(entry.value, depth: depth + 1)
        }
    }

    /// dag-cbor's order: shorter keys first, then byte by byte.
    private static func precedes(_ left: Value.Entry, _ right: Value.Entry) -> Bool {
        let leftKey = left.key.utf8
        let rightKey = right.key.utf8
        guard leftKey.count == rightKey.count else { return leftKey.count < rightKey.count }
        return leftKey.lexicographicallyPrecedes(rightKey)
    }

    private mutating func append(_ text: String) {
        out.appendCBORHead(3, UInt64(text.utf8.count))
        out.append(contentsOf: text.utf8)
    }

    private mutating func append(_ number: Int128) throws(EncodeError) {
        guard Value.integerRange.contains(number) else {
            throw EncodeError(.number, "an integer is outside −2⁶⁴ to 2⁶⁴−1")
        }
        if number >= 0 {
            out.appendCBORHead(0, UInt64(number))
        } else {
            out.appendCBORHead(1, UInt64(-1 - number))
        }
    }

    private mutating func append(_ number: Double) throws(EncodeError) {
        guard number.isFinite else {
            throw EncodeError(.number, "cbor has no form for a float that is not finite")
        }
        guard form == .plain || number != 0 || number.sign == .plus else {
            throw EncodeError(.number, "dag-cbor has no negative zero")
        }
        out.append(0xfb)
        out.appendBigEndian(number.bitPattern)
    }

    private mutating func append(_ cid: CID) throws(EncodeError) {
        guard form != .plain else {
            throw EncodeError(.shape, "plain cbor has no links")
        }
        out.appendCBORLink(cid)
    }
}

extension [UInt8] {
    /// Appends a CBOR item's initial byte and argument in shortest form.
    package mutating func appendCBORHead(_ majorType: UInt8, _ argument: UInt64) {
        let type = majorType << 5
        switch argument {
        case 0..<24: append(type | UInt8(argument))
        case 24..<(1 << 8):
            append(type | 24)
            append(UInt8(argument))
        case (1 << 8)..<(1 << 16):
            append(type | 25)
            appendBigEndian(UInt16(argument))
        case (1 << 16)..<(1 << 32):
            append(type | 26)
            appendBigEndian(UInt32(argument))
        default:
            append(type | 27)
            appendBigEndian(argument)
        }
    }
    /// Appends a link as dag-cbor has it: tag 42 and the CID's binary form after a zero.
    package mutating func appendCBORLink(_ cid: CID) {
        append(0xd8)
        append(42)
        appendCBORHead(2, UInt64(cid.encodedSize + 1))
        append(0)
        cid.append(to: &self)
    }
}
