// Being reached through relays, and reaching others through them
// (github.com/libp2p/specs, relay/circuit-v2).

public import Multiformats
public import Wire

/// A stream that has become a circuit: a channel of bytes to a peer, on which a connection is made
/// as on any other.
public struct Circuit: Hashable, Sendable {
    /// The stream to the relay. Its events belong to the circuit from now on.
    public let stream: StreamID
    /// Who is said to be at the other end; the connection has to prove it.
    public let peer: PeerID
    /// Through whom the bytes go.
    public let relay: PeerID
    /// What the relay allows; nil if it sets no limit.
    public let limit: RelayLimit?
    /// The first bytes that came.
    public let received: [UInt8]
}

/// Why a relay does not serve.
public enum RelayFailure: Error, Hashable, Sendable {
    case stream(StreamFault)
    /// The relay said so; nil for a status that is not known here.
    case refused(RelayStatus?)
    /// The relay answered what cannot be understood.
    case malformed
}

/// One node's use of relays.
public struct RelayClient: Sendable {
    /// What happened.
    public enum Event: Hashable, Sendable {
        /// This node can be reached through the relay, until `lost` comes.
        case reserved(relay: PeerID, RelayReservation, RelayLimit?)
        /// There is no place at the relay, or no longer.
        case lost(relay: PeerID, RelayFailure)
        /// The circuit that was asked for is there; this node dialled.
        case connected(UInt64, Circuit)
        /// The circuit that was asked for is not going to come.
        case failed(UInt64, RelayFailure)
        /// Somebody reached us through a relay; this node listens.
        case incoming(Circuit)
    }

    /// How many relays this node has places at.
    public static let maxReservations = 8
    /// How many circuits are being made at once.
    public static let maxPending = 64
    /// How long an answer may take.
    public static let timeout: Duration = .seconds(30)
    /// How long a place holds at most before it is renewed, whatever the relay says.
    public static let longestReservation: Duration = .seconds(3_600)

    private enum Purpose {
        case reserve(PeerID)
        case connect(UInt64, PeerID, relay: PeerID)
    }

    private struct Asked {
        let purpose: Purpose
        var stream: StreamID?
        var reader = FirstMessage()
    }

    private enum Due {
        case request(UInt64)
        case renewal(PeerID)
        case stop(StreamID)
    }

    private struct Stop {
        let relay: PeerID
        var reader = FirstMessage()
    }

    private enum Place {
        case asking
        /// Until it is renewed.
        case held(Instant)
    }

    /// What time of day it is, by which reservations end.
    public var clock: WallClock
    private var places = [PeerID: Place]()
    private var asked = [UInt64: Asked]()
    private var streams = [StreamID: UInt64]()
    private var stops = [StreamID: Stop]()
    private var deadlines = DeadlineQueue<Due>()
    private var nextNumber: UInt64 = 1
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    /// A node without a place at any relay.
    public init(clock: WallClock) {
        self.clock = clock
    }

    /// Asks a relay for a place, and renews it until the relay refuses, disconnects, or
    /// ``release(_:)``.
    public mutating func reserve(at relay: PeerID, now: Instant) {
        guard places[relay] == nil else { return }
        guard places.count < Self.maxReservations else {
            events.append(.lost(relay: relay, .stream(.overLimit)))
            return
        }
        places[relay] = .asking
        ask(.reserve(relay), relay, now: now)
    }

    /// How many places this node has or has asked for.
    public var placeCount: Int { places.count }

    /// Whether this node has a place at a relay, or has asked for one.
    public func hasPlace(at relay: PeerID) -> Bool { places[relay] != nil }

    /// Whether this node has a place at a relay.
    public func holdsPlace(at relay: PeerID) -> Bool {
        guard case .held = places[relay] else { return false }
        return true
    }

    /// Gives up a place; it ends at the relay by itself.
    public mutating func release(_ relay: PeerID) {
        places[relay] = nil
    }

    /// Reaches a peer through a relay. The number comes back with the circuit.
    public mutating func connect(to peer: PeerID, via relay: PeerID, now: Instant) -> UInt64 {
        let number = nextNumber
        nextNumber += 1
        guard asked.count < Self.maxPending else {
            events.append(.failed(number, .stream(.overLimit)))
            return number
        }
        ask(.connect(number, peer, relay: relay), relay, now: now)
        return number
    }

    /// The last connection to a peer ended; if it was a relay, our place is gone.
    public mutating func disconnected(from peer: PeerID) {
        guard places.removeValue(forKey: peer) != nil else { return }
        events.append(.lost(relay: peer, .stream(.disconnected)))
    }

