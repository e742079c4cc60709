// Blocks that the page keeps on disk. The page knows which these are, and brings their bytes when a
// reading comes to them; they are checked like what a peer sends.

import CFreestanding
import IPLD
import Multiformats
import Wire

/// What the page keeps on disk.
enum DiskBlocks {
    /// Whether a block is there.
    static func contains(_ hash: Multihash) -> Bool {
        unsafe hash.bytes.withUnsafeBytes {
            unsafe weft_host_stored($0.baseAddress, $0.count) != 0
        }
    }

    /// Keeps a block that has been checked.
    static func insert(_ hash: Multihash, _ bytes: ArraySlice<UInt8>) {
        unsafe hash.bytes.withUnsafeBytes { hash in
            unsafe bytes.withUnsafeBytes {
                unsafe weft_host_store(hash.baseAddress, hash.count, $0.baseAddress, $0.count)
            }
        }
    }

    /// Forgets a block whose bytes are wrong.
    static func remove(_ hash: Multihash) {
        unsafe hash.bytes.withUnsafeBytes { unsafe weft_host_unstore($0.baseAddress, $0.count) }
    }

    /// Has the page read a block, and tell of it by ``ContentPeer/loaded(_:_:_:now:)``.
    static func load(_ number: UInt32, _ hash: Multihash) {
        unsafe hash.bytes.withUnsafeBytes {
            unsafe weft_host_load(number, $0.baseAddress, $0.count)
        }
    }
}

/// A block that is being read from disk for a reading.
struct DiskLoad {
    let number: UInt32
    let reading: UInt32
    let cid: CID
}

extension ContentPeer {
    /// Begins to read a block from disk for a reading; false if it is not there.
    func load(_ cid: CID, for reading: UInt32) -> Bool {
        guard DiskBlocks.contains(cid.hash) else { return false }
        loadCount &+= 1
        loads.append(DiskLoad(number: loadCount, reading: reading, cid: cid))
        DiskBlocks.load(loadCount, cid.hash)
        return true
    }

    /// A block has been read from disk, and hashed; nil if it is not there any more.
    func loaded(_ number: UInt32, _ bytes: [UInt8]?, sha2_256 digest: [UInt8], now: Instant) {
        guard let index = loads.firstIndex(where: { $0.number == number }) else { return }
        let load = loads.remove(at: index)
        var block: ReceivedBlock?
        if let bytes {
            block = try? ReceivedBlock(verifying: bytes[...], as: load.cid, sha2_256: digest)
            if block == nil { DiskBlocks.remove(load.cid.hash) }
        }
        if let block { cache.insert(load.cid.hash, block.bytes) }
        arrived(block, load.cid, of: load.reading, now: now)
        settle(now: now)
    }
}
