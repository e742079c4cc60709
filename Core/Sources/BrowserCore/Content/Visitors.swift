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
    /// To how many of those that have something it connects for that.
    static let maxHolders = 4
    /// From what size on other pages are looked for although a node has the content, and from how
    /// many bytes on a page tells that it has content which it has not read to its end.
    static let largeSize = 1 << 20

    var guest = MeetingGuest()
    var relays: RelayClient
    var signaling = Signaling()
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
    /// The sessions that look for holders of a block.
    var sessions: [Multihash: [WantTable.SessionID]] = [:]
    /// Pages that sent wrong bytes, from which nothing more is had; the oldest are forgotten.
    private(set) var liars: [PeerID] = []
    /// When associations were begun.
    var begun: [Instant] = []
    var nextCircuit: UInt32 = 1 << 31

    init(clock: WallClock) {
        relays = RelayClient(clock: clock)
    }

    var deadline: Instant? {
        guest.deadline.earlier(relays.deadline).earlier(signaling.deadline)
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
    mutating func begin(now: Instant) -> Bool {
        begun.removeAll { now.since($0) >= Self.period }
        guard begun.count < Self.maxAssociations else { return false }
        begun.append(now)
        return true
    }
}
