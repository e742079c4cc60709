// What a page is told of whom blocks came from, and who was given some.

import Exchange
import IPLD
import Multiformats

extension ContentPeer {
    /// Blocks came from a peer.
    func tellArrival(
        of blocks: [ReceivedBlock], from peer: PeerID, in session: WantTable.SessionID?
    ) {
        let count = blocks.reduce(0) { $0 + $1.bytes.count }
        guard count > 0 else { return }
        tell(.arrived(session.flatMap { reading(of: $0) } ?? 0, peer, byteCount: count))
    }

    /// Blocks go to the peer of a channel.
    func tellGift(of count: Int, on channel: PageChannel) {
        traffic.served += UInt64(count)
        guard count > 0, let peer = channel.peer else { return }
        tell(.gave(peer, byteCount: count))
    }
}
