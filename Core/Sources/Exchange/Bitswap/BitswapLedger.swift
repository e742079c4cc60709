// What one peer wants, in which state each want is, and what is ready to be sent to it.

import Multiformats
import Wire

/// The server's side of one peer. It holds at most ``BitswapLimits/maxWants`` wants; everything
/// else in it is bounded by that.
struct BitswapLedger: Sendable {
    struct Want: Sendable {
        enum State: Sendable, Equatable {
            case waiting
            case lookingUp
            case absent
            case found(byteCount: Int)
        }

        let cid: CID
        /// Tells this want from an earlier one for the same CID.
        let ticket: UInt64
        var kind: BitswapMessage.Want.Kind
        var priority: Int32
        var absence: BitswapMessage.Want.Absence
        var state = State.waiting
        var attempts = 0
    }

    let peer: PeerID
    /// Tells this ledger from others that used its slot.
    let generation: UInt64
    /// Nil while there is no stream to the peer.
    var version: BitswapVersion?
    var allowance: RequestAllowance
    /// Bytes of blocks that were handed out to be sent and are not known to have left.
    var unacknowledged = 0
    /// Whether nothing can be sent before something has left.
    var isBlocked = false
    /// Bytes that were sent to this peer, on a scale that all peers share.
    var served: UInt64 = 0
    private(set) var wants = [CID: Want]()
    private(set) var presences: [BitswapMessage.Presence] = []
    private(set) var pendingBytes = 0
    private var ready = ReadyQueue<CID>()
    /// Wants to be looked up, in order; some may have been cancelled.
    private var unknown: [(cid: CID, ticket: UInt64)] = []
    /// Wants for blocks that are not here, the oldest first; some may have been cancelled.
    private var absent = BoundedQueue<(cid: CID, ticket: UInt64)>(
        limit: 4 * BitswapLimits.maxWants)
    /// How many wants are found.
    private var foundCount = 0

    init(peer: PeerID, generation: UInt64, allowance: RequestAllowance) {
        self.peer = peer
        self.generation = generation
        self.allowance = allowance
    }

    /// Whether a message could be made.
    var hasAnswers: Bool { !presences.isEmpty || foundCount > 0 }
    /// Whether wants wait to be looked up. Answers that nobody reads keep further ones waiting.
    var hasUnknown: Bool {
        !unknown.isEmpty && presences.count < 2 * BitswapLimits.maxWants
    }

    // MARK: Wants

    enum Admission { case taken, known, refused }

    /// Notes a want. A want for a block takes the place of one for its presence, not the reverse.
    mutating func admit(_ line: BitswapMessage.Want, ticket: UInt64) -> Admission {
        if var known = wants[line.cid] {
            known.priority = line.priority
            if line.absence == .answer { known.absence = .answer }
            let isRaised = known.kind == .have && line.kind == .block
            // Someone who asks again about a block that is not here wants to hear it again.
            let isRepeated = known.state == .absent && line.absence == .answer
            guard isRaised || isRepeated else {
                wants[line.cid] = known
                return .known
            }
            if isRaised { known.kind = .block }
            remove(line.cid)
            insert(line, kind: known.kind, absence: known.absence, ticket: ticket)
            return .taken
        }
        if wants.count >= BitswapLimits.maxWants, !makeRoom() {
            return .refused
        }
        insert(line, kind: line.kind, absence: line.absence, ticket: ticket)
        return .taken
    }

    private mutating func insert(
        _ line: BitswapMessage.Want, kind: BitswapMessage.Want.Kind,
        absence: BitswapMessage.Want.Absence, ticket: UInt64
    ) {
        wants[line.cid] = Want(
            cid: line.cid, ticket: ticket, kind: kind, priority: line.priority, absence: absence)
        enqueue(line.cid, ticket)
    }

    private mutating func enqueue(_ cid: CID, _ ticket: UInt64) {
        if unknown.count >= 2 * BitswapLimits.maxWants {
            unknown.removeAll { wants[$0.cid]?.ticket != $0.ticket }
        }
        unknown.append((cid, ticket))
    }

