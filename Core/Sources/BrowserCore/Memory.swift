// How bytes come into the module and out of it. The page allocates its arguments with
// `weft_allocate`, and frees them and every reply with `weft_free`.
//
// Several modules are linked from this target. What they export is told by the files: those of
// `Contracts/` make weft-contracts.wasm, those of `Content/` weft-content.wasm, those of `Types/`
// weft-types.wasm, and this one is in all.

import CFreestanding
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

/// A copy of an argument.
func bytes(_ argument: UnsafeRawPointer?, _ count: UInt32) -> [UInt8] {
    let argument = unsafe UnsafeRawBufferPointer(start: argument, count: Int(count))
    return [UInt8](unsafe argument.bytes)
}

/// Runs `body` over an argument, and lays out what it answers: four bytes that are zero for an
/// answer and one for an error, four bytes of length, and then the answer or the error's text.
/// Integers have their least significant byte first. Null when there is no memory left.
func reply<Failure: Error & CustomStringConvertible>(
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
