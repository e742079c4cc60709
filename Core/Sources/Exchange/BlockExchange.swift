// Moving blocks between this node and its peers: one table of what is wanted, one server, and a
// stream to each peer that is asked or answered. It is what a node, a simulation or a browser
// holds.

public import Multiformats
public import Wire

/// The block exchange of one node.
///
/// Tell it who is connected and what happened to streams; drain ``nextOrder(now:)`` and
/// ``nextEvent()`` after each call.
public struct BlockExchange: Sendable {
    /// A stream on which a peer is told something.
    enum Link: Sendable {
        case none
        /// Not to be opened before.
        case waiting(until: Instant)
        case opening(request: UInt64)
        case open(StreamID, Speech)
    }

    /// What is spoken on a stream.
    enum Speech: Hashable, Sendable {
        case bitswap(BitswapVersion)
        case weft
    }

    /// What a stream is opened for.
    enum Purpose: Sendable {
        case asking
        /// Answering in bitswap a peer that is asked in the other exchange.
        case answering
    }

    struct Peer: Sendable {
        var route: Route
        /// The stream on which it is asked and, if that is bitswap, answered.
        var link = Link.none
        /// The stream on which it is answered otherwise.
        var answerLink = Link.none
        var attempts = 0
        var asks = BitswapAsks()
        var weftAsks = WeftAsks()
        /// Its place in the want table while its link is open.
        var source: WantTable.SourceID?
        /// The sessions that it takes part in.
        var offers: [Offer] = []
        /// The streams that it opened.
        var accepted: [StreamID] = []
        /// Those of them on which it will say no more, while it is still being answered.
        var halfClosed: [StreamID] = []
        /// Whether there is a connection. Others are known as long as a session may ask them.
        var isConnected = false
        var hasLied = false
        /// Whether it has brought a block since it was connected.
        var hasBrought = false
        /// It was lost, or fell silent, while somebody waited for it, and is sought as long as
        /// that session has patience.
        var isMissed = false
    }

    /// A peer's part in a session.
    struct Offer: Sendable {
        let session: WantTable.SessionID
        var standing: WantTable.Standing
        /// Whether who reads was told that it is asked, and that it lacks something.
        var isAsked = false
        var hasLacked = false
    }

    enum Sending: Sendable {
        case asks(PeerID, StreamID)
        case answer(PeerID, UInt64)
        case weftAnswer(StreamID, UInt64)
    }

    enum Question: Sendable {
        case bitswap(LookUp)
        case weft(UInt64)
    }

    let limits: Limits
    var table: WantTable
    var server: BitswapServer
    var weftServer: WeftServer
    /// What sessions want at once.
    var dags = [WantTable.SessionID: WeftDAG]()
    /// Whose orders they are that are under way.
    var questions = [UInt64: Question]()
    /// The connected peers. Most of them never exchange a block, so that no more is kept of them.
    private var routes = [PeerID: Route]()
    /// Those that are asked or that ask.
    var peers = [PeerID: Peer]()
    /// They in the order in which they came.
    var peerOrder: [PeerID] = []
    var peerOfSource = [WantTable.SourceID: PeerID]()
    var peerOfStream = [StreamID: PeerID]()
    var opening = [UInt64: (peer: PeerID, purpose: Purpose)]()
    var sending = [UInt64: Sending]()
    var orders = BoundedQueue<Order>(limit: 1 << 16)
    var events = BoundedQueue<Event>(limit: 1 << 16)
    /// Peers that time may do something to: of whom an answer or a second attempt is due.
    private var timed: Set<PeerID> = []
    /// Peers to whom there may be something to say.
    var restless: [PeerID] = []
    var nextNumber: UInt64 = 0

    /// An exchange without peers.
    public init(limits: Limits = Limits()) {
        self.limits = limits
        table = WantTable(limits: limits.table)
        server = BitswapServer(limits: limits.server)
        weftServer = WeftServer(limits: limits.weftServer)
    }

