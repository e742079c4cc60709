// What the want table keeps of blocks, sources and sessions.

import Multiformats
import Wire

extension WantTable {
    /// A block that is wanted.
    struct Want: Sendable {
        let cid: CID
        let place: WantQueue.Place
        /// How long it probably is, in bytes.
        let size: Int
        let since: Instant
        /// Who wants it. The first one asks for it.
        var sessions: [SessionID]
        /// Who has been asked for it and not answered, in order.
        var holders: [SourceID] = []
        /// Who has been asked whether they have it and not answered.
        var probes: [Probe] = []
    }

    struct Probe: Sendable {
        let source: SourceID
        let begun: Instant
    }

    /// A block that a source has been asked for.
    struct Request: Sendable {
        let hash: Multihash
        let size: Int
        let begun: Instant
        /// When it should be here.
        let expected: Instant
        /// Whether nothing else had been asked of the source.
        let wasAlone: Bool
    }

    struct Source: Sendable {
        let abilities: Abilities
        var pace = Pace()
        /// What it was asked for, in that order, which is the one in which it should answer.
        var open = OpenRequests()
        var openBytes = 0
        /// The sessions for which it sends a whole.
        var streams: [SessionID] = []
        var lastActivity = Instant(nanoseconds: 0)
        /// When it was last asked for something while nothing else was open.
        var idleUntil = Instant(nanoseconds: 0)
        var pausedUntil = Instant(nanoseconds: 0)
        var isSuspended = false
        var isDropped = false
        var strikes = 0
        var sessions: [SessionID] = []

        var isUsable: Bool { !isDropped && !isSuspended }

        /// How long until a block that it was asked for should be here, by what it brought lately.
        func remaining(until hash: Multihash, now: Instant) -> Duration {
            guard let rate = pace.rate(now: now) else { return .zero }
            var bytes = 0
            for request in open.all {
                bytes += request.size
                if request.hash == hash { break }
            }
            let passed = now.since(max(lastActivity, idleUntil)).fractionalSeconds
            return .fraction(Double(bytes) / max(rate, 1) - passed)
        }

        /// How long until one more block of `size` bytes would be here; nil while that cannot be
        /// told.
        func expectation(of size: Int, now: Instant) -> Duration? {
            guard pace.isTelling, let rate = pace.rate(now: now) else { return nil }
            let transfer = Duration.fraction(Double(size) / max(rate, 1))
            let queue = Duration.fraction(Double(openBytes) / max(rate, 1))
            return transfer + max(queue, pace.latency ?? .zero)
        }
    }

    /// A source's part in a session.
    struct Seat: Sendable {
        enum Promise: Sendable {
            case unknown
            /// It said that it has a block, or routing did.
            case promised
            /// It brought one.
            case proven
        }

        var promise: Promise
        /// The blocks that it was asked about and has not answered for. Others may be faster than
        /// its answer, which then still says that it can help.
        private var asked: Set<Multihash> = []
        private static let askedMax = 256
        var missing: Set<Multihash> = []
        /// Of what is missing, what it has only not answered for in time.
        var silent: Set<Multihash> = []
        var misses = 0

        init(promise: Promise) { self.promise = promise }

        mutating func ask(about hash: Multihash) {
            if asked.count == Self.askedMax { asked = [] }
            asked.insert(hash)
        }

        /// Whether it was asked about a block, which it answers now.
        mutating func answers(for hash: Multihash) -> Bool { asked.remove(hash) != nil }
    }

    struct Session: Sendable {
        /// How long it waits without any progress before it fails.
        let patience: Duration
        var queue = WantQueue()
        var seats = [SourceID: Seat]()
        /// The sources in the order in which they came.
        var order: [SourceID] = []
        /// How many bytes have been asked for, as far as sizes are known.
        var outstanding = 0
        var wantCount = 0
        var streaming = Streaming.none
        /// Whether a whole is over and nothing has been wanted since: what it left out will be.
        var readsOn = false
        /// How many bytes of a whole may come yet.
        var streamRoom = 0
        /// When somebody was asked for a whole, and whether that is too short a while ago for
        /// others to help.
        var streamBegun = Instant(nanoseconds: 0)
        var isAlone = false
        /// Who has been asked meanwhile whether they have the root.
        var streamProbed: Set<SourceID> = []
        var isSearching = false
        /// How many sources may join soon.
        var prospects = 0
        var lastSearch: Instant?
        var lastProgress: Instant
        var lastBroadcast: Instant
        /// When the next request is due to be looked at.
        var hedgeAt: Instant?
        var averageSize = 1 << 18
        var tally = Tally()
        /// Bytes that were asked for twice.
        var hedgedBytes: UInt64 = 0
        /// What went wrong with those who took part.
        var blame = Failure.absent
    }
}
