/// Who named the candidates of one lookup, and how that turned out.
///
/// Liars name peers that do not exist, near to the key, so that a lookup waits for them. What a
/// peer names is therefore tried a few at a time, more as it proves right; and once most of what
/// was tried has not answered, the rest of it is believed only if somebody else names it too.
struct Tellers: Sendable {
    /// A set of tellers, one bit each.
    typealias Names = UInt64

    /// This node's own table, and whoever answers after the 63rd: always believed.
    static let trusted: Names = 1 << 63
    /// How many of the candidates that only one peer named are asked at once, as long as nothing is
    /// known of it.
    static let allowance = 3
    /// After so many failures, more than twice as many as successes, a teller is not believed.
    static let maxFailures = 3

    private struct Standing {
        var right = 0
        var wrong = 0
        var open = 0

        var isFull: Bool { open >= max(1, Tellers.allowance + 2 * right - wrong) }
        var isCredible: Bool { wrong < Tellers.maxFailures || wrong <= 2 * right }
    }

    private var standings: [Standing] = []
    private var doubted: Names = 0
    private var full: Names = 0

    /// A peer that answered, and is about to name others.
    mutating func add() -> Names {
        guard standings.count < 63 else { return Self.trusted }
        standings.append(Standing())
        return 1 << Names(standings.count - 1)
    }

    /// Whether any of them is believed.
    func believes(_ names: Names) -> Bool { names & ~doubted != 0 }

    /// Whether a candidate that they named may be asked now.
    func allows(_ names: Names) -> Bool { names & ~doubted & ~full != 0 }

    /// A candidate that they named is asked. Returns whose allowance that takes.
    mutating func asks(_ names: Names) -> Names {
        let free = names & ~doubted & ~full
        guard free & Self.trusted == 0, free != 0 else { return Self.trusted }
        let index = free.trailingZeroBitCount
        standings[index].open += 1
        update(index)
        return 1 << Names(index)
    }

    /// It takes nobody's allowance any more.
    mutating func settles(_ charged: Names) {
        guard charged != Self.trusted, charged != 0 else { return }
        let index = charged.trailingZeroBitCount
        standings[index].open -= 1
        update(index)
    }

    /// So many more of the candidates that they named turned out to be there, and so many not.
    mutating func judge(_ names: Names, right: Int, wrong: Int) {
        var rest = names & ~Self.trusted
        while rest != 0 {
            let index = rest.trailingZeroBitCount
            rest &= rest - 1
            standings[index].right += right
            standings[index].wrong += wrong
            update(index)
        }
    }

    /// Believes everybody again.
    mutating func forgive() { doubted = 0 }

    private mutating func update(_ index: Int) {
        let bit: Names = 1 << Names(index)
        full = standings[index].isFull ? full | bit : full & ~bit
        doubted = standings[index].isCredible ? doubted & ~bit : doubted | bit
    }
}
