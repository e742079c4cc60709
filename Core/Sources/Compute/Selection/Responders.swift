// Choosing who runs a call: whoever costs least, counting money, time and risk
// (docs/call-protocol.md, "Who is asked").

public import Multiformats
public import Wire

/// What a call may cost its caller, and what a wrong answer would.
public struct CallTerms: Hashable, Sendable {
    /// The most that gas may cost.
    public var maxPrice: Price
    /// What a second is worth, in credits.
    public var secondsValue: UInt64
    /// What a wrong answer would cost, in credits.
    public var value: UInt64
    /// How much gas the call is expected to use: what such calls used before. Nil: its limit.
    public var expectedGas: UInt64?
    /// When the answer is of no use any more.
    public var patience: Duration
    /// Calls with the same number probably read the same content: they go rather to the same peer,
    /// which has it at hand. Nil: nothing is known of that.
    public var locality: UInt64?

    /// Usual terms: a second is worth as much as 10⁹ units of gas.
    public init(
        maxPrice: Price = Price(rate: 2_000), secondsValue: UInt64 = 1_000_000_000,
        value: UInt64 = 0, expectedGas: UInt64? = nil, patience: Duration = .seconds(60),
        locality: UInt64? = nil
    ) {
        self.maxPrice = maxPrice
        self.secondsValue = secondsValue
        self.value = value
        self.expectedGas = expectedGas
        self.patience = patience
        self.locality = locality
    }

    /// The gas that is planned with.
    func gas(of call: Call) -> UInt64 { min(expectedGas ?? call.gas, call.gas) }
}

/// Who may run a call.
public enum Responder: Hashable, Sendable {
    /// This node.
    case here
    /// A peer.
    case peer(PeerID)
}

/// What this node can run itself.
public struct LocalCapacity: Hashable, Sendable {
    /// The gas that it runs in a second.
    public var speed: UInt64
    /// How long a call has to wait.
    public var queue: Duration
    /// What its gas is worth to it: what it could earn with it.
    public var price: Price

    /// What this node can run.
    public init(speed: UInt64, queue: Duration = .zero, price: Price = .free) {
        self.speed = speed
        self.queue = queue
        self.price = price
    }
}

/// All responders that a node knows.
public struct Responders: Sendable {
    /// The most that are remembered.
    public static let maxKnown = 4_096
    /// How long a peer is not asked whose misbehaviour cannot be proven to others.
    public static let banTime: Duration = .seconds(86_400)
    /// One of so many choices tries a peer at random.
    static let explorationOdds: UInt64 = 20

    /// A peer is not asked any more until then; nil: never again.
    private struct Ban {
        let end: Instant?
    }

    /// What is known of each.
    private(set) var known = [PeerID: ResponderHistory]()
    private var bans = [PeerID: Ban]()
    private var order = Outbox<PeerID>()
    /// The bans without an end, the oldest first.
    private var banOrder: [PeerID] = []
    /// The most bans.
    public static let maxBans = 16_384

    /// No responders.
    public init() {}

    /// What is known of a peer.
    public subscript(peer: PeerID) -> ResponderHistory {
        known[peer] ?? ResponderHistory()
    }

    /// Whether a peer is never to be asked again, because it is proven to have lied.
    public func isBannedForGood(_ peer: PeerID) -> Bool {
        bans[peer].map { $0.end == nil } ?? false
    }

    /// Whether a peer is not to be asked.
    public func isBanned(_ peer: PeerID, now: Instant) -> Bool {
        guard let ban = bans[peer] else { return false }
        return ban.end.map { now < $0 } ?? true
    }

    // MARK: Choosing

    /// What a call costs at a peer, in credits: its price, the time it takes, and the risk that the
    /// answer is wrong.
    public func cost(of call: Call, at peer: PeerID, _ terms: CallTerms) -> UInt64 {
        let history = self[peer]
        let gas = terms.gas(of: call)
        let price = history.offer?.price ?? .usual
        return price.amount(for: gas)
            .adding(Self.worth(of: history.expectedTime(gas: gas), terms))
            .adding(terms.value.scaled(by: history.errorRate, over: 1_000_000))
    }

