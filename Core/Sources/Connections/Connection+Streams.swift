public import Multiformats
public import Wire

/// A stream whose protocol has not been agreed on.
struct StreamNegotiation {
    var multistream: Multistream
    /// Whether we opened the stream, and if so, whether we speak its only protocol already.
    enum Kind {
        case incoming, outgoing, assumed
    }
    let kind: Kind
}

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
        let kind: StreamNegotiation.Kind = protocols.count == 1 ? .assumed : .outgoing
        start(Multistream(proposing: protocols), kind, on: id, now: now)
        if kind == .assumed { note(.opened(id, protocols[0])) }
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
        negotiations[stream] = nil
        yamux?.reset(stream)
    }

    /// Says that `count` bytes of a stream's data are no longer in the way, so that the peer may
    /// send as many more.
    public mutating func consume(_ count: Int, of stream: UInt32, now: Instant) {
        yamux?.consume(count, of: stream, now: now)
    }

    private mutating func start(
        _ multistream: Multistream, _ kind: StreamNegotiation.Kind, on id: UInt32, now: Instant
    ) {
        var multistream = multistream
        _ = yamux?.write(multistream.takeOutput()[...], to: id)
        negotiations[id] = StreamNegotiation(multistream: multistream, kind: kind)
        dropEndedNegotiations()
        _ = negotiationDeadlines.append((now + options.negotiationTimeout, id))
    }

    /// Makes room in the queue of deadlines, which otherwise grows with the streams that have
    /// come and gone.
    private mutating func dropEndedNegotiations() {
        while let first = negotiationDeadlines.first, negotiations[first.stream] == nil {
            _ = negotiationDeadlines.popFirst()
        }
        guard negotiationDeadlines.isFull else { return }
        for _ in 0..<negotiationDeadlines.count {
            guard let entry = negotiationDeadlines.popFirst(), negotiations[entry.stream] != nil
            else { continue }
            _ = negotiationDeadlines.append(entry)
        }
    }

    /// Gives up streams whose protocol was not agreed on in time.
    mutating func endNegotiations(before now: Instant) {
        while let first = negotiationDeadlines.first, first.at <= now {
            _ = negotiationDeadlines.popFirst()
            if negotiations[first.stream] != nil { giveUp(first.stream) }
        }
    }

    private mutating func giveUp(_ id: UInt32) {
        let kind = negotiations[id]?.kind
        reset(id)
        if kind != .incoming { note(.reset(id)) }
    }

    /// Passes on what the muxer has to say, after the negotiations have taken their part.
    mutating func drainYamux(now: Instant) {
        for event in yamux?.takeEvents() ?? [] {
            switch event {
            case .accepted(let id):
                start(
                    Multistream(supporting: options.protocols), .incoming, on: id, now: now)
            case .data(let id, let bytes):
                if negotiations[id] == nil {
                    note(.data(id, bytes))
                } else {
                    negotiate(bytes, on: id, now: now)
                }
            case .finished(let id):
                if negotiations[id] == nil { note(.finished(id)) } else { giveUp(id) }
            case .reset(let id):
                let negotiation = negotiations.removeValue(forKey: id)
                if negotiation?.kind != .incoming { note(.reset(id)) }
            case .room(let id): note(.room(id))
            case .goAway(let reason): note(.goAway(reason))
            case .silent: note(.silent)
            case .awake: note(.awake)
            }
        }
    }

    /// Passes on what sending has brought.
    mutating func drainRoom() {
        for event in yamux?.takeEvents() ?? [] {
            if case .room(let id) = event { note(.room(id)) }
        }
    }

    private mutating func negotiate(_ bytes: ArraySlice<UInt8>, on id: UInt32, now: Instant) {
        guard var negotiation = negotiations[id] else { return }
        var input = ByteReader(bytes.rawSpan)
        let outcome: Multistream.Outcome?
        do throws(DecodeError) {
            outcome = try negotiation.multistream.receive(&input)
        } catch {
            giveUp(id)
            return
        }
        let output = negotiation.multistream.takeOutput()
        if !output.isEmpty { _ = yamux?.write(output[...], to: id) }
        let used = input.offset
        yamux?.consume(used, of: id, now: now)
        switch outcome {
        case nil: negotiations[id] = negotiation
        case .refused:
            reset(id)
            note(.refused(id))
        case .agreed(let name):
            negotiations[id] = nil
            switch negotiation.kind {
            case .incoming: note(.accepted(id, name))
            case .outgoing: note(.opened(id, name))
            case .assumed: break
            }
            let rest = bytes.dropFirst(used)
            if !rest.isEmpty { note(.data(id, rest)) }
        }
    }
}
