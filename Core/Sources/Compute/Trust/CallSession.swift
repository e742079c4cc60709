// One call that somebody waits for: who was asked, what came, and what is still missing.

import IPLD
import Multiformats
import Wire

/// A step of a call, for people: who was asked, and what came of it.
public struct CallTrace: Hashable, Sendable {
    /// What came of asking.
    public enum Outcome: Hashable, Sendable {
        /// An answer.
        case answered
        /// None.
        case failed(CallFailure)
        /// This node could not run it.
        case notRunHere
        /// Signed answers of so many others, passed on.
        case passedOn(UInt32)
        /// Somebody else was faster.
        case cancelled
        /// The answer was found to be wrong.
        case refuted
    }

    /// Who was asked.
    public let responder: Responder
    /// How long that took.
    public let took: Duration
    /// What came of it.
    public let outcome: Outcome
}

/// The end of a call.
public struct CallResult: Hashable, Sendable {
    /// What was answered, with what it cost.
    public let record: CallRecord
    /// Who answered first.
    public let responder: Responder
    /// What the responder signed; nil if this node ran the call.
    public let answer: CallAnswer?
    /// Whether the answer was there before: remembered here, or passed on by a peer.
    public let isRemembered: Bool
    /// What may be believed of it.
    public let confidence: Confidence
    /// What was paid for it, in credits, to all that were asked.
    public let amount: UInt64
    /// What was tried.
    public let trace: [CallTrace]
}

/// Why there is no result.
public struct CallError: Error, Hashable, Sendable {
    /// The kinds of failure.
    public enum Kind: Hashable, Sendable {
        /// Nobody who may be asked is known, and this node does not run it.
        case nobody
        /// All that were asked failed.
        case allFailed
        /// So many answered, and more have to agree.
        case tooFew(answered: Int, needed: Int)
        /// The time is up.
        case timedOut
        /// The answers differ, and it could not be decided which is right.
        case disputed
        /// This node has too many calls under way.
        case overLimit
    }

    /// What kind of failure it is.
    public let kind: Kind
    /// What was tried.
    public let trace: [CallTrace]
}

extension CallError: CustomStringConvertible {
    public var description: String {
        switch kind {
        case .nobody:
            "this node does not run it, and knows no peer that does at this price and on credit"
        case .allFailed: "all peers that were asked to run the call failed"
        case .tooFew(let answered, let needed):
            "\(needed) peers have to agree, and only \(answered) answered"
        case .timedOut: "the call was not answered in time"
        case .disputed: "peers gave different answers, and it could not be told which is right"
        case .overLimit: "this node has too many calls under way; try again later"
        }
    }
}

/// A call's state.
struct CallSession: Sendable {
    struct Attempt: Sendable {
        let responder: Responder
        let started: Instant
        let expected: Duration
        /// The work that a peer has with it, and what it has to do before, in microseconds.
        var work: UInt64 = 0
        var waiting: UInt64 = 0
    }

    struct Given: Sendable {
        let responder: Responder
        let record: CallRecord
        let answer: CallAnswer?
        /// Who passed it on.
        var via: PeerID?
        /// Whether it answers an older question, so that its signer need not have its records any
        /// more.
        var isRemembered = false
        /// Whether it has been told to whoever remembers answers.
        var isNoted = false
    }

    /// What makes two fetches the same.
    struct Key: Hashable, Sendable {
        let call: CID
        let audit: CallAudit
        let maxPrice: Price
        let secondsValue: UInt64
        let value: UInt64
        /// Whether this node may run it.
        let isLocal: Bool
    }

    /// What was wanted. It is shared, because sessions are looked at many times.
    final class Order: Sendable {
        let key: Key
        let call: Call
        let terms: CallTerms
        let audit: CallAudit
        let candidates: [PeerID]
        let here: LocalCapacity?
        let deadline: Instant

        init(
            _ call: Call, _ terms: CallTerms, _ audit: CallAudit, _ candidates: [PeerID],
            _ here: LocalCapacity?, _ deadline: Instant
        ) {
            self.call = call
            key = Key(
                call: call.cid, audit: audit, maxPrice: terms.maxPrice,
                secondsValue: terms.secondsValue, value: terms.value, isLocal: here != nil)
            self.terms = terms
            self.audit = audit
            self.candidates = candidates
            self.here = here
            self.deadline = deadline
        }
    }

