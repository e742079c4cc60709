// Values under keys, and which of them are valid: public keys under /pk/ and IPNS records under
// /ipns/ (specs.ipfs.tech/routing/kad-dht, "Content validation").

import IPLD
import Multiformats
import Wire

/// Says which values count. Other namespaces than the two of the public DHT are refused.
enum RecordRules {
    /// The longest value of any kind, in bytes.
    static let maxValueBytes = 10 << 10

    private static let keys = Array("/pk/".utf8)
    private static let names = Array("/ipns/".utf8)

    /// Whether the value may stand under the key at this time.
    static func isValid(_ value: [UInt8], under key: [UInt8], at time: Timestamp) -> Bool {
        guard value.count <= maxValueBytes else { return false }
        // Whatever cannot be read is not valid; why does not matter to anybody.
        if key.starts(with: names) {
            guard let name = try? PeerID(decoding: key[names.count...].asBytes.rawSpan),
                let record = try? IPNSRecord(decoding: value.rawSpan)
            else { return false }
            do {
                try record.validate(for: name, at: time)
                return true
            } catch {
                return false
            }
        }
        if key.starts(with: keys) {
            guard let publicKey = try? PublicKey(decoding: value.rawSpan) else { return false }
            let hash = Multihash.sha2_256(of: publicKey.encoded.rawSpan).bytes
            return key[keys.count...].elementsEqual(PeerID(publicKey).bytes)
                || key[keys.count...].elementsEqual(hash)
        }
        return false
    }

    /// Whether a valid value replaces another valid one.
    static func isBetter(_ value: [UInt8], than other: [UInt8], under key: [UInt8]) -> Bool {
        guard key.starts(with: names) else { return false }
        // Both were read when they were checked.
        guard let new = try? IPNSRecord(decoding: value.rawSpan) else { return false }
        guard let old = try? IPNSRecord(decoding: other.rawSpan) else { return true }
        return new.isNewer(than: old)
    }
}

extension ArraySlice where Element == UInt8 {
    var asBytes: [UInt8] { Array(self) }
}

/// The values that this node keeps for others, for as long as they are valid.
struct RecordStore: Sendable {
    struct Record: Sendable {
        let value: [UInt8]
        let received: Instant
        let time: Timestamp
    }

    private let own: KadID
    private let limit: Int
    private var records: [[UInt8]: Record] = [:]

    init(own: KadID, limit: Int) {
        self.own = own
        self.limit = limit
    }

    var count: Int { records.count }

    /// The value under a key, if it still counts.
    func value(of key: [UInt8], now: Instant, time: Timestamp) -> Record? {
        guard let record = records[key], now.since(record.received) < Kad.recordValidity,
            RecordRules.isValid(record.value, under: key, at: time)
        else { return nil }
        return record
    }

    /// Keeps a value that is valid and not worse than the one that is there. Returns whether it is
    /// the one that counts now.
    mutating func put(_ value: [UInt8], under key: [UInt8], now: Instant, time: Timestamp) -> Bool {
        guard RecordRules.isValid(value, under: key, at: time) else { return false }
        if let known = self.value(of: key, now: now, time: time), known.value != value,
            !RecordRules.isBetter(value, than: known.value, under: key)
        {
            return false
        }
        records[key] = Record(value: value, received: now, time: time)
        if records.count > limit { shrink(now: now) }
        return true
    }

    mutating func removeExpired(now: Instant) {
        records = records.filter { now.since($0.value.received) < Kad.recordValidity }
    }

    private mutating func shrink(now: Instant) {
        removeExpired(now: now)
        var order = records.keys.map { (distance: KadID(of: $0).distance(to: own), key: $0) }
        order.sort { $0.distance > $1.distance }
        for (_, key) in order {
            guard records.count > limit - limit / 16 else { return }
            records[key] = nil
        }
    }
}