    mutating func makeNumber() -> UInt64 {
        nextNumber += 1
        return nextNumber
    }

    // MARK: Wanting

    /// Begins a session: one thing that someone wants to read. What is wanted is given up when
    /// nothing has come for as long as `patience`.
    public mutating func openSession(
        patience: Duration = .seconds(30), now: Instant
    ) -> WantTable.SessionID {
        table.openSession(patience: patience, now: now)
    }

    /// Ends a session.
    public mutating func closeSession(_ id: WantTable.SessionID, now: Instant) {
        table.closeSession(id, now: now)
        // What the table takes back has to be told while the session is known.
        work(now: now)
        dags[id] = nil
        for peer in peerOrder {
            peers[peer]?.offers.removeAll { $0.session == id }
            if peers[peer]?.offers.isEmpty == true { peers[peer]?.isMissed = false }
            forgetIfIdle(peer, now: now)
        }
    }

    /// A session wants a block (see ``WantTable/want(_:at:size:in:now:)``).
    public mutating func want(
        _ cid: CID, at position: UInt64, size: Int?, in session: WantTable.SessionID,
        now: Instant
    ) -> Bool {
        table.want(cid, at: position, size: size, in: session, now: now)
    }

    /// A session wants a block no longer.
    public mutating func unwant(_ cid: CID, in session: WantTable.SessionID, now: Instant) {
        table.unwant(cid.hash, in: session, now: now)
    }

    /// A session wants all of a DAG, or of a part of one, from whoever can send that in one
    /// request. It comes as ``Event/streamed(_:_:from:)``, at most `room` bytes before
    /// ``grant(_:in:now:)``. When it has come, or nobody sends it, or several may share the work,
    /// ``Event/streamOver(_:)`` follows; what has not come by then has to be wanted block by block.
    ///
    /// Returns false if that cannot be now: the session wants one already, or too much.
    public mutating func stream(
        _ dag: WeftDAG, room: Int, in session: WantTable.SessionID, now: Instant
    ) -> Bool {
        guard table.stream(dag.root, room: room, in: session, now: now) else { return false }
        dags[session] = dag
        return true
    }

    /// A session wants no more at once. ``Event/streamOver(_:)`` follows what is on its way.
    public mutating func endStream(in session: WantTable.SessionID, now: Instant) {
        table.endStream(in: session, now: now)
    }

    /// A session's reader has taken so many bytes of a whole, so that as many more may come.
    public mutating func grant(_ bytes: Int, in session: WantTable.SessionID, now: Instant) {
        table.grant(bytes, in: session, now: now)
        for id in peerOrder {
            guard let command = peers[id]?.weftAsks.grant(bytes, for: session) else { continue }
            ask(id, command)
        }
    }

    /// The search for providers is over.
    public mutating func discovered(_ session: WantTable.SessionID, now: Instant) {
        table.discovered(session)
    }

    /// What a session has received.
    public func tally(of session: WantTable.SessionID) -> WantTable.Tally {
        table.tally(of: session)
    }

    /// A peer may have what a session wants. A provider that is not connected is dialled by
    /// whoever opens the stream to it.
    public mutating func offer(
        _ id: PeerID, to session: WantTable.SessionID, as standing: WantTable.Standing,
        now: Instant
    ) {
        addPeer(id)
        guard let peer = peers[id], mayUse(peer) else { return }
        if let index = peer.offers.firstIndex(where: { $0.session == session }) {
            guard standing == .provider else { return }
            peers[id]?.offers[index].standing = standing
        } else {
            peers[id]?.offers.append(Offer(session: session, standing: standing))
        }
        if let source = peer.source {
            table.join(source, in: session, as: standing)
        } else {
            peers[id]?.attempts = 0
            restless.append(id)
            countProspects(of: [session])
        }
    }

