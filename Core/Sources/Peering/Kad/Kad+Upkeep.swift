import Multiformats
import Wire

// Keeping the routing table filled and the stores free of what has expired.
extension Kad {
    /// The farthest bucket that is refreshed by looking for a key in it. Finding such a key takes
    /// two to the power of its number attempts.
    static let maxRefreshedBucket = 11
    /// How many attempts are made to find keys for all buckets.
    static let maxKeyAttempts = 4_096
    /// How many silent members of the table are asked at each refresh whether they are there.
    static let maxLivenessChecks = 10

    /// Begins a refresh: looks for the nearest peers of this node and of a key in every bucket that
    /// is not full of peers that have answered of late, one after another, and asks who has long
    /// been silent.
    mutating func refresh(addresses: inout AddressBook, now: Instant) {
        let next = now + Self.refreshInterval
        nextRefresh = next
        deadlines.add(.refresh, at: next)
        providers.removeExpired(now: now)
        records.removeExpired(now: now)
        let silent = table.stale(
            Self.refreshInterval, count: Self.maxLivenessChecks, now: now)
        for entry in silent where checks < Self.maxChecks {
            check(entry.peer, entry.id, addresses: &addresses, now: now)
        }
        guard table.count > 0 else {
            join(by: knownSeeds, addresses: &addresses, now: now)
            return
        }
        guard refreshQueue.isEmpty else { return }
        refreshQueue = [own.bytes] + bucketKeys()
        refreshNext(addresses: &addresses, now: now)
    }

    /// Looks for the next key of the refresh under way.
    mutating func refreshNext(addresses: inout AddressBook, now: Instant) {
        var next = refreshQueue.popLast()
        while let key = next, isFresh(KadID(of: key), now: now) { next = refreshQueue.popLast() }
        guard let key = next, table.count > 0 else {
            refreshQueue = []
            return
        }
        let number = begin(.refresh, key, seeds: [], now: now)
        guard operations[number] != nil else {
            // Too much is going on; the next refresh does it.
            refreshQueue = []
            return
        }
        pump(number, addresses: &addresses, now: now)
    }

    /// Whether the bucket of a place need not be refreshed. That of this node's own always is.
    func isFresh(_ place: KadID, now: Instant) -> Bool {
        let bucket = ownID.commonPrefix(with: place)
        return table.isFresh(bucket, since: Self.refreshInterval * 3, now: now)
    }

    /// A key for each bucket up to the last that has members: in the form of a peer id, as servers
    /// expect it, and found by trying, because they hash it.
    private mutating func bucketKeys() -> [[UInt8]] {
        let last = min(table.buckets.count - 1, Self.maxRefreshedBucket)
        guard last >= 0 else { return [] }
        var keys = [[UInt8]?](repeating: nil, count: last + 1)
        var missing = keys.count
        for _ in 0..<Self.maxKeyAttempts where missing > 0 {
            let key = [0x12, 0x20] + random.bytes(32)
            let bucket = ownID.commonPrefix(with: KadID(of: key))
            guard bucket <= last, keys[bucket] == nil else { continue }
            keys[bucket] = key
            missing -= 1
        }
        return keys.compactMap { $0 }
    }
}
