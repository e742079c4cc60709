// Whether the peer at the other end of data channels is there. Browsers do not tell in time: ICE
// gets its answers also from a node that was started anew, and knows nothing of the association.
// So a peer that does not answer what it was sent is asked (github.com/libp2p/specs, ping), and is
// gone if nothing comes at all.

import Wire

/// What is known of a peer's being there.
struct Presence {
    /// What is to be done.
    enum Turn {
        /// The peer is to be asked.
        case ask
        /// It has not answered: the connection is over.
        case leave
    }

    /// How long nothing may come from a peer after something was sent before it is asked.
    static let quiet: Duration = .seconds(5)
    /// How long it may be silent then.
    static let patience: Duration = .seconds(5)
    /// How much later than it wanted a page may be called that was not held up. One that was first
    /// hears what has come meanwhile, for so long.
    static let delay: Duration = .seconds(1)

    private var lastHeard: Instant
    /// When it is its turn; nil if nothing is awaited.
    private(set) var deadline: Instant?
    private var isAsked = false
    private var isHeldUp = false

    /// A peer of which something was heard just now.
    init(now: Instant) { lastHeard = now }

    /// Something has come from the peer.
    mutating func heard(now: Instant) {
        lastHeard = now
        deadline = nil
        isAsked = false
        isHeldUp = false
    }

    /// Something was sent, on which an answer may come.
    mutating func sent(now: Instant) {
        if deadline == nil { deadline = max(now, lastHeard + Self.quiet) }
    }

    /// Somebody waits for what does not come.
    mutating func isAwaited(now: Instant) {
        if !isAsked { deadline = now }
    }

    /// What is due.
    mutating func advance(to now: Instant) -> Turn? {
        guard let due = deadline, now >= due else { return nil }
        guard isAsked else {
            isAsked = true
            deadline = now + Self.patience
            return .ask
        }
        if now.since(due) > Self.delay, !isHeldUp {
            isHeldUp = true
            deadline = now + Self.delay
            return nil
        }
        return .leave
    }
}
