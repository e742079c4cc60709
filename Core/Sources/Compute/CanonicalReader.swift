// Maps of dag-cbor with a fixed set of fields, as everything here is written that is hashed or
// signed. There is one encoding per value: so the fields are read in the order in which
// ``CanonicalWriter`` writes them, and nothing else can be there. No tree of values is made.

import IPLD
import Multiformats
import Wire

/// Reads canonical dag-cbor, field after field, without copying more than what is wanted.
struct CanonicalReader: ~Escapable, ~Copyable {
    private var reader: ByteReader

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) { reader = ByteReader(bytes) }

    // MARK: Containers

    /// Enters a map of so many fields, all of which are to be read.
    @_lifetime(self: copy self)
    mutating func map(fields: Int) throws(DecodeError) {
        guard try argument(of: 5) == UInt64(fields) else {
            throw reader.error(.malformed, "compute: not a map with the fields of its kind")
        }
    }

    /// Enters a list; gives how many elements are to be read.
    @_lifetime(self: copy self)
    mutating func list(
        _ name: StaticString? = nil, upTo limit: Int
    ) throws(DecodeError) -> Int {
        if let name { try key(name) }
        let count = try argument(of: 4)
        guard count <= UInt64(limit), count <= UInt64(reader.remaining) else {
            throw reader.error(.malformed, "compute: a list is too long")
        }
        return Int(count)
    }

    /// Passes over the key of the next field.
    @_lifetime(self: copy self)
    mutating func key(_ name: StaticString) throws(DecodeError) {
        let key = try string(of: 3)
        guard unsafe key.withUnsafeBytes({ unsafe name.isWritten(as: $0) }) else {
            throw reader.error(.malformed, "compute: a field is missing, or not in its place")
        }
    }

    /// All has been read.
    @_lifetime(self: copy self)
    mutating func end() throws(DecodeError) {
        guard reader.isAtEnd else {
            throw reader.error(.malformed, "compute: there are bytes after the value")
        }
    }

    // MARK: Values, of a field if it is named, else of a list

    /// Whether null comes next, which is passed over.
    @_lifetime(self: copy self)
    mutating func null(_ name: StaticString? = nil) throws(DecodeError) -> Bool {
        if let name { try key(name) }
        guard reader.peek == 0xf6 else { return false }
        try reader.skip(1)
        return true
    }

    @_lifetime(self: copy self)
    mutating func number(
        _ name: StaticString? = nil, upTo limit: UInt64 = .max
    ) throws(DecodeError) -> UInt64 {
        if let name { try key(name) }
        let number = try argument(of: 0)
        guard number <= limit else {
            throw reader.error(.malformed, "compute: a number exceeds its range")
        }
        return number
    }

    /// A number that may be below zero.
    @_lifetime(self: copy self)
    mutating func signed(_ name: StaticString? = nil) throws(DecodeError) -> Int64 {
        if let name { try key(name) }
        let isNegative = reader.peek.map { $0 >> 5 == 1 } ?? false
        let number = try argument(of: isNegative ? 1 : 0)
        guard number <= UInt64(Int64.max) else {
            throw reader.error(.malformed, "compute: a number exceeds its range")
        }
        return isNegative ? -1 - Int64(number) : Int64(number)
    }

    @_lifetime(self: copy self)
    mutating func text(_ name: StaticString? = nil) throws(DecodeError) -> String {
        if let name { try key(name) }
        guard let text = String(utf8: try string(of: 3)) else {
            throw reader.error(.malformed, "compute: a text is not UTF-8")
        }
        return text
    }

    @_lifetime(self: copy self)
    mutating func bytes(
        _ name: StaticString? = nil, count: ClosedRange<Int>
    ) throws(DecodeError) -> [UInt8] {
        if let name { try key(name) }
        let bytes = try string(of: 2)
        guard count.contains(bytes.byteCount) else {
            throw reader.error(.malformed, "compute: not bytes of the right number")
        }
        return [UInt8](bytes)
    }

    @_lifetime(self: copy self)
    mutating func peer(_ name: StaticString? = nil) throws(DecodeError) -> PeerID {
        if let name { try key(name) }
        return try PeerID(decoding: try string(of: 2))
    }

    /// A link of version 1.
    @_lifetime(self: copy self)
    mutating func link(_ name: StaticString? = nil) throws(DecodeError) -> CID {
        if let name { try key(name) }
        guard try argument(of: 6) == 42 else {
            throw reader.error(.malformed, "compute: not a link")
        }
        let cid = try CID(cborLink: try string(of: 2))
        guard cid.version == .v1 else {
            throw reader.error(.malformed, "compute: not a link of version 1")
        }
        return cid
    }

    /// A list of links.
    @_lifetime(self: copy self)
    mutating func links(
        _ name: StaticString? = nil, upTo limit: Int
    ) throws(DecodeError) -> [CID] {
        let count = try list(name, upTo: limit)
        var links: [CID] = []
        links.reserveCapacity(count)
        for _ in 0..<count { links.append(try link()) }
        return links
    }

    /// Short content, or a link to longer content.
    @_lifetime(self: copy self)
    mutating func body(_ name: StaticString) throws(DecodeError) -> CallBody {
        try key(name)
        return reader.peek.map { $0 >> 5 == 2 } ?? false
            ? .inline(try bytes(count: 0...CallLimits.maxInlineBytes)) : .content(try link())
    }

    @_lifetime(self: copy self)
    mutating func headers(_ name: StaticString) throws(DecodeError) -> CallHeaders {
        let count = try list(name, upTo: CallLimits.maxHeaders)
        var fields: [(name: String, value: String)] = []
        for _ in 0..<count {
            guard try list(upTo: 2) == 2 else {
                throw reader.error(.malformed, "compute: a header is a name and a value")
            }
            fields.append((try text(), try text()))
        }
        do throws(CallFault) {
            return try CallHeaders(canonical: fields)
        } catch {
            throw reader.error(.notCanonical, "compute: headers are sorted and in lower case")
        }
    }

    // MARK: Heads

    /// The argument of an item of this major type, in its shortest form.
    @_lifetime(self: copy self)
    private mutating func argument(of type: UInt8) throws(DecodeError) -> UInt64 {
        if let first = reader.peek, first >> 5 != type {
            throw reader.error(.malformed, "compute: a value is not of its field's type")
        }
        return try reader.readCBORArgument(isShortest: true)
    }

    /// The content of a string of this major type.
    @_lifetime(copy self)
    @_lifetime(self: copy self)
    private mutating func string(of type: UInt8) throws(DecodeError) -> RawSpan {
        let count = try argument(of: type)
        guard count <= UInt64(reader.remaining) else {
            throw reader.error(.truncated, "compute: a string is longer than the input")
        }
        return try reader.readSpan(Int(count))
    }
}

extension StaticString {
    /// Whether these bytes are this text.
    fileprivate func isWritten(as bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count == utf8CodeUnitCount else { return false }
        for place in 0..<bytes.count {
            guard unsafe bytes[place] == utf8Start[place] else { return false }
        }
        return true
    }
}
