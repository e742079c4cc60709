// One connection to a peer over an ordered byte channel, from the first byte to its streams
// (github.com/libp2p/specs, connections): security, then yamux, then a protocol for each stream.
//
// The dialer waits for nothing that it can know: its proposal of a security protocol and the first
// handshake message go out together, the muxer is chosen within the handshake, and a stream's
// proposal goes out with the first bytes in that protocol. So the first byte of an application is
// answered after three round trips over TCP.

public import Multiformats
public import Wire

/// A connection as a machine: it is fed bytes and the time, and asked for bytes and events.
///
/// After every call, drain ``nextEvent()`` and then ``transmit(into:)``; transmitting may bring
/// further events. When a call throws, the connection has failed: transmit what is left, which
/// tells the peer, and close the channel.
public struct Connection: ~Copyable {
    /// What has happened.
    public enum Event {
        /// The peer wants TLS. Run its handshake on the channel, starting with
        /// ``Connection/takeUnread()``, then call ``Connection/secured(peer:muxer:now:)`` and go
        /// on with what TLS decrypts.
        case tlsWanted
        /// The peer is who it says, and streams may be opened.
        case ready(PeerID)
        /// A stream that we opened speaks this protocol.
        case opened(UInt32, ProtocolName)
        /// A stream that we opened is gone, because the peer has none of its protocols.
        case refused(UInt32)
        /// The peer opened a stream.
        case accepted(UInt32, ProtocolName)
        /// Bytes of a stream, to be acknowledged with ``Connection/consume(_:of:now:)``.
        case data(UInt32, ArraySlice<UInt8>)
        /// The peer will send no more on this stream.
        case finished(UInt32)
        /// The stream is gone.
        case reset(UInt32)
        /// A stream that refused a write has room again.
        case room(UInt32)
        /// The peer takes no more streams, and will close the connection.
        case goAway(YamuxGoAway)
        /// Nothing has come from the peer since ``Connection/check(now:)`` asked it.
        case silent
        /// Something has come after that.
        case awake
    }

    /// Who makes the connection, and what secures it.
    public enum Role: Sendable {
        /// We do, with Noise; the peer must be this one, if it is known.
        case dialer(PeerID?)
        /// We do, with TLS, which has to be proposed with ``Multistream`` and run by the caller
        /// before anything is fed to the connection.
        case tlsDialer(PeerID?)
        /// The peer does, and chooses.
        case listener
    }

    private enum Phase {
        /// Negotiating security. A dialer has started the handshake it proposes.
        case security(Multistream, NoiseHandshake?)
        case noise(NoiseHandshake)
        case tls
        /// Security is there; the muxer is being negotiated.
        case muxer(Multistream)
        case streams
        case failed
    }

    let options: ConnectionOptions
    private let role: Role
    private let secrets: ConnectionSecrets
    private var phase: Phase
    private var privateChannel: PrivateChannel?
    private var channel: NoiseChannel?
    /// Streams, as soon as we may send frames: for a dialer before the peer has confirmed the
    /// muxer.
    var yamux: Yamux?
    /// Streams whose protocol is being negotiated.
    var negotiations: StreamNegotiations
    /// Bytes to send beneath everything else: our nonce in a private network.
    private var nonceOutput: [UInt8] = []
    /// Bytes to send beneath the encryption.
    private var clearOutput: [UInt8] = []
    /// Bytes to send inside the encryption, before any frame.
    private var sealedOutput: [UInt8] = []
    /// What arrived before TLS took over.
    private var unread: [UInt8] = []
    /// No more than the last input brought; drained after it.
    var events: [Event] = []
    private var nextEventIndex = 0
    private let handshakeDeadline: Instant
    /// The peer, once it has proven who it is.
    public private(set) var peer: PeerID?

