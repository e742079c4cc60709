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
final class Visitors {
    /// With how many pages it is connected, and how many it knows ways to.
    static let maxVisitors = 24
    static let maxRoutes = 512
    static let maxLiars = 256
    /// How many associations with pages it makes within ``period``, and with nodes: browsers have
    /// few, and keep them for a while when they are closed.
    static let maxAssociations = 60
    static let maxNodeAssociations = 40
    static let period: Duration = .seconds(600)
    /// How many of both are others' to begin, so that these leave the page some of its own.
    static let maxCallers = 12
    static let maxCallersAssociations = 30
    /// How many circuits of others there are, and for how long one is there.
    static let maxForeignCircuits = 8
    static let circuitTime: Duration = .seconds(60)
    /// How long a page that was not reached is left alone, and how many are remembered.
    static let rest: Duration = .seconds(10)
    static let maxResting = 256
    /// When a node that does not relay to the page is asked again.
    static let placeRest: Duration = .seconds(30)
    /// How long a page stays connected with which nothing goes back or forth.
    static let idleTime: Duration = .seconds(120)
    /// From what size on other pages are looked for although a node has the content, and from how
    /// many bytes on a page tells that it has content which it has not read to its end.
    static let largeSize = 1 << 20

    /// Whether other pages are met, or only nodes that are reached through others.
    var isMeeting = false
    /// The nodes to be reached so, by the address of each and the number that the page calls it by.
    var nodes = [PeerID: (channel: UInt32, address: Multiaddr)]()
    var guest = MeetingGuest()
    var relays: RelayClient
    var signaling: Signaling
    /// Through whom pages are reached.
    var routes = [PeerID: PeerID]()
    /// The streams that wait for a page to be connected.
    var waiting = [PeerID: [(request: UInt64, names: [ProtocolName])]]()
    /// The circuits that were asked for.
    var circuits = [UInt64: PeerID]()
    /// With whom associations are being made.
    var calls = [UInt64: PeerID]()
    /// Those that the other page began.
    var foreignCalls: Set<UInt64> = []
    /// What other pages are looked for.
    var searches = Searches()
    /// Pages that sent wrong bytes, from which nothing more is had; the oldest are forgotten.
    private(set) var liars: [PeerID] = []
    /// When associations were begun, and for whom.
    private var begun: [(time: Instant, purpose: Purpose)] = []
    /// Those of which the page's script has not heard.
    var unheardCalls: Set<UInt64> = []
    /// When circuits end.
    var circuitEnds = DeadlineQueue<UInt32>()
    /// The pages with which no association came about, when, and whether they had begun it.
    private var unreached = [PeerID: (time: Instant, isByThem: Bool)]()
    /// The nodes that do not relay to this page, each once, and when they are asked again; the
    /// earliest first.
    private var placeTries: [(place: PeerID, at: Instant)] = []
    var nextCircuit: UInt32 = 1 << 31

    init(clock: WallClock, firstCall: UInt64) {
        relays = RelayClient(clock: clock)
        signaling = Signaling(firstNumber: firstCall)
    }

    var deadline: Instant? {
        guest.deadline.earlier(relays.deadline).earlier(signaling.deadline)
            .earlier(circuitEnds.first).earlier(placeTries.first?.at)
    }

    /// Something has happened to a stream of one of its machines.
    @inline(never)
    func receive(_ event: StreamEvent, for machine: ContentPeer.Machine, now: Instant) {
        switch machine {
        case .meeting: guest.receive(event, now: now)
        case .relays: relays.receive(event, now: now)
        default: signaling.receive(event, now: now)
        }
    }

    func advance(to now: Instant) {
        guest.advance(to: now)
        relays.advance(to: now)
        signaling.advance(to: now)
        while let (place, at) = placeTries.first, at <= now {
            placeTries.removeFirst()
            if guest.welcomes.contains(place) { reserve(at: place, now: now) }
        }
    }

    /// A node knows this page from now on. Whatever it said on an earlier connection is over.
    func welcomed(at place: PeerID, now: Instant) {
        placeTries.removeAll { $0.place == place }
        reserve(at: place, now: now)
    }

