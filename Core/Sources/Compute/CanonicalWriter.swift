// The dag-cbor of maps with a fixed set of fields: written at once, field after field. What is
// written is what ``CanonicalReader`` reads.

import IPLD
import Multiformats
import Wire

/// Writes maps whose fields are given in dag-cbor's order: shorter keys first, then by their bytes.
struct CanonicalWriter {
    private(set) var bytes: [UInt8] = []

    /// Begins with a map of so many fields.
    init(fields: Int) {
        bytes.reserveCapacity(256)
        map(fields: fields)
    }

    // MARK: Containers

    /// Begins a map of so many fields, which follow.
    mutating func map(fields: Int) { bytes.appendCBORHead(5, UInt64(fields)) }

    /// Begins a list of so many elements, which follow.
    mutating func list(_ name: StaticString? = nil, count: Int) {
        if let name { key(name) }
        bytes.appendCBORHead(4, UInt64(count))
    }

    /// Writes the key of a field, whose value follows.
    mutating func key(_ name: StaticString) {
        bytes.appendCBORHead(3, UInt64(name.utf8CodeUnitCount))
        name.withUTF8Buffer { unsafe bytes.append(contentsOf: $0) }
    }

    // MARK: Elements of lists, and values whose key is written

    mutating func null() { bytes.append(0xf6) }

    mutating func append(_ number: UInt64) { bytes.appendCBORHead(0, number) }

    mutating func append(_ text: String) {
        bytes.appendCBORHead(3, UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func append(_ data: [UInt8]) {
        bytes.appendCBORHead(2, UInt64(data.count))
        bytes += data
    }

    mutating func append(_ link: CID) { bytes.appendCBORLink(link) }

    // MARK: Fields

    mutating func write(_ name: StaticString, _ number: UInt64) {
        key(name)
        append(number)
    }

    /// Writes null for nil.
    mutating func write(_ name: StaticString, optional number: UInt64?) {
        key(name)
        if let number { append(number) } else { null() }
    }

    /// Writes a number that may be below zero.
    mutating func write(_ name: StaticString, signed number: Int64) {
        key(name)
        bytes.appendCBORHead(
            number < 0 ? 1 : 0, number < 0 ? UInt64(-1 - number) : UInt64(number))
    }

    mutating func write(_ name: StaticString, _ text: String) {
        key(name)
        append(text)
    }

    mutating func write(_ name: StaticString, _ data: [UInt8]) {
        key(name)
        append(data)
    }

    mutating func write(_ name: StaticString, _ link: CID) {
        key(name)
        append(link)
    }

    mutating func write(_ name: StaticString, _ links: [CID]) {
        list(name, count: links.count)
        for link in links { append(link) }
    }

    mutating func write(_ name: StaticString, _ body: CallBody) {
        key(name)
        switch body {
        case .inline(let data): append(data)
        case .content(let link): append(link)
        }
    }

    mutating func write(_ name: StaticString, _ headers: CallHeaders) {
        list(name, count: headers.fields.count)
        for field in headers.fields {
            bytes.appendCBORHead(4, 2)
            append(field.name)
            append(field.value)
        }
    }

    /// Writes a value whose dag-cbor is known.
    mutating func write(_ name: StaticString, encoded: [UInt8]) {
        key(name)
        bytes += encoded
    }
}
