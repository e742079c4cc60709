// One connection to a peer over data channels (github.com/libp2p/specs, webrtc/webrtc-direct.md):
// a Noise handshake on channel 0 that binds the peers to the certificates of DTLS, then a channel
// for each stream.

public import Multiformats
public import Wire

/// A connection as a machine: it is fed messages and the time, and asked for what is to be done
/// and for events.
///
/// After every call, drain ``nextEvent()`` and then ``nextOrder(now:)``, which may bring further
/// events. When a call throws, the connection has failed; close the association.
public struct WebRTCConnection: ~Copyable {
    /// Which end of DTLS this is. The server starts the handshake of Noise.
    public enum Role: Sendable {
        /// The peer must be this one, if it is known.
        case client(PeerID?)
        case server

        var isServer: Bool {
            if case .server = self { return true }
            return false
        }
    }

    /// A message that came before the peer had proven who it is.
    private struct Early {
        let bytes: ArraySlice<UInt8>
        let kind: ChannelMessageKind
        let channel: UInt16
    }

    private enum Phase {
        case handshake(NoiseHandshake, FrameReader)
        case streams
        case failed
    }

    /// How many messages may come early, and how many bytes in all.
    static let earlyMessages = 80
    static let earlyBytes = 160 << 10
    /// How much may be unconsumed before nothing more should be read.
    static let window = 1 << 20
    /// The number of the channel for the handshake.
    static let handshakeChannel: UInt16 = 0

    private let options: ConnectionOptions
    private let role: Role
    private var phase: Phase
    private var channels: DataChannels
    private var negotiations: StreamNegotiations
    private var handshakeOutput: [UInt8] = []
    /// Whether the peer has yet to close the channel of the handshake, whose number is then free.
    private var isHandshakeChannelOpen = true
    private var early: [Early] = []
    private var earlyCount = 0
    private var events: [Connection.Event] = []
    private var nextEventIndex = 0
    private let handshakeDeadline: Instant
    private var lastReceived: Instant
    /// When the peer is taken for silent, if nothing comes until then.
    private var checkEnd: Instant?
    private var isSilent = false
    /// The peer, once it has proven who it is.
    public private(set) var peer: PeerID?

    /// A connection over an association that has just been made, between the holders of
    /// certificates with these SHA2-256 fingerprints.
    public init(
        _ role: Role, options: ConnectionOptions, secrets: ConnectionSecrets,
        clientFingerprint: [UInt8], serverFingerprint: [UInt8], now: Instant
    ) throws(ConnectionError) {
        self.role = role
        self.options = options
        channels = DataChannels(isServer: role.isServer, limits: options.limits)
        negotiations = StreamNegotiations(options)
        handshakeDeadline = now + options.handshakeTimeout
        lastReceived = now
        do throws(NoiseFault) {
            var handshake = try NoiseHandshake(
                role: role.isServer ? .initiator : .responder, identity: options.identity,
                ephemeralKey: secrets.ephemeralKey, muxers: [],
                prologue: Self.prologue(client: clientFingerprint, server: serverFingerprint))
            handshakeOutput = handshake.takeOutput()
            phase = .handshake(handshake, FrameReader(limit: ChannelFrame.maxLength))
        } catch {
            throw .noise(error)
        }
    }

    /// A connection over an association that has just been made with a peer who has proven already
    /// whose certificate it has, as when two agree on it over a connection that they have
    /// (github.com/libp2p/specs, webrtc/webrtc.md).
    public init(
        isServer: Bool, agreedWith peer: PeerID, options: ConnectionOptions, now: Instant
    ) {
        role = isServer ? .server : .client(peer)
        self.options = options
        channels = DataChannels(isServer: isServer, limits: options.limits)
        negotiations = StreamNegotiations(options)
        handshakeDeadline = now
        lastReceived = now
        isHandshakeChannelOpen = false
        self.peer = peer
        phase = .streams
        events = [.ready(peer)]
    }

