// Formats over byte buffers: CIDs, the checking of a block, and its conversion between codecs.

import IPLD
import Multiformats
import Wire

/// The binary form of the CID whose text is given.
@c(weft_cid_parse)
public func parseCID(_ text: UnsafeRawPointer?, _ count: UInt32) -> UnsafeMutableRawPointer? {
    unsafe reply(to: text, count) { text throws(DecodeError) in try CID(utf8: text).bytes }
}

/// The usual text of the CID whose binary form is given, or its version 1 in the multibase whose
/// prefix is not zero.
@c(weft_cid_format)
public func formatCID(
    _ bytes: UnsafeRawPointer?, _ count: UInt32, _ prefix: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: bytes, count) { bytes throws(DecodeError) in
        let cid = try CID(decoding: bytes)
        if prefix == 0 { return Array(cid.description.utf8) }
        guard let base = UInt8(exactly: prefix).flatMap(Multibase.init(prefix:)) else {
            throw DecodeError(.unsupported, "the prefix names no supported multibase")
        }
        return Array(cid.text(in: base).utf8)
    }
}

/// An empty reply if the block hashes to the CID whose binary form is given.
@c(weft_block_verify)
public func verifyBlock(
    _ cid: UnsafeRawPointer?, _ cidCount: UInt32, _ block: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    let block = unsafe UnsafeRawBufferPointer(start: block, count: Int(count))
    return unsafe reply(to: cid, cidCount) { bytes throws(DecodeError) in
        let cid = try CID(decoding: bytes)
        try cid.hash.verify(unsafe block.bytes)
        return []
    }
}

/// A block of one codec, by multicodec number, written in another.
@c(weft_block_convert)
public func convertBlock(
    _ block: UnsafeRawPointer?, _ count: UInt32, _ codec: UInt32, _ target: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: block, count) { bytes throws(DecodeError) in
        let value = try IPLDCodec.decode(bytes, codec: Codec(rawValue: UInt64(codec)))
        do throws(EncodeError) {
            return try IPLDCodec.encode(value, codec: Codec(rawValue: UInt64(target)))
        } catch {
            throw DecodeError(.unsupported, "the value cannot be written in that codec")
        }
    }
}
