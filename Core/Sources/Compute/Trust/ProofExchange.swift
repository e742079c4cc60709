// How proofs get about: who has one tells its neighbours, who fetch it from whoever told them, look
// into it themselves and then tell theirs. A peer passes on only what it has found to be true, so
// who tells of a proof that is none has lied, and is listened to no more.

import Cryptography
import Multiformats
import Wire

/// What came of looking into a proof.
public enum ProofFinding: Hashable, Sendable {
    /// It proves that its accused has lied.
    case proven(Evidence)
    /// It proves nothing.
    case baseless
    /// This machine cannot tell: it lacks the contract, content or time.
    case undecided
}

/// Fetches proofs that peers tell of, and gives out those that this node has found to be true.
struct ProofExchange: Sendable {
    enum Event: Hashable, Sendable {
        /// Tell a peer this.
        case tell(PeerID, CallNews)
        /// Look into this file: ``examined(_:_:now:)`` with the number.
        case examine(UInt64, [UInt8])
        /// Nobody waits for what is being looked into.
        case stop(UInt64)
        /// Somebody has lied; the proof came from a peer, or from this node's user.
        case proven(Evidence)
        /// A peer has told of a proof that is none.
        case slandered(by: PeerID)
    }

    /// Proofs that are held to be given out: the newest, so many and of so many bytes.
    static let maxHeld = 256
    static let maxHeldBytes = 4 << 20
    /// The most bytes of proofs that are being fetched or wait to be looked into.
    static let maxPendingBytes = 16 << 20
    /// What one reporter may have this node do in ``window``: proofs, and bytes either way.
    static let maxProofs = 128
    static let maxBytes = 16 << 20
    static let window: Duration = .seconds(600)
    /// The most notices of one reporter that wait, and the most reporters.
    static let maxNotices = 64
    static let maxReporters = 1_024
    /// How long a reporter may take for a part, and a look into a proof.
    static let partTime: Duration = .seconds(30)
    static let examineTime: Duration = .seconds(30)
    /// How many notices a peer is told when it is met.
    static let toldOnMeeting = 16
    /// The most proofs that are fetched at a time, one of each reporter.
    static let maxTransfers = 8
    /// Proofs about which this machine could not tell: not looked into again. Who tells of more
    /// than so many in ``window`` is not listened to until its end.
    static let maxUndecided = 256
    static let maxUndecidedOfOne = 3

    struct Held: Sendable {
        let notice: ProofNotice
        let bytes: [UInt8]
    }

    private struct Reporter: Sendable {
        var waiting: [ProofNotice] = []
        var since: Instant
        var proofs = 0
        var bytes = 0
        /// Proofs about which this machine could not tell.
        var undecided = 0
        var ignoredUntil: Instant?
    }

    private struct Transfer: Sendable {
        let notice: ProofNotice
        var bytes: [UInt8] = []
        var deadline: Instant
    }

    private struct Case: Sendable {
        let bytes: [UInt8]
        let hash: [UInt8]
        let reporter: PeerID?
        let accused: PeerID
    }

    let owner: PeerID
    private var held = [PeerID: Held]()
    private var heldOrder: [PeerID] = []
    private var heldBytes = 0
    private var reporters = [PeerID: Reporter]()
    private var reporterOrder = Outbox<PeerID>()
    private var transfers = [PeerID: Transfer]()
    /// Whose proofs are being fetched, wait, or are looked into.
    private var busy: Set<PeerID> = []
    private var pendingBytes = 0
    private var cases: [Case] = []
    private var examining: (number: UInt64, Case, deadline: Instant)?
    private var undecided: [[UInt8]] = []
    private var nextNumber: UInt64 = 1
    private var events = Outbox<Event>()

    init(owner: PeerID) { self.owner = owner }

    /// The proofs that can be given out, the oldest first.
    var notices: [ProofNotice] { heldOrder.compactMap { held[$0]?.notice } }

    // MARK: What this node has found

    /// Holds a proof that was found to be true, and returns the notice of it; nil if there is one
    /// of the same peer already, because one is enough.
    mutating func hold(_ evidence: Evidence) -> ProofNotice? {
        guard held[evidence.accused] == nil else { return nil }
        let bytes = evidence.encoded
        guard bytes.count <= Evidence.maxBytes else { return nil }
        let notice = ProofNotice(
            accused: evidence.accused, hash: SHA256.hash(bytes.rawSpan),
            size: UInt32(bytes.count))
        held[evidence.accused] = Held(notice: notice, bytes: bytes)
        heldOrder.append(evidence.accused)
        heldBytes += bytes.count
        while heldOrder.count > 1,
            heldOrder.count > Self.maxHeld || heldBytes > Self.maxHeldBytes
        {
            heldBytes -= held.removeValue(forKey: heldOrder.removeFirst())?.bytes.count ?? 0
        }
        return notice
    }

