// From a relayed connection to a direct one, by dialling each other at the same moment
// (github.com/libp2p/specs, relay/DCUtR).

public import Multiformats
public import Wire

/// The direct connection upgrade with all peers that are reached through relays.
///
/// The peer that was dialled through the relay leads. It first tries an ordinary dial to the other
/// one's public addresses, which is its owner's business, and calls `upgrade` when that failed.
public struct DCUtR: Sendable {
    /// The longest message, in bytes.
    public static let maxBytes = 4 << 10
    /// How many addresses of a message are read and written; more are passed over.
    public static let maxAddresses = 16
    /// How often it is tried.
    public static let attempts = 3
    /// How long an answer or a dial may take.
    public static let timeout: Duration = .seconds(15)
    /// How many upgrades are under way at once.
    public static let maxPending = 64

    /// Which part a node plays in securing a connection. Of two that open a TCP connection to each
    /// other at the same moment, one has to play the listener.
    public enum Role: Hashable, Sendable {
        case dialer
        case listener
    }

    /// What is to be done.
    public enum Event: Hashable, Sendable {
        /// Dial all these addresses of the peer at once, from the port that is listened on where
        /// that is possible, and play this part whoever's dial succeeds. Report with
        /// ``DCUtR/dialed(_:_:now:)``.
        case dial(PeerID, [Multiaddr], Role)
        /// There is a direct connection.
        case upgraded(PeerID)
        /// There is none, and it is not tried any more.
        case failed(PeerID)
    }

    /// How a dial went.
    public enum Outcome: Hashable, Sendable {
        case connected
        case failed
    }

    private enum Phase {
        case opening
        /// We lead: our addresses were sent, at this time.
        case awaitingConnect(Instant)
        /// We lead: the signal was sent; the dial begins when it has arrived.
        case waiting([Multiaddr])
        case dialing
        /// We follow, with what we have been told.
        case following([Multiaddr])
    }

    private struct Upgrade {
        let peer: PeerID
        let role: Role
        var phase: Phase
        var stream: StreamID?
        var attempt = 1
        /// When the phase is over.
        var due: Instant
    }

    private enum Kind: UInt64 {
        case connect = 100
        case sync = 300
    }

    /// Where this node may be reached: what others observe. Private addresses are not told.
    public var ownAddresses: [Multiaddr] = []
    private var upgrades: [UInt64: Upgrade] = [:]
    private var deadlines = DeadlineQueue<UInt64>()
    private var nextNumber: UInt64 = 1
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    /// A node without upgrades under way.
    public init() {}

    /// Whether an upgrade with a peer is under way.
    public func isUpgrading(_ peer: PeerID) -> Bool { number(of: peer) != nil }

    /// Begins an upgrade as the peer that was dialled through the relay.
    public mutating func upgrade(_ peer: PeerID, now: Instant) {
        guard number(of: peer) == nil else { return }
        guard upgrades.count < Self.maxPending else {
            events.append(.failed(peer))
            return
        }
        // Who leads plays the listener, as deployed peers have it.
        let upgrade = Upgrade(
            peer: peer, role: .listener, phase: .opening, due: now + Self.timeout)
        orders.append(.open(peer, [PeerProtocols.dcutr], request: add(upgrade)))
    }

    /// A dial that was asked for is done.
    public mutating func dialed(_ peer: PeerID, _ outcome: Outcome, now: Instant) {
        guard let number = number(of: peer), let upgrade = upgrades[number] else { return }
        // However a direct connection comes about, it is what was wanted.
        guard outcome == .failed else {
            end(number, .upgraded(peer))
            return
        }
        guard case .dialing = upgrade.phase else { return }
        guard upgrade.attempt < Self.attempts, let stream = upgrade.stream else {
            end(number, .failed(peer))
            return
        }
        upgrades[number]?.attempt += 1
        // Who follows waits for the leader to begin anew.
        if upgrade.role == .listener { begin(number, stream, now: now) }
    }

    /// The relayed connection to a peer ended.
    public mutating func disconnected(from peer: PeerID) {
        guard let number = number(of: peer) else { return }
        end(number, .failed(peer))
    }

