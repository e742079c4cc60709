public import Multiformats
public import Wire

extension Kad {
    /// What a command is for.
    enum Purpose: Sendable {
        case closest
        case findPeer(PeerID)
        case getValue
        case putValue([UInt8])
        case findProviders(limit: Int)
        case provide
        /// Filling the routing table; the result is of no use to anybody else.
        case refresh
        /// Asking one peer whether it answers, before it is taken into the table.
        case check
        /// Telling one peer of many keys.
        case announce
    }

    enum Phase: Sendable {
        /// Looking for the nearest peers.
        case seeking
        /// Asking those of the nearest that have not been asked.
        case confirming
        /// Waiting until peers have taken a record.
        case storing
    }

    /// A command that is running.
    struct Operation: Sendable {
        let purpose: Purpose
        let key: [UInt8]
        let begun: Instant
        var lookup: Lookup
        var phase = Phase.seeking
        var result = KadResult()
        /// Whether the result has been given already, and only loose ends are left.
        var isReported = false
        /// How many records are on their way.
        var storing = 0
        /// Who has been sent the record.
        var holders: Set<PeerID> = []
        /// Which providers have been found.
        var found: Set<PeerID> = []
        /// What each peer said the value is, for those that said one.
        var values: [PeerID: [UInt8]] = [:]
    }

    /// Looks for the peers nearest to a key: a peer id's or multihash's bytes, or a record's key.
    public mutating func findClosest(
        to key: [UInt8], addresses: inout AddressBook, now: Instant
    ) -> UInt64 {
        start(.closest, key, addresses: &addresses, now: now)
    }

    /// Looks for a peer's addresses.
    public mutating func find(
        _ peer: PeerID, addresses: inout AddressBook, now: Instant
    ) -> UInt64 {
        start(.findPeer(peer), peer.bytes, addresses: &addresses, now: now)
    }

    /// Looks for providers of content, until `limit` are found or all that can be expected.
    public mutating func findProviders(
        of hash: Multihash, limit: Int, addresses: inout AddressBook, now: Instant
    ) -> UInt64 {
        let number = start(
            .findProviders(limit: max(1, limit)), hash.bytes, addresses: &addresses, now: now)
        for peer in providers.providers(of: hash.bytes, now: now) where peer != own {
            note(told(peer, addresses, now: now), for: number)
        }
        return number
    }

    /// Says that this node has content. Without an address that reaches as far as this DHT there is
    /// nothing to say.
    public mutating func provide(
        _ hash: Multihash, addresses: inout AddressBook, now: Instant
    ) -> UInt64 {
        guard !told(own, addresses, now: now).addresses.isEmpty else {
            let number = nextNumber
            nextNumber += 1
            refuse(number, .noAddress)
            return number
        }
        providers.add(own, for: hash.bytes, until: now + Self.providerValidity, now: now)
        return start(.provide, hash.bytes, addresses: &addresses, now: now)
    }

    /// Looks for the best value under a key.
    public mutating func getValue(
        _ key: [UInt8], addresses: inout AddressBook, now: Instant
    ) -> UInt64 {
        let number = start(.getValue, key, addresses: &addresses, now: now)
        if let known = records.value(of: key, now: now, time: clock.time(at: now)) {
            note(known.value, from: own, for: number, now: now)
        }
        return number
    }

    /// Puts a value under a key. One that does not count is refused by `nil`.
    public mutating func putValue(
        _ value: [UInt8], under key: [UInt8], addresses: inout AddressBook, now: Instant
    ) -> UInt64? {
        let time = clock.time(at: now)
        guard RecordRules.isValid(value, under: key, at: time) else { return nil }
        _ = records.put(value, under: key, now: now, time: time)
        return start(.putValue(value), key, addresses: &addresses, now: now)
    }

    /// Tells one peer, found by a lookup before, that this node has all this content, over one
    /// stream.
    public mutating func announce(
        _ hashes: [Multihash], to peer: PeerID, addresses: inout AddressBook, now: Instant
    ) -> UInt64 {
        let number = begin(.announce, [], seeds: [], now: now)
        guard operations[number] != nil else { return number }
        let messages = hashes.map { announcement(of: $0.bytes, addresses, now: now) }
        operations[number]?.phase = .storing
        operations[number]?.storing = 1
        ask(peer, messages, .announce, for: number, now: now)
        settleSent(addresses: &addresses, now: now)
        return number
    }

