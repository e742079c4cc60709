/// What one peer brings of one topic while it is in its mesh, held against what the application
/// says that each brings at least (gossipsub 1.1, P3 and P3b).
///
/// A peer that keeps messages back is known by that alone. Where nothing is said of the rate
/// nothing is counted, because honest peers would suffer from a wrong guess.
struct MeshDeliveries: Sendable {
    /// The share that counts one heartbeat later.
    static let fading = 0.99
    /// For how many heartbeats a peer is not judged.
    static let activation = 60
    /// While fewer messages than this are expected, chance is too large a part of it.
    static let leastExpected = 4.0
    /// What bringing nothing costs, during and for a while after.
    static let weight = 60.0
    static let failureFading = 0.998
    static let maxFailure = 2.0

    /// Per heartbeat; zero outside of the mesh.
    private var rate: Double
    private var beats = 0
    private var expected = 0.0
    private var count = 0.0
    private var failure = 0.0

    init(expecting rate: Double) { self.rate = rate }

    mutating func begin(expecting rate: Double) {
        if self.rate == 0 { (beats, expected, count) = (0, 0, 0) }
        self.rate = rate
    }

    mutating func end() {
        // Leaving must not wipe out what is missing.
        failure = min(failure + deficit * deficit, Self.maxFailure)
        (rate, beats, expected, count) = (0, 0, 0, 0)
    }

    mutating func note() { if rate > 0 { count += 1 } }

    mutating func passed() {
        failure *= Self.failureFading
        guard rate > 0 else { return }
        beats += 1
        expected = expected * Self.fading + rate
        count *= Self.fading
    }

    /// The share of what is expected that is missing.
    private var deficit: Double {
        guard beats >= Self.activation, expected >= Self.leastExpected else { return 0 }
        return max(0, 1 - count / expected)
    }

    var penalty: Double { (deficit * deficit + failure) * Self.weight }

    var isForgotten: Bool { rate == 0 && failure < 0.01 }
}
