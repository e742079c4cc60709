public import Multiformats

/// An order to find out which blocks are in the store, and how long they are. It reads no block.
///
/// Whoever carries it out answers with one number of bytes for each CID, or nil for a block that is
/// not there or not to be given to this peer.
public struct LookUp: Hashable, Sendable {
    /// The number that the answer repeats.
    public let id: UInt64
    /// Who asks.
    public let peer: PeerID
    /// What is asked for, in order.
    public let cids: [CID]
}
