// Asking peers who they are, saying who we are, and spreading the news of a change
// (github.com/libp2p/specs, identify).

public import Multiformats
public import Wire

/// What is known of the channel to a peer.
public struct PeerChannel: Hashable, Sendable {
    /// Where the other end is, as the connection shows it; a relayed address if it is relayed.
    public let remoteAddress: Multiaddr

    /// The channel to this address.
    public init(remoteAddress: Multiaddr) {
        self.remoteAddress = remoteAddress
    }

    /// How far the channel reaches. Nothing narrower is said or believed over it.
    public var scope: AddressScope { remoteAddress.scope }
}

/// The identify protocol with all peers.
public struct Identify: Sendable {
    /// How long a peer may take to say all it has to say.
    public static let timeout: Duration = .seconds(5)
    /// How many peers may be telling us news at once; further ones are turned away.
    public static let maxIncoming = 32
    /// How many questions and pieces of news of ours are under way at once.
    public static let maxOutgoing = 64

    /// What was found out.
    public enum Event: Hashable, Sendable {
        /// A peer said who it is. The addresses have gone into the book, the record is verified.
        case identified(PeerID, IdentifyMessage)
        /// A peer told us of a change; fields that it left out did not change.
        case changed(PeerID, IdentifyMessage)
        /// A peer did not say who it is.
        case failed(PeerID, StreamFault)
        /// A peer broke a rule; its stream is closed.
        case violation(PeerID, DecodeError)
    }

    private enum Kind { case answer, news }

    private struct Incoming {
        let peer: PeerID
        let kind: Kind
        let end: Instant
        var message = IdentifyMessage()
        var count = 0
    }

    private enum Asked {
        case question(PeerID, PeerChannel)
        case news(PeerID, PeerChannel)
    }

    /// What we say of ourselves: everything but the observed address. The addresses may be of
    /// every scope, for each peer is told what it can reach; the signed record must be of public
    /// addresses alone.
    public var own: IdentifyMessage
    private var asked = [UInt64: Asked]()
    private var incoming = [StreamID: Incoming]()
    /// The channels of connected peers.
    private var channels = [PeerID: PeerChannel]()
    private var deadlines = DeadlineQueue<StreamID>()
    private var nextRequest: UInt64 = 1
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    /// A machine that says this of the node.
    public init(own: IdentifyMessage) {
        self.own = own
    }

    /// A peer connected, or one connection of several took its place.
    public mutating func connected(to peer: PeerID, over channel: PeerChannel) {
        channels[peer] = channel
    }

    /// The last connection to a peer ended.
    public mutating func disconnected(from peer: PeerID) {
        channels[peer] = nil
    }

    /// Asks a connected peer who it is.
    public mutating func identify(_ peer: PeerID) {
        guard let channel = channels[peer], asked.count < Self.maxOutgoing else {
            events.append(.failed(peer, channels[peer] == nil ? .disconnected : .overLimit))
            return
        }
        open(.question(peer, channel), to: peer, PeerProtocols.identify)
    }

    /// Tells a connected peer of a change in ``own``. Does nothing if too much is under way; the
    /// peer then finds out when it asks.
    public mutating func push(to peer: PeerID) {
        guard let channel = channels[peer], asked.count < Self.maxOutgoing else { return }
        open(.news(peer, channel), to: peer, PeerProtocols.identifyPush)
    }

    /// Takes what happened to a stream of the two protocols. Addresses go into the book.
    public mutating func receive(
        _ event: StreamEvent, addresses: inout AddressBook, now: Instant
    ) {
        receive(event, now: now) { message, peer, scope throws(DecodeError) in
            try Self.note(message, of: peer, in: &addresses, over: scope, now: now)
        }
    }

