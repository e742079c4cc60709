import Connections
import Exchange
import Multiformats
import Peering
import Wire

extension ContentPeer {
    /// A channel to this address has been opened; the dialer's first bytes are to be sent on it.
    func opened(
        _ number: UInt32, to address: Multiaddr, random: [UInt8], now: Instant
    ) throws(ConnectionError) {
        let connection = try Connection(
            .dialer(address.peer), options: options, secrets: ConnectionSecrets(random), now: now)
        channels[number] = PageChannel(number, address, connection)
        channelOrder.append(number)
        settle(now: now)
    }

    /// An association with data channels has been made with who is at this address. Its ends have
    /// certificates with these SHA2-256 fingerprints.
    func opened(
        _ number: UInt32, to address: Multiaddr, ownFingerprint: [UInt8],
        peerFingerprint: [UInt8], random: [UInt8], now: Instant
    ) throws(ConnectionError) {
        let connection = try WebRTCConnection(
            .client(address.peer), options: options, secrets: ConnectionSecrets(random),
            clientFingerprint: ownFingerprint, serverFingerprint: peerFingerprint, now: now)
        channels[number] = PageChannel(number, address, connection)
        channelOrder.append(number)
        settle(now: now)
    }

    /// A message came on a data channel.
    func receive(
        _ bytes: [UInt8], _ kind: ChannelMessageKind, on stream: UInt16, of number: UInt32,
        now: Instant
    ) {
        guard let channel = channels[number] else { return }
        channel.lastUse = now
        channel.presence?.heard(now: now)
        do throws(ConnectionError) {
            try channel.messages?.receive(bytes[...], kind, on: stream, now: now)
        } catch {
            settle(now: now)
            end(channel, because: error.description, now: now)
        }
        settle(now: now)
    }

    /// A data channel is closed.
    func closed(_ stream: UInt16, byPeer: Bool, of number: UInt32, now: Instant) {
        channels[number]?.messages?.closed(stream, byPeer: byPeer, now: now)
        settle(now: now)
    }

    /// Bytes came on a channel.
    func receive(_ bytes: RawSpan, on number: UInt32, now: Instant) {
        guard let channel = channels[number] else { return }
        do throws(ConnectionError) {
            try channel.bytes?.receive(bytes, now: now)
        } catch {
            // What came before the fault still counts.
            settle(now: now)
            end(channel, because: error.description, now: now)
        }
        settle(now: now)
    }

    /// A channel is gone.
    func closed(_ number: UInt32, now: Instant) {
        guard let channel = channels[number] else { return }
        end(channel, because: "the channel was closed", now: now)
        settle(now: now)
    }

    /// Ends a connection because the page wants it.
    func close(_ number: UInt32, now: Instant) {
        guard let channel = channels[number] else { return }
        channel.close()
        end(channel, because: "closed here", now: now)
        settle(now: now)
    }

    /// The next bytes for a channel; empty if there are none.
    func transmit(on channel: PageChannel) -> [UInt8] {
        guard channel.bytes?.wantsToTransmit == true else { return [] }
        let size = min(channel.bytes?.transmitSize ?? 0, 256 << 10)
        return [UInt8](capacity: size) { (output: inout OutputRawSpan) in
            channel.bytes?.transmit(into: &output)
        }
    }

    /// Takes a connection out. What it still has to say is transmitted by whoever hears of it.
    func end(_ channel: PageChannel, because reason: String, now: Instant) {
        guard channels.removeValue(forKey: channel.number) != nil else { return }
        channelOrder.removeAll { $0 == channel.number }
        if channel.carrier != nil { return endCircuit(channel, now: now) }
        let (requests, streams) = (channel.opening.values.sorted(), channel.streams.keys.sorted())
        for request in requests { refused(request, .disconnected, now: now) }
        for stream in streams { ended(stream, of: channel, now: now) }
        leaving.append(channel)
        tell(.ended(channel.number, reason: reason))
        guard let peer = channel.peer, self.channel(to: peer) == nil else { return }
        exchange.disconnected(peer, isBroken: true, now: now)
        identify.disconnected(from: peer)
        if !pageProtocols.isEmpty { tell(.page(.left(peer))) }
        visitors?.relays.disconnected(from: peer)
        if channel.isVisitor { lost(peer, now: now) }
    }

    /// The connection on which a peer is spoken to.
    func channel(to peer: PeerID) -> PageChannel? {
        for number in channelOrder {
            if let channel = channels[number], channel.peer == peer, channel.carrier == nil {
                return channel
            }
        }
        return nil
    }

    // MARK: What happens on a connection

