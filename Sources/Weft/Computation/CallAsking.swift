// What a call of this node calls may be asked of peers as well: on which terms, and what is known
// of answers that rest on their word.

import Compute
import Multiformats

/// On what terms peers are asked for a call, and for what that calls.
struct CallAsking: Hashable, Sendable {
    /// How their answers are checked.
    let audit: CallAudit
    /// The most that gas may cost.
    let maxPrice: Price
    /// What a wrong answer would cost, in credits.
    let value: UInt64

    /// The terms of a run that this node's machine of calls orders; nil if peers are not asked for
    /// any part of it.
    init?(_ purpose: RunPurpose) {
        guard case .own(let terms, let audit) = purpose, audit != .selfExecution else { return nil }
        self.audit = audit
        maxPrice = terms.maxPrice
        value = terms.value
    }

    /// The terms of a request.
    init(_ options: MeshOptions) {
        audit = (options.audit ?? .sample).machine
        maxPrice = options.maxPrice.map { Price(rate: $0) } ?? CallTerms().maxPrice
        value = options.value
    }

    /// Whether the answers of several peers are wanted.
    var isOfSeveral: Bool {
        if case .quorum = audit { true } else { false }
    }

    /// The terms for one call.
    func terms(expectedGas: UInt64?, patience: Duration) -> CallTerms {
        CallTerms(
            maxPrice: maxPrice, value: value, expectedGas: expectedGas, patience: patience)
    }
}

/// What of a result rests on the word of peers. A result of which nothing does is this node's own:
/// it may be remembered, and given to others under this node's name.
struct PeerShare: Hashable, Sendable {
    /// How many of the calls below it peers have answered.
    var calls = 0
    /// What was paid for that, in credits.
    var amount: UInt64 = 0
    /// The chance that one of those answers is wrong, in millionths: the sum of each one's.
    var errorRate: UInt64 = 0

    /// Nothing.
    static let none = PeerShare()

    /// Whether nothing rests on peers.
    var isNone: Bool { calls == 0 }

    /// One answer of a peer.
    init(_ answer: Compute.CallResult) {
        calls = 1
        amount = answer.amount
        errorRate = answer.confidence.errorRate
    }

    private init() {}

    /// What may be believed of a result that was computed here with answers of peers, in a line.
    var text: String {
        """
        computed here with the answers of peers to \(calls) of its calls; wrong in \
        \(Confidence.percent(errorRate)) % of cases, if they go on as they have begun
        """
    }

    static func + (left: PeerShare, right: PeerShare) -> PeerShare {
        var sum = left
        sum.calls += right.calls
        let (amount, isTooMuch) = left.amount.addingReportingOverflow(right.amount)
        sum.amount = isTooMuch ? .max : amount
        sum.errorRate = min(left.errorRate + right.errorRate, 1_000_000)
        return sum
    }
}
