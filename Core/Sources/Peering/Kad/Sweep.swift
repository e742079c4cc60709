// Telling the DHT of everything this node has, region by region of the key space, with memory that
// does not grow with the number of keys and traffic that is even over the day. The idea is that of
// go-libp2p-kad-dht's sweeping provider.

public import Multiformats
public import Wire

/// Announces all keys of a node once in a cycle.
///
/// The keys are sorted by their place in the key space, on disk, by whoever owns them. This machine
/// walks through the key space and asks for the keys of one region after another. A lookup or a few
/// find the servers of a region, and each server is told of all its keys over one stream. So the
/// cost follows from the number of regions, which have as many servers each as keep one record.
public struct Sweep: Sendable {
    /// How long one walk usually takes; records are valid for longer.
    public static let usualCycle: Duration = .seconds(22 * 3_600)
    /// How many keys are held at once.
    public static let batch = 4_096
    /// How many lookups explore the servers of a batch.
    public static let lookups = 3
    /// How many servers are told at once.
    public static let simultaneous = 8
    /// How many servers the DHT is taken to have while nothing is known.
    public static let assumedSize = 10_000.0

    /// What is needed.
    public enum Order: Hashable, Sendable {
        /// The first `limit` keys from a place through another, in the order of their places, by
        /// ``Sweep/take(_:for:kad:addresses:now:)``.
        case keys(request: UInt64, from: KadID, through: KadID, limit: Int)
    }

    /// What has been done.
    public enum Event: Hashable, Sendable {
        /// A batch of keys has been announced to so many servers, and so many others failed.
        case announced(keys: Int, servers: Int, failed: Int)
        /// No server was found for a batch; it waits for the next cycle.
        case skipped(keys: Int)
        /// The walk is at its end, and begins anew.
        case finished
    }

    /// Where a walk is; to be kept on disk, so that a restart goes on.
    public struct Position: Hashable, Sendable {
        /// The first 64 bits of the next place.
        public var place: UInt64
        /// How long ago the walk began.
        public var elapsed: Duration

        /// A walk that began so long ago and has come so far.
        public init(place: UInt64, elapsed: Duration) {
            self.place = place
            self.elapsed = elapsed
        }
    }

    private enum State {
        /// Waiting for the next region's time.
        case resting
        /// Waiting for keys of the region that ends before `next`; nil is the end of the space.
        case asking(request: UInt64, next: UInt64?)
        /// Waiting for lookups.
        case exploring(Batch, Set<UInt64>)
        /// Waiting for servers to be told.
        case telling(Batch, Set<UInt64>)
    }

    private struct Batch {
        let hashes: [Multihash]
        let next: UInt64?
        /// Where the region goes on; nil if these were all of its keys.
        let rest: KadID?
        var servers: Set<PeerID> = []
        /// What is left to be told to whom.
        var queue: [(PeerID, [Multihash])] = []
        var told = 0
        var failed = 0
    }

    private let cycle: Duration
    private var state = State.resting
    private var place: UInt64
    private var start: Instant
    private var nextRequest: UInt64 = 1
    private var orders = Outbox<Order>()
    private var events = Outbox<Event>()

    /// Goes on from a position. A walk takes `cycle`.
    public init(from position: Position, cycle: Duration, now: Instant) {
        self.cycle = max(cycle, .seconds(1))
        place = position.place
        start = Instant(
            nanoseconds: now.nanoseconds
                - min(now.nanoseconds, UInt64(clamping: position.elapsed.wholeNanoseconds)))
    }

    /// Where the walk is.
    public func position(now: Instant) -> Position {
        Position(place: place, elapsed: now.since(start))
    }

    /// When `advance` has something to do; nil while an answer is awaited.
    public var deadline: Instant? {
        guard case .resting = state else { return nil }
        // As far into the cycle as the place is into the key space.
        let cycle = UInt64(clamping: cycle.wholeNanoseconds)
        return start + .nanoseconds(Int64(clamping: place.multipliedFullWidth(by: cycle).high))
    }

    /// Begins the next region when its time has come.
    public mutating func advance(to now: Instant, kad: borrowing Kad) {
        guard let deadline, deadline <= now else { return }
        // After a long absence the walk is not run many times over.
        if now.since(start) > cycle * 2 { start = now }
        let size = max(kad.estimatedNetworkSize ?? Self.assumedSize, 1)
        var bits: UInt64 = 0
        while bits < 24, size / Double(UInt64(1) << (bits + 1)) >= Double(Kad.bucketSize) {
            bits += 1
        }
        let width = bits == 0 ? UInt64.max : UInt64(1) << (64 - bits)
        // To the end of the region of this width that the place lies in.
        let last = bits == 0 ? UInt64.max : place | (width - 1)
        ask(from: KadID(place, 0, 0, 0), next: last == .max ? nil : last + 1)
    }

