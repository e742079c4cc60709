// What is known of where peers can be reached.

public import Multiformats
public import Wire

/// The known addresses of peers, with when they stop being believed. Its size is bounded in peers,
/// addresses of a peer, and bytes of a peer.
///
/// An address is believed only if it reaches at least as far as the channel over which it was
/// heard: what the internet says of private networks is never dialled. It is told only to those
/// whom it reaches.
public struct AddressBook: Sendable {
    /// Who says that an address is a peer's; a later case weighs more.
    public enum Source: UInt8, Comparable, Sendable {
        /// Another peer.
        case told
        /// The peer, unsigned.
        case itself
        /// The peer, signed.
        case signed
        /// The peer, in the same local network: what it signs has public addresses alone.
        case neighbour
        /// A person.
        case person
        /// A connection that was made by it.
        case connection

        public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// How much the book holds.
    public struct Limits: Hashable, Sendable {
        /// How many peers.
        public var peers: Int
        /// How many addresses of one peer.
        public var addressesPerPeer: Int
        /// How many bytes of one peer's addresses, in binary.
        public var bytesPerPeer: Int

        /// These limits.
        public init(peers: Int, addressesPerPeer: Int, bytesPerPeer: Int) {
            self.peers = peers
            self.addressesPerPeer = addressesPerPeer
            self.bytesPerPeer = bytesPerPeer
        }

        /// For a home computer: 4,096 peers; 8 KiB of each, as deployed peers keep.
        public static let home = Limits(peers: 4_096, addressesPerPeer: 32, bytesPerPeer: 8 << 10)
    }

    /// How long addresses of different origins are believed.
    public enum Lifetime {
        /// What another peer said on the way to somebody else: a lookup hears of many more peers
        /// than it asks, and of the others nobody will want to know.
        public static let passing: Duration = .seconds(2 * 60)
        /// What another peer said of a peer that was asked for.
        public static let told: Duration = .seconds(15 * 60)
        /// What the peer said of itself, counted from the end of the connection.
        public static let itself: Duration = .seconds(60 * 60)
        /// What came with a provider record.
        public static let provider: Duration = .seconds(24 * 60 * 60)
    }

    private struct Known {
        let bytes: [UInt8]
        var expires: Instant
        var source: Source
    }

    private struct Entry {
        var known: [Known] = []
        /// The sequence number of the signed record; nil if there is none.
        var sequence: UInt64?
        var isConnected = false

        var lastExpiry: Instant { known.map { $0.expires }.max() ?? Instant(nanoseconds: 0) }
    }

    /// How often what has expired is looked for.
    static let sweepInterval: Duration = .seconds(60)

    private let limits: Limits
    private var entries: [PeerID: Entry] = [:]
    private var nextSweep = Instant(nanoseconds: 0)

    /// An empty book.
    public init(limits: Limits) {
        self.limits = limits
    }

    /// The number of the signed record that is known of a peer; nil if there is none.
    public func recordSequence(of peer: PeerID) -> UInt64? { entries[peer]?.sequence }

    /// How many peers it knows addresses of.
    public var count: Int { entries.count }

    /// Notes addresses of a peer. Those that do not reach as far as `channel`, the scope of the
    /// connection they were heard over, are passed over; a person's word has the scope `.host`.
    public mutating func add(
        _ addresses: [Multiaddr], of peer: PeerID, from source: Source,
        over channel: AddressScope, for lifetime: Duration, now: Instant
    ) {
        guard !addresses.isEmpty else { return }
        var entry = entries[peer] ?? Entry()
        if source == .told || source == .itself, entry.sequence != nil {
            // The signed record says where the peer is. That it says the same again, such as with a
            // provider record, lets that be believed for longer.
            guard source == .itself else { return }
            let again = Set(addresses.compactMap { $0.bare(of: peer)?.bytes })
            for index in entry.known.indices where again.contains(entry.known[index].bytes) {
                let until = max(entry.known[index].expires, now + lifetime)
                entry.known[index].expires = until
            }
            entries[peer] = entry
            return
        }
        for address in addresses {
            note(address, of: peer, in: &entry, source, channel, until: now + lifetime, now: now)
        }
        put(entry, for: peer, now: now)
    }

    /// Notes the addresses of a signed record, which replace what the peer said before. Returns
    /// false if a newer record is known.
    @discardableResult
    public mutating func add(
        _ record: PeerRecord, over channel: AddressScope, for lifetime: Duration, now: Instant
    ) -> Bool {
        var entry = entries[record.peer] ?? Entry()
        if let known = entry.sequence, known > record.sequence { return false }
        entry.sequence = record.sequence
        entry.known.removeAll { $0.source <= .signed }
        for address in record.addresses {
            note(
                address, of: record.peer, in: &entry, .signed, channel, until: now + lifetime,
                now: now)
        }
        put(entry, for: record.peer, now: now)
        return true
    }