    /// What both sides know of each other's certificates.
    static func prologue(client: [UInt8], server: [UInt8]) -> [UInt8] {
        let multihash: [UInt8] = [0x12, 0x20]
        return Array("libp2p-webrtc-noise:".utf8) + multihash + client + multihash + server
    }

    // MARK: Input

    /// Takes in a message, or a part of one that is too long for its receiver.
    public mutating func receive(
        _ bytes: ArraySlice<UInt8>, _ kind: ChannelMessageKind, on channel: UInt16, now: Instant
    ) throws(ConnectionError) {
        hear(now: now)
        do throws(ConnectionError) {
            switch phase {
            case .failed: return
            case .streams: try receiveStream(bytes, kind, on: channel, now: now)
            case .handshake(let handshake, let frames):
                guard channel == Self.handshakeChannel else {
                    return try keep(Early(bytes: bytes, kind: kind, channel: channel))
                }
                guard kind == .binary || kind == .text else { return }
                try shakeHands(bytes, handshake, frames, now: now)
            }
        } catch {
            phase = .failed
            throw error
        }
    }

    private mutating func receiveStream(
        _ bytes: ArraySlice<UInt8>, _ kind: ChannelMessageKind, on channel: UInt16, now: Instant
    ) throws(ConnectionError) {
        channels.receive(bytes, kind, on: channel, now: now)
        drain(now: now)
        if channels.isAnswerLost { throw .yamux(.tooManyAnswers) }
    }

    private mutating func keep(_ message: Early) throws(ConnectionError) {
        earlyCount += message.bytes.count
        guard early.count < Self.earlyMessages, earlyCount <= Self.earlyBytes else {
            throw .tooEarly
        }
        early.append(message)
    }

    private mutating func shakeHands(
        _ bytes: ArraySlice<UInt8>, _ before: NoiseHandshake, _ framesBefore: FrameReader,
        now: Instant
    ) throws(ConnectionError) {
        var (handshake, frames) = (before, framesBefore)
        var input = ByteReader(bytes.rawSpan)
        while true {
            let frame: ChannelFrame
            do throws(DecodeError) {
                guard let encoded = try frames.next(&input) else { break }
                frame = try ChannelFrame(decoding: encoded)
            } catch {
                throw .negotiation(error)
            }
            let outcome: NoiseHandshake.Outcome?
            do throws(NoiseFault) {
                var text = ByteReader(frame.message.rawSpan)
                outcome = try handshake.receive(&text)
            } catch {
                throw .noise(error)
            }
            handshakeOutput += handshake.takeOutput()
            if let outcome { return try start(outcome.peer, now: now) }
        }
        phase = .handshake(handshake, frames)
    }

    private mutating func start(_ peer: PeerID, now: Instant) throws(ConnectionError) {
        if case .client(let expected?) = role, expected != peer {
            throw .wrongPeer(expected: expected, found: peer)
        }
        self.peer = peer
        phase = .streams
        events.append(.ready(peer))
        let waiting = early
        early = []
        earlyCount = 0
        for message in waiting {
            try receiveStream(message.bytes, message.kind, on: message.channel, now: now)
        }
    }

    /// The peer has closed its direction of a channel, or ours is closed now.
    public mutating func closed(_ channel: UInt16, byPeer: Bool, now: Instant) {
        if byPeer, channel == Self.handshakeChannel, isHandshakeChannelOpen {
            isHandshakeChannelOpen = false
            channels.answerClosing(channel)
        }
        channels.closed(channel, byPeer: byPeer)
        drain(now: now)
    }

    private mutating func drain(now: Instant) {
        channels.drain(&negotiations, now: now, into: &events)
    }

    // MARK: Time

    /// When ``advance(to:)`` has something to do.
    public var deadline: Instant? {
        switch phase {
        case .failed: nil
        case .handshake: handshakeDeadline
        case .streams:
            channels.deadline.earlier(negotiations.deadline).earlier(checkEnd)
        }
    }