    /// Tells the table how many peers are on their way into sessions.
    mutating func countProspects(of sessions: [WantTable.SessionID]) {
        for session in sessions {
            let count = peerOrder.count {
                guard let peer = peers[$0], peer.source == nil, mayUse(peer) else { return false }
                return peer.offers.contains { $0.session == session }
            }
            table.setProspects(count, in: session)
        }
    }

    // MARK: Having

    /// Whether a peer may wait for a block to come into the store. Those of the Weft exchange do
    /// not wait: they ask again.
    public var isAwaited: Bool { server.peerCount > 0 }

    /// A block has come into the store; peers that wait for it get it.
    public mutating func stored(_ hash: Multihash, byteCount: Int) {
        restless += server.stored(hash, byteCount: byteCount)
    }

    /// The answer to a look-up: the length of each block, nil for one that is not there or not to
    /// be given to this peer.
    public mutating func lookedUp(_ lookUp: LookUp, byteCounts: [Int?], now: Instant) {
        switch questions.removeValue(forKey: lookUp.id) {
        case .bitswap(let asked):
            server.lookedUp(asked.id, byteCounts: byteCounts, now: now)
            restless.append(lookUp.peer)
        case .weft(let id): weftServer.lookedUp(id, byteCounts: byteCounts)
        case nil: break
        }
    }

    /// The block that was to be read; nil if it is not there or not to be given to this peer.
    public mutating func loaded(_ load: Load, _ bytes: [UInt8]?) {
        guard case .weft(let id) = questions.removeValue(forKey: load.id) else { return }
        weftServer.loaded(id, bytes)
    }

    /// How many wants of a peer are kept.
    public func wantCount(of peer: PeerID) -> Int { server.wantCount(of: peer) }

    // MARK: Peers

    /// A peer is connected, or connected in another way than before.
    public mutating func connected(_ id: PeerID, _ route: Route, now: Instant) {
        routes[id] = route
        guard let peer = peers[id] else { return }
        peers[id]?.route = route
        peers[id]?.isConnected = true
        // It need not be waited for any longer.
        if case .waiting = peer.link { peers[id]?.link = .none }
        restless.append(id)
    }

    /// Whether a peer was lost or fell silent while somebody waited for it, and is sought.
    public func misses(_ id: PeerID) -> Bool { peers[id]?.isMissed ?? false }

    /// Lets go of a peer that is not connected and that no session may ask any more.
    mutating func forgetIfIdle(_ id: PeerID, now: Instant) {
        guard let peer = peers[id], !peer.isConnected, peer.offers.isEmpty else { return }
        disconnected(id, now: now)
    }

    /// There is no connection to a peer any longer. If it was of use to a session and `isBroken`,
    /// which means that nobody closed it, it is sought for as long as that has patience.
    public mutating func disconnected(_ id: PeerID, isBroken: Bool = false, now: Instant) {
        routes[id] = nil
        guard let peer = peers[id] else { return }
        if !peer.isMissed { tell(.unreachable(.disconnected), of: id) }
        let sessions = peer.offers.map { $0.session }
        endServing(id)
        if isBroken, isWorthSeeking(id) {
            peers[id]?.isConnected = false
            peers[id]?.isMissed = true
            if case .waiting = peer.link { peers[id]?.link = .waiting(until: now) }
        } else {
            remove(id, now: now)
        }
        countProspects(of: sessions)
    }

    /// A peer does not answer on a connection. If it is of use to a session, it is sought.
    public mutating func silent(_ id: PeerID, on connection: UInt64, now: Instant) {
        guard let peer = peers[id], isWorthSeeking(id) else { return }
        switch peer.link {
        case .open(let stream, _):
            guard stream.connection == connection else { return }
            peers[id]?.isMissed = true
            emit(.reset(stream))
            ended(stream, now: now)
        case .opening: peers[id]?.isMissed = true
        case .none, .waiting: break
        }
    }

