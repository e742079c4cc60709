// Answering requests of `/weft/exchange/1` (docs/exchange.md) for all peers. What is found leaves
// as messages that name their blocks. Peers take turns by bytes; the requests of a stream are
// answered one after the other, except that one without credit holds up no other.

public import Multiformats
public import Wire

/// An order to read a block, because what it links to has to be known.
public struct Load: Hashable, Sendable {
    /// The number that the answer repeats.
    public let id: UInt64
    /// Who asks.
    public let peer: PeerID
    /// The block.
    public let cid: CID
}

/// The serving half of the stream exchange.
public struct WeftServer: Sendable {
    /// Ceilings of what peers can make the server do and keep.
    public struct Limits: Sendable {
        /// How many bytes of blocks may be on their way to one peer. One block always may.
        public var unacknowledgedBytesPerPeer = 1 << 20
        /// The same for all peers together.
        public var unacknowledgedBytes = 32 << 20
        /// How long a message gets before the next one begins. What is in one cannot be taken back
        /// any more, which matters when several peers share the work.
        public var messageBytes = 64 << 10
        /// The same for DAGs, which come from one peer alone: long ones cost less.
        public var dagMessageBytes = 256 << 10
        /// How many look-ups and reads may be under way.
        public var orders = 64
        /// How many DAG requests one peer may have open.
        public var dagsPerPeer = 4
        /// The same for all peers together.
        public var dags = 16
        /// How many blocks the lists of one peer may name at a time.
        public var listedPerPeer = 4 * WeftLimits.maxListed
        /// When those who are turned away may come back.
        public var retry: Duration = .seconds(1)

        /// The defaults.
        public init() {}
    }

    /// A message for a reader. Its end is reported with ``sent(_:)`` or ``failed(_:)``.
    public struct Transmit: Hashable, Sendable {
        /// The number that its end is reported with.
        public let id: UInt64
        /// Where it is sent.
        public let stream: StreamID
        /// What it says, with the blocks still to be read.
        public let message: OutgoingMessage
    }

    private struct Stream {
        let peer: PeerID
        var requests: [WeftServing] = []
        /// Answers to what was not taken in.
        var refusals: [(id: UInt64, status: WeftStatus)] = []
        var unacknowledged = 0
        var served: UInt64 = 0
        var isBlocked = false
        var isRestless = false

        mutating func edit(_ id: UInt64, _ change: (inout WeftServing) -> Void) {
            // What has ended meanwhile is not an error.
            guard let index = requests.firstIndex(where: { $0.id == id }) else { return }
            change(&requests[index])
        }

        var hasAnswers: Bool { !refusals.isEmpty || requests.contains { $0.hasAnswers } }
    }

    private struct Question {
        let stream: StreamID
        let request: UInt64
        let cids: [CID]
    }

    private let limits: Limits
    private var streams = [StreamID: Stream]()
    /// The streams in the order in which they came.
    private var order: [StreamID] = []
    private var questions = [UInt64: Question]()
    private var inFlight = [UInt64: (stream: StreamID, bytes: Int)]()
    private var lookUps: [LookUp] = []
    private var loads: [Load] = []
    /// Streams whose requests may go on.
    private var restless: [StreamID] = []
    private var unacknowledged = 0
    private var turn: UInt64 = 0
    private var nextNumber: UInt64 = 0

    /// A server without readers.
    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    // MARK: Streams

    /// A peer opened a stream.
    public mutating func opened(_ stream: StreamID, by peer: PeerID) {
        guard streams[stream] == nil else { return }
        streams[stream] = Stream(peer: peer, served: turn)
        order.append(stream)
    }

    /// A stream is gone, and what was asked on it with it.
    public mutating func closed(_ stream: StreamID) {
        guard streams.removeValue(forKey: stream) != nil else { return }
        order.removeAll { $0 == stream }
    }

    /// How many requests are open on a stream.
    public func requestCount(of stream: StreamID) -> Int { streams[stream]?.requests.count ?? 0 }

    /// Whether a stream still has something to be answered, or on its way.
    func isBusy(_ stream: StreamID) -> Bool {
        guard let entry = streams[stream] else { return false }
        return !entry.requests.isEmpty || !entry.refusals.isEmpty
            || inFlight.contains { $0.value.stream == stream }
    }

    // MARK: Requests