    /// Tells a peer of the newest proofs.
    mutating func meet(_ peer: PeerID) {
        for notice in notices.suffix(Self.toldOnMeeting) where notice.accused != peer {
            events.append(.tell(peer, .proof(notice)))
        }
    }

    /// Looks into what somebody who is no peer says.
    mutating func accuse(_ evidence: Evidence, now: Instant) {
        let bytes = evidence.encoded
        guard pendingBytes + bytes.count <= Self.maxPendingBytes,
            busy.insert(evidence.accused).inserted
        else { return }
        pendingBytes += bytes.count
        cases.append(
            Case(
                bytes: bytes, hash: SHA256.hash(bytes.rawSpan), reporter: nil,
                accused: evidence.accused))
        pump(now: now)
    }

    // MARK: What peers say

    /// A peer tells of a proof against somebody who is not known to be a liar.
    mutating func take(_ notice: ProofNotice, from peer: PeerID, now: Instant) {
        guard notice.accused != owner, notice.accused != peer, held[notice.accused] == nil,
            !undecided.contains(notice.hash)
        else { return }
        edit(peer, now: now) { reporter in
            guard reporter.waiting.count < Self.maxNotices, !reporter.waiting.contains(notice)
            else { return }
            reporter.waiting.append(notice)
        }
        pump(now: now)
    }

    /// A peer wants a part of a proof.
    mutating func take(want hash: [UInt8], offset: UInt32, from peer: PeerID, now: Instant) {
        guard let entry = held.first(where: { $0.value.notice.hash == hash })?.value,
            Int(offset) < entry.bytes.count
        else { return }
        let end = min(entry.bytes.count, Int(offset) + CallNews.maxPartBytes)
        var mayHave = false
        edit(peer, now: now) { reporter in
            mayHave = reporter.bytes + end - Int(offset) <= Self.maxBytes
            if mayHave { reporter.bytes += end - Int(offset) }
        }
        guard mayHave else { return }
        let part = [UInt8](entry.bytes[Int(offset)..<end])
        events.append(.tell(peer, .part(hash: hash, offset: offset, bytes: part)))
    }

    /// A peer sends a part of a proof.
    mutating func take(
        part bytes: [UInt8], at offset: UInt32, of hash: [UInt8], from peer: PeerID, now: Instant
    ) {
        guard var transfer = transfers[peer], transfer.notice.hash == hash,
            Int(offset) == transfer.bytes.count
        else { return }
        transfer.bytes += bytes
        let size = Int(transfer.notice.size)
        guard transfer.bytes.count >= size else {
            transfer.deadline = now + Self.partTime
            transfers[peer] = transfer
            let next = UInt32(transfer.bytes.count)
            events.append(.tell(peer, .want(hash: hash, offset: next)))
            return
        }
        transfers[peer] = nil
        guard transfer.bytes.count == size, SHA256.hash(transfer.bytes.rawSpan) == hash else {
            release(transfer.notice.accused, size)
            ignore(peer, until: nil)
            return pump(now: now)
        }
        cases.append(
            Case(
                bytes: transfer.bytes, hash: hash, reporter: peer,
                accused: transfer.notice.accused))
        pump(now: now)
    }

    /// What came of looking into a proof.
    mutating func examined(_ number: UInt64, _ finding: ProofFinding, now: Instant) {
        guard let (expected, task, _) = examining, expected == number else { return }
        examining = nil
        release(task.accused, task.bytes.count)
        switch finding {
        case .proven(let evidence) where evidence.accused == task.accused:
            events.append(.proven(evidence))
        case .proven, .baseless:
            if let reporter = task.reporter { ignore(reporter, until: nil) }
        case .undecided:
            undecided.append(task.hash)
            if undecided.count > Self.maxUndecided { undecided.removeFirst() }
            guard let reporter = task.reporter else { break }
            reporters[reporter]?.undecided += 1
            if reporters[reporter]?.undecided ?? 0 >= Self.maxUndecidedOfOne {
                ignore(reporter, until: now + Self.window)
            }
        }
        pump(now: now)
    }