    /// Gives up the want that has waited longest for a block that is not here.
    private mutating func makeRoom() -> Bool {
        while let oldest = absent.popFirst() {
            guard let want = wants[oldest.cid], want.ticket == oldest.ticket else { continue }
            remove(oldest.cid)
            return true
        }
        return false
    }

    /// Forgets a want.
    mutating func remove(_ cid: CID) {
        guard let want = wants.removeValue(forKey: cid) else { return }
        if case .found(let count) = want.state {
            pendingBytes -= count
            foundCount -= 1
        }
    }

    /// Forgets everything that the peer wants.
    mutating func removeAllWants() {
        wants = [:]
        unknown = []
        absent.removeAll()
        pendingBytes = 0
        foundCount = 0
        ready = ReadyQueue()
    }

    // MARK: Look-ups

    /// The next wants to be looked up, at most `count`.
    mutating func takeUnknown(_ count: Int) -> [(cid: CID, ticket: UInt64)] {
        var taken: [(cid: CID, ticket: UInt64)] = []
        var passed = 0
        for entry in unknown {
            guard taken.count < count else { break }
            passed += 1
            guard wants[entry.cid]?.ticket == entry.ticket else { continue }
            wants[entry.cid]?.state = .lookingUp
            taken.append(entry)
        }
        unknown.removeFirst(passed)
        return taken
    }

    /// A look-up is answered. Returns whether the want stays to wait for a block that is not here.
    mutating func found(_ cid: CID, ticket: UInt64, byteCount: Int?) -> Bool {
        guard var want = wants[cid], want.ticket == ticket else { return false }
        guard let byteCount, byteCount <= BitswapLimits.maxMessageBytes / 2 else {
            want.state = .absent
            wants[cid] = want
            noteAbsent(cid, ticket)
            if want.absence == .answer { presences.append(.init(cid, .dontHave)) }
            return true
        }
        if want.kind == .have && byteCount > BitswapLimits.maxInlineBytes {
            remove(cid)
            presences.append(.init(cid, .have))
            return false
        }
        want.kind = .block
        want.state = .found(byteCount: byteCount)
        wants[cid] = want
        pendingBytes += byteCount
        foundCount += 1
        if ready.count >= 2 * BitswapLimits.maxWants {
            let current = wants
            ready.removeAll { current[$0.element]?.ticket != $0.ticket }
        }
        ready.insert(cid, priority: want.priority, ticket: ticket)
        return false
    }

    /// With more cancelled entries than wants, the oldest are looked through first.
    private mutating func noteAbsent(_ cid: CID, _ ticket: UInt64) {
        while absent.isFull, let oldest = absent.popFirst() {
            if wants[oldest.cid]?.ticket == oldest.ticket { remove(oldest.cid) }
        }
        // There is room now.
        _ = absent.append((cid, ticket))
    }

    /// Says that a block is not here although there was no want to note.
    mutating func deny(_ cid: CID) {
        guard presences.count < 2 * BitswapLimits.maxWants else { return }
        presences.append(.init(cid, .dontHave))
    }

    // MARK: Answers

    /// Takes presences out for a message.
    mutating func takePresences(_ count: Int) -> [BitswapMessage.Presence] {
        let taken = [BitswapMessage.Presence](presences.prefix(count))
        presences.removeFirst(taken.count)
        return taken
    }

    /// The block that is sent next.
    mutating func nextBlock() -> (cid: CID, byteCount: Int)? {
        while let entry = ready.first {
            if let want = wants[entry.element], want.ticket == entry.ticket,
                case .found(let count) = want.state
            {
                return (entry.element, count)
            }
            ready.removeFirst()
        }
        return nil
    }

    /// Takes the block of ``nextBlock()`` out; its want is fulfilled.
    mutating func takeBlock(_ cid: CID) -> Want? {
        let want = wants[cid]
        ready.removeFirst()
        remove(cid)
        return want
    }

    /// Puts a want back whose block could not be sent.
    mutating func putBack(_ want: Want, ticket: UInt64) {
        guard wants[want.cid] == nil, wants.count < BitswapLimits.maxWants else { return }
        var again = Want(
            cid: want.cid, ticket: ticket, kind: want.kind, priority: want.priority,
            absence: want.absence)
        again.attempts = want.attempts + 1
        wants[want.cid] = again
        enqueue(want.cid, ticket)
    }
}