    /// Takes what happened to a hop stream of ours, or a stop stream of a relay.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, _):
            guard let purpose = asked[request]?.purpose else {
                orders.append(.reset(stream))
                return
            }
            asked[request]?.stream = stream
            streams[stream] = request
            var message = RelayMessage(.reserve)
            if case .connect(_, let peer, _) = purpose {
                message = RelayMessage(.connect)
                message.peer = peer
            }
            orders.append(.send(stream, message.framed(.hop)))
        case .refused(let request, let fault): fail(request, .stream(fault))
        case .accepted(let stream, let peer, _):
            guard holdsPlace(at: peer), stops.count < Self.maxPending else {
                orders.append(.reset(stream))
                return
            }
            stops[stream] = Stop(relay: peer)
            deadlines.add(.stop(stream), at: now + Self.timeout)
        case .message(let stream, let bytes):
            if stops[stream] != nil {
                takeStop(bytes, stream)
            } else if let number = streams[stream] {
                take(bytes, number, stream, now: now)
            }
        case .finished(let stream), .reset(let stream):
            if stops.removeValue(forKey: stream) != nil { orders.append(.reset(stream)) }
            if let number = streams[stream] { fail(number, .stream(.disconnected)) }
        }
    }

    /// Gives up on slow relays, and renews places.
    public mutating func advance(to now: Instant) {
        while let due = deadlines.popDue(at: now) {
            switch due {
            case .request(let number): fail(number, .stream(.timedOut))
            case .renewal(let relay):
                // One that was lost and had again is renewed for the later time only.
                guard case .held(let at) = places[relay], at <= now else { continue }
                places[relay] = .held(now + Self.timeout)
                ask(.reserve(relay), relay, now: now)
            case .stop(let stream):
                if stops.removeValue(forKey: stream) != nil { orders.append(.reset(stream)) }
            }
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What happened.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    private mutating func ask(_ purpose: Purpose, _ relay: PeerID, now: Instant) {
        let number = nextNumber
        nextNumber += 1
        asked[number] = Asked(purpose: purpose)
        deadlines.add(.request(number), at: now + Self.timeout)
        orders.append(.open(relay, [PeerProtocols.relayHop], request: number))
    }

    private mutating func take(
        _ bytes: [UInt8], _ number: UInt64, _ stream: StreamID, now: Instant
    ) {
        guard var state = asked[number] else { return }
        let message: RelayMessage
        let rest: [UInt8]
        switch state.reader.take(bytes, .hop) {
        case .malformed:
            fail(number, .malformed)
            return
        case .incomplete:
            asked[number] = state
            return
        case .complete(let first, let behind): (message, rest) = (first, behind)
        }
        guard message.kind == .status, message.status == .ok else {
            fail(number, message.kind == .status ? .refused(message.status) : .malformed)
            return
        }
        asked[number] = nil
        streams[stream] = nil
        switch state.purpose {
        case .reserve(let relay):
            orders.append(.finish(stream))
            held(relay, message, now: now)
        case .connect(let command, let peer, let relay):
            let circuit = Circuit(
                stream: stream, peer: peer, relay: relay, limit: message.limit, received: rest)
            events.append(.connected(command, circuit))
        }
    }

    /// A relay has given us a place: it is renewed when three quarters of its time are over.
    private mutating func held(_ relay: PeerID, _ message: RelayMessage, now: Instant) {
        guard places[relay] != nil else { return }
        guard let reservation = message.reservation else {
            places[relay] = nil
            events.append(.lost(relay: relay, .malformed))
            return
        }
        let time = UInt64(clamping: clock.time(at: now).seconds)
        let left = reservation.expires > time ? reservation.expires - time : 0
        let whole = min(.seconds(Int64(min(left, 1 << 32))), Self.longestReservation)
        let renewal = now + max(whole * 3 / 4, .seconds(30))
        deadlines.add(.renewal(relay), at: renewal)
        places[relay] = .held(renewal)
        events.append(.reserved(relay: relay, reservation, message.limit))
    }

    private mutating func takeStop(_ bytes: [UInt8], _ stream: StreamID) {
        guard var state = stops.removeValue(forKey: stream) else { return }
        switch state.reader.take(bytes, .stop) {
        case .malformed: orders.append(.reset(stream))
        case .incomplete: stops[stream] = state
        case .complete(let message, let rest):
            guard message.kind == .connect, let peer = message.peer else {
                let refusal = RelayMessage(.status, status: .unexpectedMessage)
                orders.append(.send(stream, refusal.framed(.stop)))
                orders.append(.finish(stream))
                return
            }
            orders.append(.send(stream, RelayMessage(.status, status: .ok).framed(.stop)))
            let circuit = Circuit(
                stream: stream, peer: peer, relay: state.relay, limit: message.limit,
                received: rest)
            events.append(.incoming(circuit))
        }
    }

    private mutating func fail(_ number: UInt64, _ failure: RelayFailure) {
        guard let state = asked.removeValue(forKey: number) else { return }
        if let stream = state.stream {
            streams[stream] = nil
            orders.append(.reset(stream))
        }
        switch state.purpose {
        case .reserve(let relay):
            guard places.removeValue(forKey: relay) != nil else { return }
            events.append(.lost(relay: relay, failure))
        case .connect(let command, _, _): events.append(.failed(command, failure))
        }
    }
}
