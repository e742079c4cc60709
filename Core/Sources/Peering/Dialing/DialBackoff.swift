import Multiformats
import Wire

/// Which addresses failed not long ago, and when each may be tried again: five seconds after the
/// first failure, longer with the square of their number, five minutes at most.
struct DialBackoff: Sendable {
    static let base: Duration = .seconds(5)
    static let longest: Duration = .seconds(300)
    /// How many addresses are remembered.
    static let capacity = 2_048

    private struct Failures {
        var count: Int
        var until: Instant
    }

    private var failures: [Multiaddr: Failures] = [:]

    func isReady(_ address: Multiaddr, now: Instant) -> Bool {
        guard let entry = failures[address] else { return true }
        return entry.until <= now
    }

    mutating func succeeded(_ address: Multiaddr) {
        failures[address] = nil
    }

    mutating func failed(_ address: Multiaddr, now: Instant) {
        let count = min((failures[address]?.count ?? 0) + 1, 32)
        let wait = min(Self.base + .seconds((count - 1) * (count - 1)), Self.longest)
        if failures.count >= Self.capacity, failures[address] == nil {
            // Forgetting too much costs a dial; remembering too much costs memory.
            failures = failures.filter { $0.value.until > now }
            if failures.count >= Self.capacity { failures = [:] }
        }
        failures[address] = Failures(count: count, until: now + wait)
    }
}