    /// Takes in the commands of a frame. What it throws costs the peer the stream.
    public mutating func receive(
        _ commands: [WeftCommand], on stream: StreamID
    ) throws(DecodeError) {
        guard streams[stream] != nil else { return }
        for command in commands {
            switch command {
            case .list(let id, let credit, let cids):
                try admit(WeftServing(id: id, credit: credit, list: cids), on: stream)
            case .presence(let id, let cids):
                try admit(WeftServing(id: id, credit: 0, list: cids, for: .presence), on: stream)
            case .dag(let id, let credit, let dag):
                try admit(WeftServing(id: id, credit: credit, dag: dag), on: stream)
            case .credit(let id, let bytes): streams[stream]?.edit(id) { $0.grant(bytes) }
            case .cancel(let id): streams[stream]?.edit(id) { $0.cancel() }
            case .cancelItems(let id, let items):
                streams[stream]?.edit(id) { $0.cancel(items: items) }
            }
        }
        disturb(stream)
    }

    private mutating func admit(
        _ request: WeftServing, on stream: StreamID
    ) throws(DecodeError) {
        guard let entry = streams[stream] else { return }
        guard !entry.requests.contains(where: { $0.id == request.id }) else {
            throw DecodeError(.malformed, "exchange: a request's number is used twice")
        }
        let isTooMuch =
            entry.requests.count >= WeftLimits.maxRequests
            || (request.isDAG && !mayWalk(for: entry.peer))
            || listedCount(of: entry.peer) + request.listedCount > limits.listedPerPeer
        guard !isTooMuch else {
            guard entry.refusals.count < WeftLimits.maxRequests else {
                throw DecodeError(.overLimit, "exchange: too many requests")
            }
            let retry = UInt64(limits.retry.wholeNanoseconds / 1_000_000)
            streams[stream]?.refusals.append((request.id, .busy(retry: retry)))
            return
        }
        streams[stream]?.requests.append(request)
    }

    private func listedCount(of peer: PeerID) -> Int {
        var count = 0
        for stream in order {
            guard let entry = streams[stream], entry.peer == peer else { continue }
            count += entry.requests.reduce(0) { $0 + $1.listedCount }
        }
        return count
    }

    private func mayWalk(for peer: PeerID) -> Bool {
        var own = 0
        var all = 0
        for stream in order {
            guard let entry = streams[stream] else { continue }
            let count = entry.requests.count { $0.isDAG }
            all += count
            if entry.peer == peer { own += count }
        }
        return own < limits.dagsPerPeer && all < limits.dags
    }

    // MARK: Finding out

    /// The next look-up to be carried out.
    public mutating func nextLookUp() -> LookUp? {
        goOn()
        return lookUps.isEmpty ? nil : lookUps.removeFirst()
    }

    /// The next block to be read.
    public mutating func nextLoad() -> Load? {
        goOn()
        return loads.isEmpty ? nil : loads.removeFirst()
    }

    private mutating func disturb(_ stream: StreamID) {
        guard streams[stream]?.isRestless == false else { return }
        streams[stream]?.isRestless = true
        restless.append(stream)
    }

    private mutating func goOn() {
        while questions.count < limits.orders, let stream = restless.popLast() {
            goOn(stream)
        }
    }

    // By itself, so that pages that give nothing do without it.
    @inline(never)
    private mutating func goOn(_ stream: StreamID) {
        streams[stream]?.isRestless = false
        guard let count = streams[stream]?.requests.count, let peer = streams[stream]?.peer
        else { return }
        for index in 0..<count {
            // Only what can be sent soon is found out beforehand.
            guard let need = streams[stream]?.requests[index].advance(),
                let request = streams[stream]?.requests[index].id
            else { continue }
            ask(need, request, stream, peer)
        }
    }

    private mutating func ask(
        _ need: WeftServing.Need, _ request: UInt64, _ stream: StreamID, _ peer: PeerID
    ) {
        nextNumber += 1
        switch need {
        case .sizes(let cids):
            questions[nextNumber] = Question(stream: stream, request: request, cids: cids)
            lookUps.append(LookUp(id: nextNumber, peer: peer, cids: cids))
        case .bytes(let cid):
            questions[nextNumber] = Question(stream: stream, request: request, cids: [cid])
            loads.append(Load(id: nextNumber, peer: peer, cid: cid))
        }
    }

    /// Takes the answer to a look-up: the number of bytes of each block, nil for one that is not
    /// there or not to be given out.
    public mutating func lookedUp(_ id: UInt64, byteCounts: [Int?]) {
        guard let question = questions.removeValue(forKey: id) else { return }
        streams[question.stream]?.edit(question.request) {
            $0.take(sizes: byteCounts, of: question.cids)
        }
        disturb(question.stream)
    }