    /// Somebody is known to have lied: nothing more need be fetched.
    mutating func settle(_ accused: PeerID) {
        for (peer, reporter) in reporters where !reporter.waiting.isEmpty {
            reporters[peer]?.waiting.removeAll { $0.accused == accused }
        }
    }

    // MARK: Time

    /// Gives up what takes too long.
    mutating func advance(to now: Instant) {
        if let (number, _, deadline) = examining, deadline <= now {
            events.append(.stop(number))
            examined(number, .undecided, now: now)
        }
        let late = transfers.filter { $0.value.deadline <= now }.map { $0.key }
            .sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        for peer in late {
            guard let transfer = transfers.removeValue(forKey: peer) else { continue }
            release(transfer.notice.accused, Int(transfer.notice.size))
            // Perhaps its line is slow: it is listened to again later.
            ignore(peer, until: now + Self.window)
        }
        if !late.isEmpty { pump(now: now) }
    }

    /// When `advance` has something to do.
    var deadline: Instant? {
        var first = examining?.deadline
        for (_, transfer) in transfers { first = first.earlier(transfer.deadline) }
        return first
    }

    mutating func nextEvent() -> Event? { events.popFirst() }

    // MARK: Tables

    private mutating func edit(
        _ peer: PeerID, now: Instant, _ change: (inout Reporter) -> Void
    ) {
        if reporters[peer] == nil {
            if reporters.count >= Self.maxReporters, let oldest = reporterOrder.popFirst() {
                reporters[oldest] = nil
                if let transfer = transfers.removeValue(forKey: oldest) {
                    release(transfer.notice.accused, Int(transfer.notice.size))
                }
            }
            reporterOrder.append(peer)
            reporters[peer] = Reporter(since: now)
        }
        guard var reporter = reporters[peer] else { return }
        if let until = reporter.ignoredUntil {
            guard until <= now else { return }
            reporter.ignoredUntil = nil
        }
        if now.since(reporter.since) >= Self.window {
            reporter.since = now
            reporter.proofs = 0
            reporter.bytes = 0
            reporter.undecided = 0
        }
        change(&reporter)
        reporters[peer] = reporter
    }

    /// Does not listen to a peer for a time; without an end, its owner is told that it lied.
    private mutating func ignore(_ peer: PeerID, until end: Instant?) {
        reporters[peer]?.waiting = []
        reporters[peer]?.ignoredUntil = end
        guard end == nil else { return }
        reporters[peer]?.ignoredUntil = Instant(nanoseconds: .max)
        events.append(.slandered(by: peer))
    }

    private mutating func release(_ accused: PeerID, _ size: Int) {
        busy.remove(accused)
        pendingBytes -= size
    }

    /// Begins what can be begun.
    private mutating func pump(now: Instant) {
        if examining == nil, !cases.isEmpty {
            let task = cases.removeFirst()
            let number = nextNumber
            nextNumber += 1
            examining = (number, task, now + Self.examineTime)
            events.append(.examine(number, task.bytes))
        }
        let open = reporters.filter { !$0.value.waiting.isEmpty && isIdle($0.key) }
            .map { $0.key }.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        for peer in open { fetch(from: peer, now: now) }
    }

    /// Whether nothing that a peer told of is fetched, waits or is looked into.
    private func isIdle(_ peer: PeerID) -> Bool {
        transfers[peer] == nil && examining?.1.reporter != peer
            && !cases.contains { $0.reporter == peer }
    }

    private mutating func fetch(from peer: PeerID, now: Instant) {
        guard transfers.count < Self.maxTransfers, var reporter = reporters[peer],
            let place = reporter.waiting.firstIndex(where: { !busy.contains($0.accused) })
        else { return }
        let notice = reporter.waiting[place]
        let size = Int(notice.size)
        guard reporter.proofs < Self.maxProofs, reporter.bytes + size <= Self.maxBytes,
            pendingBytes + size <= Self.maxPendingBytes
        else { return }
        reporter.waiting.remove(at: place)
        reporter.proofs += 1
        reporter.bytes += size
        reporters[peer] = reporter
        transfers[peer] = Transfer(notice: notice, deadline: now + Self.partTime)
        busy.insert(notice.accused)
        pendingBytes += size
        events.append(.tell(peer, .want(hash: notice.hash, offset: 0)))
    }
}