    /// Does what is due.
    public mutating func advance(to now: Instant) throws(ConnectionError) {
        switch phase {
        case .failed: return
        case .handshake:
            guard now < handshakeDeadline else {
                phase = .failed
                throw .timedOut(.security)
            }
        case .streams:
            channels.advance(to: now)
            channels.endNegotiations(&negotiations, before: now, into: &events)
            if let end = checkEnd, now >= end {
                checkEnd = nil
                isSilent = true
                events.append(.silent)
            }
            drain(now: now)
        }
    }

    /// Finds out whether the peer is there; the shell sees to it that it is asked. If nothing
    /// comes in time, ``Connection/Event/silent`` tells. `roundTrip` is how long an answer takes.
    public mutating func check(roundTrip: Duration?, now: Instant) {
        if isSilent { events.append(.silent) }
        guard checkEnd == nil, !isSilent else { return }
        let patience = max(options.limits.checkTimeout, (roundTrip ?? .zero) * 4)
        checkEnd = now + min(patience, options.limits.pingTimeout)
    }

    /// Something has come from the peer.
    public mutating func hear(now: Instant) {
        lastReceived = now
        checkEnd = nil
        guard isSilent else { return }
        isSilent = false
        events.append(.awake)
    }

    // MARK: Output

    /// What has happened next; nil if nothing has since.
    public mutating func nextEvent() -> Connection.Event? {
        guard nextEventIndex < events.count else {
            events.removeAll(keepingCapacity: true)
            nextEventIndex = 0
            return nil
        }
        nextEventIndex += 1
        return events[nextEventIndex - 1]
    }

    /// What is to be done next; nil if nothing is.
    public mutating func nextOrder(now: Instant) -> ChannelOrder? {
        if !handshakeOutput.isEmpty {
            let count = min(handshakeOutput.count, ChannelFrame.maxMessage)
            let frame = ChannelFrame.encode([handshakeOutput[..<count]])
            handshakeOutput.removeFirst(count)
            return .send(frame, .binary, channel: Self.handshakeChannel)
        }
        guard case .streams = phase else { return nil }
        defer { drain(now: now) }
        return channels.nextOrder(now: now)
    }

    /// Whether ``nextOrder(now:)`` has something.
    public var wantsToSend: Bool {
        if !handshakeOutput.isEmpty { return true }
        guard case .streams = phase else { return false }
        return channels.wantsToSend
    }

    /// Whether more should be read; if not, it should be after something has been consumed.
    public var wantsToReceive: Bool { channels.unconsumed < Self.window }
}

// Streams, as ``Connection`` has them.
extension WebRTCConnection {
    /// How many streams the peer has open, and how many we have.
    public var streamCounts: (incoming: Int, outgoing: Int) {
        (channels.incomingCount, channels.outgoingCount)
    }

    /// How many bytes are held: those that wait to be sent, and those that were handed out and have
    /// not been consumed.
    public var heldBytes: Int {
        channels.waiting + channels.unconsumed + channels.partial + earlyCount
    }

    /// Opens a stream, as ``Connection/open(_:now:)`` does.
    public mutating func open(_ protocols: [ProtocolName], now: Instant) -> UInt32? {
        guard case .streams = phase, let id = channels.open() else { return nil }
        channels.propose(protocols, on: id, &negotiations, now: now, into: &events)
        return id
    }

    /// Queues bytes to be sent, as ``Connection/write(_:to:)`` does.
    public mutating func write(_ bytes: ArraySlice<UInt8>, to stream: UInt32) -> Bool {
        channels.write(bytes, to: stream)
    }

    /// Ends our direction of a stream, after what waits there.
    public mutating func finish(_ stream: UInt32) { channels.finish(stream) }

    /// Whether a stream has anything left to send or to receive.
    public func isOpen(_ stream: UInt32) -> Bool { channels.isOpen(stream) }

    /// Gives a stream up at once.
    public mutating func reset(_ stream: UInt32) {
        negotiations.remove(stream)
        channels.reset(stream)
    }

    /// Says that `count` bytes of a stream's data are no longer in the way.
    public mutating func consume(_ count: Int, of stream: UInt32, now: Instant) {
        channels.consume(count, of: stream, now: now)
    }
}