    func take(_ event: Connection.Event, of channel: PageChannel, now: Instant) {
        switch event {
        case .tlsWanted: break
        case .ready(let peer): ready(peer, on: channel, now: now)
        case .opened(let stream, let name):
            guard let request = channel.opening.removeValue(forKey: stream) else { return }
            begin(stream, name, of: channel, by: .us)
            opened(request, channel.id(of: stream), name, now: now)
        case .refused(let stream):
            if let request = channel.opening.removeValue(forKey: stream) {
                refused(request, .unsupported, now: now)
            } else {
                ended(stream, of: channel, now: now)
            }
        case .accepted(let stream, let name):
            guard let peer = channel.peer else { return }
            guard visitors?.isMeeting == true || name != PeerProtocols.relayStop else {
                return channel.reset(stream)
            }
            begin(stream, name, of: channel, by: .them)
            tell(.accepted(channel.id(of: stream), peer, name), of: stream, channel, now: now)
        case .data(let stream, let bytes):
            receive(bytes, on: stream, of: channel, now: now)
            guard let state = channel.streams[stream] else {
                return channel.consume(bytes.count, of: stream, now: now)
            }
            state.unconsumed += bytes.count
            channel.consumeTaken(of: stream, now: now)
        case .finished(let stream):
            if let state = channel.streams[stream], !state.unhashed.isEmpty {
                state.hasFinishedUnhashed = true
                return
            }
            finished(stream, of: channel, now: now)
        case .reset(let stream):
            if let request = channel.opening.removeValue(forKey: stream) {
                refused(request, .disconnected, now: now)
            } else {
                ended(stream, of: channel, now: now)
            }
        case .room(let stream):
            channel.streams[stream]?.isFull = false
            pump(stream, of: channel, now: now)
        case .goAway: end(channel, because: "the peer closed the connection", now: now)
        case .silent:
            if let peer = channel.peer {
                exchange.silent(peer, on: UInt64(channel.number), now: now)
            }
        case .awake: break
        }
    }

    private func ready(_ peer: PeerID, on channel: PageChannel, now: Instant) {
        channel.peer = peer
        guard channel.carrier == nil else { return circuitIsReady(channel, now: now) }
        if channel.messages != nil { channel.presence = Presence(now: now) }
        exchange.connected(peer, .direct, now: now)
        identify.connected(to: peer, over: PeerChannel(remoteAddress: channel.address))
        for reading in readingOrder where isAsked(channel) {
            guard let session = readings[reading]?.session else { continue }
            exchange.offer(peer, to: session, as: standing, now: now)
        }
        tell(.ready(channel.number, peer))
        if !pageProtocols.isEmpty { identify.identify(peer) }
        isConnected(channel, now: now)
    }

    private func begin(
        _ stream: UInt32, _ name: ProtocolName, of channel: PageChannel,
        by opener: ExchangeIntake.Opener
    ) {
        if let intake = ExchangeIntake(name, openedBy: opener) {
            channel.streams[stream] = PageChannel.Stream(
                .exchange, frames: FrameReader(limit: intake.maxMessageBytes), intake: intake)
        } else if let brought = pageProtocols[name] {
            channel.streams[stream] = PageChannel.Stream(
                .page, frames: FrameReader(limit: brought.limit))
        } else {
            var frames: FrameReader?
            if case .messages(let limit)? = PeerProtocols.framing(of: name) {
                frames = FrameReader(limit: limit)
            }
            channel.streams[stream] = PageChannel.Stream(.peering(name), frames: frames)
        }
    }

    private func receive(
        _ bytes: ArraySlice<UInt8>, on stream: UInt32, of channel: PageChannel, now: Instant
    ) {
        let id = channel.id(of: stream)
        guard let state = channel.streams[stream], state.frames != nil else {
            tell(.message(id, Array(bytes)), of: stream, channel, now: now)
            return
        }
        var reader = ByteReader(bytes.rawSpan)
        do throws(DecodeError) {
            while let message = try state.frames?.next(&reader) {
                take(message, on: stream, of: channel, now: now)
            }
        } catch {
            reset(stream, of: channel, now: now)
        }
    }

    private func take(
        _ message: [UInt8], on stream: UInt32, of channel: PageChannel, now: Instant
    ) {
        guard case .exchange = channel.streams[stream]?.use else {
            let id = channel.id(of: stream)
            tell(.message(id, message), of: stream, channel, now: now)
            return
        }
        take(exchange: message, on: stream, of: channel, now: now)
    }

    /// Nothing more comes on a stream.
    func finished(_ stream: UInt32, of channel: PageChannel, now: Instant) {
        tell(.finished(channel.id(of: stream)), of: stream, channel, now: now)
        channel.forgetIfOver(stream)
    }

    /// Tells the machine whose stream it is.
    func tell(
        _ event: StreamEvent, of stream: UInt32, _ channel: PageChannel, now: Instant
    ) {
        switch channel.streams[stream]?.use {
        case .exchange: exchange.receive(event, now: now)
        case .peering(PeerProtocols.ping): ping.receive(event, now: now)
        case .peering(PeerProtocols.meeting): tell(.meeting, event, now: now)
        case .peering(PeerProtocols.relayHop), .peering(PeerProtocols.relayStop):
            tell(.relays, event, now: now)
        case .peering(PeerProtocols.signaling): tell(.signaling, event, now: now)
        case .peering(PeerProtocols.fetch): names?.fetch.receive(event, now: now)
        case .circuit(let number): receive(event, onCircuit: number, now: now)
        case .peering: identify.receive(event, now: now)
        case .page:
            if case .message(_, let bytes) = event, !untold.add(bytes.count) {
                return reset(stream, of: channel, now: now)
            }
            tell(.page(.stream(event)))
        case nil: break
        }
    }

    /// Ends a stream that is gone already.
    private func ended(_ stream: UInt32, of channel: PageChannel, now: Instant) {
        tell(.reset(channel.id(of: stream)), of: stream, channel, now: now)
        drop(stream, of: channel, now: now)
    }

    private func drop(_ stream: UInt32, of channel: PageChannel, now: Instant) {
        guard let state = channel.streams.removeValue(forKey: stream) else { return }
        for case .end(let number) in state.outgoing { exchange.unsent(number, now: now) }
    }

    private func reset(_ stream: UInt32, of channel: PageChannel, now: Instant) {
        channel.reset(stream)
        ended(stream, of: channel, now: now)
    }
}
