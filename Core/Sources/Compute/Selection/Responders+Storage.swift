// What is known of responders, as it is kept when a node ends: how often each has answered and
// failed, how fast and how far it is. Bans are not in it: they follow from the proofs.

import IPLD
import Multiformats
public import Wire

extension Responders {
    /// The longest form, in bytes.
    public static let maxStoredBytes = 1 << 20

    /// All that is known of those who have answered or failed, in canonical dag-cbor.
    public var stored: [UInt8] {
        let entries = known.filter { $0.value.answered + $0.value.failed > 0 }
            .sorted { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }
        let values = entries.map { peer, history -> Value in
            .map([
                Value.Entry("peer", .bytes(peer.bytes)),
                Value.Entry("speed", Self.value(history.speed)),
                Value.Entry("failed", .integer(Int128(history.failed))),
                Value.Entry("answered", .integer(Int128(history.answered))),
                Value.Entry("roundTrip", Self.value(history.roundTrip)),
            ])
        }
        return CanonicalMap.encode(
            .map([
                Value.Entry("version", .integer(1)), Value.Entry("responders", .list(values)),
            ]))
    }

    /// Reads what ``stored`` wrote.
    public init(storage bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxStoredBytes else {
            throw DecodeError(.overLimit, "responders: longer than 1 MiB")
        }
        self.init()
        let map = try CanonicalMap(try DagCBOR.decode(bytes), fields: 2)
        guard try map.number("version", upTo: 1) == 1 else {
            throw DecodeError(.unsupported, "responders: a version that is not known")
        }
        for value in try map.list("responders", upTo: Self.maxKnown) {
            let entry = try CanonicalMap(value, fields: 5)
            let peer = try entry.bytes("peer", count: 1...Multihash.maxDigestLength)
            restore(
                ResponderHistory(
                    answered: UInt32(try entry.number("answered", upTo: 1_000)),
                    failed: UInt32(try entry.number("failed", upTo: 1_000)),
                    roundTrip: try Self.number("roundTrip", entry),
                    speed: try Self.number("speed", entry)),
                of: try PeerID(decoding: peer.rawSpan))
        }
    }

    private static func value(_ number: UInt64?) -> Value {
        number.map { .integer(Int128($0)) } ?? .null
    }

    private static func number(
        _ key: String, _ map: CanonicalMap
    ) throws(DecodeError) -> UInt64? {
        if case .null = try map.value(key) { return nil }
        return try map.number(key, upTo: .max)
    }
}
