import Wire

/// What a peer's behaviour is worth (gossipsub 1.1, "Peer Scoring"): time in meshes (P1), first
/// deliveries (P2), what it keeps back in meshes whose rate is known (P3, P3b), invalid messages
/// (P4), the application's opinion (P5), many peers at one address (P6), broken promises and
/// rudeness (P7). Each part is bounded and fades.
struct PubSubScore: Sendable {
    /// Below this a peer is told no gossip and believed none.
    static let gossipThreshold = -100.0
    /// Below this a peer is not sent our own messages.
    static let publishThreshold = -200.0
    /// Below this a peer is not listened to.
    static let graylistThreshold = -400.0
    /// A mesh whose median is lower is given better peers, if there are any.
    static let opportunisticThreshold = 5.0
    /// What a peer names as other peers is taken from a score of this on: one that has brought some
    /// ten messages first of late.
    static let exchangeThreshold = 5.0
    /// How many peers one address may have before it counts against them.
    static let colocationFree = 8
    /// How many lapses are forgiven, because networks have them too.
    static let misbehaviourFree = 4.0

    // How far each part goes.
    static let maxTime = 300.0
    static let maxFirstDeliveries = 100.0
    static let maxInvalid = 50.0
    static let maxMisbehaviour = 50.0
    static let maxOpinion = 1_000.0

    /// How many heartbeats it has been in meshes.
    private(set) var timeInMesh = 0.0
    private(set) var firstDeliveries = 0.0
    private(set) var invalidMessages = 0.0
    private(set) var misbehaviour = 0.0
    private(set) var opinion = 0.0
    /// What it brings of topics whose rate is known. In a fixed order, so that sums are the same in
    /// every run.
    private var deliveries: [(topic: [UInt8], share: MeshDeliveries)] = []

    /// The score of a peer that is one of so many at its address.
    func value(colocated: Int) -> Double {
        var score = timeInMesh * 0.01
        score += firstDeliveries * 0.5
        score -= invalidMessages * invalidMessages * 20
        let rudeness = max(0, misbehaviour - Self.misbehaviourFree)
        score -= rudeness * rudeness * 10
        for (_, share) in deliveries { score -= share.penalty }
        let crowd = Double(max(0, min(colocated, 1_000) - Self.colocationFree))
        score -= crowd * crowd * 10
        return score + opinion
    }

    /// It was the first to bring a valid message.
    mutating func delivered() {
        firstDeliveries = min(firstDeliveries + 1, Self.maxFirstDeliveries)
    }

    /// It brought messages that are not what they should be.
    mutating func broughtInvalid(_ count: Int) {
        invalidMessages = min(invalidMessages + Double(count), Self.maxInvalid)
    }

    /// It did what it should not, or did not do what it said.
    mutating func misbehaved() { misbehaviour = min(misbehaviour + 1, Self.maxMisbehaviour) }

    /// The application thinks more or less of it.
    mutating func judge(by amount: Double) {
        opinion = max(-Self.maxOpinion, min(opinion + amount, Self.maxOpinion))
    }

    /// It joined the mesh of a topic of which at least so many messages a heartbeat are expected of
    /// each peer.
    mutating func joined(_ topic: [UInt8], expecting rate: Double) {
        if let index = index(of: topic) {
            deliveries[index].share.begin(expecting: rate)
        } else {
            deliveries.append((topic, MeshDeliveries(expecting: rate)))
        }
    }

    /// It left the mesh of a topic.
    mutating func left(_ topic: [UInt8]) {
        if let index = index(of: topic) { deliveries[index].share.end() }
    }

    /// It brought a valid message of a topic, first or soon after.
    mutating func brought(_ topic: [UInt8]) {
        if let index = index(of: topic) { deliveries[index].share.note() }
    }

    private func index(of topic: [UInt8]) -> Int? {
        deliveries.firstIndex { $0.topic == topic }
    }

    /// A heartbeat passed: it forgets a little.
    mutating func passed(inMesh: Bool) {
        for index in deliveries.indices { deliveries[index].share.passed() }
        deliveries.removeAll { $0.share.isForgotten }
        timeInMesh = inMesh ? min(timeInMesh + 1, Self.maxTime) : 0
        firstDeliveries = Self.faded(firstDeliveries, 0.99)
        invalidMessages = Self.faded(invalidMessages, 0.999)
        misbehaviour = Self.faded(misbehaviour, 0.99)
        opinion = Self.faded(opinion, 0.999)
    }

    private static func faded(_ value: Double, _ share: Double) -> Double {
        let rest = value * share
        return rest < 0.01 && rest > -0.01 ? 0 : rest
    }
}