    /// What a call costs here, where no answer is wrong.
    public func cost(of call: Call, here capacity: LocalCapacity, _ terms: CallTerms) -> UInt64 {
        let gas = terms.gas(of: call)
        let time = gas.scaled(by: 1_000_000, over: max(1, capacity.speed))
            .adding(capacity.queue.microseconds)
        return capacity.price.amount(for: gas)
            .adding(Self.worth(of: Duration(microseconds: time), terms))
    }

    private static func worth(of time: Duration, _ terms: CallTerms) -> UInt64 {
        terms.secondsValue.scaled(by: time.microseconds, over: 1_000_000)
    }

    /// Whether a call costs less at a stranger, who has to be found first, than here.
    func isWorthSearching(for call: Call, here: LocalCapacity, _ terms: CallTerms) -> Bool {
        let gas = terms.gas(of: call)
        let stranger = ResponderHistory()
        let time = stranger.expectedTime(gas: gas).microseconds.adding(Self.searchTime)
        let there = Price.usual.amount(for: gas)
            .adding(Self.worth(of: Duration(microseconds: time), terms))
            .adding(terms.value.scaled(by: stranger.errorRate, over: 1_000_000))
        return there < cost(of: call, here: here, terms)
    }

    /// How long it takes to find and reach somebody, about, in microseconds.
    private static let searchTime: UInt64 = 2_000_000

    /// Those of `candidates` that may be asked.
    public func eligible(
        _ candidates: [PeerID], for call: Call, _ terms: CallTerms, now: Instant
    ) -> [PeerID] {
        candidates.filter { peer in
            guard !isBanned(peer, now: now) else { return false }
            guard let history = known[peer] else { return true }
            if let rests = history.restsUntil, now < rests { return false }
            guard let offer = history.offer else { return true }
            return offer.includes(call) && offer.price <= terms.maxPrice
        }
    }

    /// Chooses who runs a call: the cheaper one of two peers at random, so that not all rush to the
    /// same; now and then any, so that others get a chance; or this node, if it is cheaper than
    /// both. One of the two is the peer that other calls of the same locality go to, and it may
    /// cost a little more. Nil if there is nobody.
    public func choose(
        for call: Call, _ terms: CallTerms, of candidates: [PeerID], here: LocalCapacity?,
        random: inout some RandomNumberGenerator, now: Instant
    ) -> Responder? {
        let peers = eligible(candidates, for: call, terms, now: now)
        guard let any = Self.pick(peers, &random) else { return here.map { _ in .here } }
        guard random.next() % Self.explorationOdds != 0 else { return .peer(any) }
        let near = terms.locality.flatMap { Self.nearest(to: $0, peers) }
        var best = near ?? any
        var bestCost = cost(of: call, at: best, terms)
        if let two = near == nil ? Self.pick(peers.filter { $0 != any }, &random) : any {
            let other = cost(of: call, at: two, terms)
            let margin = near == nil ? 0 : bestCost / Self.localityShare
            if other < bestCost - margin { (best, bestCost) = (two, other) }
        }
        if let here, cost(of: call, here: here, terms) <= bestCost { return .here }
        return .peer(best)
    }

    /// What the peer that has read the same content may cost more: this part of its cost.
    private static let localityShare: UInt64 = 4

    /// The peer that calls of a locality go to: the same for all of them as long as it is there,
    /// and another for another locality (highest random weight).
    package static func nearest(to locality: UInt64, _ peers: [PeerID]) -> PeerID? {
        var best: (peer: PeerID, weight: UInt64)?
        for peer in peers {
            var weight = locality
            for byte in peer.bytes.suffix(8) { weight = weight << 8 ^ weight >> 56 ^ UInt64(byte) }
            // The finalizer of MurmurHash3: every bit of the input changes half of the output.
            weight = (weight ^ weight >> 33) &* 0xff51_afd7_ed55_8ccd
            weight = (weight ^ weight >> 33) &* 0xc4ce_b9fe_1a85_ec53
            weight ^= weight >> 33
            if best.map({ weight > $0.weight }) ?? true { best = (peer, weight) }
        }
        return best?.peer
    }

