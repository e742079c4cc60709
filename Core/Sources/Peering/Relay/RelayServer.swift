// Relaying between peers, within limits (github.com/libp2p/specs, relay/circuit-v2).

public import Multiformats
public import Wire

/// One node's service as a relay.
public struct RelayServer: Sendable {
    /// The ceilings.
    public struct Limits: Hashable, Sendable {
        /// How many peers have a place.
        public var reservations: Int
        /// How many of them may have one IP address.
        public var reservationsPerIP: Int
        /// How many of them may come from one network: a /16 of IPv4, a /32 of IPv6.
        public var reservationsPerNetwork: Int
        /// How many circuits there are.
        public var circuits: Int
        /// How many of them may have the same peer at either end.
        public var circuitsPerPeer: Int
        /// What one circuit may carry.
        public var circuit: RelayLimit
        /// For how long a place is given.
        public var reservationSeconds: UInt32

        /// Ceilings of these heights.
        public init(
            reservations: Int, reservationsPerIP: Int, reservationsPerNetwork: Int, circuits: Int,
            circuitsPerPeer: Int, circuit: RelayLimit, reservationSeconds: UInt32
        ) {
            self.reservations = reservations
            self.reservationsPerIP = reservationsPerIP
            self.reservationsPerNetwork = reservationsPerNetwork
            self.circuits = circuits
            self.circuitsPerPeer = circuitsPerPeer
            self.circuit = circuit
            self.reservationSeconds = reservationSeconds
        }

        /// What deployed relays give: 128 KiB each way for two minutes.
        public static let usual = Limits(
            reservations: 128, reservationsPerIP: 8, reservationsPerNetwork: 32, circuits: 64,
            circuitsPerPeer: 16,
            circuit: RelayLimit(duration: 120, data: 128 << 10), reservationSeconds: 3_600)
    }

    /// How long it may take to make a circuit.
    public static let timeout: Duration = .seconds(30)
    /// How many streams have not yet become circuits.
    public static let maxPending = 256

    private struct Place {
        let ip: [UInt8]?
        let network: UInt64?
        let expires: Instant
    }

    /// A stream of one who wants something, before it is a circuit.
    private struct Hop {
        let peer: PeerID
        let remote: Multiaddr?
        var reader = FirstMessage()
        /// Who is to be reached, and the request for a stream there.
        var target: PeerID?
        var request: UInt64?
        var stop: StreamID?
        var stopReader = FirstMessage()
    }

    /// One direction of a circuit.
    private struct Half {
        let other: StreamID
        let peer: PeerID
        /// How many more bytes may come on this stream; nil without limit.
        var left: UInt64?
        var isFinished = false
    }

    private let own: PeerID
    private let key: PrivateKey
    /// The ceilings. Lower ones end nothing that has been given.
    public var limits: Limits
    /// What time of day it is, by which places end.
    public var clock: WallClock
    /// Where this node can be reached; told to those who have a place.
    public var ownAddresses: [Multiaddr] = []

    private var places = [PeerID: Place]()
    private var hops = [StreamID: Hop]()
    private var requests = [UInt64: StreamID]()
    /// From the stream to the other end to the stream of who wants it.
    private var stops = [StreamID: StreamID]()
    private var circuits = [StreamID: Half]()
    private var deadlines = DeadlineQueue<StreamID>()
    private var nextNumber: UInt64 = 1
    private var orders = Outbox<StreamOrder>()

    /// A relay that serves nobody yet. The key signs what it promises.
    public init(key: PrivateKey, limits: Limits, clock: WallClock) {
        self.key = key
        self.limits = limits
        self.clock = clock
        own = PeerID(key.publicKey)
    }

    /// How many peers have a place.
    public var reservationCount: Int { places.count }

    /// How many circuits there are.
    public var circuitCount: Int { circuits.count / 2 }

    /// The last connection to a peer ended, and its place with it.
    public mutating func disconnected(from peer: PeerID) {
        places[peer] = nil
    }

