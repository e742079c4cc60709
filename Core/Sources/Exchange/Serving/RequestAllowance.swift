import Wire

/// How much one peer may ask for in a time: a bucket that fills at a steady rate.
struct RequestAllowance: Sendable {
    /// How many requests are added in a second.
    let perSecond: Int
    /// How many may be saved up.
    let burst: Int
    private var available: Int
    private var filled: Instant

    init(perSecond: Int, burst: Int, now: Instant) {
        self.perSecond = perSecond
        self.burst = burst
        available = burst
        filled = now
    }

    /// Takes up to `count` requests out, and returns how many there were.
    mutating func take(_ count: Int, now: Instant) -> Int {
        refill(now: now)
        let taken = min(count, available)
        available -= taken
        return taken
    }

    /// Puts back what was taken out and not used.
    mutating func giveBack(_ count: Int) {
        available += count
    }

    /// When the next request may be taken out.
    func nextAvailable(now: Instant) -> Instant {
        available > 0 ? now : filled + .nanoseconds(1_000_000_000 / max(1, perSecond) + 1)
    }

    private mutating func refill(now: Instant) {
        let passed = UInt64(now.since(filled).wholeNanoseconds)
        // Ten seconds fill any bucket; a product of more could overflow.
        let share = min(passed, 10_000_000_000) * UInt64(perSecond) / 1_000_000_000
        guard share > 0 else { return }
        available = min(burst, available + Int(min(share, UInt64(burst))))
        filled = now
    }
}
