/// How many servers the DHT has, estimated from how near the nearest ones to random places are: in
/// a network of n, the i-th nearest lies at about i/n of the key space.
struct NetworkSize: Sendable {
    /// How many lookups the estimate rests on.
    static let window = 32
    /// An estimate from fewer lookups is not used.
    static let least = 4

    /// The slopes of distance over rank, a line through the origin fitted to each lookup.
    private var slopes: [Double] = []
    private var next = 0

    /// Takes the distances of the nearest peers of a finished lookup, the nearest first.
    mutating func note(_ distances: [KadID]) {
        guard distances.count >= Kad.bucketSize else { return }
        var (weighted, squares) = (0.0, 0.0)
        for (index, distance) in distances.enumerated() {
            let rank = Double(index + 1)
            weighted += rank * distance.fraction
            squares += rank * rank
        }
        let slope = weighted / squares
        guard slope > 0 else { return }
        if slopes.count < Self.window {
            slopes.append(slope)
        } else {
            slopes[next] = slope
            next = (next + 1) % Self.window
        }
    }

    /// The estimate; nil while too little is known. The median, so that a few lies do not count.
    var estimate: Double? {
        guard slopes.count >= Self.least else { return nil }
        return 1 / slopes.sorted()[slopes.count / 2]
    }

    /// The distance within which a peer is most likely one of the k nearest, as a fraction of the
    /// key space: one standard deviation less than where the last of them is expected.
    var nearDistance: Double? {
        guard let estimate else { return nil }
        let size = Double(Kad.bucketSize)
        return (size - size.squareRoot()) / estimate
    }
}