    /// Takes what happened to a stream of the two protocols, for who keeps no addresses.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        receive(event, now: now) { _, _, _ throws(DecodeError) in }
    }

    /// Checks and keeps what a peer says of its addresses over a channel of this scope.
    private typealias Note = (IdentifyMessage, PeerID, AddressScope) throws(DecodeError) -> Void

    private mutating func receive(_ event: StreamEvent, now: Instant, note: Note) {
        switch event {
        case .opened(let request, let stream, _):
            switch asked.removeValue(forKey: request) {
            case .question(let peer, _):
                expect(stream, peer, .answer, now: now)
                orders.append(.finish(stream))
            case .news(_, let channel): say(on: stream, over: channel)
            case nil: orders.append(.reset(stream))
            }
        case .refused(let request, let fault):
            if case .question(let peer, _) = asked.removeValue(forKey: request) {
                events.append(.failed(peer, fault))
            }
        case .accepted(let stream, let peer, let name):
            guard let channel = channels[peer] else {
                orders.append(.reset(stream))
                return
            }
            if name == PeerProtocols.identify {
                say(on: stream, over: channel)
            } else if incoming.count < Self.maxIncoming {
                expect(stream, peer, .news, now: now)
            } else {
                orders.append(.reset(stream))
            }
        case .message(let stream, let bytes): read(bytes, from: stream)
        case .finished(let stream): conclude(stream, note: note)
        case .reset(let stream): fail(stream, .disconnected)
        }
    }

    /// Gives up on peers that take too long.
    public mutating func advance(to now: Instant) {
        while let stream = deadlines.popDue(at: now) {
            guard incoming[stream] != nil else { continue }
            orders.append(.reset(stream))
            fail(stream, .timedOut)
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What was found out.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    private mutating func open(_ what: Asked, to peer: PeerID, _ name: ProtocolName) {
        let request = nextRequest
        nextRequest += 1
        asked[request] = what
        orders.append(.open(peer, [name], request: request))
    }

    /// Says who we are, with addresses that the peer can reach, and where the peer is seen.
    private mutating func say(on stream: StreamID, over channel: PeerChannel) {
        var message = own
        message.listenAddresses = own.listenAddresses.filter { $0.scope >= channel.scope }
        // The record has public addresses alone, and who has it looks at nothing else.
        if channel.scope != .world { message.signedPeerRecord = [] }
        message.observedAddress = channel.remoteAddress
        for part in message.messages { orders.append(.send(stream, part)) }
        orders.append(.finish(stream))
    }

    private mutating func expect(
        _ stream: StreamID, _ peer: PeerID, _ kind: Kind, now: Instant
    ) {
        let end = now + Self.timeout
        incoming[stream] = Incoming(peer: peer, kind: kind, end: end)
        deadlines.add(stream, at: end)
    }

    private mutating func read(_ bytes: [UInt8], from stream: StreamID) {
        guard var state = incoming.removeValue(forKey: stream) else { return }
        do throws(DecodeError) {
            state.count += 1
            guard state.count <= IdentifyMessage.maxMessages else {
                throw DecodeError(.overLimit, "identify: too many messages")
            }
            state.message.merge(try IdentifyMessage(decoding: bytes.rawSpan))
            incoming[stream] = state
        } catch {
            orders.append(.reset(stream))
            events.append(.violation(state.peer, error))
            if state.kind == .answer { events.append(.failed(state.peer, .disconnected)) }
        }
    }

    private mutating func conclude(_ stream: StreamID, note: Note) {
        guard let state = incoming.removeValue(forKey: stream) else { return }
        orders.append(.finish(stream))
        guard state.count > 0 else {
            if state.kind == .answer { events.append(.failed(state.peer, .unsupported)) }
            return
        }
        do throws(DecodeError) {
            if let key = state.message.publicKey, PeerID(key) != state.peer {
                throw DecodeError(.mismatch, "identify: the key is another peer's")
            }
            if let scope = channels[state.peer]?.scope {
                try note(state.message, state.peer, scope)
            }
        } catch {
            events.append(.violation(state.peer, error))
            if state.kind == .answer { events.append(.failed(state.peer, .disconnected)) }
            return
        }
        switch state.kind {
        case .answer: events.append(.identified(state.peer, state.message))
        case .news: events.append(.changed(state.peer, state.message))
        }
    }

    /// Checks what a peer said of itself and puts its addresses into the book.
    private static func note(
        _ message: IdentifyMessage, of peer: PeerID, in addresses: inout AddressBook,
        over scope: AddressScope, now: Instant
    ) throws(DecodeError) {
        let lifetime = AddressBook.Lifetime.itself
        if message.signedPeerRecord.isEmpty {
            addresses.add(
                message.listenAddresses, of: peer, from: .itself, over: scope, for: lifetime,
                now: now)
            return
        }
        let envelope = try SignedEnvelope(decoding: message.signedPeerRecord.rawSpan)
        let record = try PeerRecord(verifying: envelope)
        guard record.peer == peer else {
            throw DecodeError(.mismatch, "identify: the peer record is another peer's")
        }
        addresses.add(record, over: scope, for: lifetime, now: now)
    }

    private mutating func fail(_ stream: StreamID, _ fault: StreamFault) {
        guard let state = incoming.removeValue(forKey: stream), state.kind == .answer else {
            return
        }
        events.append(.failed(state.peer, fault))
    }
}
