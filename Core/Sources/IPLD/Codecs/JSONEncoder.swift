// Writing JSON without whitespace; strings are escaped as little as RFC 8259 allows.

import Multiformats

/// Writes values as dag-json, or as plain JSON, which has neither links nor bytes and keeps the
/// order of maps.
struct JSONEncoder {
    private let form: JSONForm
    private(set) var out: [UInt8] = []

    init(_ form: JSONForm) {
        self.form = form
    }

    /// Appends `value`, which lies `depth` lists and maps deep.
    mutating func append(_ value: Value, depth: Int = 0) throws(EncodeError) {
        switch value {
        case .null: append("null")
        case .bool(let bool): append(bool ? "true" : "false")
        case .integer(let number):
            guard Value.integerRange.contains(number) else {
                throw EncodeError(.number, "an integer is outside −2⁶⁴ to 2⁶⁴−1")
            }
            append(integer: number)
        case .float(let number):
            guard number.isFinite else {
                throw EncodeError(.number, "json has no form for a float that is not finite")
            }
            out.appendDecimal(number)
        case .string(let text): append(quoting: text)
        case .bytes(let bytes): try append(bytes)
        case .list(let elements): try append(elements, depth: depth)
        case .map(let entries): try append(entries, depth: depth)
        case .link(let cid): try append(cid)
        }
    }

    private mutating func append(_ text: StaticString) {
        append("\(text)")
    }

    private mutating func append(_ text: String) {
        out.append(contentsOf: text.utf8)
    }

    private mutating func append(integer number: Int128) {
        if number < 0 { append("-") }
        // −2⁶⁴ is the one number whose magnitude does not fit.
        let magnitude = number.magnitude
        append(magnitude > UInt128(UInt64.max) ? "18446744073709551616" : "\(UInt64(magnitude))")
    }

    private func checkDepth(_ depth: Int) throws(EncodeError) {
        guard depth < Value.maxDepth else {
            throw EncodeError(.tooDeep, "lists and maps lie too deep for json")
        }
    }

    private mutating func append(_ elements: [Value], depth: Int) throws(EncodeError) {
        try checkDepth(depth)
        append("[")
        for (index, element) in elements.enumerated() {
            if index > 0 { append(",") }
            try append(element, depth: depth + 1)
        }
        append("]")
    }

    private mutating func append(_ entries: [Value.Entry], depth: Int) throws(EncodeError) {
        try checkDepth(depth)
        guard Value.haveUniqueKeys(entries) else {
            throw EncodeError(.key, "a map has the same key twice")
        }
        var entries = entries
        if form == .dagJSON {
            entries = Self.sorted(entries)
            try checkReserved(entries)
        }
        append("{")
        for (index, entry) in entries.enumerated() {
            if index > 0 { append(",") }
            append(quoting: entry.key)
            append(":")
            try append(entry.value, depth: depth + 1)
        }
        append("}")
    }

    /// The entries in dag-json's order: by key, byte by byte.
    private static func sorted(_ entries: [Value.Entry]) -> [Value.Entry] {
        entries.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    }

    /// Refuses a map that a reader would take for a link or bytes.
    private func checkReserved(_ entries: [Value.Entry]) throws(EncodeError) {
        var entries = entries
        guard let first = entries.first else { return }
        if case .map(let inner) = first.value {
            entries[0].value = .map(Self.sorted(inner))
        }
        guard DagJSON.ReservedForm(entries) == nil else {
            throw EncodeError(.key, "dag-json reserves this use of the key \"/\"")
        }
    }

    private mutating func append(_ bytes: [UInt8]) throws(EncodeError) {
        guard form == .dagJSON else {
            throw EncodeError(.shape, "plain json has no bytes")
        }
        append("{\"/\":{\"bytes\":\"")
        Multibase.base64.appendBody(of: bytes, to: &out)
        append("\"}}")
    }

    private mutating func append(_ cid: CID) throws(EncodeError) {
        guard form == .dagJSON else {
            throw EncodeError(.shape, "plain json has no links")
        }
        append("{\"/\":\"")
        append(cid.description)
        append("\"}")
    }

    private mutating func append(quoting text: String) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                out.append(UInt8(ascii: "\\"))
                out.append(byte)
            case 0x08: append("\\b")
            case 0x09: append("\\t")
            case 0x0a: append("\\n")
            case 0x0c: append("\\f")
            case 0x0d: append("\\r")
            case 0..<0x20:
                let digit = byte & 0x0f
                append("\\u00")
                out.append(UInt8(ascii: "0") + byte >> 4)
                out.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
