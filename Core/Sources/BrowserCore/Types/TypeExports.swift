// weft-types.wasm: what a file is, as a node's gateway says it. Pages load it when a name does not
// tell.

import IPLD
import Wire

/// The media type of a file with this name, which may be empty, and these first bytes.
@c(weft_media_type)
public func mediaType(
    _ name: UnsafeRawPointer?, _ nameCount: UInt32, _ head: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    let name = unsafe String(decoding: bytes(name, nameCount), as: UTF8.self)
    let head = unsafe bytes(head, count)
    return unsafe reply(to: nil, 0) { _ throws(DecodeError) in
        Array(MediaType.of(name: name, head: head).utf8)
    }
}
