// Those who run contracts are found in the DHT, under a key that is made from the contract's name
// (docs/call-protocol.md): this node looks for them, and says that it is one.

import Compute
import Multiformats
import Peering
import Wire

/// The contracts that this node runs for others, and when the DHT is told.
struct ContractAnnouncements: Sendable {
    /// The most contracts that are announced; then the one that was run the longest time ago goes.
    static let most = 256
    /// How often the DHT is told again. It forgets after 48 hours.
    static let interval: Duration = .seconds(12 * 3_600)
    /// How soon it is tried again when nobody was told.
    static let retry: Duration = .seconds(30)
    /// How many are announced at a time.
    static let simultaneous = 2

    private var times: [CID: Instant] = [:]
    /// From the one that was named the longest time ago.
    private var order: [CID] = []
    private var underWay: Set<CID> = []
    /// When `due` has something.
    private(set) var deadline: Instant?

    /// This node runs a contract.
    mutating func add(_ contract: CID, now: Instant) {
        if times[contract] != nil {
            order.removeAll { $0 == contract }
        } else {
            times[contract] = now
            if order.count >= Self.most { times[order.removeFirst()] = nil }
        }
        order.append(contract)
        setDeadline()
    }

    private mutating func setDeadline() {
        guard underWay.count < Self.simultaneous else {
            deadline = nil
            return
        }
        deadline = times.reduce(nil as Instant?) { first, entry in
            underWay.contains(entry.key) ? first : first.earlier(entry.value)
        }
    }

    /// What is to be announced now.
    mutating func due(at now: Instant) -> [CID] {
        let room = Self.simultaneous - underWay.count
        let due = order.filter { !underWay.contains($0) && times[$0].map { $0 <= now } ?? false }
        let chosen = due.prefix(max(room, 0))
        underWay.formUnion(chosen)
        setDeadline()
        return Array(chosen)
    }

    /// An announcement is over.
    mutating func announced(_ contract: CID, isStored: Bool, now: Instant) {
        underWay.remove(contract)
        if times[contract] != nil {
            times[contract] = now + (isStored ? Self.interval : Self.retry)
        }
        setDeadline()
    }
}

extension NodeCore {
    /// How many of those that run a contract are looked for at a time.
    static let respondersPerSearch = 8

    /// Looks for peers that run a contract. Without a DHT that is over at once.
    mutating func seekResponders(of contract: CID, now: Instant) {
        let limit = Self.respondersPerSearch
        begin(.responders(contract), limit: limit, now: now) { kad, book, now in
            kad.findProviders(
                of: CallOffer.providerKey(of: contract), limit: limit, addresses: &book, now: now)
        }
    }

    /// A peer is said to run a contract.
    mutating func found(_ peer: PeerID, running contract: CID, now: Instant) {
        guard access.admits(peer) else { return }
        calls.machine?.found(peer, running: contract, now: now)
    }

    /// When the DHT is to be told of a contract. Nobody is, as long as there is nobody to tell.
    var announcementDeadline: Instant? {
        // Reading it would copy the tables of the DHTs, as in `deadline`.
        mutating get {
            guard let deadline = calls.announcements.deadline,
                dhts.indices.contains(where: { dhts[$0].canAnnounce })
            else { return nil }
            return deadline
        }
    }

    /// Tells the DHT which contracts this node runs, where it is time for that.
    mutating func announceContracts(now: Instant) {
        guard let due = announcementDeadline, due <= now else { return }
        for contract in calls.announcements.due(at: now) {
            begin(.contract(contract), limit: 0, now: now) { kad, book, now in
                kad.provide(CallOffer.providerKey(of: contract), addresses: &book, now: now)
            }
        }
    }

    /// A search or an announcement of that kind is over.
    mutating func concludeContract(_ search: Search, now: Instant) {
        switch search.purpose {
        case .responders(let contract): calls.machine?.searched(contract, now: now)
        case .contract(let contract):
            let isStored = search.results.contains { $0.stored > 0 }
            calls.announcements.announced(contract, isStored: isStored, now: now)
        default: break
        }
    }
}
