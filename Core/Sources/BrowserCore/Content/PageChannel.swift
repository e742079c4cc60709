import Connections
import Exchange
import Multiformats
import Wire

/// One connection of a page, and the streams on it.
final class PageChannel {
    /// What a stream is for.
    enum Use {
        case exchange
        /// A protocol of `Peering`, by its name.
        case peering(ProtocolName)
        /// A protocol of the page.
        case page
        /// The way of another channel, which leads through the peer.
        case circuit(UInt32)
    }

    /// A stream whose protocol is agreed on.
    final class Stream {
        var use: Use
        /// What reads the messages of the exchange.
        var intake: ExchangeIntake?
        /// What cuts bytes into messages; nil where there are none.
        var frames: FrameReader?
        /// What waits for room in the connection.
        var outgoing: [Outgoing] = []
        /// How many bytes that is.
        var waiting = 0
        /// Whether the connection refused the first of them.
        var isFull = false
        /// Messages that wait to be hashed, or for one before them; and whether the end came after.
        var unhashed: [UnhashedMessage] = []
        var hasFinishedUnhashed = false
        /// How many bytes these messages are, and how many came that the peer is not told yet to be
        /// taken.
        var unhashedBytes = 0
        var unconsumed = 0

        init(_ use: Use, frames: FrameReader?, intake: ExchangeIntake? = nil) {
            self.use = use
            self.frames = frames
            self.intake = intake
        }
    }

    enum Outgoing {
        case bytes(ArraySlice<UInt8>)
        /// Up to here a message of the exchange has been sent.
        case end(number: UInt64)
        case finish
    }

    /// How many bytes may wait on a stream. A peer that takes so little of what it asked for loses
    /// the stream.
    static let maxWaiting = 8 << 20
    /// How many bytes of a stream may wait to be hashed before its peer is held back.
    static let maxUnhashed = 4 << 20

    let number: UInt32
    let address: Multiaddr
    /// The connection, over a channel of bytes or over data channels.
    var bytes: Connection?
    var messages: WebRTCConnection?
    private let isWebRTC: Bool
    /// The stream to the relay that the connection runs on, if not on a channel of the page.
    var carrier: StreamID?
    /// Who is to be at the other end of a circuit that was asked for.
    var expected: PeerID?
    /// Whether another page is at the other end.
    var isVisitor = false
    /// Who called for it, if it was not this page.
    var caller: PeerID?
    /// When something went over it last.
    var lastUse = Instant(nanoseconds: 0)
    /// Whether the peer is there, on data channels.
    var presence: Presence?
    /// Who is at the other end, once it has proven that.
    var peer: PeerID?
    var streams = [UInt32: Stream]()
    /// The requests of streams that are being opened.
    var opening = [UInt32: UInt64]()
    /// Whether the page's channel has no room for more bytes.
    var isFull = false

    init(_ number: UInt32, _ address: Multiaddr, _ connection: consuming Connection) {
        self.number = number
        self.address = address
        bytes = consume connection
        isWebRTC = false
    }

    init(_ number: UInt32, _ address: Multiaddr, _ connection: consuming WebRTCConnection) {
        self.number = number
        self.address = address
        messages = consume connection
        isWebRTC = true
    }

    func id(of stream: UInt32) -> StreamID {
        StreamID(connection: UInt64(number), stream: stream)
    }

    /// Queues bytes, with their length before them where the protocol has messages.
    func send(_ message: [UInt8], on stream: UInt32) {
        guard let state = streams[stream] else { return }
        guard state.frames != nil else { return append(message, to: stream) }
        var framed: [UInt8] = []
        framed.reserveCapacity(message.count + Varint.maxLength)
        framed.appendVarint(UInt64(message.count))
        framed += message
        append(framed, to: stream)
    }

    func append(_ bytes: [UInt8], to stream: UInt32) {
        guard !bytes.isEmpty, let state = streams[stream] else { return }
        state.waiting += bytes.count
        state.outgoing.append(.bytes(bytes[...]))
    }

    /// Forgets a stream that has ended in both directions.
    func forgetIfOver(_ stream: UInt32) {
        guard !isOpen(stream), streams[stream]?.unhashed.isEmpty != false else { return }
        streams[stream] = nil
    }

    /// Hands to the connection what it takes; answers the messages that have left.
    func pump(_ stream: UInt32) -> [UInt64] {
        var sent: [UInt64] = []
        var done = 0
        guard let state = streams[stream], !state.isFull else { return sent }
        defer { state.outgoing.removeFirst(done) }
        for item in state.outgoing {
            switch item {
            case .bytes(let bytes):
                guard write(bytes, to: stream) else {
                    state.isFull = true
                    return sent
                }
                state.waiting -= bytes.count
            case .end(let number): sent.append(number)
            case .finish: finish(stream)
            }
            done += 1
        }
        return sent
    }
}

// What both kinds of connection have.
extension PageChannel {
    func nextEvent() -> Connection.Event? {
        isWebRTC ? messages?.nextEvent() ?? nil : bytes?.nextEvent() ?? nil
    }

    var deadline: Instant? {
        isWebRTC
            ? presence?.deadline.earlier(messages?.deadline ?? nil) : bytes?.deadline ?? nil
    }

    func advance(to now: Instant) throws(ConnectionError) {
        try messages?.advance(to: now)
        try bytes?.advance(to: now)
    }

    /// What is to be done next with the data channels; nil if nothing is, or there are none.
    func nextOrder(now: Instant) -> ChannelOrder? {
        guard let order = messages?.nextOrder(now: now) ?? nil else { return nil }
        lastUse = now
        presence?.sent(now: now)
        return order
    }

    func open(_ protocols: [ProtocolName], now: Instant) -> UInt32? {
        isWebRTC
            ? messages?.open(protocols, now: now) ?? nil : bytes?.open(protocols, now: now) ?? nil
    }

    func write(_ piece: ArraySlice<UInt8>, to stream: UInt32) -> Bool {
        isWebRTC
            ? messages?.write(piece, to: stream) ?? true : bytes?.write(piece, to: stream) ?? true
    }

    func finish(_ stream: UInt32) {
        messages?.finish(stream)
        bytes?.finish(stream)
    }

    func reset(_ stream: UInt32) {
        messages?.reset(stream)
        bytes?.reset(stream)
    }

    func consume(_ count: Int, of stream: UInt32, now: Instant) {
        messages?.consume(count, of: stream, now: now)
        bytes?.consume(count, of: stream, now: now)
    }

    /// Lets the peer send as much as was taken of what came, unless too much waits to be hashed.
    func consumeTaken(of stream: UInt32, now: Instant) {
        guard let state = streams[stream], state.unconsumed > 0,
            state.unhashedBytes <= Self.maxUnhashed
        else { return }
        let count = state.unconsumed
        state.unconsumed = 0
        consume(count, of: stream, now: now)
    }

    func isOpen(_ stream: UInt32) -> Bool {
        isWebRTC ? messages?.isOpen(stream) ?? false : bytes?.isOpen(stream) ?? false
    }

    /// Finds out whether the peer is there.
    func check(now: Instant) {
        messages?.check(roundTrip: nil, now: now)
        presence?.isAwaited(now: now)
        bytes?.check(now: now)
    }

    /// Announces the end to the peer, where that is done within the connection.
    func close() { bytes?.close() }
}
