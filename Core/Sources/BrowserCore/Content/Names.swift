// Names of keys (specs.ipfs.tech/ipns): the page asks the nodes that it is connected with for a
// name's record, checks who has signed it, and goes by the newest. A node answers with what it
// knows.

import IPLD
import Multiformats
import Peering
import Wire

/// What is known of names, and who is being asked.
final class Names {
    /// What may be taken for the newest record.
    enum Mode: UInt32 {
        /// A valid one that is known; whoever is connected is asked for a newer one when its time
        /// to live is over, and nobody waits for that.
        case standard
        /// What those who are connected answer.
        case reload
        /// A known one, and nobody is asked.
        case known
    }

    /// A name that is being asked for.
    struct Question {
        let name: PeerID
        /// Whom the page tells the outcome by this number; nil if it does not wait.
        let request: UInt32?
        let clock: WallClock
        var open: Set<UInt64> = []
        var best: IPNSRecord?
        /// When no more answers are waited for.
        var end: Instant
        /// Whether somebody has sent a record that does not hold.
        var hasLie = false
        /// What became of each peer, in lines.
        var outcomes: [String] = []
    }

    /// How many names may be asked for at a time, and how many peers for each.
    static let maxQuestions = 64
    static let maxPeers = 8
    /// How many names' records are kept.
    static let maxKnown = 256
    /// How long others may still bring a better record after the first one came.
    static let grace: Duration = .milliseconds(300)
    /// The longest time to live that counts.
    static let maxTTL: UInt64 = 86_400_000_000_000

    var fetch = KeyFetch()
    /// Whom each order of the protocol went to.
    var asked = [UInt64: PeerID]()
    var questions: [Question] = []
    private var known = [PeerID: (record: IPNSRecord, checked: Instant)]()

    /// The newest valid record that is known of a name, and whether its time to live is not over.
    func record(
        of name: PeerID, clock: WallClock, now: Instant
    ) -> (record: IPNSRecord, isFresh: Bool)? {
        guard let (record, checked) = known[name], clock.time(at: now) < record.validUntil else {
            return nil
        }
        let life = min(record.ttlNanoseconds, Self.maxTTL)
        return (record, now < checked + .nanoseconds(Int64(life)))
    }

    /// Keeps a record that has been checked, unless a newer one is known. Returns the newer one.
    func keep(_ record: IPNSRecord, of name: PeerID, now: Instant) -> IPNSRecord {
        var newest = record
        if let other = known[name]?.record, other.isNewer(than: record) { newest = other }
        if known[name] == nil, known.count >= Self.maxKnown {
            let oldest = known.min { $0.value.checked < $1.value.checked }
            if let oldest { known[oldest.key] = nil }
        }
        known[name] = (newest, now)
        return newest
    }

    var deadline: Instant? {
        questions.reduce(fetch.deadline) { $0.earlier($1.end) }
    }
}

extension IPNSRecord {
    /// Reads the record of a name that somebody has sent, and believes it if the key's owner has
    /// signed it and it holds.
    static func checked(
        _ bytes: RawSpan, for name: PeerID, at time: Timestamp
    ) throws(DecodeError) -> IPNSRecord {
        let record = try IPNSRecord(decoding: bytes)
        do throws(Invalidity) {
            try record.validate(for: name, at: time)
        } catch {
            throw DecodeError(.mismatch, error.told)
        }
        guard record.path != nil else { throw DecodeError(.malformed, "names no path") }
        return record
    }
}

extension IPNSRecord.Invalidity {
    /// What is wrong with the record.
    fileprivate var told: StaticString {
        switch self {
        case .missingKey, .wrongKey: "the record is not of the name's key"
        case .badSignature: "the record is not signed by the name's key"
        case .expired: "the record holds no more"
        }
    }
}