    /// A connection over a channel that has just been made.
    public init(
        _ role: Role, options: ConnectionOptions, secrets: ConnectionSecrets, now: Instant
    ) throws(ConnectionError) {
        self.role = role
        self.options = options
        self.secrets = secrets
        handshakeDeadline = now + options.handshakeTimeout
        negotiations = StreamNegotiations(options)
        if let key = options.presharedKey {
            privateChannel = PrivateChannel(key, nonce: secrets.nonce)
            nonceOutput = secrets.nonce
        }
        switch role {
        case .dialer:
            var negotiation = Multistream(proposing: [SecurityProtocol.noise.name])
            var handshake = try Self.handshake(.initiator, options, secrets)
            clearOutput = negotiation.takeOutput() + handshake.takeOutput()
            phase = .security(negotiation, handshake)
        case .tlsDialer: phase = .tls
        case .listener:
            var negotiation = Multistream(supporting: options.accepted.map { $0.name })
            clearOutput = negotiation.takeOutput()
            phase = .security(negotiation, nil)
        }
    }

    private static func handshake(
        _ role: NoiseXX.Role, _ options: ConnectionOptions, _ secrets: ConnectionSecrets
    ) throws(ConnectionError) -> NoiseHandshake {
        do throws(NoiseFault) {
            return try NoiseHandshake(
                role: role, identity: options.identity, ephemeralKey: secrets.ephemeralKey,
                muxers: [ConnectionOptions.muxer])
        } catch {
            throw .noise(error)
        }
    }

    // MARK: Input

    /// Takes in what has arrived on the channel.
    public mutating func receive(
        _ bytes: RawSpan, now: Instant
    ) throws(ConnectionError) {
        do throws(ConnectionError) {
            if privateChannel == nil {
                var input = ByteReader(bytes)
                try process(&input, now: now)
            } else {
                let text = privateChannel?.decrypt(bytes) ?? []
                var input = ByteReader(text.rawSpan)
                try process(&input, now: now)
            }
        } catch {
            fail(error)
            throw error
        }
    }

    private mutating func process(
        _ input: inout ByteReader, now: Instant
    ) throws(ConnectionError) {
        while true {
            switch phase {
            case .security(let negotiation, let handshake):
                guard try negotiateSecurity(&input, negotiation, handshake) else { return }
            case .noise(let handshake):
                guard try shakeHands(&input, handshake, now: now) else { return }
            case .tls:
                unread.append(input.readSpan(upTo: input.remaining))
                return
            case .muxer, .streams:
                try receiveFrames(&input, now: now)
                return
            case .failed: return
            }
        }
    }

    /// Returns whether the negotiation is over.
    private mutating func negotiateSecurity(
        _ input: inout ByteReader, _ before: Multistream, _ handshake: NoiseHandshake?
    ) throws(ConnectionError) -> Bool {
        var negotiation = before
        let outcome: Multistream.Outcome?
        do throws(DecodeError) {
            outcome = try negotiation.receive(&input)
        } catch {
            // A refusal still leaves. It is what a dialer needs to know who has gone on without
            // waiting for it, so that what follows makes no sense here.
            clearOutput += negotiation.takeOutput()
            throw .negotiation(error)
        }
        clearOutput += negotiation.takeOutput()
        switch outcome {
        case nil:
            phase = .security(negotiation, handshake)
            return false
        case .refused: throw .securityRefused
        case .agreed(SecurityProtocol.tls.name):
            phase = .tls
            events.append(.tlsWanted)
        case .agreed:
            if let handshake {
                phase = .noise(handshake)
            } else {
                phase = .noise(try Self.handshake(.responder, options, secrets))
            }
        }
        return true
    }

    /// Returns whether the handshake is over.
    private mutating func shakeHands(
        _ input: inout ByteReader, _ before: NoiseHandshake, now: Instant
    ) throws(ConnectionError) -> Bool {
        var handshake = before
        let outcome: NoiseHandshake.Outcome?
        do throws(NoiseFault) {
            outcome = try handshake.receive(&input)
        } catch {
            throw .noise(error)
        }
        clearOutput += handshake.takeOutput()
        guard let outcome else {
            phase = .noise(handshake)
            return false
        }
        channel = outcome.channel
        try secure(outcome.peer, muxer: outcome.muxer, now: now)
        return true
    }

    /// TLS is there: the peer has proven that it is `peer`, and agreed on this muxer, or on none
    /// yet. From now on the connection takes and gives what is inside TLS.
    public mutating func secured(
        peer: PeerID, muxer: ProtocolName?, now: Instant
    ) throws(ConnectionError) {
        do throws(ConnectionError) {
            try secure(peer, muxer: muxer, now: now)
        } catch {
            fail(error)
            throw error
        }
    }

