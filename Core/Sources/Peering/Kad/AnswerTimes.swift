import Wire

/// How long peers take to answer, and after how long one is no longer waited for: as TCP's
/// retransmission timer is reckoned (RFC 6298), from the mean and the mean deviation.
///
/// With it a lookup goes on without those who will never answer after about as long as the slowest
/// of the others take, wherever this node is in the world.
struct AnswerTimes: Sendable {
    /// While fewer answers than this are known, the longest patience holds.
    static let least = 8

    private var count = 0
    /// In nanoseconds.
    private var mean: Int64 = 0
    private var deviation: Int64 = 0

    /// An answer came after so long.
    mutating func note(_ duration: Duration) {
        let time = min(duration.wholeNanoseconds, Kad.answerTimeout.wholeNanoseconds)
        defer { count = min(count + 1, Self.least) }
        guard count > 0 else {
            (mean, deviation) = (time, time / 2)
            return
        }
        deviation += (abs(time - mean) - deviation) / 4
        mean += (time - mean) / 8
    }

    /// How long a peer is waited for.
    var patience: Duration {
        guard count >= Self.least else { return Kad.patience }
        return max(Kad.shortestPatience, min(.nanoseconds(mean + 4 * deviation), Kad.patience))
    }
}
