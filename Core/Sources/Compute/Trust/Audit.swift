// How much an answer is checked, and what may be believed of it afterwards.

/// How the answers of peers are checked.
public enum CallAudit: Hashable, Sendable {
    /// Not at all.
    case none
    /// So many of a million answers are asked for again, from another peer, after they have come.
    case sample(millionths: UInt32)
    /// So many peers must give the same answer.
    case quorum(UInt32)
    /// This node runs the call itself as well.
    case selfExecution

    /// One of twenty is asked for again.
    public static let usual = CallAudit.sample(millionths: 50_000)
    /// The most peers of a quorum.
    public static let maxQuorum: UInt32 = 16
}

/// What may be believed of an answer, in numbers, and under which assumptions.
public struct Confidence: Hashable, Sendable {
    /// What the belief stands on.
    public enum Basis: Hashable, Sendable {
        /// This node has run the call itself.
        case executedHere
        /// So many peers, chosen at random, gave the same answer.
        case agreement(UInt32)
        /// So many of a million answers of this kind are checked afterwards.
        case sampling(millionths: UInt32)
        /// The responder's record alone.
        case history
    }

    /// What the belief stands on.
    public let basis: Basis
    /// Answers that the responder has given to this node.
    public let answered: UInt32
    /// Calls that it failed.
    public let failed: UInt32
    /// The chance that the answer is wrong, in millionths, if the assumptions hold.
    public let errorRate: UInt64
    /// The chance that a wrong answer of this kind is found out, in millionths.
    public let detectionRate: UInt64

    /// The share of liars among peers that is assumed, in millionths. Nobody can measure it.
    public static let assumedLiars: UInt64 = 200_000

    init(_ basis: Basis, of history: ResponderHistory?) {
        self.basis = basis
        answered = history?.answered ?? 0
        failed = history?.failed ?? 0
        let honest = 1_000_000 - Self.assumedLiars
        switch basis {
        case .executedHere:
            errorRate = 0
            detectionRate = 1_000_000
        case .agreement(let count):
            var all: UInt64 = 1_000_000
            for _ in 0..<min(count, CallAudit.maxQuorum) {
                all = all * Self.assumedLiars / 1_000_000
            }
            errorRate = all
            detectionRate = 1_000_000 - all
        case .sampling(let millionths):
            errorRate = history?.errorRate ?? 1_000_000
            detectionRate = UInt64(min(millionths, 1_000_000)) * honest / 1_000_000
        case .history:
            errorRate = history?.errorRate ?? 1_000_000
            detectionRate = 0
        }
    }

    /// What has to be true for the numbers to hold, for people.
    public var assumptions: [String] {
        switch basis {
        case .executedHere: ["this machine and its engine compute correctly"]
        case .agreement:
            [
                "one of five peers lies, and those that do give the same wrong answer",
                "the peers were chosen independently of each other",
            ]
        case .sampling:
            [
                "one of five peers lies, and those that do give the same wrong answer",
                "the responder cannot tell which answers are checked",
                "it goes on as it has begun",
            ]
        case .history: ["the responder goes on as it has begun; nothing was checked"]
        }
    }
}