    /// Takes what happened to a stream of the protocol.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, _):
            guard upgrades[request] != nil else {
                orders.append(.reset(stream))
                return
            }
            upgrades[request]?.stream = stream
            begin(request, stream, now: now)
        case .refused(let request, _):
            if let peer = upgrades[request]?.peer { end(request, .failed(peer)) }
        case .accepted(let stream, let peer, _):
            guard number(of: peer) == nil, upgrades.count < Self.maxPending else {
                orders.append(.reset(stream))
                return
            }
            let upgrade = Upgrade(
                peer: peer, role: .dialer, phase: .following([]), stream: stream,
                due: now + Self.timeout)
            _ = add(upgrade)
        case .message(let stream, let bytes):
            guard let number = number(of: stream), let upgrade = upgrades[number] else { return }
            // What cannot be read ends the upgrade, not the relayed connection.
            guard let (kind, addresses) = try? Self.read(bytes.rawSpan) else {
                end(number, .failed(upgrade.peer))
                return
            }
            take(kind, addresses, number, stream, now: now)
        case .finished(let stream), .reset(let stream):
            guard let number = number(of: stream), let upgrade = upgrades[number] else { return }
            // The dial goes on when the other one has nothing more to say.
            if case .dialing = upgrade.phase { return }
            end(number, .failed(upgrade.peer))
        }
    }

    /// Begins the dials whose time has come, and gives up on slow peers.
    public mutating func advance(to now: Instant) {
        while let number = deadlines.popDue(at: now) {
            guard let upgrade = upgrades[number] else { continue }
            guard upgrade.due <= now else {
                deadlines.add(number, at: upgrade.due)
                continue
            }
            if case .waiting(let addresses) = upgrade.phase {
                upgrades[number]?.phase = .dialing
                extend(number, to: now + Self.timeout)
                events.append(.dial(upgrade.peer, addresses, upgrade.role))
            } else {
                end(number, .failed(upgrade.peer))
            }
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What is to be done.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    private mutating func add(_ upgrade: Upgrade) -> UInt64 {
        let number = nextNumber
        nextNumber += 1
        upgrades[number] = upgrade
        deadlines.add(number, at: upgrade.due)
        return number
    }

    private func number(of peer: PeerID) -> UInt64? {
        upgrades.first { $0.value.peer == peer }?.key
    }

    private func number(of stream: StreamID) -> UInt64? {
        upgrades.first { $0.value.stream == stream }?.key
    }

    private mutating func extend(_ number: UInt64, to due: Instant) {
        upgrades[number]?.due = due
        deadlines.add(number, at: due)
    }

    private mutating func begin(_ number: UInt64, _ stream: StreamID, now: Instant) {
        upgrades[number]?.phase = .awaitingConnect(now)
        extend(number, to: now + Self.timeout)
        orders.append(.send(stream, Self.message(.connect, ownAddresses)))
    }

    private mutating func take(
        _ kind: Kind, _ addresses: [Multiaddr], _ number: UInt64, _ stream: StreamID, now: Instant
    ) {
        guard let upgrade = upgrades[number] else { return }
        // A stranger's word leads into no private network.
        let open = addresses.filter { $0.scope == .world && !$0.isRelayed }
        switch (upgrade.role, upgrade.phase, kind) {
        case (.listener, .awaitingConnect(let sent), .connect):
            orders.append(.send(stream, Self.message(.sync, [])))
            upgrades[number]?.phase = .waiting(open)
            extend(number, to: now + now.since(sent) / 2)
        case (.dialer, .following, .connect), (.dialer, .dialing, .connect):
            upgrades[number]?.phase = .following(open)
            extend(number, to: now + Self.timeout)
            orders.append(.send(stream, Self.message(.connect, ownAddresses)))
        case (.dialer, .following(let known), .sync):
            upgrades[number]?.phase = .dialing
            extend(number, to: now + Self.timeout)
            events.append(.dial(upgrade.peer, known, upgrade.role))
        default: end(number, .failed(upgrade.peer))
        }
    }

    private mutating func end(_ number: UInt64, _ event: Event) {
        guard let upgrade = upgrades.removeValue(forKey: number) else { return }
        if let stream = upgrade.stream { orders.append(.finish(stream)) }
        events.append(event)
    }

    private static func message(_ kind: Kind, _ addresses: [Multiaddr]) -> [UInt8] {
        var out: [UInt8] = []
        out.appendField(1, varint: kind.rawValue)
        for address in addresses.prefix(maxAddresses) where address.scope == .world {
            out.appendField(2, bytes: address.bytes)
        }
        return out
    }

    private static func read(_ bytes: RawSpan) throws(DecodeError) -> (Kind, [Multiaddr]) {
        var reader = ByteReader(bytes)
        var kind: Kind?
        var addresses: [Multiaddr] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): kind = Kind(rawValue: try reader.readProtobufVarint())
            case (2, .bytes):
                let span = try reader.readDelimited()
                guard addresses.count < maxAddresses else { continue }
                // Other versions have protocols that this one does not know.
                if let address = try? Multiaddr(decoding: span) { addresses.append(address) }
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let kind else { throw reader.error(.malformed, "dcutr: a message of no known kind") }
        return (kind, addresses)
    }
}
