// What the browser answers later: digests, and blocks from disk.

import CFreestanding
import Wire

/// The browser has computed a SHA2-256 digest that `weft_host_hash` asked for; none if it failed.
@c(weft_hashed)
public func hashed(
    _ number: UInt32, _ digest: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) {
    let digest = unsafe UnsafeRawBufferPointer(start: digest, count: Int(count))
    unsafe page?.hashed(number, [UInt8](unsafe digest.bytes), now: instant(now))
    unsafe page?.settle(now: instant(now))
    drain()
}

/// The page has read a block that `weft_host_load` asked for, and the SHA2-256 of its bytes, of 32
/// bytes; without that it is not there any more.
@c(weft_read_from_disk)
public func loaded(
    _ number: UInt32, _ digest: UnsafeRawPointer?, _ digestCount: UInt32,
    _ bytes: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) {
    let digest = unsafe UnsafeRawBufferPointer(start: digest, count: Int(digestCount))
    let bytes = unsafe UnsafeRawBufferPointer(start: bytes, count: Int(count))
    let isThere = digestCount == 32
    unsafe page?.loaded(
        number, isThere ? [UInt8](unsafe bytes.bytes) : nil,
        sha2_256: [UInt8](unsafe digest.bytes), now: instant(now))
    drain()
}

func askForHash(_ number: UInt32, _ bytes: ArraySlice<UInt8>) -> Bool {
    unsafe bytes.withUnsafeBytes { unsafe weft_host_hash(number, $0.baseAddress, $0.count) != 0 }
}

/// Whoever `weft_host_bring` has asked has sent a block, and the browser may have computed the
/// SHA2-256 of its bytes; or nothing, if `isThere` is zero. Zero if the bytes are wrong.
@c(weft_brought)
public func brought(
    _ number: UInt32, _ isThere: UInt32, _ digest: UnsafeRawPointer?, _ digestCount: UInt32,
    _ block: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) -> UInt32 {
    defer { drain() }
    let isRight = unsafe page?.brought(
        number, isThere != 0 ? bytes(block, count) : nil,
        sha2_256: digestCount == 32 ? bytes(digest, digestCount) : nil, now: instant(now))
    return isRight == false ? 0 : 1
}
