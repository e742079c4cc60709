// The two layers of an IPNS record: the protobuf message and the dag-cbor document in it
// (specs.ipfs.tech/ipns/ipns-record, "IPNS record size limit", "Record serialization format").

import Multiformats
import Wire

/// The protobuf message; nil fields are absent.
struct IPNSEntry: Hashable, Sendable {
    var value: [UInt8]?
    var signatureV1: [UInt8]?
    var validityType: UInt64?
    var validity: [UInt8]?
    var sequence: UInt64?
    var ttl: UInt64?
    var publicKey: [UInt8]?
    var signatureV2: [UInt8]?
    var data: [UInt8]?

    init() {}

    /// Decodes a message; fields that are not known are passed over.
    init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= IPNSRecord.maxBytes else {
            throw DecodeError(.overLimit, "ipns: the record is larger than 10 KiB")
        }
        var reader = ByteReader(bytes)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): value = [UInt8](try reader.readDelimited())
            case (2, .bytes): signatureV1 = [UInt8](try reader.readDelimited())
            case (3, .varint): validityType = try reader.readProtobufVarint()
            case (4, .bytes): validity = [UInt8](try reader.readDelimited())
            case (5, .varint): sequence = try reader.readProtobufVarint()
            case (6, .varint): ttl = try reader.readProtobufVarint()
            case (7, .bytes): publicKey = [UInt8](try reader.readDelimited())
            case (8, .bytes): signatureV2 = [UInt8](try reader.readDelimited())
            case (9, .bytes): data = [UInt8](try reader.readDelimited())
            case (1...9, _):
                throw reader.error(.malformed, "ipns: a field of the wrong type")
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        if let value { out.appendField(1, bytes: value) }
        if let signatureV1 { out.appendField(2, bytes: signatureV1) }
        if let validityType { out.appendField(3, varint: validityType) }
        if let validity { out.appendField(4, bytes: validity) }
        if let sequence { out.appendField(5, varint: sequence) }
        if let ttl { out.appendField(6, varint: ttl) }
        if let publicKey { out.appendField(7, bytes: publicKey) }
        if let signatureV2 { out.appendField(8, bytes: signatureV2) }
        if let data { out.appendField(9, bytes: data) }
        return out
    }
}

/// The signed document.
struct IPNSDocument {
    let value: [UInt8]
    let validity: [UInt8]
    let sequence: UInt64
    /// In nanoseconds.
    let ttl: UInt64

    init(value: [UInt8], validity: [UInt8], sequence: UInt64, ttl: UInt64) {
        self.value = value
        self.validity = validity
        self.sequence = sequence
        self.ttl = ttl
    }

    /// Decodes canonical dag-cbor; keys that are not known are passed over.
    init(decoding bytes: RawSpan) throws(DecodeError) {
        let document = try DagCBOR.decode(bytes)
        guard case .bytes(let value) = document["Value"],
            case .bytes(let validity) = document["Validity"],
            let sequence = document.unsigned("Sequence"), let ttl = document.unsigned("TTL"),
            let validityType = document.unsigned("ValidityType")
        else {
            throw DecodeError(.malformed, "ipns: the signed document lacks a field")
        }
        guard validityType == 0 else {
            throw DecodeError(.unsupported, "ipns: the only known kind of validity is an end")
        }
        self.init(value: value, validity: validity, sequence: sequence, ttl: ttl)
    }

    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.appendCBORHead(5, 5)
        out.appendCBORKey("TTL")
        out.appendCBORHead(0, ttl)
        out.appendCBORKey("Value")
        out.appendCBORHead(2, UInt64(value.count))
        out.append(contentsOf: value)
        out.appendCBORKey("Sequence")
        out.appendCBORHead(0, sequence)
        out.appendCBORKey("Validity")
        out.appendCBORHead(2, UInt64(validity.count))
        out.append(contentsOf: validity)
        out.appendCBORKey("ValidityType")
        out.appendCBORHead(0, 0)
        return out
    }
}

extension Value {
    fileprivate func unsigned(_ key: String) -> UInt64? {
        guard case .integer(let number) = self[key] else { return nil }
        return UInt64(exactly: number)
    }
}

extension [UInt8] {
    fileprivate mutating func appendCBORKey(_ key: String) {
        appendCBORHead(3, UInt64(key.utf8.count))
        append(contentsOf: key.utf8)
    }
}
