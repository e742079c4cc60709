// Maps of dag-cbor with a fixed set of fields, as everything here is written that is hashed or
// signed: one encoding per value, no field that is not known.

import IPLD
import Multiformats
import Wire

/// A map that has exactly the fields that are asked of it.
struct CanonicalMap {
    private let entries: [Value.Entry]

    /// Takes a map of so many fields. Since each of them is asked for, no other can be there.
    init(_ value: Value, fields: Int) throws(DecodeError) {
        guard case .map(let entries) = value, entries.count == fields else {
            throw DecodeError(.malformed, "compute: not a map with the fields of its kind")
        }
        self.entries = entries
    }

    func value(_ key: String) throws(DecodeError) -> Value {
        for entry in entries where entry.key.utf8.count == key.utf8.count {
            if entry.key.utf8.elementsEqual(key.utf8) { return entry.value }
        }
        throw DecodeError(.malformed, "compute: a field is missing")
    }

    func link(_ key: String) throws(DecodeError) -> CID {
        guard case .link(let cid) = try value(key), cid.version == .v1 else {
            throw DecodeError(.malformed, "compute: not a link of version 1")
        }
        return cid
    }

    func text(_ key: String) throws(DecodeError) -> String {
        guard case .string(let text) = try value(key) else {
            throw DecodeError(.malformed, "compute: not a text")
        }
        return text
    }

    func bytes(_ key: String, count: ClosedRange<Int>) throws(DecodeError) -> [UInt8] {
        guard case .bytes(let bytes) = try value(key), count.contains(bytes.count) else {
            throw DecodeError(.malformed, "compute: not bytes of the right number")
        }
        return bytes
    }

    func number(_ key: String, upTo limit: UInt64) throws(DecodeError) -> UInt64 {
        guard case .integer(let number) = try value(key), 0...Int128(limit) ~= number else {
            throw DecodeError(.malformed, "compute: not a number in its range")
        }
        return UInt64(number)
    }

    func list(_ key: String, upTo limit: Int) throws(DecodeError) -> [Value] {
        guard case .list(let elements) = try value(key), elements.count <= limit else {
            throw DecodeError(.malformed, "compute: not a list, or too long")
        }
        return elements
    }

    /// A list of links, all of version 1.
    func links(_ key: String, upTo limit: Int) throws(DecodeError) -> [CID] {
        var links: [CID] = []
        for element in try list(key, upTo: limit) {
            guard case .link(let cid) = element, cid.version == .v1 else {
                throw DecodeError(.malformed, "compute: not a list of links of version 1")
            }
            links.append(cid)
        }
        return links
    }

    /// The dag-cbor of a value that is built here of whole numbers, texts, bytes, links, lists and
    /// maps whose keys differ, for which there always is one. It takes half of the time for maps
    /// whose entries are in dag-cbor's order.
    static func encode(_ value: Value) -> [UInt8] {
        do throws(EncodeError) {
            return try DagCBOR.encode(value)
        } catch {
            preconditionFailure("a value that is built here can be encoded")
        }
    }
}
