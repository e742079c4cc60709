import Multiformats
import Wire

/// The peers that this node asks first: many near it, few far away. Bucket n holds peers that share
/// exactly n leading bits with it.
///
/// Only peers that answered are in it. Who answers stays, whoever else comes; who failed goes.
struct RoutingTable: Sendable {
    struct Entry: Sendable {
        let id: KadID
        let peer: PeerID
        /// The peer's network; 0 if it is not known.
        let group: UInt64
        var lastAnswer: Instant
        var failures: UInt8 = 0
    }

    /// After so many failures in a row a peer is no longer in the table.
    static let maxFailures: UInt8 = 2
    /// Peers that have not answered for so long give way to others.
    static let staleAfter: Duration = .seconds(3_600)

    let own: KadID
    private let diversity: KadConfiguration.Diversity?
    private(set) var buckets: [[Entry]] = []
    private(set) var count = 0

    init(own: KadID, diversity: KadConfiguration.Diversity?) {
        self.own = own
        self.diversity = diversity
    }

    private func place(_ id: KadID) -> Int { min(own.commonPrefix(with: id), 255) }

    func contains(_ id: KadID) -> Bool {
        let index = place(id)
        return index < buckets.count && buckets[index].contains { $0.id == id }
    }

    /// Whether a peer would be taken in if it answered.
    func hasRoom(for id: KadID, group: UInt64, now: Instant) -> Bool {
        guard id != own, !contains(id) else { return false }
        let index = place(id)
        guard index < buckets.count else { return allows(group, in: []) }
        let bucket = buckets[index]
        let isFull = bucket.count >= Kad.bucketSize && weakest(of: bucket, now: now) == nil
        return !isFull && allows(group, in: bucket)
    }

    /// Whether a bucket needs no search for more: it is full, and most of its members have answered
    /// since `age` ago.
    func isFresh(_ bucket: Int, since age: Duration, now: Instant) -> Bool {
        guard bucket < buckets.count, buckets[bucket].count >= Kad.bucketSize else { return false }
        let recent = buckets[bucket].count { now.since($0.lastAnswer) <= age && $0.failures == 0 }
        return recent > Kad.bucketSize / 2
    }

    /// Notes that a peer answered; takes it in if there is room. Returns whether it is in the
    /// table.
    @discardableResult
    mutating func answered(_ peer: PeerID, _ id: KadID, group: UInt64, now: Instant) -> Bool {
        let index = place(id)
        if index < buckets.count, let known = buckets[index].firstIndex(where: { $0.id == id }) {
            buckets[index][known].lastAnswer = now
            buckets[index][known].failures = 0
            return true
        }
        guard hasRoom(for: id, group: group, now: now) else { return false }
        while buckets.count <= index { buckets.append([]) }
        if buckets[index].count >= Kad.bucketSize {
            guard let weakest = weakest(of: buckets[index], now: now) else { return false }
            buckets[index].remove(at: weakest)
            count -= 1
        }
        buckets[index].append(Entry(id: id, peer: peer, group: group, lastAnswer: now))
        count += 1
        return true
    }

    /// Notes that a peer did not answer.
    mutating func failed(_ id: KadID) {
        let index = place(id)
        guard index < buckets.count,
            let known = buckets[index].firstIndex(where: { $0.id == id })
        else { return }
        buckets[index][known].failures += 1
        guard buckets[index][known].failures >= Self.maxFailures else { return }
        buckets[index].remove(at: known)
        count -= 1
    }

    /// The peers nearest to a place, the nearest first.
    func nearest(to target: KadID, count: Int) -> [Entry] {
        let shared = place(target)
        var found: [Entry] = []
        // Whoever shares one bit more than we do is nearest; all those who share more with us than
        // the target does are equally far but for the rest of their bits; then come those who
        // share less and less.
        if shared < buckets.count { found += buckets[shared] }
        if found.count < count, shared + 1 < buckets.count {
            for bucket in buckets[(shared + 1)...] { found += bucket }
        }
        var next = min(shared, buckets.count) - 1
        while found.count < count, next >= 0 {
            found += buckets[next]
            next -= 1
        }
        found.sort { $0.id.distance(to: target) < $1.id.distance(to: target) }
        return Array(found.prefix(count))
    }

    /// All peers, those that answered last first.
    var newestFirst: [PeerID] {
        buckets.joined().sorted {
            $0.lastAnswer != $1.lastAnswer ? $0.lastAnswer > $1.lastAnswer : $0.id < $1.id
        }.map { $0.peer }
    }

    /// The peers that have been silent for longest, and longer than `age`.
    func stale(_ age: Duration, count: Int, now: Instant) -> [Entry] {
        var old: [Entry] = []
        for bucket in buckets { old += bucket.filter { now.since($0.lastAnswer) > age } }
        old.sort { $0.lastAnswer != $1.lastAnswer ? $0.lastAnswer < $1.lastAnswer : $0.id < $1.id }
        return Array(old.prefix(count))
    }

    /// A peer that gives way to a new one: one that failed, or the longest silent one.
    private func weakest(of bucket: [Entry], now: Instant) -> Int? {
        if let failing = bucket.firstIndex(where: { $0.failures > 0 }) { return failing }
        let oldest = bucket.indices.min { bucket[$0].lastAnswer < bucket[$1].lastAnswer }
        guard let oldest, now.since(bucket[oldest].lastAnswer) > Self.staleAfter else { return nil }
        return oldest
    }

    private func allows(_ group: UInt64, in bucket: [Entry]) -> Bool {
        guard let diversity, group != 0 else { return true }
        guard bucket.count(where: { $0.group == group }) < diversity.perBucket else { return false }
        let overall = buckets.reduce(0) { $0 + $1.count { $0.group == group } }
        return overall < diversity.overall
    }
}
