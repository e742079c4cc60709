import Multiformats
import Wire

/// Who has said that it provides what, for as long as a record is valid.
///
/// When it is full, the keys that are farthest from this node go first, for which others are
/// responsible anyway.
struct ProviderStore: Sendable {
    /// How many providers of one key are kept; the oldest gives way.
    static let maxPerKey = 64

    private struct Record {
        let peer: PeerID
        var expires: Instant
    }

    private let own: KadID
    private let limit: Int
    private var keys: [[UInt8]: [Record]] = [:]
    private(set) var count = 0

    init(own: KadID, limit: Int) {
        self.own = own
        self.limit = limit
    }

    mutating func add(_ peer: PeerID, for key: [UInt8], until expires: Instant, now: Instant) {
        var records = keys[key] ?? []
        count -= records.count
        records.removeAll { $0.peer == peer || $0.expires <= now }
        if records.count >= Self.maxPerKey { records.removeFirst() }
        records.append(Record(peer: peer, expires: expires))
        count += records.count
        keys[key] = records
        guard count > limit else { return }
        removeExpired(now: now)
        if count > limit { shrink() }
    }

    /// The providers of a key, the newest first.
    func providers(of key: [UInt8], now: Instant) -> [PeerID] {
        guard let records = keys[key] else { return [] }
        return records.reversed().filter { $0.expires > now }.map { $0.peer }
    }

    mutating func remove(_ peer: PeerID, for key: [UInt8]) {
        guard let records = keys[key] else { return }
        let kept = records.filter { $0.peer != peer }
        count -= records.count - kept.count
        keys[key] = kept.isEmpty ? nil : kept
    }

    mutating func removeExpired(now: Instant) {
        keys = keys.compactMapValues { records in
            let valid = records.filter { $0.expires > now }
            return valid.isEmpty ? nil : valid
        }
        count = keys.values.reduce(0) { $0 + $1.count }
    }

    private mutating func shrink() {
        var order = keys.keys.map { (distance: KadID(of: $0).distance(to: own), key: $0) }
        order.sort { $0.distance > $1.distance }
        let target = limit - limit / 16
        for (_, key) in order {
            guard count > target else { return }
            count -= keys.removeValue(forKey: key)?.count ?? 0
        }
    }
}
