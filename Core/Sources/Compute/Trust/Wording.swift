// What became of a call, in words: the same on every node and in every page.

extension Confidence {
    /// What may be believed, and what that rests on, in a line.
    public var text: String {
        let what =
            switch basis {
            case .executedHere: "computed here"
            case .agreement(let count): String(count) + " peers agree"
            case .sampling(let millionths):
                Self.percent(UInt64(millionths)) + " % of answers are checked"
            case .history: "not checked"
            }
        var text = what + "; wrong in " + Self.percent(errorRate) + " % of cases, if "
        for (index, assumption) in assumptions.enumerated() {
            text += (index > 0 ? ", and " : "") + assumption
        }
        return text
    }

    /// Millionths as a percentage with at least one decimal.
    public static func percent(_ millionths: UInt64) -> String {
        var digits = Array(String(millionths % 10_000 + 10_000).utf8.dropFirst())
        while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return String(millionths / 10_000) + "." + String(decoding: digits, as: UTF8.self)
    }
}

extension CallTrace.Outcome {
    /// What came of asking, in words.
    public var text: String {
        switch self {
        case .answered: "answered"
        case .failed(let failure): "no answer: " + failure.description
        case .notRunHere: "could not be run here"
        case .passedOn(let count):
            "passed on the signed answers of " + String(count) + " others"
        case .cancelled: "not needed any more"
        case .refuted: "its answer was wrong"
        }
    }
}