    /// Notes that a connection to the peer was made by this address.
    public mutating func connected(to peer: PeerID, by address: Multiaddr, now: Instant) {
        var entry = entries[peer] ?? Entry()
        entry.isConnected = true
        note(
            address, of: peer, in: &entry, .connection, .host, until: now + Lifetime.itself,
            now: now)
        put(entry, for: peer, now: now)
    }

    /// Notes that the last connection to the peer ended; its addresses are believed for a while.
    public mutating func disconnected(from peer: PeerID, now: Instant) {
        guard var entry = entries[peer] else { return }
        entry.isConnected = false
        let until = now + Lifetime.itself
        for index in entry.known.indices where entry.known[index].source >= .itself {
            entry.known[index].expires = max(entry.known[index].expires, until)
        }
        put(entry, for: peer, now: now)
    }

    /// Forgets what has expired, now and then.
    public mutating func sweep(now: Instant) {
        guard now >= nextSweep else { return }
        nextSweep = now + Self.sweepInterval
        var kept: [PeerID: Entry] = [:]
        for (peer, entry) in entries where entry.isConnected || entry.lastExpiry > now {
            kept[peer] = entry
        }
        // A smaller table, not one with more holes.
        if kept.count < entries.count { entries = kept }
    }

    /// Forgets a peer.
    public mutating func forget(_ peer: PeerID) {
        entries[peer] = nil
    }

    /// The addresses by which a peer may be dialled, the most trustworthy first.
    public func addresses(of peer: PeerID, now: Instant) -> [Multiaddr] {
        addresses(of: peer, reaching: .host, now: now)
    }

    /// The addresses of a peer that may be told to somebody who is reached over a channel of this
    /// scope, the most trustworthy first.
    public func addresses(
        of peer: PeerID, reaching scope: AddressScope, now: Instant
    ) -> [Multiaddr] {
        guard let entry = entries[peer] else { return [] }
        return entry.known.filter { $0.expires > now || entry.isConnected }
            // What is stored was read before, so that it reads again.
            .compactMap { try? Multiaddr(decoding: $0.bytes.rawSpan) }
            .filter { $0.scope >= scope }
    }

    /// Whether any address of the peer is known.
    public func isKnown(_ peer: PeerID, now: Instant) -> Bool {
        guard let entry = entries[peer] else { return false }
        return entry.isConnected || entry.known.contains { $0.expires > now }
    }

    /// The network that a peer belongs to, by its most trustworthy public address.
    func networkGroup(of peer: PeerID) -> UInt64? {
        guard let entry = entries[peer] else { return nil }
        for known in entry.known {
            // As above.
            if let group = (try? Multiaddr(decoding: known.bytes.rawSpan))?.networkGroup {
                return group
            }
        }
        return nil
    }

    private func note(
        _ address: Multiaddr, of peer: PeerID, in entry: inout Entry, _ source: Source,
        _ channel: AddressScope, until: Instant, now: Instant
    ) {
        let scope = address.scope
        guard scope != .nowhere, scope >= channel, let bare = address.bare(of: peer) else { return }
        let bytes = bare.bytes
        var fact = Known(bytes: bytes, expires: until, source: source)
        if let index = entry.known.firstIndex(where: { $0.bytes == bytes }) {
            let old = entry.known.remove(at: index)
            fact.expires = max(old.expires, until)
            fact.source = max(old.source, source)
        } else {
            entry.known.removeAll { $0.expires <= now && !entry.isConnected }
        }
        // The best first; among equals, in the order they came.
        let place = entry.known.firstIndex { $0.source < fact.source } ?? entry.known.endIndex
        entry.known.insert(fact, at: place)
        var total = entry.known.reduce(0) { $0 + $1.bytes.count }
        while entry.known.count > limits.addressesPerPeer || total > limits.bytesPerPeer {
            total -= entry.known.removeLast().bytes.count
        }
    }

    private mutating func put(_ entry: Entry, for peer: PeerID, now: Instant) {
        guard entry.isConnected || !entry.known.isEmpty else {
            entries[peer] = nil
            return
        }
        entries[peer] = entry
        if entries.count > limits.peers { shrink(now: now) }
    }

    /// Drops what has expired, and if that is not enough, an eighth of what expires first.
    private mutating func shrink(now: Instant) {
        var ends: [(end: Instant, peer: PeerID)] = []
        for (peer, entry) in entries where !entry.isConnected {
            ends.append((entry.lastExpiry, peer))
        }
        ends.sort { $0.end != $1.end ? $0.end < $1.end : $0.peer.precedes($1.peer) }
        let least = max(1, limits.peers / 8)
        for (index, entry) in ends.enumerated() where index < least || entry.end <= now {
            entries[entry.peer] = nil
        }
    }
}

extension PeerID {
    /// An arbitrary order that does not change from run to run.
    func precedes(_ other: PeerID) -> Bool {
        hash.digest.lexicographicallyPrecedes(other.hash.digest)
    }
}
