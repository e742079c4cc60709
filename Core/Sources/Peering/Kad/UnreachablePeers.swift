import Multiformats
import Wire

/// Peers that could not be reached not long ago. Until their time is over, nobody's word of them is
/// taken, so that liars do not make each lookup dial the same inventions.
struct UnreachablePeers: Sendable {
    static let time: Duration = .seconds(120)
    /// How many are remembered.
    static let limit = 512

    private var until: [PeerID: Instant] = [:]

    var count: Int { until.count }

    func contains(_ peer: PeerID, now: Instant) -> Bool { until[peer].map { $0 > now } ?? false }

    mutating func insert(_ peer: PeerID, now: Instant) {
        if until.count >= Self.limit {
            until = until.filter { $0.value > now }
            // Forgetting too much costs a dial.
            if until.count >= Self.limit { until = [:] }
        }
        until[peer] = now + Self.time
    }

    mutating func remove(_ peer: PeerID) { until[peer] = nil }
}
