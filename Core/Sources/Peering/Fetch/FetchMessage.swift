// What is sent in the fetch protocol (github.com/libp2p/specs, fetch).

import Wire

/// A question for the value under a key.
struct FetchRequest: Hashable, Sendable {
    /// The longest key, in bytes.
    static let maxKeyBytes = 1_024

    let key: [UInt8]

    init(_ key: [UInt8]) { self.key = key }

    init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var key: [UInt8] = []
        while let tag = try reader.readTag() {
            guard tag == ProtobufTag(1, .bytes) else {
                try reader.skipValue(of: tag.wireType)
                continue
            }
            let value = try reader.readDelimited()
            guard value.byteCount <= Self.maxKeyBytes else {
                throw reader.error(.overLimit, "fetch: the key is too long")
            }
            key = [UInt8](value)
        }
        self.key = key
    }

    var encoded: [UInt8] {
        var out: [UInt8] = []
        out.appendField(1, bytes: key)
        return out
    }
}

/// The answer to a ``FetchRequest``.
enum FetchResponse: Hashable, Sendable {
    case value([UInt8])
    case notFound
    /// The peer could not look, for a reason that it does not say.
    case failed

    init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var status: UInt64 = 0
        var value: [UInt8] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): status = try reader.readProtobufVarint()
            case (2, .bytes): value = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        switch status {
        case 0: self = .value(value)
        case 1: self = .notFound
        default: self = .failed
        }
    }

    var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .value(let bytes): out.appendField(2, bytes: bytes)
        case .notFound: out.appendField(1, varint: 1)
        case .failed: out.appendField(1, varint: 2)
        }
        return out
    }
}