    let order: Order
    var call: Call { order.call }
    var terms: CallTerms { order.terms }
    var audit: CallAudit { order.audit }
    var here: LocalCapacity? { order.here }
    /// The peers that may be asked.
    private(set) var candidates: [PeerID]
    /// When nobody waits for the result any more.
    var deadline: Instant
    /// Others who asked for the same meanwhile, and get the same.
    var followers: [UInt64] = []
    /// Whether the one that began it does not want it any more.
    var isLeaderGone = false
    /// Whether more peers have been looked for, and whether they still are.
    var hasSearched = false
    var isSearching = false
    /// Whether it waits for room at those who may be asked.
    var isQueued = false
    /// What is under way, by number. Small: a quorum at the most.
    var attempts: [(number: UInt64, attempt: Attempt)] = []
    /// Who has been asked.
    var asked: Set<PeerID> = []
    var ranHere = false
    /// What came, without what was refuted.
    var given: [Given] = []
    var trace: [CallTrace] = []
    var amount: UInt64 = 0
    /// When somebody else is asked as well.
    var hedgeAt: Instant?
    /// Whether that was put off because too many calls are asked twice.
    var hasWaitedLonger = false
    /// The result has been given out; what is still going on is a check.
    var isDelivered = false
    /// How many answers there were then.
    var deliveredCount = 0
    /// How many peers have been asked for a check.
    var checks = 0
    var disputeNumber: UInt64?
    /// Whether answers differed and it could not be told who was wrong.
    var isUnclear = false

    init(order: Order) {
        self.order = order
        candidates = order.candidates
        deadline = order.deadline
    }

    /// These may be asked as well.
    mutating func offer(_ peers: [PeerID]) {
        for peer in peers where !candidates.contains(peer) { candidates.append(peer) }
    }

    /// Whether it is given up about when another order is: its questions tell peers how long the
    /// answer is wanted, and whoever joins has to live with that.
    func ends(about other: Order) -> Bool {
        let slack = other.terms.patience / 4
        return other.deadline <= deadline + slack && deadline <= other.deadline + slack
    }

    /// Those who wait for the result.
    func waiters(_ leader: UInt64) -> [UInt64] { isLeaderGone ? followers : [leader] + followers }

    /// How many peers are asked beyond those that are needed, until the call has failed.
    static let maxSpare = 7
    /// How many peers are asked for one check.
    static let maxChecks = 3

    /// How many equal answers are needed.
    var needed: Int {
        if case .quorum(let count) = audit { return Int(min(max(count, 1), CallAudit.maxQuorum)) }
        return 1
    }

    /// Those of `candidates` that have not been asked, and whose answer is not there anyway.
    var rest: [PeerID] {
        candidates.filter { peer in
            !asked.contains(peer) && !given.contains { $0.responder == .peer(peer) }
        }
    }

    /// How many peers are asked at the most.
    var maxAsked: Int { needed + Self.maxSpare }

    /// How long the peers of a quorum are waited for before this node runs the call itself: long
    /// enough for one that has to fetch and compile the contract first. Whoever wants a quorum
    /// wants the peers' word, and may find the call too large for this node.
    static let quorumPatience: Duration = .seconds(5)

    /// When this node runs a call for which its quorum does not come. A deadline that is near
    /// leaves it half of the time.
    var ownTurn: Instant {
        guard let last = attempts.last?.attempt.started else { return Instant(nanoseconds: 0) }
        let half = Duration(microseconds: deadline.since(last).microseconds / 2)
        return last + min(Self.quorumPatience, half)
    }

    /// Whether this node has to run what it cannot.
    var isImpossible: Bool { audit == .selfExecution && here == nil }

    /// Whether this node's own result is among those that came.
    var hasOwn: Bool { given.contains { $0.responder == .here } }

    /// Whether what has come suffices: this node's own result always does.
    var isSettled: Bool {
        guard !given.isEmpty, disputeNumber == nil, !differs else { return false }
        return hasOwn || (audit != .selfExecution && given.count >= needed)
    }

    /// Whether two of the answers differ.
    var differs: Bool { given.contains { $0.record != given[0].record } }

    /// Two that differ.
    var opponents: (Given, Given)? {
        guard let first = given.first, let other = given.first(where: { $0.record != first.record })
        else { return nil }
        return (first, other)
    }

    /// Why it fails when nobody is left who may be asked.
    var failure: CallError.Kind {
        if isUnclear { return .disputed }
        if !given.isEmpty, given.count < needed {
            return .tooFew(answered: given.count, needed: needed)
        }
        return trace.isEmpty ? .nobody : .allFailed
    }

    mutating func end(_ number: UInt64) -> Attempt? {
        guard let place = attempts.firstIndex(where: { $0.number == number }) else { return nil }
        return attempts.remove(at: place).attempt
    }

    /// Notes that an answer that came was found to be wrong.
    mutating func noteRefuted(_ responder: Responder) {
        guard trace.count < 64 else { return }
        trace.append(CallTrace(responder: responder, took: .zero, outcome: .refuted))
    }

    mutating func note(_ attempt: Attempt, _ outcome: CallTrace.Outcome, now: Instant) {
        guard trace.count < 64 else { return }
        trace.append(
            CallTrace(
                responder: attempt.responder, took: now.since(attempt.started), outcome: outcome))
    }
}
