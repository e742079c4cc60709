// Reading JSON (RFC 8259) as dag-json (ipld.io/specs/codecs/dag-json/spec) or as it is. Order of
// keys and whitespace are free on reading, as the specification asks of decoders.

import Multiformats
import Wire

/// Which reading of JSON is meant.
enum JSONForm {
    /// With links and bytes in the reserved forms.
    case dagJSON
    /// Without.
    case plain
}

/// A parser of one JSON text that fills its input.
struct JSONParser: ~Escapable, ~Copyable {
    private var scanner: JSONScanner
    private let form: JSONForm
    private var builder = ValueBuilder()
    /// The lists and maps that are open, the outermost first.
    private var containers: [Container] = []

    /// What may come next.
    private enum Expectation {
        case value, elementOrEnd, keyOrEnd, key, commaOrEnd
    }

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan, _ form: JSONForm) {
        scanner = JSONScanner(bytes)
        self.form = form
    }

    /// Reads the whole input.
    @_lifetime(self: copy self)
    mutating func parse() throws(DecodeError) -> Value {
        var expectation = Expectation.value
        repeat {
            scanner.skipWhitespace()
            expectation = try step(expectation)
        } while !containers.isEmpty
        scanner.skipWhitespace()
        guard scanner.reader.isAtEnd else {
            throw scanner.reader.error(.malformed, "json: there are bytes after the value")
        }
        return builder.result
    }

    @_lifetime(self: copy self)
    private mutating func step(_ expectation: Expectation) throws(DecodeError) -> Expectation {
        guard let next = scanner.reader.peek else {
            throw scanner.reader.error(.truncated, "json: the input ends before the value")
        }
        switch (expectation, next) {
        case (.elementOrEnd, UInt8(ascii: "]")), (.keyOrEnd, UInt8(ascii: "}")):
            return try close()
        case (.commaOrEnd, UInt8(ascii: "]")) where containers.last == .list,
            (.commaOrEnd, UInt8(ascii: "}")) where containers.last == .map:
            return try close()
        case (.commaOrEnd, UInt8(ascii: ",")):
            try scanner.reader.skip(1)
            return containers.last == .map ? .key : .value
        case (.commaOrEnd, _):
            throw scanner.reader.error(.malformed, "json: a comma or an end is missing")
        case (.key, _), (.keyOrEnd, _):
            builder.addKey(try scanner.readString())
            scanner.skipWhitespace()
            try scanner.expect(UInt8(ascii: ":"))
            return .value
        case (.value, UInt8(ascii: "[")), (.elementOrEnd, UInt8(ascii: "[")):
            try open(.list)
            return .elementOrEnd
        case (.value, UInt8(ascii: "{")), (.elementOrEnd, UInt8(ascii: "{")):
            try open(.map)
            return .keyOrEnd
        case (.value, _), (.elementOrEnd, _):
            builder.add(try scanner.readScalar())
            return .commaOrEnd
        }
    }

    @_lifetime(self: copy self)
    private mutating func open(_ container: Container) throws(DecodeError) {
        guard containers.count < Value.maxDepth else {
            throw scanner.reader.error(.overLimit, "json: lists and maps lie too deep")
        }
        try scanner.reader.skip(1)
        containers.append(container)
        builder.open(container)
    }

    @_lifetime(self: copy self)
    private mutating func close() throws(DecodeError) -> Expectation {
        let container = builder.takeLast()
        if case .map(let entries) = container {
            guard Value.haveUniqueKeys(entries) else {
                throw scanner.reader.error(.malformed, "json: a map key is repeated")
            }
            builder.add(form == .dagJSON ? try resolveReserved(entries) : container)
        } else {
            builder.add(container)
        }
        try scanner.reader.skip(1)
        containers.removeLast()
        return .commaOrEnd
    }

    /// The link or bytes that a map of the reserved namespace stands for, or the map itself.
    private func resolveReserved(_ entries: [Value.Entry]) throws(DecodeError) -> Value {
        guard let form = DagJSON.ReservedForm(entries) else { return .map(entries) }
        switch form {
        case .link(let text):
            guard let cid = DagJSON.link(text) else {
                throw scanner.reader.error(
                    .malformed, "dag-json: a link is not a CID in base58 (v0) or base32 (v1)")
            }
            return .link(cid)
        case .bytes(let text):
            guard let bytes = DagJSON.bytes(text) else {
                throw scanner.reader.error(
                    .malformed, "dag-json: bytes are not base64 without padding")
            }
            return .bytes(bytes)
        case .invalid:
            throw scanner.reader.error(
                .malformed, "dag-json: a map in the reserved form of a link or bytes has more keys")
        }
    }
}
