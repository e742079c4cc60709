// Which connections there are, and which of several carries a stream.

import Exchange
import Multiformats
import Peering
import Wire

/// The connections of a node. It holds facts and counts and decides nothing.
struct ConnectionTable: Sendable {
    struct Entry: Sendable {
        let number: UInt64
        let facts: ConnectionFacts
        let opened: Instant
        var lastUse: Instant
        /// How many streams are on it, or are about to be.
        var streams = 0
        /// A stream on it did not come in time, and nothing has come since.
        var isSuspect = false
        /// Its peer was asked for a sign of life, and nothing has come.
        var isSilent = false
        let network: Network?
    }

    /// Who shares a ceiling: an IPv4 address or a /56 of IPv6.
    struct Network: Hashable, Sendable {
        let prefix: [UInt8]

        /// Nil within private networks, where many may share an address, and through relays.
        init?(_ address: Multiaddr) {
            guard address.scope == .world, !address.isRelayed,
                let first = address.components.first,
                first.protocol == .ip4 || first.protocol == .ip6
            else { return nil }
            let ip = AccessRules.unmapped(first.value)
            prefix = ip.count == 4 ? ip : Array(ip[..<7])
        }
    }

    /// By their numbers. There are few, and they are looked up by halves.
    private var entries: [Entry] = []
    /// The connections of each peer, the oldest first.
    private var byPeer: [PeerID: [UInt64]] = [:]
    private var byNetwork: [Network: Int] = [:]
    private(set) var inbound = 0

    var count: Int { entries.count }
    var outbound: Int { entries.count - inbound }
    var peerCount: Int { byPeer.count }

    subscript(number: UInt64) -> Entry? { index(of: number).map { entries[$0] } }

    /// All connections, the oldest first.
    var all: [Entry] { entries }

    /// Where a connection is, or would be.
    private func place(of number: UInt64) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func index(of number: UInt64) -> Int? {
        let index = place(of: number)
        return index < entries.count && entries[index].number == number ? index : nil
    }

    /// The connections of a peer, the oldest first.
    func connections(to peer: PeerID) -> [Entry] {
        (byPeer[peer] ?? []).compactMap { self[$0] }
    }

    func isConnected(to peer: PeerID) -> Bool { byPeer[peer] != nil }

    func count(in network: Network) -> Int { byNetwork[network] ?? 0 }

    /// The connection that is to carry a stream: direct before limited, one that works before one
    /// that may not, and of those the newest, because an old one may be dead without knowing it.
    func best(to peer: PeerID, limited: LimitedUse) -> Entry? {
        var best: Entry?
        for entry in connections(to: peer) {
            guard limited == .allowed || entry.facts.route == .direct else { continue }
            if let best, Self.rank(best) > Self.rank(entry) { continue }
            best = entry
        }
        return best
    }

    private static func rank(_ entry: Entry) -> Int {
        (entry.facts.remoteAddress.isRelayed ? 0 : 4) + (entry.facts.route == .direct ? 2 : 0)
            + (entry.isSuspect ? 0 : 1)
    }

    mutating func add(_ number: UInt64, _ facts: ConnectionFacts, now: Instant) {
        let network = Network(facts.remoteAddress)
        entries.insert(
            Entry(number: number, facts: facts, opened: now, lastUse: now, network: network),
            at: place(of: number))
        byPeer[facts.peer, default: []].append(number)
        if let network { byNetwork[network, default: 0] += 1 }
        if facts.direction == .inbound { inbound += 1 }
    }

    mutating func remove(_ number: UInt64) -> Entry? {
        guard let index = index(of: number) else { return nil }
        let entry = entries.remove(at: index)
        let peer = entry.facts.peer
        byPeer[peer]?.removeAll { $0 == number }
        if byPeer[peer]?.isEmpty == true { byPeer[peer] = nil }
        if let network = entry.network {
            let rest = count(in: network) - 1
            byNetwork[network] = rest > 0 ? rest : nil
        }
        if entry.facts.direction == .inbound { inbound -= 1 }
        return entry
    }

    /// Something came over a connection, or is about to go over it.
    mutating func use(_ number: UInt64, now: Instant) {
        if let index = index(of: number) { entries[index].lastUse = now }
    }

    mutating func heard(on number: UInt64, now: Instant) {
        guard let index = index(of: number) else { return }
        entries[index].lastUse = now
        entries[index].isSuspect = false
        entries[index].isSilent = false
    }

    mutating func suspect(_ number: UInt64) {
        if let index = index(of: number) { entries[index].isSuspect = true }
    }

    mutating func silence(_ number: UInt64) {
        guard let index = index(of: number) else { return }
        entries[index].isSuspect = true
        entries[index].isSilent = true
    }

    mutating func countStreams(_ change: Int, on number: UInt64) {
        if let index = index(of: number) { entries[index].streams += change }
    }
}

/// Whether a connection through a relay that limits time and bytes will do.
enum LimitedUse: Sendable {
    case allowed
    case refused
}