    /// Takes what happened to a hop stream of others, or a stop stream of ours. `remote` is where
    /// the peer is connected from.
    public mutating func receive(_ event: StreamEvent, remote: Multiaddr?, now: Instant) {
        switch event {
        case .accepted(let stream, let peer, _):
            guard hops.count < Self.maxPending else {
                orders.append(.reset(stream))
                return
            }
            hops[stream] = Hop(peer: peer, remote: remote)
            deadlines.add(stream, at: now + Self.timeout)
        case .opened(let request, let stream, _): opened(request, stream)
        case .refused(let request, _):
            if let hop = requests.removeValue(forKey: request) {
                answer(hop, .connectionFailed)
            }
        case .message(let stream, let bytes): took(bytes, stream, now: now)
        case .finished(let stream): finished(stream)
        case .reset(let stream): gone(stream)
        }
    }

    /// Ends what takes or lasts too long.
    public mutating func advance(to now: Instant) {
        while let stream = deadlines.popDue(at: now) {
            if hops[stream] != nil {
                answer(stream, .connectionFailed)
            } else if circuits[stream] != nil {
                orders.append(.reset(stream))
                gone(stream)
            }
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    private mutating func took(_ bytes: [UInt8], _ stream: StreamID, now: Instant) {
        if circuits[stream] != nil {
            carry(bytes, stream)
        } else if let hop = stops[stream] {
            tookStop(bytes, stream, of: hop, now: now)
        } else if var state = hops.removeValue(forKey: stream) {
            let progress =
                // What comes before the answer is more than was asked for.
                state.target == nil ? state.reader.take(bytes, .hop) : .malformed
            hops[stream] = state
            switch progress {
            case .incomplete: break
            case .complete(let message, let rest) where rest.isEmpty:
                switch message.kind {
                case .reserve: reserve(stream, state, now: now)
                case .connect: connect(stream, state, message.peer, now: now)
                case .status: answer(stream, .unexpectedMessage)
                }
            case .complete, .malformed: answer(stream, .malformedMessage)
            }
        }
    }

    private mutating func carry(_ bytes: [UInt8], _ stream: StreamID) {
        guard let half = circuits[stream] else { return }
        if let left = half.left {
            guard UInt64(bytes.count) <= left else {
                orders.append(.reset(stream))
                gone(stream)
                return
            }
            circuits[stream]?.left = left - UInt64(bytes.count)
        }
        orders.append(.send(half.other, bytes))
    }

    private mutating func reserve(_ stream: StreamID, _ hop: Hop, now: Instant) {
        guard let remote = hop.remote, !remote.isRelayed else {
            answer(stream, .permissionDenied)
            return
        }
        let ip = remote.ip
        places = places.filter { $0.value.expires > now }
        let isNew = places[hop.peer] == nil
        guard !isNew || hasPlace(for: ip, remote.networkGroup) else {
            answer(stream, .reservationRefused)
            return
        }
        let seconds = limits.reservationSeconds
        places[hop.peer] = Place(
            ip: ip, network: remote.networkGroup, expires: now + .seconds(Int64(seconds)))
        let expires = UInt64(clamping: clock.time(at: now).seconds) + UInt64(seconds)
        let voucher = RelayVoucher(relay: own, peer: hop.peer, expires: expires)
        // A key that cannot sign here makes a reservation without a voucher, which nobody asks for.
        let envelope = try? SignedEnvelope(
            voucher.encoded, type: RelayVoucher.payloadType, domain: RelayVoucher.domain,
            signingWith: key)
        var message = RelayMessage(.status, status: .ok)
        message.reservation = RelayReservation(
            expires: expires, addresses: addresses(reaching: remote.scope),
            voucher: envelope?.encoded ?? [])
        message.limit = limits.circuit
        hops[stream] = nil
        orders.append(.send(stream, message.framed(.hop)))
        orders.append(.finish(stream))
    }

    /// Half of the places are for whoever comes first: many may share an address, as in a school.
    private func hasPlace(for ip: [UInt8]?, _ network: UInt64?) -> Bool {
        if places.count < limits.reservations / 2 { return true }
        let sameIP = places.values.count { $0.ip == ip }
        let sameNetwork = network == nil ? 0 : places.values.count { $0.network == network }
        return places.count < limits.reservations && sameIP < limits.reservationsPerIP
            && sameNetwork < limits.reservationsPerNetwork
    }

    /// Our addresses with our id, as those who have a place publish them.
    private func addresses(reaching scope: AddressScope) -> [Multiaddr] {
        var out: [Multiaddr] = []
        for address in ownAddresses where address.scope >= scope && !address.isRelayed {
            // Neither fails, because both parts are whole.
            guard let part = try? Multiaddr.Component(.p2p, own.bytes),
                let whole = try? Multiaddr(address.components + [part])
            else { continue }
            out.append(whole)
        }
        return out
    }

    private mutating func connect(
        _ stream: StreamID, _ hop: Hop, _ target: PeerID?, now: Instant
    ) {
        guard let target else {
            answer(stream, .malformedMessage)
            return
        }
        // A circuit through two relays would hide who is to blame.
        guard let remote = hop.remote, !remote.isRelayed, target != hop.peer, target != own else {
            answer(stream, .permissionDenied)
            return
        }
        guard let place = places[target], place.expires > now else {
            answer(stream, .noReservation)
            return
        }
        guard circuitCount + requests.count + stops.count < limits.circuits,
            circuits(of: hop.peer) < limits.circuitsPerPeer,
            circuits(of: target) < limits.circuitsPerPeer
        else {
            answer(stream, .resourceLimitExceeded)
            return
        }
        let number = nextNumber
        nextNumber += 1
        hops[stream]?.target = target
        hops[stream]?.request = number
        requests[number] = stream
        orders.append(.open(target, [PeerProtocols.relayStop], request: number))
    }

    /// How many circuits a peer has, and is about to have.
    private func circuits(of peer: PeerID) -> Int {
        circuits.values.count { $0.peer == peer }
            + hops.values.count { $0.target != nil && ($0.target == peer || $0.peer == peer) }
    }

    private mutating func opened(_ request: UInt64, _ stream: StreamID) {
        guard let hop = requests.removeValue(forKey: request), let state = hops[hop] else {
            orders.append(.reset(stream))
            return
        }
        hops[hop]?.stop = stream
        stops[stream] = hop
        var message = RelayMessage(.connect)
        message.peer = state.peer
        message.limit = limits.circuit
        orders.append(.send(stream, message.framed(.stop)))
    }

    private mutating func tookStop(
        _ bytes: [UInt8], _ stream: StreamID, of hop: StreamID, now: Instant
    ) {
        guard var state = hops[hop], let target = state.target else { return }
        let progress = state.stopReader.take(bytes, .stop)
        hops[hop] = state
        guard case .complete(let message, let rest) = progress else {
            if case .malformed = progress { answer(hop, .connectionFailed) }
            return
        }
        guard message.kind == .status, message.status == .ok else {
            answer(hop, .connectionFailed)
            return
        }
        hops[hop] = nil
        stops[stream] = nil
        let data = limits.circuit.data
        circuits[hop] = Half(other: stream, peer: state.peer, left: data)
        circuits[stream] = Half(other: hop, peer: target, left: data)
        if let duration = limits.circuit.duration {
            deadlines.add(hop, at: now + .seconds(Int64(clamping: min(duration, 1 << 32))))
        }
        var reply = RelayMessage(.status, status: .ok)
        reply.limit = limits.circuit
        orders.append(.send(hop, reply.framed(.hop)))
        if !rest.isEmpty { carry(rest, stream) }
    }

    private mutating func finished(_ stream: StreamID) {
        guard let half = circuits[stream] else {
            gone(stream)
            return
        }
        orders.append(.finish(half.other))
        circuits[stream]?.isFinished = true
        guard circuits[half.other]?.isFinished == true else { return }
        circuits[stream] = nil
        circuits[half.other] = nil
    }

    /// A stream is gone, and what hangs on it with it.
    private mutating func gone(_ stream: StreamID) {
        if let half = circuits.removeValue(forKey: stream) {
            circuits[half.other] = nil
            orders.append(.reset(half.other))
        } else if let hop = stops[stream] {
            answer(hop, .connectionFailed)
        } else if hops[stream] != nil {
            forget(stream)
            orders.append(.reset(stream))
        }
    }

    /// Says no to who wants something, and forgets it.
    private mutating func answer(_ stream: StreamID, _ status: RelayStatus) {
        guard hops[stream] != nil else { return }
        forget(stream)
        orders.append(.send(stream, RelayMessage(.status, status: status).framed(.hop)))
        orders.append(.finish(stream))
    }

    private mutating func forget(_ stream: StreamID) {
        guard let state = hops.removeValue(forKey: stream) else { return }
        if let request = state.request { requests[request] = nil }
        if let stop = state.stop {
            stops[stop] = nil
            orders.append(.reset(stop))
        }
    }
}