    static func pick(
        _ peers: [PeerID], _ random: inout some RandomNumberGenerator
    ) -> PeerID? {
        guard !peers.isEmpty else { return nil }
        return peers[Int(random.next().multipliedFullWidth(by: UInt64(peers.count)).high)]
    }

    // MARK: What happened

    /// A peer has said what it offers.
    public mutating func setOffer(_ offer: CallOffer, of peer: PeerID) {
        edit(peer) { $0.offer = offer }
    }

    /// A peer has said how long calls wait there.
    public mutating func setQueue(_ queue: Duration, of peer: PeerID) {
        edit(peer) { $0.offer?.queue = queue }
    }

    /// The way to a peer and back takes this long.
    public mutating func setRoundTrip(_ time: Duration, of peer: PeerID) {
        edit(peer) { $0.setRoundTrip(time) }
    }

    /// A peer was given work, in microseconds.
    mutating func noteWork(_ microseconds: UInt64, of peer: PeerID) {
        edit(peer) { $0.noteWork(microseconds) }
    }

    /// A peer has done such work, or is not asked for it any more.
    mutating func noteWork(_ microseconds: UInt64, doneBy peer: PeerID) {
        known[peer]?.noteWorkDone(microseconds)
    }

    /// A peer has answered.
    ///
    /// - Parameter load: the work that it then had, this call among it, by the work that the call
    ///   is: what `took` so long was not all for this call.
    public mutating func noteAnswer(
        of peer: PeerID, gas: UInt64, expected: Duration, took: Duration,
        load: (all: UInt64, own: UInt64) = (1, 1)
    ) {
        edit(peer) { $0.noteAnswer(gas: gas, expected: expected, took: took, load: load) }
    }

    /// A peer has not answered as it should. Slowness and refusals are told apart from what nobody
    /// does by accident: that ends the acquaintance for a day.
    public mutating func note(_ failure: CallFailure, of peer: PeerID, now: Instant) {
        switch failure {
        case .refused(.busy(let time)):
            edit(peer) { $0.rest(until: now + time) }
        case .refused(.resource): edit(peer) { $0.rest(until: now + .seconds(1)) }
        // Its offer says so, and the next call may be another.
        case .refused(.price), .refused(.notOffered), .overLimit: break
        case .refused: edit(peer) { $0.rest(until: now + .seconds(10)) }
        default: edit(peer) { $0.noteFailure(now: now) }
        }
        if failure.isMisbehaviour { ban(peer, until: now + Self.banTime) }
    }

    /// Does not ask a peer any more until then; nil: never again.
    public mutating func ban(_ peer: PeerID, until end: Instant?) {
        if let ban = bans[peer], ban.end == nil { return }
        if bans[peer] == nil, bans.count >= Self.maxBans { makeRoom() }
        bans[peer] = Ban(end: end)
        if end == nil { banOrder.append(peer) }
    }

    /// Forgets a ban. Those that end are forgotten before those that do not, and of these those of
    /// strangers before those of peers that this node has asked: otherwise proofs against
    /// identities that nobody has ever met could drive out the others.
    private mutating func makeRoom() {
        let passing = bans.filter { $0.value.end != nil }.map { $0.key }
        if let victim = passing.min(by: { $0.bytes.lexicographicallyPrecedes($1.bytes) }) {
            bans[victim] = nil
            return
        }
        let place = banOrder.firstIndex { peer in
            known[peer].map { $0.answered + $0.failed == 0 } ?? true
        }
        guard !banOrder.isEmpty else { return }
        bans[banOrder.remove(at: place ?? 0)] = nil
    }

    /// Puts in what is known from before.
    mutating func restore(_ history: ResponderHistory, of peer: PeerID) {
        edit(peer) { $0 = history }
    }

    private mutating func edit(_ peer: PeerID, _ change: (inout ResponderHistory) -> Void) {
        if known[peer] == nil {
            // The one that has been known longest makes room.
            if known.count >= Self.maxKnown, let oldest = order.popFirst() { known[oldest] = nil }
            order.append(peer)
        }
        change(&known[peer, default: ResponderHistory()])
    }
}
