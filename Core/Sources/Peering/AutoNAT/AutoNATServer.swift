// Telling others whether they can be reached, by dialling them (github.com/libp2p/specs, autonat
// versions 1 and 2).

public import Multiformats
public import Wire

/// Dials others back when they ask for it, within limits.
///
/// Nobody is dialled in a private network, and nobody at an address they do not come from unless
/// they have paid for it in bytes (version 2; version 1 never does).
public struct AutoNATServer: Sendable {
    /// What the owner of the connections has to do.
    public enum Order: Hashable, Sendable {
        case stream(StreamOrder)
        /// Dial the peer at one of these addresses, on a connection of its own that uses no
        /// listening port. With a nonce, open a dial-back stream, send the nonce
        /// (``AutoNATMessage/dialBack(nonce:)``) and wait for the answer. Then close, and call
        /// `dialed` with the number.
        case dialBack(UInt64, PeerID, [Multiaddr], nonce: UInt64?)
    }

    /// What became of a dial back.
    public enum Outcome: Hashable, Sendable {
        case unreachable
        /// The connection was there, and the nonce could not be delivered.
        case undelivered
        case reached(Multiaddr)
    }

    /// How many bytes a dial to another address costs.
    public static let dataBytes: ClosedRange<UInt64> = 30_000...100_000
    /// How many dials all peers get in a minute, and each of them.
    public static let perMinute = 60
    public static let perMinuteAndPeer = 12
    /// How many requests are under way at once.
    public static let maxPending = 64
    /// How many dials are under way at once.
    public static let maxDials = 8
    /// How long a request may take.
    public static let timeout: Duration = .seconds(60)

    private enum State {
        /// Nothing has been asked.
        case open
        /// So many bytes are still to come before this address is dialled.
        case collecting(Multiaddr, index: UInt64, nonce: UInt64, missing: UInt64)
        case dialing(index: UInt64)
        case dialingV1
    }

    private struct Pending {
        let peer: PeerID
        let remote: Multiaddr
        let isV1: Bool
        var state: State = .open
    }

    private let transports: TransportSet
    private var pending: [StreamID: Pending] = [:]
    private var dials: [UInt64: StreamID] = [:]
    private var deadlines = DeadlineQueue<StreamID>()
    private var recent: [(at: Instant, peer: PeerID)] = []
    private var nextNumber: UInt64 = 1
    private var random: SeededGenerator
    private var orders = Outbox<Order>()

    /// A server that can dial by these transports.
    public init(transports: TransportSet, seed: UInt64) {
        self.transports = transports
        random = SeededGenerator(seed: seed)
    }

    /// Takes what happened to a stream of the request protocols. `remote` is where the peer is
    /// connected from.
    public mutating func receive(_ event: StreamEvent, remote: Multiaddr?, now: Instant) {
        switch event {
        case .accepted(let stream, let peer, let name):
            guard let remote, !remote.isRelayed, pending.count < Self.maxPending else {
                orders.append(.stream(.reset(stream)))
                return
            }
            pending[stream] = Pending(
                peer: peer, remote: remote, isV1: name == PeerProtocols.autoNATv1)
            deadlines.add(stream, at: now + Self.timeout)
        case .message(let stream, let bytes):
            guard let request = pending[stream] else { return }
            do throws(DecodeError) {
                if request.isV1 {
                    try takeV1(AutoNATv1Message(decoding: bytes.rawSpan), stream, request, now: now)
                } else {
                    try take(AutoNATMessage(decoding: bytes.rawSpan), stream, request, now: now)
                }
            } catch {
                pending[stream] = nil
                orders.append(.stream(.reset(stream)))
            }
        case .finished(let stream):
            // What is being dialled is answered; nothing else is going to come.
            guard let request = pending[stream] else { return }
            switch request.state {
            case .dialing, .dialingV1: break
            case .open, .collecting:
                pending[stream] = nil
                orders.append(.stream(.reset(stream)))
            }
        // A dial that is under way goes on, and counts until it is done.
        case .reset(let stream): pending[stream] = nil
        case .opened(_, let stream, _): orders.append(.stream(.reset(stream)))
        case .refused: break
        }
    }

    /// A dial back is done.
    public mutating func dialed(_ number: UInt64, _ outcome: Outcome) {
        guard let stream = dials.removeValue(forKey: number),
            let request = pending.removeValue(forKey: stream)
        else { return }
        switch (request.state, outcome) {
        case (.dialing(let index), .unreachable):
            answer(stream, .response(.ok, index: index, .dialError))
        case (.dialing(let index), .undelivered):
            answer(stream, .response(.ok, index: index, .dialBackError))
        case (.dialing(let index), .reached):
            answer(stream, .response(.ok, index: index, .ok))
        case (.dialingV1, .reached(let address)): answerV1(stream, .ok, address)
        case (.dialingV1, _): answerV1(stream, .dialError, nil)
        default: orders.append(.stream(.reset(stream)))
        }
    }