    /// Takes keys that were asked for.
    public mutating func take(
        _ keys: [Multihash], for request: UInt64, kad: inout Kad, addresses: inout AddressBook,
        now: Instant
    ) {
        guard case .asking(request, let next) = state else { return }
        guard let last = keys.last else {
            end(next, now: now)
            return
        }
        let rest = keys.count >= Self.batch ? KadID(of: last.bytes).successor : nil
        let batch = Batch(hashes: keys, next: next, rest: rest)
        // Keys are good targets for lookups: their places lie in the region.
        var targets: [Multihash] = []
        for index in 0..<Self.lookups {
            let key = keys[index * (keys.count - 1) / max(1, Self.lookups - 1)]
            if !targets.contains(key) { targets.append(key) }
        }
        var commands: Set<UInt64> = []
        for target in targets {
            commands.insert(kad.findClosest(to: target.bytes, addresses: &addresses, now: now))
        }
        state = .exploring(batch, commands)
    }

    /// Takes an event of the DHT. Returns whether it was an answer to this machine.
    public mutating func take(
        _ event: KadEvent, kad: inout Kad, addresses: inout AddressBook, now: Instant
    ) -> Bool {
        guard case .finished(let command, let result) = event else { return false }
        switch state {
        case .exploring(var batch, var commands):
            guard commands.remove(command) != nil else { return false }
            batch.servers.formUnion(result.closest)
            state = .exploring(batch, commands)
            if commands.isEmpty { assign(batch, kad: &kad, addresses: &addresses, now: now) }
            return true
        case .telling(var batch, var commands):
            guard commands.remove(command) != nil else { return false }
            if result.stored > 0 { batch.told += 1 } else { batch.failed += 1 }
            tell(&batch, &commands, kad: &kad, addresses: &addresses, now: now)
            return true
        case .resting, .asking: return false
        }
    }

    /// What is needed.
    public mutating func nextTransmit() -> Order? { orders.popFirst() }

    /// What has been done.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    private mutating func ask(from: KadID, next: UInt64?) {
        let request = nextRequest
        nextRequest += 1
        state = .asking(request: request, next: next)
        let last = next.map { KadID($0 - 1, .max, .max, .max) } ?? KadID(.max, .max, .max, .max)
        orders.append(.keys(request: request, from: from, through: last, limit: Self.batch))
    }

    /// Gives each key to the servers nearest to it.
    private mutating func assign(
        _ explored: Batch, kad: inout Kad, addresses: inout AddressBook, now: Instant
    ) {
        var batch = explored
        guard !batch.servers.isEmpty else {
            events.append(.skipped(keys: batch.hashes.count))
            close(batch, now: now)
            return
        }
        let servers = batch.servers.map { (id: KadID($0), peer: $0) }.sorted { $0.id < $1.id }
        var shares = [[Multihash]](repeating: [], count: servers.count)
        for key in batch.hashes {
            let target = KadID(of: key.bytes)
            let near = servers.indices.sorted {
                servers[$0].id.distance(to: target) < servers[$1].id.distance(to: target)
            }
            for index in near.prefix(Kad.bucketSize) { shares[index].append(key) }
        }
        for (index, share) in shares.enumerated() where !share.isEmpty {
            batch.queue.append((servers[index].peer, share))
        }
        var commands: Set<UInt64> = []
        tell(&batch, &commands, kad: &kad, addresses: &addresses, now: now)
    }

    private mutating func tell(
        _ batch: inout Batch, _ commands: inout Set<UInt64>, kad: inout Kad,
        addresses: inout AddressBook, now: Instant
    ) {
        while commands.count < Self.simultaneous, let (peer, share) = batch.queue.popLast() {
            commands.insert(kad.announce(share, to: peer, addresses: &addresses, now: now))
        }
        state = .telling(batch, commands)
        guard commands.isEmpty else { return }
        events.append(
            .announced(keys: batch.hashes.count, servers: batch.told, failed: batch.failed))
        close(batch, now: now)
    }

    /// Goes on with the rest of the region, or with the next.
    private mutating func close(_ batch: Batch, now: Instant) {
        guard let rest = batch.rest else {
            end(batch.next, now: now)
            return
        }
        ask(from: rest, next: batch.next)
    }

    private mutating func end(_ next: UInt64?, now: Instant) {
        state = .resting
        place = next ?? 0
        guard next == nil else { return }
        events.append(.finished)
        start = max(now, start + cycle)
    }
}

extension KadID {
    /// The next place; nil after the last.
    var successor: KadID? {
        var words = [a, b, c, d]
        for index in words.indices.reversed() {
            let (sum, overflow) = words[index].addingReportingOverflow(1)
            words[index] = sum
            if !overflow { return KadID(words[0], words[1], words[2], words[3]) }
        }
        return nil
    }
}
