// Where peers have signed, so that whoever signs two things at one place of its chain is found out.

public import Multiformats
import Wire

/// The last receipts of many peers.
public struct ForkWatch: Sendable {
    /// The most peers that are watched.
    public static let maxPeers = 4_096
    /// How many receipts of one peer are remembered.
    public static let maxReceipts = 16

    private var receipts: [PeerID: [Receipt]] = [:]
    private var order = Outbox<PeerID>()

    /// A watch that has seen nothing.
    public init() {}

    /// Remembers a receipt, and gives the proof if it contradicts one that is known. Signatures are
    /// looked at only then.
    public mutating func note(_ receipt: Receipt, of peer: PeerID) -> Evidence? {
        guard let entry = receipt.entry(of: peer) else { return nil }
        for known in receipts[peer] ?? [] {
            guard let other = known.entry(of: peer),
                other.position.sequence == entry.position.sequence
            else { continue }
            guard other.hash != entry.hash else { return nil }
            let evidence = Evidence.fork(peer, known, receipt)
            // What is not signed by the peer says nothing about it.
            return (try? evidence.examine()) == .proven ? evidence : nil
        }
        guard receipt.isSigned(by: peer) else { return nil }
        if receipts[peer] == nil {
            if receipts.count >= Self.maxPeers, let oldest = order.popFirst() {
                receipts[oldest] = nil
            }
            order.append(peer)
        }
        receipts[peer, default: []].append(receipt)
        if receipts[peer]?.count ?? 0 > Self.maxReceipts { receipts[peer]?.removeFirst() }
        return nil
    }
}