    /// Gives up on requests that take too long.
    public mutating func advance(to now: Instant) {
        while let stream = deadlines.popDue(at: now) {
            guard pending.removeValue(forKey: stream) != nil else { continue }
            orders.append(.stream(.reset(stream)))
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next thing to be done.
    public mutating func nextTransmit() -> Order? { orders.popFirst() }

    private mutating func take(
        _ message: AutoNATMessage, _ stream: StreamID, _ request: Pending, now: Instant
    ) throws(DecodeError) {
        switch (message, request.state) {
        case (.request(let addresses, let nonce), .open):
            guard isAllowed(request.peer, now: now) else {
                pending[stream] = nil
                answer(stream, .response(.rejected, index: 0, .unused))
                return
            }
            let index = addresses.firstIndex { address in
                guard let address else { return false }
                return isDialable(address)
            }
            guard let index, let address = addresses[index] else {
                pending[stream] = nil
                answer(stream, .response(.refused, index: 0, .unused))
                return
            }
            if address.ip == request.remote.ip {
                dial(stream, address, index: UInt64(index), nonce: nonce)
            } else {
                let bytes = UInt64.random(in: Self.dataBytes, using: &random)
                pending[stream]?.state = .collecting(
                    address, index: UInt64(index), nonce: nonce, missing: bytes)
                let price = AutoNATMessage.dataRequest(index: UInt64(index), bytes: bytes)
                orders.append(.stream(.send(stream, price.encoded)))
            }
        case (.data(let count), .collecting(let address, let index, let nonce, let missing)):
            // Empty messages would pay nothing and go on for ever.
            guard count > 0 else { throw DecodeError(.malformed, "autonat: no data") }
            if UInt64(count) >= missing {
                dial(stream, address, index: index, nonce: nonce)
            } else {
                pending[stream]?.state = .collecting(
                    address, index: index, nonce: nonce, missing: missing - UInt64(count))
            }
        default: throw DecodeError(.malformed, "autonat: a message out of turn")
        }
    }

    private mutating func dial(
        _ stream: StreamID, _ address: Multiaddr, index: UInt64, nonce: UInt64
    ) {
        guard let peer = pending[stream]?.peer else { return }
        guard dials.count < Self.maxDials else {
            pending[stream] = nil
            answer(stream, .response(.rejected, index: 0, .unused))
            return
        }
        pending[stream]?.state = .dialing(index: index)
        order(stream, peer, [address], nonce)
    }

    private mutating func takeV1(
        _ message: AutoNATv1Message, _ stream: StreamID, _ request: Pending, now: Instant
    ) throws(DecodeError) {
        guard case .dial(let peer, let addresses) = message, case .open = request.state,
            peer == nil || peer == request.peer
        else { throw DecodeError(.malformed, "autonat: not a request") }
        let own = addresses.filter { $0.ip == request.remote.ip && isDialable($0) }
        guard dials.count < Self.maxDials, isAllowed(request.peer, now: now), !own.isEmpty
        else {
            pending[stream] = nil
            answerV1(stream, .dialRefused, nil)
            return
        }
        pending[stream]?.state = .dialingV1
        order(stream, request.peer, Array(own.prefix(16)), nil)
    }

    private mutating func order(
        _ stream: StreamID, _ peer: PeerID, _ addresses: [Multiaddr], _ nonce: UInt64?
    ) {
        let number = nextNumber
        nextNumber += 1
        dials[number] = stream
        orders.append(.dialBack(number, peer, addresses, nonce: nonce))
    }

    private func isDialable(_ address: Multiaddr) -> Bool {
        address.scope == .world && address.ip != nil && !address.isRelayed
            && address.transport != [] && transports.contains(address.transport)
    }

    private mutating func isAllowed(_ peer: PeerID, now: Instant) -> Bool {
        recent.removeAll { now.since($0.at) >= .seconds(60) }
        guard recent.count < Self.perMinute,
            recent.count(where: { $0.peer == peer }) < Self.perMinuteAndPeer
        else { return false }
        recent.append((now, peer))
        return true
    }

    private mutating func answer(_ stream: StreamID, _ message: AutoNATMessage) {
        orders.append(.stream(.send(stream, message.encoded)))
        orders.append(.stream(.finish(stream)))
    }

    private mutating func answerV1(
        _ stream: StreamID, _ status: AutoNATv1Message.Status, _ address: Multiaddr?
    ) {
        orders.append(.stream(.send(stream, AutoNATv1Message.response(status, address).encoded)))
        orders.append(.stream(.finish(stream)))
    }
}

extension Multiaddr {
    /// The bytes of the IP address that this address starts with.
    var ip: [UInt8]? {
        let first = components[0]
        return first.protocol == .ip4 || first.protocol == .ip6 ? first.value : nil
    }
}
