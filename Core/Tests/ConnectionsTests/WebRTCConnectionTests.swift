// Connections over data channels, back to back with virtual time and messages cut anywhere.

#if HostCrypto
    import Cryptography
    import Multiformats
    import TestSupport
    import Testing
    import Wire

    @testable import Connections

    private let echo = ProtocolName("/echo/1")
    private let other = ProtocolName("/other/1")

    /// An expectation about what cannot be copied.
    private func holds(_ isTrue: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(isTrue, sourceLocation: sourceLocation)
    }

    private func need<Value>(
        _ value: Value?, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Value {
        try #require(value, sourceLocation: sourceLocation)
    }

    /// What one side has been told.
    private struct Log {
        var peer: PeerID?
        var opened: [UInt32: ProtocolName] = [:]
        var accepted: [UInt32: ProtocolName] = [:]
        var refused: Set<UInt32> = []
        var reset: Set<UInt32> = []
        var finished: Set<UInt32> = []
        var bytes: [UInt32: [UInt8]] = [:]
        var presence: [Bool] = []

        mutating func note(_ event: Connection.Event) {
            switch event {
            case .ready(let found): peer = found
            case .opened(let id, let name): opened[id] = name
            case .accepted(let id, let name): accepted[id] = name
            case .refused(let id): refused.insert(id)
            case .reset(let id): reset.insert(id)
            case .finished(let id): finished.insert(id)
            case .data(let id, let data): bytes[id, default: []] += data
            case .silent: presence.append(false)
            case .awake: presence.append(true)
            case .room, .goAway, .tlsWanted: break
            }
        }
    }

    /// Two connections and the association between them, which keeps the order of each channel.
    private struct Link: ~Copyable {
        var client: WebRTCConnection
        var server: WebRTCConnection
        var noise: SeededGenerator
        var now = Instant(nanoseconds: 0)
        var clientLog = Log()
        var serverLog = Log()
        /// Whether a frame's length is sent in a message of its own, as some peers do.
        var cuts = false
        var sent: [ChannelOrder] = []

        static let prints = ([UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))

        static func options(_ protocols: [ProtocolName] = [echo]) throws -> ConnectionOptions {
            let key = PrivateKey.generateEd25519()
            return ConnectionOptions(
                identity: try NoiseIdentity(key, staticKey: X25519.makePrivateKey()),
                protocols: protocols)
        }

        init(
            seed: UInt64, client: ConnectionOptions? = nil, server: ConnectionOptions? = nil,
            expecting: PeerID? = nil, seen: [UInt8] = prints.0
        ) throws {
            var noise = SeededGenerator(seed: seed)
            let theirs = try server ?? Self.options()
            let start = Instant(nanoseconds: 0)
            let mine = try client ?? Self.options([])
            let dialing = try WebRTCConnection(
                .client(expecting ?? theirs.identity.peer), options: mine,
                secrets: ConnectionSecrets(noise.bytes(ConnectionSecrets.byteCount)),
                clientFingerprint: Self.prints.0, serverFingerprint: Self.prints.1, now: start)
            let listening = try WebRTCConnection(
                .server, options: theirs,
                secrets: ConnectionSecrets(noise.bytes(ConnectionSecrets.byteCount)),
                clientFingerprint: seen, serverFingerprint: Self.prints.1, now: start)
            self.client = dialing
            self.server = listening
            self.noise = noise
        }

        /// Two that have told each other what certificates they have.
        init(agreeing client: ConnectionOptions, _ server: ConnectionOptions) {
            let start = Instant(nanoseconds: 0)
            self.client = WebRTCConnection(
                isServer: false, agreedWith: server.identity.peer, options: client, now: start)
            self.server = WebRTCConnection(
                isServer: true, agreedWith: client.identity.peer, options: server, now: start)
            noise = SeededGenerator(seed: 8)
        }

        private static func drain(_ side: inout WebRTCConnection, _ log: inout Log, now: Instant) {
            while let event = side.nextEvent() {
                log.note(event)
                if case .data(let id, let data) = event {
                    side.consume(data.count, of: id, now: now)
                }
            }
        }

        private mutating func pieces(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
            guard cuts, bytes.count > 1 else { return [bytes[...]] }
            let cut = Int.random(in: 1..<bytes.count, using: &noise)
            return [bytes[..<cut], bytes[cut...]]
        }

        /// Lets what one side wants to send cross. Returns whether that was something.
        private mutating func cross(fromServer: Bool) throws -> Bool {
            var hasSent = false
            while let order = fromServer ? server.nextOrder(now: now) : client.nextOrder(now: now) {
                hasSent = true
                sent.append(order)
                switch order {
                case .send(let bytes, let kind, let channel):
                    for piece in kind == .control ? [bytes[...]] : pieces(bytes) {
                        if fromServer {
                            try client.receive(piece, kind, on: channel, now: now)
                        } else {
                            try server.receive(piece, kind, on: channel, now: now)
                        }
                    }
                case .close(let channel):
                    client.closed(channel, byPeer: fromServer, now: now)
                    server.closed(channel, byPeer: !fromServer, now: now)
                }
                Self.drain(&client, &clientLog, now: now)
                Self.drain(&server, &serverLog, now: now)
            }
            return hasSent
        }

        mutating func run() throws {
            Self.drain(&client, &clientLog, now: now)
            Self.drain(&server, &serverLog, now: now)
            var isBusy = true
            while isBusy {
                isBusy = try cross(fromServer: true)
                isBusy = try cross(fromServer: false) || isBusy
            }
        }

        /// A stream that has been opened by the client and accepted.
        mutating func open() throws -> UInt32 {
            let id = try need(client.open([echo], now: now))
            try run()
            return id
        }
    }

    @Suite struct WebRTCConnectionTests {
        @Test("the prologue is that of the specification")
        func prologue() {
            let client = "3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870"
            let server = "30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99"
            holds(
                hex(WebRTCConnection.prologue(client: hex(client), server: hex(server)))
                    == "6c69627032702d7765627274632d6e6f6973653a1220\(client)1220\(server)")
        }

        @Test("peers prove who they are, and streams carry bytes both ways", arguments: [1, 2, 3])
        func streams(seed: UInt64) throws {
            let (mine, theirs) = (try Link.options([other]), try Link.options())
            var link = try Link(seed: seed, client: mine, server: theirs)
            link.cuts = seed > 1
            try link.run()
            holds(link.clientLog.peer == theirs.identity.peer)
            holds(link.serverLog.peer == mine.identity.peer)
            let ours = try need(link.client.open([echo], now: link.now))
            let back = try need(link.server.open([other, echo], now: link.now))
            holds(ours.isMultiple(of: 2) && !back.isMultiple(of: 2))
            let long = link.noise.bytes(300_000)
            holds(link.client.write(long[...], to: ours))
            try link.run()
            holds(link.serverLog.accepted[ours] == echo && link.serverLog.bytes[ours] == long)
            holds(link.clientLog.accepted[back] == other && link.serverLog.opened[back] == other)
            holds(link.server.write([1, 2, 3], to: back))
            link.server.finish(back)
            try link.run()
            holds(link.clientLog.bytes[back] == [1, 2, 3] && link.clientLog.finished == [back])
            for case .send(let bytes, _, _) in link.sent { holds(bytes.count <= 16_384) }
        }

        @Test("peers that know each other already have streams at once")
        func agreement() throws {
            let (mine, theirs) = (try Link.options([other]), try Link.options())
            var link = Link(agreeing: mine, theirs)
            try link.run()
            holds(link.clientLog.peer == theirs.identity.peer && link.sent.isEmpty)
            holds(link.serverLog.peer == mine.identity.peer && link.server.deadline == nil)
            let ours = try link.open()
            let back = try need(link.server.open([other], now: link.now))
            holds(link.server.write([7], to: back))
            try link.run()
            holds(link.serverLog.accepted[ours] == echo && link.clientLog.bytes[back] == [7])
            holds(ours == 2 && back == 1)
        }

        @Test("a stream that both have ended is closed, and its number is used again")
        func ending() throws {
            var link = try Link(seed: 4)
            try link.run()
            for _ in 0..<2_000 {
                let id = try link.open()
                link.client.finish(id)
                link.server.finish(id)
                try link.run()
                holds(!link.client.isOpen(id) && !link.server.isOpen(id))
                link.sent = []
            }
            holds(link.client.streamCounts == (0, 0) && link.server.streamCounts == (0, 0))
            holds(link.clientLog.reset.isEmpty && link.serverLog.reset.isEmpty)
            holds(link.client.heldBytes == 0 && link.server.heldBytes == 0)
        }

        @Test("a stream that is given up is gone on both sides")
        func resetting() throws {
            var link = try Link(seed: 5)
            try link.run()
            let id = try link.open()
            link.server.reset(id)
            try link.run()
            holds(link.clientLog.reset == [id] && link.serverLog.reset.isEmpty)
            holds(link.client.streamCounts == (0, 0) && link.server.streamCounts == (0, 0))
            // One that the peer never heard of makes no noise.
            link.sent = []
            let untold = try need(link.client.open([echo], now: link.now))
            link.client.reset(untold)
            try link.run()
            holds(link.sent.isEmpty)
        }

        @Test("a channel that the peer closes without a word is a stream that is gone")
        func closing() throws {
            var link = try Link(seed: 6)
            try link.run()
            let id = try link.open()
            link.server.closed(UInt16(id), byPeer: true, now: link.now)
            try link.run()
            holds(link.serverLog.reset == [id] && link.server.streamCounts == (0, 0))
        }

        @Test("whoever reads no more is sent no more, and still hears of the end")
        func stopSending() throws {
            var link = try Link(seed: 7)
            try link.run()
            let id = try link.open()
            holds(link.client.write([UInt8](repeating: 1, count: 100_000)[...], to: id))
            try link.client.receive(
                ChannelFrame(.stopSending).encoded[...], .binary, on: UInt16(id), now: link.now)
            try link.run()
            holds(link.serverLog.bytes[id] == nil && link.serverLog.finished == [id])
            holds(link.client.write([1], to: id) && link.client.heldBytes == 0)
        }

        @Test("an end that is never confirmed does not keep the channel for ever")
        func unconfirmed() throws {
            var link = try Link(seed: 8)
            try link.run()
            let id = try link.open()
            link.server.finish(id)
            while link.server.nextOrder(now: link.now) != nil {}
            try link.server.receive(
                ChannelFrame(.fin).encoded[...], .binary, on: UInt16(id), now: link.now)
            while link.server.nextOrder(now: link.now) != nil {}
            holds(link.server.streamCounts.incoming == 1 && !link.server.isOpen(id))
            let deadline = try need(link.server.deadline)
            try link.server.advance(to: deadline)
            holds(link.server.streamCounts.incoming == 0)
        }

        @Test("a write is refused while too much waits, and told when there is room")
        func room() throws {
            var options = try Link.options([])
            options.limits.sendQueue = 10_000
            var link = try Link(seed: 9, client: options)
            try link.run()
            let id = try link.open()
            holds(link.client.write([UInt8](repeating: 1, count: 40_000)[...], to: id))
            holds(!link.client.write([1], to: id))
            var hasRoom = false
            while link.client.nextOrder(now: link.now) != nil {
                while let event = link.client.nextEvent() {
                    if case .room(id) = event { hasRoom = true }
                }
            }
            holds(hasRoom && link.client.write([1], to: id))
        }

        @Test("nothing more is read while too much is unconsumed")
        func window() throws {
            var link = try Link(seed: 10)
            try link.run()
            let id = try link.open()
            let frame = ChannelFrame.encode([[UInt8](repeating: 0, count: 16_000)[...]])
            var count = 0
            while link.server.wantsToReceive {
                try link.server.receive(frame[...], .binary, on: UInt16(id), now: link.now)
                count += 1
            }
            holds(count == WebRTCConnection.window / 16_000 + 1)
            link.server.consume(16_000 * count, of: id, now: link.now)
            holds(link.server.wantsToReceive)
        }

        @Test("a peer with another certificate, or another key, gets nowhere")
        func impostors() throws {
            var link = try Link(seed: 11, seen: [UInt8](repeating: 9, count: 32))
            #expect(throws: ConnectionError.noise(.forged)) { try link.run() }
            let wrong = try Link.options().identity.peer
            var expecting = try Link(seed: 12, expecting: wrong)
            #expect(throws: ConnectionError.self) { try expecting.run() }
            holds(expecting.clientLog.peer == nil)
        }

        @Test("streams may come before the handshake is over, but only so many")
        func early() throws {
            var link = try Link(seed: 13)
            let opening = ChannelOpening.open(isReliable: true, label: [], protocol: [])
            try link.server.receive(opening.encoded[...], .control, on: 2, now: link.now)
            var dialer = Multistream(proposing: [echo])
            let proposal = ChannelFrame.encode([dialer.takeOutput()[...]])
            try link.server.receive(proposal[...], .binary, on: 2, now: link.now)
            try link.run()
            holds(link.serverLog.accepted == [2: echo])
            var flooded = try Link(seed: 14)
            #expect(throws: ConnectionError.tooEarly) {
                for _ in 0...WebRTCConnection.earlyMessages {
                    try flooded.server.receive([0], .binary, on: 2, now: flooded.now)
                }
            }
        }

        @Test("what breaks the rules costs its sender the stream, not the connection")
        func malformed() throws {
            var link = try Link(seed: 15)
            try link.run()
            let (bad, good) = (try link.open(), try link.open())
            let long: [UInt8] = [0xff, 0xff, 0x7f]
            try link.server.receive(long[...], .binary, on: UInt16(bad), now: link.now)
            try link.run()
            holds(link.serverLog.reset == [bad] && link.clientLog.reset == [bad])
            holds(link.client.write([5], to: good))
            try link.run()
            holds(link.serverLog.bytes[good] == [5])
            // Numbers that are not the peer's, channels that lose messages, unknown channels.
            for (number, isReliable) in [(7, true), (2_000, true), (64, false)] {
                let opening = ChannelOpening.open(
                    isReliable: isReliable, label: [], protocol: [])
                try link.server.receive(
                    opening.encoded[...], .control, on: UInt16(number), now: link.now)
            }
            try link.server.receive([1, 2, 3], .binary, on: 400, now: link.now)
            holds(link.server.streamCounts.incoming == 1)
        }

        @Test("peers open no more streams than they may")
        func limits() throws {
            var options = try Link.options()
            options.limits.incomingStreams = 3
            var link = try Link(seed: 16, server: options)
            try link.run()
            for _ in 0..<5 { _ = try link.open() }
            holds(link.server.streamCounts.incoming == 3 && link.serverLog.accepted.count == 3)
            holds(link.clientLog.reset.count == 2)
        }

        @Test("a handshake that takes too long, and a stream without a protocol, are given up")
        func deadlines() throws {
            var link = try Link(seed: 17)
            let deadline = try need(link.server.deadline)
            #expect(throws: ConnectionError.timedOut(.security)) {
                try link.server.advance(to: deadline)
            }
            var slow = try Link(seed: 18)
            try slow.run()
            let opening = ChannelOpening.open(isReliable: true, label: [], protocol: [])
            try slow.server.receive(opening.encoded[...], .control, on: 2, now: slow.now)
            let end = try need(slow.server.deadline)
            try slow.server.advance(to: end)
            holds(slow.server.streamCounts.incoming == 0)
        }

        @Test("a peer that is asked for and says nothing is silent until it says something")
        func presence() throws {
            var link = try Link(seed: 19)
            try link.run()
            link.server.check(roundTrip: nil, now: link.now)
            let end = try need(link.server.deadline)
            try link.server.advance(to: end)
            link.server.hear(now: end)
            try link.run()
            holds(link.serverLog.presence == [false, true])
        }

        @Test("noise on channels never crashes a connection")
        func noise() throws {
            var noise = SeededGenerator(seed: 20)
            for seed in 0..<40 {
                var link = try Link(seed: UInt64(seed))
                try link.run()
                let id = UInt16(try link.open())
                let kinds: [ChannelMessageKind] = [.control, .binary, .text, .emptyBinary]
                for _ in 0..<50 {
                    let bytes = noise.bytes(Int.random(in: 0...40, using: &noise))
                    let kind = try #require(kinds.randomElement(using: &noise))
                    let channel = Bool.random(using: &noise) ? id : UInt16(noise.bytes(1)[0])
                    _ = try? link.server.receive(bytes[...], kind, on: channel, now: link.now)
                    if Bool.random(using: &noise) {
                        link.server.closed(channel, byPeer: true, now: link.now)
                    }
                }
                _ = try? link.run()
                holds(link.server.streamCounts.incoming <= 256)
            }
        }
    }

    @Suite struct ChannelFrameTests {
        @Test("frames and openings are read as they were written, and not when cut")
        func roundTrip() throws {
            var noise = SeededGenerator(seed: 21)
            for flag in [nil, .fin, .stopSending, .reset, .finAck] as [ChannelFrame.Flag?] {
                var frame = ChannelFrame(.fin)
                frame.flag = flag
                frame.message = noise.bytes(200)
                var reader = ByteReader(frame.encoded.rawSpan)
                var frames = FrameReader(limit: ChannelFrame.maxLength)
                let inner = try #require(try frames.next(&reader))
                #expect(try ChannelFrame(decoding: inner) == frame)
            }
            let full = ChannelFrame.encode(
                [[UInt8](repeating: 0, count: ChannelFrame.maxMessage)[...]], flag: .fin)
            holds(full.count <= ChannelFrame.maxLength)
            let opening = ChannelOpening.open(
                isReliable: true, label: Array("label".utf8), protocol: [1, 2])
            let read = try ChannelOpening(decoding: opening.encoded.rawSpan)
            #expect(read == opening)
            for count in 0..<opening.encoded.count {
                let cut = Array(opening.encoded[..<count])
                #expect(throws: DecodeError.self) { try ChannelOpening(decoding: cut.rawSpan) }
            }
        }

        @Test("an unknown flag and unknown fields say nothing")
        func unknown() throws {
            let frame = try ChannelFrame(decoding: [0x08, 0x09, 0x18, 0x05, 0x12, 0x01, 0x07])
            holds(frame.flag == nil && frame.message == [7])
        }
    }
#endif
