// How a page meets other pages: the nodes that it is connected with say who has what (`Meeting`)
// and relay; over that two pages agree on an association of their own (`Signaling`), which the
// page's script makes.

import Connections
import Exchange
import Multiformats
import Peering
import Wire

/// What a page's script is told about an association that is being made, and tells.
enum SignalStep: UInt32 {
    case offer = 0
    case answer = 1
    case candidate = 2
    /// Make an offer.
    case wanted = 3
    /// Nothing comes of it.
    case failed = 4
}

/// Other pages, as far as one page knows them.
struct Visitors {
    /// With how many pages it is connected, and how many it knows ways to.
    static let maxVisitors = 24
    static let maxRoutes = 512
    static let maxLiars = 256
    /// How many associations it makes within ``period``: browsers have few, and keep them for a
    /// while when they are closed.
    static let maxAssociations = 60
    static let period: Duration = .seconds(600)
    /// How many of both are others' to begin, so that these leave the page some of its own.
    static let maxCallers = 12
    static let maxCallersAssociations = 30
    /// How many circuits of others there are, and for how long one is there.
    static let maxForeignCircuits = 8
    static let circuitTime: Duration = .seconds(60)
    /// How long a page that was not reached is left alone, and nobody is asked again who has a
    /// contract; and how many of each are remembered.
    static let rest: Duration = .seconds(10)
    static let maxResting = 256
    /// How long a page stays connected with which nothing goes back or forth.
    static let idleTime: Duration = .seconds(120)
    /// How many contracts are remembered about which nobody could be asked yet.
    static let maxUnasked = 16
    /// How many contents are remembered whose further holders may be turned to.
    static let maxSpares = 64
    /// To how many of those that have something it connects for that.
    static let maxHolders = 4
    /// From what size on other pages are looked for although a node has the content, and from how
    /// many bytes on a page tells that it has content which it has not read to its end.
    static let largeSize = 1 << 20

    /// Whether other pages are met, or only nodes that are reached through others.
    var isMeeting = false
    /// The nodes to be reached so, by the address of each and the number that the page calls it by.
    var nodes: [PeerID: (channel: UInt32, address: Multiaddr)] = [:]
    var guest = MeetingGuest()
    var relays: RelayClient
    var signaling: Signaling
    /// Through whom pages are reached.
    var routes: [PeerID: PeerID] = [:]
    /// The streams that wait for a page to be connected.
    var waiting: [PeerID: [(request: UInt64, names: [ProtocolName])]] = [:]
    /// The circuits that were asked for.
    var circuits: [UInt64: PeerID] = [:]
    /// With whom associations are being made.
    var calls: [UInt64: PeerID] = [:]
    /// Those that the other page began.
    var foreignCalls: Set<UInt64> = []
    /// What holders are connected with for, although nothing of theirs is read: contracts that they
    /// may run.
    var sought: Set<Multihash> = []
    /// The contracts that are asked about as soon as there is a place where.
    var unasked: [Multihash] = []
    /// Who else was named as having something, for these sessions, when one of those cannot be
    /// reached that were turned to.
    var spares: [(sessions: [WantTable.SessionID], turnedTo: [PeerID], left: [PeerID])] = []
    /// The sessions that look for holders of a block.
    var sessions: [Multihash: [WantTable.SessionID]] = [:]
    /// Pages that sent wrong bytes, from which nothing more is had; the oldest are forgotten.
    private(set) var liars: [PeerID] = []
    /// When associations were begun.
    private var begun: [(time: Instant, isForOther: Bool)] = []
    /// Those of which the page's script has not heard.
    var unheardCalls: Set<UInt64> = []
    /// When circuits end.
    var circuitEnds = DeadlineQueue<UInt32>()
    /// The pages that were not reached, and the contracts that were asked about, each with when.
    private var unreached: [PeerID: Instant] = [:]
    private var askedContracts: [Multihash: Instant] = [:]
    var nextCircuit: UInt32 = 1 << 31

    init(clock: WallClock, firstCall: UInt64) {
        relays = RelayClient(clock: clock)
        signaling = Signaling(firstNumber: firstCall)
    }

    var deadline: Instant? {
        guest.deadline.earlier(relays.deadline).earlier(signaling.deadline)
            .earlier(circuitEnds.first)
    }

    mutating func advance(to now: Instant) {
        guest.advance(to: now)
        relays.advance(to: now)
        signaling.advance(to: now)
    }

    /// A page has sent wrong bytes.
    mutating func note(liar: PeerID) {
        if liars.count >= Self.maxLiars { liars.removeFirst() }
        liars.append(liar)
        routes[liar] = nil
    }

    /// Whether one more association may be begun; if so, it is counted.
    mutating func begin(forOther isForOther: Bool = false, now: Instant) -> Bool {
        begun.removeAll { now.since($0.time) >= Self.period }
        guard begun.count < Self.maxAssociations,
            !isForOther || begun.count(where: { $0.isForOther }) < Self.maxCallersAssociations
        else { return false }
        begun.append((now, isForOther))
        return true
    }

    /// A page can be reached through a place. If too many are known, those go that nobody wants.
    mutating func note(_ peer: PeerID, at place: PeerID) {
        if routes.count >= Self.maxRoutes { routes = routes.filter { waiting[$0.key] != nil } }
        routes[peer] = place
    }

    /// A page was not reached.
    mutating func note(unreached peer: PeerID, now: Instant) {
        routes[peer] = nil
        guard nodes[peer] == nil else { return }
        unreached = unreached.filter { now.since($0.value) < Self.rest }
        if unreached.count < Self.maxResting { unreached[peer] = now }
    }

    /// Whether a page was not reached a short while ago.
    func isResting(_ peer: PeerID, now: Instant) -> Bool {
        guard let time = unreached[peer] else { return false }
        return now.since(time) < Self.rest
    }

    /// Whether nobody has been asked for a while who has a contract.
    mutating func mayAsk(aboutContract hash: Multihash, now: Instant) -> Bool {
        askedContracts = askedContracts.filter { now.since($0.value) < Self.rest }
        return askedContracts[hash] == nil && askedContracts.count < Self.maxResting
    }

    /// Asks who has a contract, now or as soon as there is a place where.
    mutating func ask(aboutContract hash: Multihash, now: Instant) {
        guard guest.ask(hash, now: now) else {
            guard unasked.count < Self.maxUnasked, !unasked.contains(hash) else { return }
            unasked.append(hash)
            return
        }
        unasked.removeAll { $0 == hash }
        askedContracts[hash] = now
        sought.insert(hash)
    }

    /// A page could not be reached: somebody else who has the same, for each content, and for whom.
    mutating func spares(insteadOf peer: PeerID) -> [(PeerID, [WantTable.SessionID])] {
        var found: [(PeerID, [WantTable.SessionID])] = []
        for place in spares.indices where spares[place].turnedTo.contains(peer) {
            guard !spares[place].left.isEmpty else { continue }
            let next = spares[place].left.removeFirst()
            spares[place].turnedTo.append(next)
            found.append((next, spares[place].sessions))
        }
        spares.removeAll { $0.left.isEmpty }
        return found
    }
}
