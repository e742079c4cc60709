// The dag-cbor of maps that are made for each call: written at once, field after field, where
// ``CanonicalMap/encode(_:)`` would build a tree of values first.

import IPLD
import Multiformats
import Wire

/// Writes one map whose fields are given in dag-cbor's order: shorter keys first, then by their
/// bytes.
struct CanonicalWriter {
    private(set) var bytes: [UInt8] = []

    init(fields: Int) {
        bytes.reserveCapacity(256)
        bytes.appendCBORHead(5, UInt64(fields))
    }

    mutating func write(_ key: String, _ number: UInt64) {
        append(key)
        bytes.appendCBORHead(0, number)
    }

    mutating func write(_ key: String, _ text: String) {
        append(key)
        append(text)
    }

    mutating func write(_ key: String, _ data: [UInt8]) {
        append(key)
        append(data)
    }

    mutating func write(_ key: String, _ link: CID) {
        append(key)
        bytes.appendCBORLink(link)
    }

    mutating func write(_ key: String, _ links: [CID]) {
        append(key)
        bytes.appendCBORHead(4, UInt64(links.count))
        for link in links { bytes.appendCBORLink(link) }
    }

    mutating func write(_ key: String, _ body: CallBody) {
        append(key)
        switch body {
        case .inline(let data): append(data)
        case .content(let link): bytes.appendCBORLink(link)
        }
    }

    mutating func write(_ key: String, _ headers: CallHeaders) {
        append(key)
        bytes.appendCBORHead(4, UInt64(headers.fields.count))
        for field in headers.fields {
            bytes.appendCBORHead(4, 2)
            append(field.name)
            append(field.value)
        }
    }

    /// Writes a value whose dag-cbor is known.
    mutating func write(_ key: String, encoded: [UInt8]) {
        append(key)
        bytes += encoded
    }

    private mutating func append(_ text: String) {
        bytes.appendCBORHead(3, UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func append(_ data: [UInt8]) {
        bytes.appendCBORHead(2, UInt64(data.count))
        bytes += data
    }
}