    /// Has a node relay to this page, if that has something to give. Only then others are told of
    /// it: who heard sooner would not reach it. A node that has refused is left alone for a while.
    func reserve(at place: PeerID, now: Instant) {
        guard guest.hasSomething else { return }
        if relays.holdsPlace(at: place) { return guest.isReachable(at: place) }
        guard !placeTries.contains(where: { $0.place == place }) else { return }
        relays.reserve(at: place, now: now)
    }

    /// A node does not relay to this page, or not any more: it is asked again later.
    func lost(place: PeerID, now: Instant) {
        relays.release(place)
        guest.isUnreachable(at: place)
        placeTries.removeAll { $0.place == place }
        if placeTries.count >= MeetingGuest.maxPlaces { placeTries.removeFirst() }
        placeTries.append((place, now + Self.placeRest))
    }

    /// A page has sent wrong bytes.
    func note(liar: PeerID) {
        if liars.count >= Self.maxLiars { liars.removeFirst() }
        liars.append(liar)
        routes[liar] = nil
    }

    /// What an association is for.
    enum Purpose {
        /// A page, or a node, that this page wants.
        case page, node
        /// A page that calls this one.
        case caller
    }

    /// What an association with a peer that this page wants is for.
    func purpose(of peer: PeerID) -> Purpose { nodes[peer] == nil ? .page : .node }

    /// Whether one more association may be begun.
    func mayBegin(_ purpose: Purpose, now: Instant) -> Bool {
        let recent = begun.filter { now.since($0.time) < Self.period }
        let nodeCount = recent.count { $0.purpose == .node }
        switch purpose {
        case .node: return nodeCount < Self.maxNodeAssociations
        case .page: return recent.count - nodeCount < Self.maxAssociations
        case .caller:
            return recent.count - nodeCount < Self.maxAssociations
                && recent.count { $0.purpose == .caller } < Self.maxCallersAssociations
        }
    }

    /// Counts an association that the page's script begins; false if it may not.
    func begin(_ purpose: Purpose, now: Instant) -> Bool {
        begun.removeAll { now.since($0.time) >= Self.period }
        guard mayBegin(purpose, now: now) else { return false }
        begun.append((now, purpose))
        return true
    }

    /// A page can be reached through a place. If too many are known, those go that nobody wants.
    func note(_ peer: PeerID, at place: PeerID) {
        if routes.count >= Self.maxRoutes { routes = routes.filter { waiting[$0.key] != nil } }
        routes[peer] = place
    }

    /// No association came about with a page, which it may have begun.
    func note(unreached peer: PeerID, isByThem: Bool = false, now: Instant) {
        routes[peer] = nil
        guard nodes[peer] == nil else { return }
        unreached = unreached.filter { now.since($0.value.time) < Self.rest }
        if unreached.count < Self.maxResting { unreached[peer] = (now, isByThem) }
    }

    /// Whether a page is left alone, as it was not reached a short while ago. One that calls is
    /// heard, unless nothing came of its own call: of two that rest in turns neither would hear the
    /// other.
    func isResting(_ peer: PeerID, calls: Bool, now: Instant) -> Bool {
        guard let (time, isByThem) = unreached[peer], isByThem || !calls else { return false }
        return now.since(time) < Self.rest
    }

    /// Looks for pages that have something, or do something for others, for calls.
    func call(for hash: Multihash, now: Instant) {
        let (isAsked, over) = searches.call(for: hash, now: now)
        for old in over { guest.forget(old) }
        if isAsked { _ = guest.ask(hash, now: now) }
    }

    /// Looks for pages that have what something small is a part of, for a reading. Returns to whom
    /// the page turns.
    func glance(
        for hash: Multihash, _ session: WantTable.SessionID, now: Instant
    ) -> [Searches.Turn] {
        let (turns, isAsked, over) = searches.glance(for: hash, session, now: now)
        for old in over { guest.forget(old) }
        if isAsked { guest.askAside(hash, now: now) }
        return turns
    }

    /// A reading is over.
    func end(_ session: WantTable.SessionID) {
        for hash in searches.end(session) { guest.forget(hash) }
    }
}
