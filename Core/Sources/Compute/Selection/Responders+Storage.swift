// What is known of responders, as it is kept when a node ends: how often each has answered and
// failed, how fast and how far it is. Bans are not in it: they follow from the proofs.

import Multiformats
public import Wire

extension Responders {
    /// The longest form, in bytes.
    public static let maxStoredBytes = 1 << 20

    /// All that is known of those who have answered or failed, in canonical dag-cbor.
    public var stored: [UInt8] {
        let entries = known.filter { $0.value.answered + $0.value.failed > 0 }
            .sorted { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }
        var map = CanonicalWriter(fields: 2)
        map.write("version", 1)
        map.list("responders", count: entries.count)
        for (peer, history) in entries {
            map.map(fields: 5)
            map.write("peer", peer.bytes)
            map.write("speed", optional: history.speed)
            map.write("failed", UInt64(history.failed))
            map.write("answered", UInt64(history.answered))
            map.write("roundTrip", optional: history.roundTrip)
        }
        return map.bytes
    }

    /// Reads what ``stored`` wrote.
    public init(storage bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxStoredBytes else {
            throw DecodeError(.overLimit, "responders: longer than 1 MiB")
        }
        self.init()
        var reader = CanonicalReader(bytes)
        try reader.map(fields: 2)
        guard try reader.number("version") == 1 else {
            throw DecodeError(.unsupported, "responders: a version that is not known")
        }
        for _ in 0..<(try reader.list("responders", upTo: Self.maxKnown)) {
            try reader.map(fields: 5)
            let peer = try reader.peer("peer")
            let speed = try reader.null("speed") ? nil : try reader.number()
            let failed = UInt32(try reader.number("failed", upTo: 1_000))
            let answered = UInt32(try reader.number("answered", upTo: 1_000))
            let roundTrip = try reader.null("roundTrip") ? nil : try reader.number()
            restore(
                ResponderHistory(
                    answered: answered, failed: failed, roundTrip: roundTrip, speed: speed),
                of: peer)
        }
        try reader.end()
    }
}