    private mutating func secure(
        _ peer: PeerID, muxer: ProtocolName?, now: Instant
    ) throws(ConnectionError) {
        self.peer = peer
        switch role {
        case .dialer(let expected), .tlsDialer(let expected):
            if let expected, expected != peer {
                throw .wrongPeer(expected: expected, found: peer)
            }
            // There is but one muxer, so its frames need not wait for the peer's consent.
            startStreams(.client, peer, now: now)
            var negotiation = Multistream(proposing: [ConnectionOptions.muxer])
            if muxer == nil { sealedOutput += negotiation.takeOutput() }
            phase = muxer == nil ? .muxer(negotiation) : .streams
        case .listener:
            guard muxer == nil else {
                phase = .streams
                startStreams(.server, peer, now: now)
                return
            }
            var negotiation = Multistream(supporting: [ConnectionOptions.muxer])
            sealedOutput += negotiation.takeOutput()
            phase = .muxer(negotiation)
        }
    }

    private mutating func startStreams(_ role: Yamux.Role, _ peer: PeerID, now: Instant) {
        yamux = Yamux(role: role, limits: options.limits, now: now)
        events.append(.ready(peer))
    }

    private mutating func receiveFrames(
        _ input: inout ByteReader, now: Instant
    ) throws(ConnectionError) {
        guard channel != nil else {
            // One copy, of which streams hand out slices.
            try receiveText([UInt8](input.readSpan(upTo: input.remaining)), now: now)
            return
        }
        while true {
            let text: [UInt8]?
            do throws(NoiseFault) {
                text = try channel?.next(&input) ?? nil
            } catch {
                throw .noise(error)
            }
            guard let text else { return }
            try receiveText(text, now: now)
        }
    }

    private mutating func receiveText(
        _ text: [UInt8], now: Instant
    ) throws(ConnectionError) {
        var rest = text[...]
        if case .muxer(var negotiation) = phase {
            var input = ByteReader(text.rawSpan)
            let outcome: Multistream.Outcome?
            do throws(DecodeError) {
                outcome = try negotiation.receive(&input)
            } catch {
                throw .negotiation(error)
            }
            sealedOutput += negotiation.takeOutput()
            phase = .muxer(negotiation)
            guard let outcome else { return }
            guard outcome != .refused else { throw .muxerRefused }
            phase = .streams
            if yamux == nil, let peer { startStreams(.server, peer, now: now) }
            rest = text[input.offset...]
        }
        do throws(YamuxFault) {
            try yamux?.receive(rest, now: now)
        } catch {
            // What came before the fault still counts.
            drainYamux(now: now)
            throw .yamux(error)
        }
        drainYamux(now: now)
    }

    // MARK: Time

    /// When ``advance(to:)`` has something to do.
    public var deadline: Instant? {
        switch phase {
        case .failed: nil
        case .streams: (yamux?.deadline).earlier(negotiations.deadline)
        case .security, .noise, .tls, .muxer:
            Optional(handshakeDeadline).earlier(negotiations.deadline)
        }
    }

    /// Does what is due.
    public mutating func advance(to now: Instant) throws(ConnectionError) {
        do throws(ConnectionError) {
            switch phase {
            case .failed: return
            case .security, .noise, .tls:
                guard now < handshakeDeadline else { throw .timedOut(.security) }
            case .muxer:
                guard now < handshakeDeadline else { throw .timedOut(.muxer) }
            case .streams:
                do throws(YamuxFault) {
                    try yamux?.advance(to: now)
                } catch {
                    throw .yamux(error)
                }
                drainYamux(now: now)
            }
        } catch {
            fail(error)
            throw error
        }
        endNegotiations(before: now)
    }

    /// Asks the peer whether it is there, because it should have sent something: if nothing at all
    /// comes for two seconds, or for four round trips, ``Event/silent`` tells.
    public mutating func check(now: Instant) {
        yamux?.check(now: now)
        drainYamux(now: now)
    }

    /// Announces the end to the peer. Transmit, then close the channel.
    public mutating func close() {
        yamux?.leave(.normal)
    }

    private mutating func fail(_ error: ConnectionError) {
        if case .yamux = error { yamux?.leave(.protocolError) }
        phase = .failed
    }

