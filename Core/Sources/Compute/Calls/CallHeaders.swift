// The headers of requests and responses: few, sorted, each name once, so that equal requests are
// equal bytes.

import Wire

/// Headers by name, sorted.
public struct CallHeaders: Hashable, Sendable {
    /// One header.
    public struct Field: Hashable, Sendable {
        /// The name in lower case.
        public let name: String
        /// The value without spaces around it.
        public let value: String

        public static func == (left: Self, right: Self) -> Bool {
            left.name.utf8.elementsEqual(right.name.utf8)
                && left.value.utf8.elementsEqual(right.value.utf8)
        }

        public func hash(into hasher: inout Hasher) {
            hasher.combine(contentsOf: Array(name.utf8))
            hasher.combine(contentsOf: Array(value.utf8))
        }
    }

    /// The headers, sorted by name, byte by byte; no name twice.
    public private(set) var fields: [Field] = []

    /// No headers.
    public init() {}

    /// The header of this name in lower case.
    public subscript(name: String) -> String? {
        fields.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// Bytes of all names and values.
    var byteCount: Int { fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count } }

    /// Sets a header, in whatever case its name is written. A name that is there already gets the
    /// new value.
    public mutating func set(_ name: String, _ value: String) throws(CallFault) {
        let field = try Self.field(name, value)
        var changed = fields
        if let place = changed.firstIndex(where: { !Self.precedes($0.name, field.name) }) {
            if changed[place].name.utf8.elementsEqual(field.name.utf8) {
                changed[place] = field
            } else {
                changed.insert(field, at: place)
            }
        } else {
            changed.append(field)
        }
        try replace(with: changed)
    }

    /// Adds a header. A name that is there already gets both values with a comma between them, as
    /// `fetch()` of browsers has it.
    public mutating func append(_ name: String, _ value: String) throws(CallFault) {
        let field = try Self.field(name, value)
        guard let before = self[field.name] else { return try set(name, value) }
        try set(name, before + ", " + field.value)
    }

    /// Those of them that reach a contract.
    var thatReachContracts: CallHeaders {
        var kept = CallHeaders()
        kept.fields = fields.filter { Self.reachesContract($0.name) }
        return kept
    }

    /// Headers as they were written: sorted, in lower case, trimmed.
    init(canonical fields: [(name: String, value: String)]) throws(CallFault) {
        var result: [Field] = []
        for (name, value) in fields {
            let field = try Self.field(name, value)
            guard field.name.utf8.elementsEqual(name.utf8),
                field.value.utf8.elementsEqual(value.utf8),
                result.last.map({ Self.precedes($0.name, field.name) }) ?? true
            else { throw .header }
            result.append(field)
        }
        try replace(with: result)
    }

    private mutating func replace(with changed: [Field]) throws(CallFault) {
        let before = fields
        fields = changed
        guard fields.count <= CallLimits.maxHeaders, byteCount <= CallLimits.maxHeaderBytes else {
            fields = before
            throw .headers
        }
    }

    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }

    /// A header whose name is a token (RFC 9110) in lower case and whose value is trimmed.
    private static func field(_ name: String, _ value: String) throws(CallFault) -> Field {
        var lower: [UInt8] = []
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                lower.append(byte)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): lower.append(byte + 32)
            case _ where "!#$%&'*+-.^_`|~".utf8.contains(byte): lower.append(byte)
            default: throw .header
            }
        }
        guard 1...CallLimits.maxHeaderNameBytes ~= lower.count else { throw .header }
        guard value.utf8.allSatisfy({ ($0 >= 0x20 && $0 != 0x7f) || $0 == 0x09 }) else {
            throw .header
        }
        return Field(
            name: String(decoding: lower, as: UTF8.self), value: value.trimmedOfBlanks)
    }
}

extension CallHeaders {
    /// Whether a request's header of this name, in lower case, reaches a contract. All others are
    /// the transport's or the browser's, and must not change the answer. `weft-gas` is not among
    /// them: it is the call's gas limit itself.
    public static func reachesContract(_ name: String) -> Bool {
        let bytes = name.utf8
        return ["content-type", "accept", "weft-dir"].contains { bytes.elementsEqual($0.utf8) }
            || bytes.starts(with: "weft-arg-".utf8)
    }
}