    /// Takes a block that had to be read; nil if it is not there.
    public mutating func loaded(_ id: UInt64, _ bytes: [UInt8]?) {
        guard let question = questions.removeValue(forKey: id) else { return }
        streams[question.stream]?.edit(question.request) { $0.take(bytes: bytes) }
        disturb(question.stream)
    }

    // MARK: Answers

    /// The next message to be sent; nil if there is none now.
    public mutating func nextTransmit() -> Transmit? {
        while unacknowledged < limits.unacknowledgedBytes, let stream = nextStream() {
            if let transmit = transmit(on: stream) { return transmit }
        }
        return nil
    }

    @inline(never)
    private mutating func transmit(on stream: StreamID) -> Transmit? {
        // The entry is out of the table, so that its arrays are not copied.
        guard var entry = streams.removeValue(forKey: stream) else { return nil }
        turn = max(turn, entry.served)
        let (message, bytes) = compose(&entry)
        entry.served = turn + UInt64(message.byteCount)
        entry.unacknowledged += bytes
        unacknowledged += bytes
        entry.isBlocked = message.isEmpty
        streams[stream] = entry
        disturb(stream)
        guard !message.isEmpty else { return nil }
        nextNumber += 1
        inFlight[nextNumber] = (stream, bytes)
        return Transmit(id: nextNumber, stream: stream, message: message)
    }

    private func nextStream() -> StreamID? {
        var next: StreamID?
        var least: UInt64 = 0
        for stream in order {
            guard let entry = streams[stream], !entry.isBlocked, entry.hasAnswers,
                entry.unacknowledged < limits.unacknowledgedBytesPerPeer
            else { continue }
            if next == nil || entry.served < least {
                next = stream
                least = entry.served
            }
        }
        return next
    }

    /// One frame with as much as fits.
    private func compose(_ entry: inout Stream) -> (OutgoingMessage, Int) {
        var message = OutgoingMessage()
        var bytes = 0
        for refusal in entry.refusals {
            message.append(WeftAnswer.end(id: refusal.id, refusal.status))
        }
        entry.refusals = []
        for index in entry.requests.indices where message.byteCount < limits.messageBytes {
            bytes += appendBlocks(
                of: &entry.requests[index], to: &message, underWay: entry.unacknowledged + bytes)
            if entry.requests[index].next == nil, let status = entry.requests[index].status {
                message.append(WeftAnswer.end(id: entry.requests[index].id, status))
            }
        }
        entry.requests.removeAll { $0.next == nil && $0.status != nil }
        return (message, bytes)
    }

    private func appendBlocks(
        of request: inout WeftServing, to message: inout OutgoingMessage, underWay: Int
    ) -> Int {
        let most = request.isDAG ? limits.dagMessageBytes : limits.messageBytes
        var parts: [(head: [UInt8], item: WeftServing.Item)] = []
        var size = 0
        var bytes = 0
        while let item = request.next {
            let count = item.byteCount
            guard count == 0 || request.credit > 0 else { break }
            let isFirst = message.isEmpty && parts.isEmpty
            guard isFirst || message.byteCount + size + count <= most else { break }
            guard
                underWay + bytes + count <= limits.unacknowledgedBytesPerPeer
                    || (underWay == 0 && isFirst)
            else { break }
            let head =
                switch item {
                case .missing(let run): WeftAnswer.missing(run)
                case .present(let run): WeftAnswer.present(run)
                case .block, .bytes: WeftAnswer.blockHead(byteCount: count)
                }
            parts.append((head, item))
            size += head.count + count
            bytes += count
            request.removeNext()
        }
        guard !parts.isEmpty else { return 0 }
        message.append(WeftAnswer.blocksHead(id: request.id, byteCount: size))
        for part in parts {
            message.append(part.head)
            switch part.item {
            case .block(let cid, let count): message.append(block: cid, byteCount: count)
            case .bytes(let node): message.append(node)
            case .missing, .present: break
            }
        }
        return bytes
    }

    /// A message has left.
    public mutating func sent(_ id: UInt64) {
        guard let entry = inFlight.removeValue(forKey: id) else { return }
        unacknowledged -= entry.bytes
        streams[entry.stream]?.unacknowledged -= entry.bytes
        streams[entry.stream]?.isBlocked = false
    }

    /// A message could not be sent. Its stream has to be reset, because the reader counts.
    public mutating func failed(_ id: UInt64) {
        guard let entry = inFlight.removeValue(forKey: id) else { return }
        unacknowledged -= entry.bytes
        closed(entry.stream)
    }
}
