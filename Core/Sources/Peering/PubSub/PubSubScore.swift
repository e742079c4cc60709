import Wire

/// What a peer's behaviour is worth (gossipsub 1.1, "Peer Scoring"): time in meshes, first
/// deliveries, invalid messages, broken promises and rudeness, and many peers at one address.
///
/// The share of a mesh's messages that a peer delivers (P₃) is not counted: it needs the expected
/// rate of each topic, and punishes honest peers where that is wrong.
struct PubSubScore: Sendable {
    /// Below this a peer is told no gossip and believed none.
    static let gossipThreshold = -100.0
    /// Below this a peer is not sent our own messages.
    static let publishThreshold = -200.0
    /// Below this a peer is not listened to.
    static let graylistThreshold = -400.0
    /// How many peers one address may have before it counts against them.
    static let colocationFree = 8

    /// How many heartbeats it has been in meshes.
    var timeInMesh = 0.0
    var firstDeliveries = 0.0
    var invalidMessages = 0.0
    var misbehaviour = 0.0
    /// How many other peers share its address.
    var colocated = 0
    /// What the application thinks of it.
    var opinion = 0.0

    /// The score.
    var value: Double {
        var score = min(timeInMesh, 300) * 0.03
        score += min(firstDeliveries, 100) * 0.5
        score -= invalidMessages * invalidMessages * 20
        let rudeness = max(0, misbehaviour - 4)
        score -= rudeness * rudeness * 10
        let crowd = Double(max(0, colocated - Self.colocationFree))
        score -= crowd * crowd * 10
        return score + opinion
    }

    /// Forgets a little, at every heartbeat.
    mutating func decay() {
        firstDeliveries *= 0.99
        invalidMessages *= 0.999
        misbehaviour *= 0.99
        if misbehaviour < 0.01 { misbehaviour = 0 }
        if invalidMessages < 0.01 { invalidMessages = 0 }
        if firstDeliveries < 0.01 { firstDeliveries = 0 }
    }
}
