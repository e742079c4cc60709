// Whoever signs two receipts for one place of its chain shows one of them to some and the other to
// others. So peers show each other, now and then and at random, what receipts they know.

import Multiformats
import Wire

/// When receipts are shown to whom, and when those of others are looked at.
struct ReceiptExchange: Sendable {
    /// How often this node shows some to somebody.
    static let interval: Duration = .seconds(60)
    /// How often those of one peer are looked at: each costs two signatures.
    static let patience: Duration = .seconds(20)
    /// The most peers whose last time is remembered.
    static let maxPeers = 1_024

    private(set) var next: Instant?
    private var heard = [PeerID: Instant]()

    /// There is somebody to show some to.
    mutating func begin(now: Instant) { next = next ?? now + Self.interval }

    /// Whether it is time to show some. As long as there is nobody to show them to, no time comes.
    mutating func isDue(at now: Instant, hasNeighbours: Bool) -> Bool {
        guard let due = next, due <= now else { return false }
        next = hasNeighbours ? now + Self.interval : nil
        return hasNeighbours
    }

    /// Whether what a peer shows is looked at: not if it did so a moment ago.
    mutating func mayTake(from peer: PeerID, now: Instant) -> Bool {
        if let last = heard[peer], now.since(last) < Self.patience { return false }
        if heard.count >= Self.maxPeers {
            heard = heard.filter { now.since($0.value) < Self.patience }
            guard heard.count < Self.maxPeers else { return false }
        }
        heard[peer] = now
        return true
    }
}
