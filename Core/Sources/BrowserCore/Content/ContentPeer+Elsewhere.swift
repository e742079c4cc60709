// Blocks that no peer brings: the page asks trustless gateways for them, if it knows any. What they
// send is checked like what a peer sends.

import CFreestanding
import Exchange
import IPLD
import Multiformats
import Wire

/// A block that is asked for elsewhere, for a reading.
struct ElsewhereOrder {
    let number: UInt32
    let reading: UInt32
    let cid: CID
    /// How many of those elsewhere have been asked before.
    let attempt: UInt32
}

extension ContentPeer {
    /// Asks elsewhere for a block, once for each reading. Answers false if nobody else is known, or
    /// all of them have been asked.
    func seekElsewhere(_ cid: CID, for reading: UInt32, _ open: OpenReading) -> Bool {
        guard open.soughtElsewhere.insert(cid.hash).inserted else { return false }
        return askElsewhere(cid, for: reading, attempt: 0)
    }

    private func askElsewhere(_ cid: CID, for reading: UInt32, attempt: UInt32) -> Bool {
        let order = ElsewhereOrder(
            number: elsewhereCount &+ 1, reading: reading, cid: cid, attempt: attempt)
        let name = Array(cid.description.utf8)
        let isAsked = unsafe name.withUnsafeBytes {
            unsafe weft_host_bring(
                order.number, reading, attempt, $0.baseAddress, $0.count) != 0
        }
        guard isAsked else { return false }
        elsewhereCount &+= 1
        elsewhere.append(order)
        return true
    }

    /// Whoever was asked elsewhere has sent a block, with the SHA2-256 of its bytes, or nothing.
    /// Answers false if the bytes are wrong.
    func brought(
        _ number: UInt32, _ bytes: [UInt8]?, sha2_256 digest: [UInt8]?, now: Instant
    ) -> Bool {
        guard let index = elsewhere.firstIndex(where: { $0.number == number }) else { return true }
        let order = elsewhere.remove(at: index)
        guard let open = readings[order.reading] else { return true }
        var block: ReceivedBlock?
        if let bytes {
            block = try? ReceivedBlock(verifying: bytes[...], as: order.cid, sha2_256: digest)
        }
        if let block {
            cache.insert(block.cid.hash, block.bytes)
            DiskBlocks.insert(block.cid.hash, block.bytes)
            if isServing { exchange.stored(block.cid.hash, byteCount: block.bytes.count) }
            open.isElsewhere = true
            arrived(block, order.cid, of: order.reading, now: now)
        } else if !askElsewhere(order.cid, for: order.reading, attempt: order.attempt + 1) {
            open.missing[order.cid.hash] = open.failedInMesh.removeValue(forKey: order.cid.hash)
            // If the peers have not been asked yet, they are now.
            arrived(nil, order.cid, of: order.reading, now: now)
        }
        settle(now: now)
        return block != nil || bytes == nil
    }

    /// Whether a block that is not here is asked for elsewhere before any peer.
    func isElsewhere(_ open: OpenReading) -> Bool {
        open.isElsewhere || !channels.values.contains { $0.peer != nil && $0.carrier == nil }
    }
}
