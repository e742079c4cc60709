public import Multiformats
public import Wire

extension Connection {
    /// The smoothed time of a round trip, once it has been measured.
    public var roundTrip: Duration? { yamux?.roundTrip }

    /// How many streams the peer has open, and how many we have.
    public var streamCounts: (incoming: Int, outgoing: Int) {
        (yamux?.incomingCount ?? 0, yamux?.outgoingCount ?? 0)
    }

    /// How many bytes are held: those that wait to be sent, and those that were handed out and have
    /// not been consumed.
    public var heldBytes: Int { (yamux?.waiting ?? 0) + (yamux?.unconsumed ?? 0) }

    /// Says whether receive windows may grow.
    public mutating func setGrowth(allowed: Bool) {
        yamux?.allowsGrowth = allowed
    }

    /// Opens a stream that is to speak one of these protocols, the preferred one first. With one
    /// alone nothing is waited for: ``Event/opened(_:_:)`` comes at once, and if the peer does not
    /// have the protocol, ``Event/refused(_:)`` later. Nil if there are too many streams, or the
    /// connection is not ready or is ending.
    public mutating func open(_ protocols: [ProtocolName], now: Instant) -> UInt32? {
        guard let id = yamux?.open(now: now) else { return nil }
        yamux?.propose(protocols, on: id, &negotiations, now: now, into: &events)
        return id
    }

    /// Queues bytes to be sent on a stream that was opened or accepted. Returns false, and takes
    /// nothing, if too much waits there already; then ``Event/room(_:)`` tells when to try again.
    /// Bytes for a stream that has ended vanish.
    public mutating func write(_ bytes: ArraySlice<UInt8>, to stream: UInt32) -> Bool {
        yamux?.write(bytes, to: stream) ?? true
    }

    /// Ends our direction of a stream, after what waits there.
    public mutating func finish(_ stream: UInt32) {
        yamux?.finish(stream)
    }

    /// Whether a stream has anything left to send or to receive.
    public func isOpen(_ stream: UInt32) -> Bool {
        yamux?.streams[stream] != nil
    }

    /// Gives a stream up at once.
    public mutating func reset(_ stream: UInt32) {
        negotiations.remove(stream)
        yamux?.reset(stream)
    }

    /// Says that `count` bytes of a stream's data are no longer in the way, so that the peer may
    /// send as many more.
    public mutating func consume(_ count: Int, of stream: UInt32, now: Instant) {
        yamux?.consume(count, of: stream, now: now)
    }

    /// Gives up streams whose protocol was not agreed on in time.
    mutating func endNegotiations(before now: Instant) {
        yamux?.endNegotiations(&negotiations, before: now, into: &events)
    }

    /// Passes on what the muxer has to say, after the negotiations have taken their part.
    mutating func drainYamux(now: Instant) {
        yamux?.drain(&negotiations, now: now, into: &events)
    }

    /// Passes on what sending has brought.
    mutating func drainRoom() {
        for event in yamux?.takeEvents() ?? [] {
            if case .room(let id) = event { events.append(.room(id)) }
        }
    }
}
