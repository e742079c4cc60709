// Who is said to run a contract, as the DHT has it: asked once for all calls that wait for it, and
// remembered for a while. The search itself is the owner's.

import Multiformats
import Wire

/// Searches for responders, and what earlier ones came to.
struct ResponderSearch: Sendable {
    /// What is known of who runs a contract.
    enum Finding: Hashable, Sendable {
        /// Nothing: somebody has to be asked.
        case nothing
        /// A search goes on, and has found these so far.
        case underWay([PeerID])
        /// A search is over, and has found these.
        case over([PeerID])
    }

    /// The most contracts of which anything is remembered.
    static let maxContracts = 256
    /// The most peers that are remembered of a contract.
    static let maxFound = 16
    /// How long calls wait for a search.
    static let patience: Duration = .seconds(10)
    /// How long it is remembered what a search has found.
    static let memory: Duration = .seconds(300)
    /// How soon somebody is asked again who found nobody.
    static let retry: Duration = .seconds(15)

    private struct Entry: Sendable {
        var peers: [PeerID] = []
        var isOver = false
        /// When the search is given up, or what it found forgotten.
        var end: Instant
    }

    private var entries = [CID: Entry]()
    private var order = Outbox<CID>()

    /// What is known of a contract.
    func finding(of contract: CID, now: Instant) -> Finding {
        guard let entry = entries[contract] else { return .nothing }
        guard entry.isOver else { return .underWay(entry.peers) }
        return now < entry.end ? .over(entry.peers) : .nothing
    }

    /// A search begins. Gives the time when it is to be given up.
    mutating func begin(_ contract: CID, now: Instant) -> Instant {
        if entries[contract] == nil {
            // The one that was looked for the longest time ago makes room.
            if entries.count >= Self.maxContracts, let oldest = order.popFirst() {
                entries[oldest] = nil
            }
            order.append(contract)
        }
        let end = now + Self.patience
        entries[contract] = Entry(end: end)
        return end
    }

    /// A peer is said to run a contract. Whether that is news.
    mutating func found(_ peer: PeerID, for contract: CID) -> Bool {
        guard let entry = entries[contract], entry.peers.count < Self.maxFound,
            !entry.peers.contains(peer)
        else { return false }
        entries[contract]?.peers.append(peer)
        return true
    }

    /// When a search that is under way is given up.
    func end(of contract: CID) -> Instant? {
        entries[contract].flatMap { $0.isOver ? nil : $0.end }
    }

    /// The searches under way, and when they are given up.
    var underWay: [(contract: CID, end: Instant)] {
        entries.filter { !$0.value.isOver }.map { (contract: $0.key, end: $0.value.end) }
            .sorted { $0.contract.bytes.lexicographicallyPrecedes($1.contract.bytes) }
    }

    /// A search has come to its end. Whether it was under way.
    mutating func conclude(_ contract: CID, now: Instant) -> Bool {
        guard let entry = entries[contract], !entry.isOver else { return false }
        entries[contract]?.isOver = true
        entries[contract]?.end = now + (entry.peers.isEmpty ? Self.retry : Self.memory)
        return true
    }
}
