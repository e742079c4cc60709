// Agreeing on the protocol of each stream, between the muxer and whoever works with the streams.

import Multiformats
import Wire

/// A stream whose protocol has not been agreed on.
private struct StreamNegotiation {
    var multistream: Multistream
    let kind: StreamNegotiations.Kind
}

/// The streams of a connection whose protocol is being negotiated.
struct StreamNegotiations {
    /// Whether we opened the stream, and if so, whether we speak its only protocol already.
    enum Kind {
        case incoming, outgoing, assumed
    }

    private let supported: [ProtocolName]
    private let patience: Duration
    private var running = [UInt32: StreamNegotiation]()
    /// When their time is up, in order; some have ended before.
    private var deadlines: BoundedQueue<(at: Instant, stream: UInt32)>

    /// Negotiations of a connection with these options.
    init(_ options: ConnectionOptions) {
        supported = options.protocols
        patience = options.negotiationTimeout
        let limits = options.limits
        deadlines = BoundedQueue(limit: 2 * (limits.incomingStreams + limits.outgoingStreams))
    }

    /// When the next one's time is up.
    var deadline: Instant? { deadlines.first?.at }

    /// Forgets a stream.
    mutating func remove(_ id: UInt32) { running[id] = nil }

    /// Starts on a stream that we have opened. With one protocol alone nothing is waited for.
    mutating func open(
        _ id: UInt32, _ protocols: [ProtocolName], on muxer: inout some StreamMuxer,
        now: Instant, into events: inout [Connection.Event]
    ) {
        let kind: Kind = protocols.count == 1 ? .assumed : .outgoing
        start(Multistream(proposing: protocols), kind, on: id, &muxer, now: now)
        if kind == .assumed { events.append(.opened(id, protocols[0])) }
    }

    /// Passes on what the muxer has to say, after the negotiations have taken their part.
    mutating func drain(
        _ muxer: inout some StreamMuxer, now: Instant, into events: inout [Connection.Event]
    ) {
        for event in muxer.takeEvents() {
            switch event {
            case .accepted(let id):
                start(Multistream(supporting: supported), .incoming, on: id, &muxer, now: now)
            case .data(let id, let bytes):
                if running[id] == nil {
                    events.append(.data(id, bytes))
                } else {
                    negotiate(bytes, on: id, &muxer, now: now, into: &events)
                }
            case .finished(let id):
                if running[id] == nil {
                    events.append(.finished(id))
                } else {
                    giveUp(id, &muxer, into: &events)
                }
            case .reset(let id):
                let negotiation = running.removeValue(forKey: id)
                if negotiation?.kind != .incoming { events.append(.reset(id)) }
            case .room(let id): events.append(.room(id))
            case .goAway(let reason): events.append(.goAway(reason))
            case .silent: events.append(.silent)
            case .awake: events.append(.awake)
            }
        }
    }

    /// Gives up streams whose protocol was not agreed on in time.
    mutating func end(
        before now: Instant, on muxer: inout some StreamMuxer,
        into events: inout [Connection.Event]
    ) {
        while let first = deadlines.first, first.at <= now {
            _ = deadlines.popFirst()
            if running[first.stream] != nil { giveUp(first.stream, &muxer, into: &events) }
        }
    }

    private mutating func start(
        _ multistream: Multistream, _ kind: Kind, on id: UInt32,
        _ muxer: inout some StreamMuxer, now: Instant
    ) {
        var multistream = multistream
        // Whoever opens a stream speaks first. What we have to say then goes with our answer; some
        // dialers over data channels lose what comes before they have spoken.
        if kind != .incoming { _ = muxer.write(multistream.takeOutput()[...], to: id) }
        running[id] = StreamNegotiation(multistream: multistream, kind: kind)
        dropEnded()
        _ = deadlines.append((now + patience, id))
    }

    /// Makes room in the queue of deadlines, which otherwise grows with the streams that have
    /// come and gone.
    private mutating func dropEnded() {
        while let first = deadlines.first, running[first.stream] == nil {
            _ = deadlines.popFirst()
        }
        guard deadlines.isFull else { return }
        for _ in 0..<deadlines.count {
            guard let entry = deadlines.popFirst(), running[entry.stream] != nil else { continue }
            _ = deadlines.append(entry)
        }
    }

    private mutating func giveUp(
        _ id: UInt32, _ muxer: inout some StreamMuxer, into events: inout [Connection.Event]
    ) {
        let kind = running.removeValue(forKey: id)?.kind
        muxer.reset(id)
        if kind != .incoming { events.append(.reset(id)) }
    }

    private mutating func negotiate(
        _ bytes: ArraySlice<UInt8>, on id: UInt32, _ muxer: inout some StreamMuxer,
        now: Instant, into events: inout [Connection.Event]
    ) {
        guard var negotiation = running[id] else { return }
        var input = ByteReader(bytes.rawSpan)
        let outcome: Multistream.Outcome?
        do throws(DecodeError) {
            outcome = try negotiation.multistream.receive(&input)
        } catch {
            giveUp(id, &muxer, into: &events)
            return
        }
        let output = negotiation.multistream.takeOutput()
        if !output.isEmpty { _ = muxer.write(output[...], to: id) }
        let used = input.offset
        muxer.consume(used, of: id, now: now)
        switch outcome {
        case nil: running[id] = negotiation
        case .refused:
            running[id] = nil
            muxer.reset(id)
            events.append(.refused(id))
        case .agreed(let name):
            running[id] = nil
            switch negotiation.kind {
            case .incoming: events.append(.accepted(id, name))
            case .outgoing: events.append(.opened(id, name))
            case .assumed: break
            }
            let rest = bytes.dropFirst(used)
            if !rest.isEmpty { events.append(.data(id, rest)) }
        }
    }
}
