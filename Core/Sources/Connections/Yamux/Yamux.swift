// Many streams over one ordered byte channel (github.com/libp2p/specs, yamux), each with a window
// of its own.

import Wire

/// One side of a yamux connection.
///
/// Received data is handed out at once and not kept; the window opens again when the reader says
/// that it has consumed it. The window doubles whenever half of it is used up within four round
/// trips, so it follows the bandwidth-delay product. What is sent takes turns, frame by frame.
struct Yamux: StreamMuxer {
    /// A frame to send: its head, and its data in pieces.
    struct Transmit {
        let header: YamuxHeader
        let pieces: [ArraySlice<UInt8>]
    }

    enum Role {
        case client, server
    }

    let limits: YamuxLimits
    let role: Role
    var streams = [UInt32: YamuxStream]()
    private var nextStream: UInt32
    private(set) var incomingCount = 0
    private(set) var outgoingCount = 0
    private var unacknowledged = 0
    /// Bytes by which windows have grown.
    private var grown = 0
    /// Bytes that wait to be sent on all streams, whether they may be or not.
    var waiting = 0
    /// Bytes that were handed out on all streams and not yet consumed.
    var unconsumed = 0
    /// Whether windows may grow.
    var allowsGrowth = true

    /// Frames without data, which are sent first.
    var answers = BoundedQueue<YamuxHeader>(limit: YamuxLimits.answers)
    /// Whether an answer had no room any more.
    private var isAnswerLost = false
    /// Streams with something to send, in turn.
    var line: BoundedQueue<UInt32>
    /// What the last input brought. It holds no more than that input did, and is drained after it.
    var events: [MuxerEvent] = []

    /// A head of which only a part has arrived.
    var partialHeader: [UInt8] = []
    /// The frame whose data is arriving, and how much of it is missing.
    var body: (header: YamuxHeader, missing: Int)?

    /// The smoothed time of a round trip, once it has been measured.
    private(set) var roundTrip: Duration?
    private var ping: (number: UInt32, sent: Instant)?
    private var nextPing: Instant
    private var pingCount: UInt32 = 0
    /// When the peer is taken for silent, if nothing comes until then.
    var checkEnd: Instant?
    /// Whether it was.
    var isSilent = false
    var lastReceived: Instant
    private(set) var isLeaving = false
    var isPeerLeaving = false

    init(role: Role, limits: YamuxLimits, now: Instant) {
        self.role = role
        self.limits = limits
        nextStream = role == .client ? 1 : 2
        line = BoundedQueue(limit: limits.incomingStreams + limits.outgoingStreams)
        nextPing = now
        lastReceived = now
        ask(now: now)
    }

    // MARK: Streams

    /// Opens a stream. Nil if there are too many, too many without answer, or an end has been
    /// announced.
    mutating func open(now: Instant) -> UInt32? {
        guard !isLeaving, !isPeerLeaving, outgoingCount < limits.outgoingStreams,
            unacknowledged < limits.unacknowledgedStreams, nextStream < .max - 2
        else { return nil }
        let id = nextStream
        nextStream += 2
        outgoingCount += 1
        unacknowledged += 1
        streams[id] = YamuxStream(opening: .untold, isIncoming: false, now: now)
        lineUp(id)
        return id
    }

    /// Queues bytes to be sent. Returns false, and takes nothing, if too much waits already; then
    /// ``Event/room(_:)`` will tell when there is room. Bytes for a stream that has ended vanish.
    mutating func write(_ bytes: ArraySlice<UInt8>, to id: UInt32) -> Bool {
        guard streams[id]?.sending == .open, let waiting = streams[id]?.queue.byteCount else {
            return true
        }
        guard waiting < limits.sendQueue else {
            streams[id]?.wantsRoom = true
            return false
        }
        streams[id]?.queue.append(bytes)
        self.waiting += bytes.count
        lineUp(id)
        return true
    }

    /// Ends our direction, after what waits.
    mutating func finish(_ id: UInt32) {
        guard streams[id]?.sending == .open else { return }
        streams[id]?.sending = .finishing
        lineUp(id)
    }

    /// Gives a stream up, both directions, at once.
    mutating func reset(_ id: UInt32) {
        guard let opening = streams[id]?.opening else { return }
        remove(id)
        // A stream that the peer has not heard of needs no end.
        if opening != .untold { answer(YamuxHeader(.windowUpdate, .rst, stream: id, length: 0)) }
    }