    // MARK: Output

    /// What has happened next; nil if nothing has since.
    public mutating func nextEvent() -> Event? {
        guard nextEventIndex < events.count else {
            events.removeAll(keepingCapacity: true)
            nextEventIndex = 0
            return nil
        }
        nextEventIndex += 1
        return events[nextEventIndex - 1]
    }

    /// Removes and returns what arrived before TLS took over.
    public mutating func takeUnread() -> [UInt8] {
        let taken = unread
        unread = []
        return taken
    }

    /// Whether ``transmit(into:)`` would write something.
    public var wantsToTransmit: Bool {
        !nonceOutput.isEmpty || !clearOutput.isEmpty || !sealedOutput.isEmpty
            || yamux?.wantsToSend == true
    }

    /// The least room for which ``transmit(into:)`` makes progress, in bytes.
    public static let leastRoom = 4096

    /// How much room ``transmit(into:)`` could use, in bytes, for a buffer that is neither too
    /// small nor wasted.
    public var transmitSize: Int {
        nonceOutput.count + clearOutput.count + sealedOutput.count + Self.leastRoom
            + (yamux?.waiting ?? 0)
    }

    /// Writes what is to be sent, as far as there is room, at least ``leastRoom``. Call again
    /// while ``wantsToTransmit``.
    @_lifetime(output: copy output)
    public mutating func transmit(into output: inout OutputRawSpan) {
        guard privateChannel != nil else {
            write(into: &output)
            return
        }
        let nonce = nonceOutput
        nonceOutput = []
        output.append(nonce.rawSpan)
        var sealed = [UInt8](capacity: output.freeCapacity) { (inner: inout OutputRawSpan) in
            write(into: &inner)
        }
        privateChannel?.encrypt(&sealed)
        output.append(sealed.rawSpan)
    }

    @_lifetime(output: copy output)
    private mutating func write(into output: inout OutputRawSpan) {
        Self.move(&clearOutput, to: &output, most: output.freeCapacity)
        // Frames come after the handshake.
        while clearOutput.isEmpty, writeFrame(into: &output) {}
        drainRoom()
    }

    /// Writes one frame of the encryption, full if possible. Returns whether there was one.
    @_lifetime(output: copy output)
    private mutating func writeFrame(into output: inout OutputRawSpan) -> Bool {
        let overhead = channel == nil ? 0 : NoiseChannel.overhead
        var room = min(NoiseChannel.maxText, output.freeCapacity - overhead)
        guard room >= Self.leastRoom / 2 else { return false }
        var frame = sealedOutput.isEmpty ? yamux?.nextTransmit(room: room) : nil
        guard frame != nil || !sealedOutput.isEmpty else { return false }
        do {
            let start = try channel?.startFrame(in: &output)
            if !sealedOutput.isEmpty {
                let size = min(room, sealedOutput.count)
                try put(sealedOutput[..<size], to: &output)
                sealedOutput.removeFirst(size)
                room -= size
                frame = sealedOutput.isEmpty ? yamux?.nextTransmit(room: room) : nil
            }
            while let next = frame {
                try put(next.header.encoded[...], to: &output)
                for piece in next.pieces { try put(piece, to: &output) }
                room -= YamuxHeader.size
                if next.header.kind == .data { room -= Int(next.header.length) }
                frame = yamux?.nextTransmit(room: room)
            }
            if let start { try channel?.endFrame(at: start, in: &output) }
            return true
        } catch {
            // The cipher has no reason to fail, and without it nothing more can be said.
            phase = .failed
            return false
        }
    }

    @_lifetime(output: copy output)
    private func put(
        _ piece: ArraySlice<UInt8>, to output: inout OutputRawSpan
    ) throws(NoiseFault) {
        if let channel {
            try channel.write(piece.rawSpan, to: &output)
        } else {
            output.append(piece.rawSpan)
        }
    }

    @_lifetime(output: copy output)
    private static func move(
        _ bytes: inout [UInt8], to output: inout OutputRawSpan, most: Int
    ) {
        guard !bytes.isEmpty else { return }
        let size = min(most, bytes.count)
        output.append(bytes.rawSpan.extracting(..<size))
        bytes.removeFirst(size)
    }
}
