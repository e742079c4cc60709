// What a look at the node found: one thing, how it stands, and what to do about it.

/// One thing that `weft doctor` looked at.
public struct Finding: Hashable, Sendable {
    /// How it stands with it.
    public enum Verdict: String, Hashable, Sendable {
        /// Nothing has to be done.
        case good
        /// It works; something could be better, or is not known yet.
        case note
        /// Something does not work.
        case problem
    }

    /// What was looked at, in a word or two.
    public let subject: String
    /// How it stands with it.
    public let verdict: Verdict
    /// What was found, in a sentence.
    public let summary: String
    /// The facts behind it, a line each.
    public let details: [String]
    /// What to do; nil if nothing has to be done.
    public let advice: String?

    init(
        _ subject: String, _ verdict: Verdict, _ summary: String, details: [String] = [],
        advice: String? = nil
    ) {
        self.subject = subject
        self.verdict = verdict
        self.summary = summary
        self.details = details
        self.advice = advice
    }
}
