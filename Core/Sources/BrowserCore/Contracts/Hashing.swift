// The hash that identities of calls are made with.

import Cryptography
import Wire

/// The SHA2-256 of bytes.
@c(weft_hash)
public func hash(_ bytes: UnsafeRawPointer?, _ count: UInt32) -> UnsafeMutableRawPointer? {
    unsafe reply(to: bytes, count) { bytes throws(DecodeError) in SHA256.hash(bytes) }
}