    /// Whether somebody waits for a peer that has brought something, or may: one that was named, or
    /// was asked and has not said no. Only a few are sought at a time, for the router's sake.
    private func isWorthSeeking(_ id: PeerID) -> Bool {
        guard let peer = peers[id], mayUse(peer) else { return false }
        return peer.offers.contains { offer in
            let isUseful =
                peer.hasBrought || offer.standing == .provider
                || (offer.isAsked && !offer.hasLacked)
            guard isUseful, table.wantsMore(offer.session) else { return false }
            let sought = peers.count { other in
                other.key != id && other.value.isMissed
                    && other.value.offers.contains { $0.session == offer.session }
            }
            return sought < limits.sought
        }
    }

    /// Nothing that a peer asked for is answered any more.
    private mutating func endServing(_ id: PeerID) {
        guard let peer = peers[id] else { return }
        if case .opening(let request) = peer.answerLink { opening[request] = nil }
        if case .open(let stream, _) = peer.answerLink { peerOfStream[stream] = nil }
        for stream in peer.accepted {
            peerOfStream[stream] = nil
            weftServer.closed(stream)
        }
        server.disconnected(id)
        peers[id]?.answerLink = .none
        peers[id]?.accepted = []
        peers[id]?.halfClosed = []
    }

    private mutating func remove(_ id: PeerID, now: Instant) {
        guard let peer = peers.removeValue(forKey: id) else { return }
        timed.remove(id)
        peerOrder.removeAll { $0 == id }
        if let source = peer.source {
            peerOfSource[source] = nil
            table.removeSource(source, now: now)
        }
        if case .opening(let request) = peer.link { opening[request] = nil }
        if case .open(let stream, _) = peer.link { peerOfStream[stream] = nil }
    }

    mutating func addPeer(_ id: PeerID) {
        guard peers[id] == nil else { return }
        var peer = Peer(route: routes[id] ?? .direct)
        peer.isConnected = routes[id] != nil
        peers[id] = peer
        peerOrder.append(id)
    }

    func mayUse(_ peer: Peer) -> Bool {
        !peer.hasLied && (peer.route == .direct || limits.limitedConnections == .used)
    }

    // MARK: Output

    /// The next thing to be done; nil if nothing is, until something happens or time passes.
    public mutating func nextOrder(now: Instant) -> Order? {
        if orders.isEmpty { work(now: now) }
        return orders.popFirst()
    }

    /// The next thing that happened.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    /// When ``advance(to:)`` is to be called next.
    public var deadline: Instant? {
        timed.reduce(table.deadline.earlier(server.deadline)) {
            $0.earlier(deadline(of: $1))
        }
    }

    private func deadline(of id: PeerID) -> Instant? {
        var next = peers[id]?.asks.deadline
        if case .waiting(let until) = peers[id]?.link { next = next.earlier(until) }
        if case .waiting(let until) = peers[id]?.answerLink { next = next.earlier(until) }
        return next
    }

    /// Has a peer looked at when its time comes.
    mutating func watch(_ id: PeerID) { timed.insert(id) }

    /// Time has passed.
    public mutating func advance(to now: Instant) {
        table.advance(to: now)
        server.advance(to: now)
        guard !timed.isEmpty else { return }
        for id in peerOrder where timed.contains(id) {
            if let due = peers[id]?.asks.deadline, due <= now {
                let outcomes = peers[id]?.asks.advance(to: now) ?? []
                take(outcomes, from: id, now: now)
                restless.append(id)
            }
            if case .waiting(let until) = peers[id]?.link, until <= now {
                peers[id]?.link = .none
                restless.append(id)
            }
            if case .waiting(let until) = peers[id]?.answerLink, until <= now {
                peers[id]?.answerLink = .none
                restless.append(id)
            }
            if deadline(of: id) == nil { timed.remove(id) }
        }
    }
}