    /// The reader has consumed `count` bytes of a stream's data, so the peer may send more.
    mutating func consume(_ count: Int, of id: UInt32, now: Instant) {
        guard let before = streams[id]?.unconsumed else { return }
        let unconsumed = max(0, before - count)
        self.unconsumed -= before - unconsumed
        streams[id]?.unconsumed = unconsumed
        guard streams[id]?.receiving == .open, let window = streams[id]?.window,
            let credit = streams[id]?.credit, let lastCredit = streams[id]?.lastCredit
        else { return }
        let free = window - credit - unconsumed
        // Half of the window at a time tells whether it should grow. At its limit that would let
        // the path lie idle for half of the time.
        guard free >= (window < limits.maxWindow ? window / 2 : window / 16) else { return }
        // Half a window within four round trips: the window, not the path, is what limits.
        let isFast = allowsGrowth && (roundTrip.map { now.since(lastCredit) < $0 * 4 } ?? false)
        let step = isFast ? min(window, limits.maxWindow - window) : 0
        let growth = max(0, min(step, limits.windowGrowth - grown))
        grown += growth
        let delta = free + growth
        streams[id]?.window += growth
        streams[id]?.credit += delta
        streams[id]?.lastCredit = now
        answer(YamuxHeader(.windowUpdate, stream: id, length: UInt32(clamping: delta)))
    }

    /// Announces the end of the connection.
    mutating func leave(_ reason: YamuxGoAway) {
        guard !isLeaving else { return }
        isLeaving = true
        answer(YamuxHeader(.goAway, stream: 0, length: reason.rawValue))
    }

    /// Removes and returns what has happened since the last call.
    mutating func takeEvents() -> [MuxerEvent] {
        let taken = events
        events = []
        return taken
    }

    // MARK: Bookkeeping

    /// Puts a stream at the end of the line, if it has something to send and is not in it.
    mutating func lineUp(_ id: UInt32) {
        guard let stream = streams[id], stream.canSend, !stream.isLinedUp else { return }
        // Every stream stands in the line at most once, so there is room as soon as those that are
        // gone have left it.
        if line.isFull { dropGoneFromLine() }
        streams[id]?.isLinedUp = line.append(id)
    }

    private mutating func dropGoneFromLine() {
        for _ in 0..<line.count {
            guard let id = line.popFirst(), streams[id] != nil else { continue }
            _ = line.append(id)
        }
    }

    mutating func answer(_ header: YamuxHeader) {
        if !answers.append(header) { isAnswerLost = true }
    }

    /// Takes in a stream that the peer opened. False if there are too many.
    mutating func accept(_ id: UInt32, now: Instant) -> Bool {
        guard !isLeaving, incomingCount < limits.incomingStreams else { return false }
        incomingCount += 1
        streams[id] = YamuxStream(opening: .open, isIncoming: true, now: now)
        events.append(.accepted(id))
        answer(YamuxHeader(.windowUpdate, .ack, stream: id, length: 0))
        return true
    }

    /// The peer has accepted a stream of ours.
    mutating func acknowledge(_ id: UInt32) {
        guard streams[id]?.opening == .told else { return }
        streams[id]?.opening = .open
        unacknowledged -= 1
    }

    mutating func remove(_ id: UInt32) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        grown -= stream.window - YamuxLimits.firstWindow
        waiting -= stream.queue.byteCount
        unconsumed -= stream.unconsumed
        if stream.isIncoming {
            incomingCount -= 1
        } else {
            outgoingCount -= 1
            if stream.opening != .open { unacknowledged -= 1 }
        }
    }

    // MARK: Time

    /// When ``advance(to:)`` has something to do.
    var deadline: Instant { checkEnd.map { min($0, keepAlive) } ?? keepAlive }

    /// When the peer is asked whether it is there, or has been for too long.
    private var keepAlive: Instant {
        guard let ping else { return nextPing }
        return max(ping.sent, lastReceived) + limits.pingTimeout
    }

    /// Finds out whether the peer is there: it is asked, and silent if nothing at all comes.
    mutating func check(now: Instant) {
        if isSilent { events.append(.silent) }
        guard checkEnd == nil, !isSilent else { return }
        let patience = max(limits.checkTimeout, (roundTrip ?? .zero) * 4)
        checkEnd = now + min(patience, limits.pingTimeout)
        if ping == nil { ask(now: now) }
    }

    /// Something has come.
    mutating func hear(now: Instant) {
        lastReceived = now
        checkEnd = nil
        guard isSilent else { return }
        isSilent = false
        events.append(.awake)
    }

    /// Asks the peer whether it is there, when it is time, and notices when it is not.
    mutating func advance(to now: Instant) throws(YamuxFault) {
        if isAnswerLost { throw .tooManyAnswers }
        if let end = checkEnd, now >= end {
            checkEnd = nil
            isSilent = true
            events.append(.silent)
        }
        guard now >= keepAlive else { return }
        guard ping == nil else { throw .keepAliveTimedOut }
        ask(now: now)
    }

    private mutating func ask(now: Instant) {
        pingCount &+= 1
        ping = (pingCount, now)
        nextPing = now + limits.pingInterval
        answer(YamuxHeader(.ping, .syn, stream: 0, length: pingCount))
    }

    /// The peer has answered a ping.
    mutating func measure(_ number: UInt32, now: Instant) {
        guard let ping, ping.number == number else { return }
        let time = now.since(ping.sent)
        roundTrip = roundTrip.map { ($0 * 3 + time) / 4 } ?? time
        self.ping = nil
    }

    /// Throws if more answers were asked for than are kept.
    func checkAnswers() throws(YamuxFault) {
        if isAnswerLost { throw .tooManyAnswers }
    }
}
