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
        /// Its network has as many older ones as are its share.
        let isBeyondShare: Bool
        /// One of several to a peer, and not the one that carries its streams.
        let isNeeded: Bool
        let worth: Worth
        let isBusy: Bool
        /// We wanted it.
        let isOurs: Bool
        let lastUse: Instant
        let number: UInt64

        private var order: (Int, Int, Int, Int, Int) {
            (
                isBeyondShare ? 0 : 1, isNeeded ? 1 : 0, worth.rawValue, isBusy ? 1 : 0,
                isOurs ? 1 : 0
            )
        }

        static func < (left: Self, right: Self) -> Bool {
            if left.order != right.order { return left.order < right.order }
            if left.lastUse != right.lastUse { return left.lastUse < right.lastUse }
            return left.number < right.number
        }
    }

    /// The connections of peers that are not protected, the least useful first.
    func leastUseful(
        protected: Set<PeerID>, share: Int, worth: (PeerID) -> Worth,
        among isCandidate: (Entry) -> Bool = { _ in true }
    ) -> [Entry] {
        var weighed: [(weight: Weight, entry: Entry)] = []
        var seen: [Network: Int] = [:]
        for entry in all {
            if let network = entry.network { seen[network, default: 0] += 1 }
            let peer = entry.facts.peer
            guard isCandidate(entry), !protected.contains(peer) else { continue }
            let weight = Weight(
                isBeyondShare: entry.network.map { seen[$0, default: 0] > share } ?? false,
                isNeeded: best(to: peer, limited: .allowed)?.number == entry.number,
                worth: worth(peer), isBusy: entry.streams > 0,
                isOurs: entry.facts.direction == .outbound, lastUse: entry.lastUse,
                number: entry.number)
            weighed.append((weight, entry))
        }
        return weighed.sorted { $0.weight < $1.weight }.map { $0.entry }
    }

    /// The network with the most connections, if these are more than its share, and than one who
    /// comes from `network` would have with it.
    func crowd(beyond share: Int, besides network: Network?) -> Network? {
        let most = all.lazy.compactMap { $0.network }.max { count(in: $0) < count(in: $1) }
        let own = network.map { count(in: $0) } ?? 0
        return most.flatMap { count(in: $0) > max(share, own + 1) ? $0 : nil }
    }
}