    /// Stops a command. Nothing more is heard of it. Returns what it has come to; nil if it has
    /// ended already.
    @discardableResult
    public mutating func cancel(_ command: UInt64) -> KadResult? {
        guard let operation = operations.removeValue(forKey: command) else { return nil }
        let open = requests.filter { $0.value.operation == command }.map { $0.key }.sorted()
        for number in open {
            guard let request = requests.removeValue(forKey: number) else { continue }
            guard let stream = request.stream else {
                orders.append(.withdraw(request.peer, request: number))
                continue
            }
            waiting[stream] = nil
            orders.append(.reset(stream))
        }
        return operation.isReported ? nil : operation.outcome
    }

    /// Joins the DHT by these peers, whose addresses are in the book, and begins to keep the
    /// routing table fresh; a table that has become empty is filled by the same peers again.
    /// There are no events of the upkeep.
    public mutating func join(by peers: [PeerID], addresses: inout AddressBook, now: Instant) {
        knownSeeds = Array(peers.filter { $0 != own }.prefix(Self.bucketSize))
        let seeds = knownSeeds.map { (id: KadID($0), peer: $0) }
        let number = begin(.refresh, own.bytes, seeds: seeds, now: now)
        pump(number, addresses: &addresses, now: now)
        if nextRefresh == nil {
            nextRefresh = now
            deadlines.add(.refresh, at: now + .seconds(5))
        }
    }

    /// A connected peer says that it is a server of this DHT. It is asked something before it is
    /// taken into the table.
    public mutating func noteServer(
        _ peer: PeerID, addresses: inout AddressBook, now: Instant
    ) {
        unreachable.remove(peer)
        let id = KadID(peer)
        let group = addresses.networkGroup(of: peer) ?? 0
        guard checks < Self.maxChecks, table.hasRoom(for: id, group: group, now: now) else {
            return
        }
        check(peer, id, addresses: &addresses, now: now)
    }

    /// A peer says that it is no server of this DHT any longer.
    public mutating func noteClient(_ peer: PeerID) {
        let id = KadID(peer)
        while table.contains(id) { table.failed(id) }
    }

    mutating func check(
        _ peer: PeerID, _ id: KadID, addresses: inout AddressBook, now: Instant
    ) {
        let number = begin(.check, own.bytes, seeds: [(id, peer)], now: now)
        guard operations[number] != nil else { return }
        checks += 1
        pump(number, addresses: &addresses, now: now)
    }

    private mutating func start(
        _ purpose: Purpose, _ key: [UInt8], addresses: inout AddressBook, now: Instant
    ) -> UInt64 {
        let number = begin(purpose, key, seeds: [], now: now)
        pump(number, addresses: &addresses, now: now)
        return number
    }

    private mutating func refuse(_ number: UInt64, _ end: KadResult.End) {
        var result = KadResult()
        result.end = end
        events.append(.finished(command: number, result))
    }

    /// Makes a command of the nearest known peers and further seeds.
    mutating func begin(
        _ purpose: Purpose, _ key: [UInt8], seeds: [(id: KadID, peer: PeerID)], now: Instant
    ) -> UInt64 {
        let number = nextNumber
        nextNumber += 1
        guard operations.count < Self.maxCommands else {
            switch purpose {
            case .check, .refresh: break
            default: refuse(number, .overLimit)
            }
            return number
        }
        let target = KadID(of: key)
        var start = seeds
        switch purpose {
        case .check, .announce: break
        default:
            start += table.nearest(to: target, count: Self.bucketSize).map { ($0.id, $0.peer) }
        }
        let lookup = Lookup(target: target, paths: configuration.paths, seeds: start)
        operations[number] = Operation(
            purpose: purpose, key: key, begun: now, lookup: lookup)
        deadlines.add(.operation(number), at: now + Self.commandTimeout)
        return number
    }
}
