// The functions that the WebAssembly module exports to its host: formats and verification over
// byte buffers. The host allocates its arguments with `weft_allocate`, and frees them and every
// reply with `weft_free`.

import CFreestanding
import IPLD
import Multiformats
import WasmRules
import Wire

/// Memory of `count` bytes for an argument; null when there is none left.
@c(weft_allocate)
public func allocate(_ count: UInt32) -> UnsafeMutableRawPointer? {
    guard count <= UInt32(Int32.max) else { return nil }
    return UnsafeMutableRawPointer.allocate(byteCount: max(1, Int(count)), alignment: 16)
}

/// Gives back an argument or a reply.
@c(weft_free)
public func free(_ pointer: UnsafeMutableRawPointer?) {
    unsafe pointer?.deallocate()
}

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

/// A contract's module, checked and instrumented for the browser's engine, after the gas that
/// making an instance of it costs (8 bytes).
@c(weft_contract_instrument)
public func instrumentContract(
    _ module: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: module, count) { module throws(WasmRefusal) in
        let instrumented = try InstrumentedModule([UInt8](module))
        var answer: [UInt8] = []
        answer.appendLittleEndian(UInt64(instrumented.instantiationGas))
        return answer + instrumented.bytes
    }
}

/// Runs `body` over an argument, and lays out what it answers: four bytes that are zero for an
/// answer and one for an error, four bytes of length, and then the answer or the error's text.
/// Integers have their least significant byte first. Null when there is no memory left.
private func reply<Failure: Error & CustomStringConvertible>(
    to argument: UnsafeRawPointer?, _ count: UInt32,
    _ body: (RawSpan) throws(Failure) -> [UInt8]
) -> UnsafeMutableRawPointer? {
    let argument = unsafe UnsafeRawBufferPointer(start: argument, count: Int(count))
    var out: [UInt8] = []
    do throws(Failure) {
        let answer = try body(unsafe argument.bytes)
        out.appendLittleEndian(UInt32(0))
        out.appendLittleEndian(UInt32(answer.count))
        out.append(contentsOf: answer)
    } catch {
        let reason = Array(error.description.utf8)
        out.appendLittleEndian(UInt32(1))
        out.appendLittleEndian(UInt32(reason.count))
        out.append(contentsOf: reason)
    }
    guard let memory = unsafe allocate(UInt32(out.count)) else { return nil }
    unsafe out.withUnsafeBytes {
        unsafe memory.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
    }
    return unsafe memory
}
