// Which connections go first when there are too many.

import Multiformats
import Wire

extension ConnectionTable {
    /// How much a peer is worth to this node; a later case is more.
    enum Worth: Int, Comparable, Sendable {
        /// Nothing is known for it.
        case stranger
        /// It said who it is.
        case known
        /// Blocks went back and forth not long ago.
        case partner

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// What a connection is weighed by. The first to go is the least.
    private struct Weight: Comparable {
        /// One of several to a peer, and not the one that carries its streams.
        let isNeeded: Bool
        let worth: Worth
        let isBusy: Bool
        /// We wanted it.
        let isOurs: Bool
        let lastUse: Instant
        let number: UInt64

        private var order: (Int, Int, Int, Int) {
            (isNeeded ? 1 : 0, worth.rawValue, isBusy ? 1 : 0, isOurs ? 1 : 0)
        }

        static func < (left: Self, right: Self) -> Bool {
            if left.order != right.order { return left.order < right.order }
            if left.lastUse != right.lastUse { return left.lastUse < right.lastUse }
            return left.number < right.number
        }
    }

    /// The connections of peers that are not protected, the least useful first.
    func leastUseful(
        protected: Set<PeerID>, worth: (PeerID) -> Worth,
        among isCandidate: (Entry) -> Bool = { _ in true }
    ) -> [Entry] {
        var weighed: [(weight: Weight, entry: Entry)] = []
        for entry in all {
            let peer = entry.facts.peer
            guard isCandidate(entry), !protected.contains(peer) else { continue }
            let weight = Weight(
                isNeeded: best(to: peer, limited: .allowed)?.number == entry.number,
                worth: worth(peer), isBusy: entry.streams > 0,
                isOurs: entry.facts.direction == .outbound, lastUse: entry.lastUse,
                number: entry.number)
            weighed.append((weight, entry))
        }
        return weighed.sorted { $0.weight < $1.weight }.map { $0.entry }
    }
}
