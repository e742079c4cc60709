// How many calls may be asked a second time because the first peer is slow. Where one peer is slow,
// a second question helps; where all are because all are busy, it makes all slower. So with none
// left a call waits for twice as long before it is asked again.

/// Second questions that may be asked: some at any time, and one more for every so many calls.
package struct HedgeBudget: Hashable, Sendable {
    /// After so many calls there may be one more.
    private static let calls = 16
    /// So many may be asked at a time.
    private static let burst = 8
    /// How much longer a call waits at least when there is none left.
    static let pause: Duration = .milliseconds(50)

    /// What is there, in parts of a question.
    private var parts = burst * calls

    /// All of them.
    package init() {}

    /// A call was asked of a peer.
    package mutating func noteCall() { parts = min(parts + 1, Self.burst * Self.calls) }

    /// Takes one, if there is one.
    package mutating func take() -> Bool {
        guard parts >= Self.calls else { return false }
        parts -= Self.calls
        return true
    }
}
