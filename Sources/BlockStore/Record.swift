// A block as a segment holds it: ten bytes of header for a sha2-256 block, then its bytes.
//
//     length of the payload   u32, little-endian
//     checksum                u32, little-endian: XXH64 of the payload, bound to the multihash
//     hash function           varint
//     length of the digest    u8
//     payload
//
// The digest is not there: it can be computed from the payload, and the index has it. Because the
// checksum is bound to it, a record cannot be taken for that of another block.

import Cryptography
import IPLD
import Multiformats
import NIOCore
import Wire

enum Record {
    /// The longest header: the function's number takes at most nine bytes.
    static let maxHeaderLength = 18

    static func headerLength(_ hash: Multihash) -> Int {
        9 + Varint.length(of: hash.code.rawValue)
    }

    static func headerLength(_ key: BlockKey) -> Int {
        key.other.isEmpty ? 10 : headerLength(key.multihash)
    }

    /// The bytes that a block takes in a segment.
    static func length(_ key: BlockKey, payload: Int) -> UInt64 {
        UInt64(headerLength(key) + payload)
    }

    static func checksum(_ payload: RawSpan, salt: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: XXH64.hash(payload, seed: salt))
    }

    /// Appends the header of a record.
    static func appendHeader(
        _ hash: Multihash, payload: Int, checksum: UInt32, to out: inout ByteBuffer
    ) {
        out.writeInteger(UInt32(payload), endianness: .little)
        out.writeInteger(checksum, endianness: .little)
        var rest = hash.code.rawValue
        while rest >= 0x80 {
            out.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.writeInteger(UInt8(rest))
        out.writeInteger(UInt8(hash.digest.count))
    }

    /// A header that was read from a segment.
    struct Header {
        let payloadLength: Int
        let checksum: UInt32
        let code: HashCode
        let digestLength: Int
        /// The bytes of the header itself.
        let length: Int
    }

    /// Reads the header at the start of `bytes`; nil if it is cut off or cannot be one.
    static func header(_ bytes: RawSpan) -> Header? {
        var reader = ByteReader(bytes)
        // Whatever is wrong with a header, the caller treats it as damage at this place.
        guard let payload = try? reader.readLittleEndian(UInt32.self),
            let checksum = try? reader.readLittleEndian(UInt32.self),
            let code = try? reader.readVarint(), code != 0,
            let digestLength = try? reader.readByte(),
            payload <= BlockLimits.maxBytes, digestLength <= Multihash.maxDigestLength,
            digestLength > 0
        else { return nil }
        return Header(
            payloadLength: Int(payload), checksum: checksum, code: HashCode(rawValue: code),
            digestLength: Int(digestLength), length: reader.offset)
    }

    /// The payload of the record that fills `record`, if it is the undamaged record of `key`.
    static func payload(of record: ByteBuffer, _ key: BlockKey) -> ByteBuffer? {
        guard let length = soundHeader(of: record.readableBytesSpan, key) else { return nil }
        var payload = record
        payload.moveReaderIndex(forwardBy: length)
        return payload
    }

    /// How long the header of the record that fills `record` is, if it is the undamaged record of
    /// `key`.
    static func soundHeader(of record: RawSpan, _ key: BlockKey) -> Int? {
        guard let header = header(record),
            header.length + header.payloadLength == record.byteCount,
            checksum(record.extracting(header.length...), salt: key.salt) == header.checksum
        else { return nil }
        return header.length
    }

    /// Computes which block a record holds; nil if the payload is damaged.
    static func key(_ header: Header, _ payload: RawSpan) -> BlockKey? {
        guard let full = Multihash(hashing: payload, with: header.code),
            full.digest.count >= header.digestLength
        else { return nil }
        let hash =
            full.digest.count == header.digestLength
            ? full
            : Multihash(code: header.code, digest: Array(full.digest.prefix(header.digestLength)))
        guard checksum(payload, salt: BlockKey.salt(hash)) == header.checksum else { return nil }
        return BlockKey(hash)
    }
}
