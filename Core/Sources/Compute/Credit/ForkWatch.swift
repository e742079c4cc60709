// Where peers have signed, so that whoever signs two things at one place of its chain is found out.

public import Multiformats
import Wire

/// The last receipts of many peers.
public struct ForkWatch: Sendable {
    /// The most peers that are watched.
    public static let maxPeers = 4_096
    /// How many receipts of one peer are remembered.
    public static let maxReceipts = 16

    private let maxPeers: Int
    private var receipts = [PeerID: [Receipt]]()
    /// The peers, and whose turn it is to be forgotten.
    private var peers: [PeerID] = []
    private var oldest = 0

    /// A watch that has seen nothing.
    public init(maxPeers: Int = ForkWatch.maxPeers) { self.maxPeers = maxPeers }

    /// Whether it has seen nothing.
    public var isEmpty: Bool { peers.isEmpty }

    /// What a known receipt of a peer makes of a new one.
    enum Comparison {
        /// Nothing is known of its place.
        case new
        /// The same is known, or what contradicts it is not signed by the peer.
        case nothing
        /// The proof that the peer has signed two.
        case fork(Evidence)
    }

    /// Compares a receipt with what is known. Signatures are looked at only if they contradict.
    func compare(_ receipt: Receipt, of peer: PeerID) -> Comparison {
        guard let entry = receipt.entry(of: peer) else { return .nothing }
        for known in receipts[peer] ?? [] {
            guard let other = known.entry(of: peer),
                other.position.sequence == entry.position.sequence
            else { continue }
            guard other.hash != entry.hash else { return .nothing }
            let evidence = Evidence.fork(peer, known, receipt)
            // What is not signed by the peer says nothing about it.
            return (try? evidence.examine()) == .proven ? .fork(evidence) : .nothing
        }
        return .new
    }

    /// Remembers a receipt that the peer has signed.
    mutating func add(_ receipt: Receipt, of peer: PeerID) {
        if receipts[peer] == nil {
            if peers.count >= maxPeers {
                receipts[peers[oldest]] = nil
                peers[oldest] = peer
                oldest = (oldest + 1) % maxPeers
            } else {
                peers.append(peer)
            }
        }
        receipts[peer, default: []].append(receipt)
        if receipts[peer]?.count ?? 0 > Self.maxReceipts { receipts[peer]?.removeFirst() }
    }

    /// Remembers a receipt, and gives the proof if it contradicts one that is known.
    public mutating func note(_ receipt: Receipt, of peer: PeerID) -> Evidence? {
        switch compare(receipt, of: peer) {
        case .fork(let evidence): return evidence
        case .nothing: return nil
        case .new:
            if receipt.isSigned(by: peer) { add(receipt, of: peer) }
            return nil
        }
    }

    /// Remembers a receipt whose signature was looked at when it was kept.
    mutating func recall(_ receipt: Receipt, of peer: PeerID) {
        if case .new = compare(receipt, of: peer) { add(receipt, of: peer) }
    }

    /// Some of the receipts, drawn at random, none of them of `peer`.
    func sample(
        _ count: Int, without peer: PeerID, random: inout some RandomNumberGenerator
    ) -> [Receipt] {
        guard !peers.isEmpty else { return [] }
        var sample: [Receipt] = []
        for _ in 0..<count {
            let owner = peers[random.below(peers.count)]
            guard owner != peer, let known = receipts[owner], !known.isEmpty else { continue }
            let receipt = known[random.below(known.count)]
            if !sample.contains(receipt) { sample.append(receipt) }
        }
        return sample
    }
}

extension RandomNumberGenerator {
    /// A number from 0 up to, but not with, `count`.
    mutating func below(_ count: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(count)).high)
    }
}
