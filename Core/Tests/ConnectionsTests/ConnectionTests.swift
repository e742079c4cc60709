// Whole connections, back to back through a wire with virtual time.

#if HostCrypto
    import Cryptography
    import Multiformats
    import TestSupport
    import Testing
    import Wire

    @testable import Connections

    private let echo = ProtocolName("/echo/1")
    private let other = ProtocolName("/other/1")

    /// Two connections and the bytes between them.
    private struct Pair: ~Copyable {
        var dialer: Connection
        var listener: Connection
        var noise: SeededGenerator
        var now = Instant(nanoseconds: 0)
        /// How often bytes have crossed the wire, in either direction.
        var crossings = 0
        var dialerLog = Log()
        var listenerLog = Log()
        /// Whether the listener sends back what it gets.
        var isEchoing = true

        struct Log {
            var peer: PeerID?
            var opened: [UInt32: ProtocolName] = [:]
            var accepted: [UInt32: ProtocolName] = [:]
            var refused: Set<UInt32> = []
            var reset: Set<UInt32> = []
            var finished: Set<UInt32> = []
            var bytes: [UInt32: [UInt8]] = [:]
            var wantsTLS = false
        }

        static func options(_ protocols: [ProtocolName]) throws -> ConnectionOptions {
            let key = PrivateKey.generateEd25519()
            return ConnectionOptions(
                identity: try NoiseIdentity(key, staticKey: X25519.makePrivateKey()),
                protocols: protocols)
        }

        static func secrets(_ noise: inout SeededGenerator) -> ConnectionSecrets {
            ConnectionSecrets(noise.bytes(ConnectionSecrets.byteCount))
        }

        init(
            seed: UInt64, dialer: ConnectionOptions? = nil, listener: ConnectionOptions? = nil,
            expecting: PeerID? = nil, role: Connection.Role? = nil
        ) throws {
            var noise = SeededGenerator(seed: seed)
            let mine = try dialer ?? Self.options([])
            let theirs = try listener ?? Self.options([echo])
            let start = Instant(nanoseconds: 0)
            let dialing = try Connection(
                role ?? .dialer(expecting ?? theirs.identity.peer), options: mine,
                secrets: Self.secrets(&noise), now: start)
            let listening = try Connection(
                .listener, options: theirs, secrets: Self.secrets(&noise), now: start)
            self.dialer = dialing
            self.listener = listening
            self.noise = noise
        }

        /// What a side sends, taken in portions of random size.
        private static func output(
            _ side: inout Connection, _ noise: inout SeededGenerator
        ) -> [UInt8] {
            var out: [UInt8] = []
            while side.wantsToTransmit {
                let room = Connection.leastRoom + Int.random(in: 0...150_000, using: &noise)
                let part = [UInt8](capacity: room) { (output: inout OutputRawSpan) in
                    side.transmit(into: &output)
                }
                if part.isEmpty { break }
                out += part
            }
            return out
        }

        private static func feed(
            _ side: inout Connection, _ bytes: [UInt8], _ noise: inout SeededGenerator,
            now: Instant
        ) throws {
            var start = 0
            while start < bytes.count {
                let most = Bool.random(using: &noise) ? bytes.count - start : 100
                let size = Int.random(in: 1...min(most, bytes.count - start), using: &noise)
                try side.receive(
                    bytes.rawSpan.extracting(start..<(start + size)), now: now)
                start += size
            }
        }

        mutating func drainDialer() {
            while let event = dialer.nextEvent() {
                Self.note(event, in: &dialerLog)
                if case .data(let id, let bytes) = event {
                    dialer.consume(bytes.count, of: id, now: now)
                }
            }
        }

        mutating func drainListener() {
            while let event = listener.nextEvent() {
                Self.note(event, in: &listenerLog)
                switch event {
                case .data(let id, let bytes):
                    listener.consume(bytes.count, of: id, now: now)
                    if isEchoing { _ = listener.write(bytes, to: id) }
                case .finished(let id): if isEchoing { listener.finish(id) }
                default: break
                }
            }
        }

        private static func note(_ event: Connection.Event, in log: inout Log) {
            switch event {
            case .tlsWanted: log.wantsTLS = true
            case .ready(let peer): log.peer = peer
            case .opened(let id, let name): log.opened[id] = name
            case .accepted(let id, let name): log.accepted[id] = name
            case .refused(let id): log.refused.insert(id)
            case .reset(let id): log.reset.insert(id)
            case .finished(let id): log.finished.insert(id)
            case .data(let id, let bytes): log.bytes[id, default: []] += bytes
            case .room, .goAway, .silent, .awake: break
            }
        }

        /// Lets the dialer's bytes cross.
        mutating func cross() throws {
            drainDialer()
            let bytes = Self.output(&dialer, &noise)
            drainDialer()
            crossings += 1
            now = now + .milliseconds(10)
            defer { drainListener() }
            try Self.feed(&listener, bytes, &noise, now: now)
        }

        /// Lets the listener's bytes cross.
        mutating func crossBack() throws {
            drainListener()
            let bytes = Self.output(&listener, &noise)
            drainListener()
            crossings += 1
            now = now + .milliseconds(10)
            defer { drainDialer() }
            try Self.feed(&dialer, bytes, &noise, now: now)
        }

        /// Lets bytes cross until nobody has anything to say.
        mutating func settle() throws {
            drainDialer()
            drainListener()
            while dialer.wantsToTransmit || listener.wantsToTransmit {
                try cross()
                try crossBack()
            }
        }

        mutating func open(_ protocols: [ProtocolName]) throws -> UInt32 {
            let id = dialer.open(protocols, now: now)
            return try #require(id)
        }
    }

    @Suite struct ConnectionTests {
        /// After the round trip that makes the TCP connection, two more bring the first byte of
        /// an answer, also when the peer knows nothing of early muxer negotiation.
        @Test func roundTrips() throws {
            var pair = try Pair(seed: 1)
            try pair.cross()
            try pair.crossBack()
            #expect(pair.dialerLog.peer == pair.listener.options.identity.peer)
            let id = try pair.open([echo])
            _ = pair.dialer.write([1, 2, 3], to: id)
            try pair.cross()
            #expect(pair.listenerLog.peer == pair.dialer.options.identity.peer)
            try pair.crossBack()
            #expect(pair.dialerLog.bytes[id] == [1, 2, 3])
            #expect(pair.crossings == 4)
        }

        /// Any cut of the bytes: what is sent comes back whole, on every stream.
        @Test(arguments: 0..<6)
        func echoes(seed: UInt64) throws {
            var pair = try Pair(seed: seed)
            try pair.settle()
            var sent: [UInt32: [UInt8]] = [:]
            for count in 0..<6 {
                let id = try pair.open(count % 2 == 0 ? [echo] : [other, echo])
                let bytes = pair.noise.bytes(.random(in: 1...100_000, using: &pair.noise))
                sent[id] = bytes
                // Where there is a choice, an agreement has to be waited for.
                if count % 2 == 1 { try pair.settle() }
                _ = pair.dialer.write(bytes[...], to: id)
                pair.dialer.finish(id)
            }
            try pair.settle()
            #expect(pair.dialerLog.opened.count == 6)
            #expect(pair.listenerLog.accepted.count == 6)
            let isSame = pair.dialerLog.bytes == sent
            #expect(isSame)
            #expect(pair.dialerLog.finished == Set(sent.keys))
            let counts = [pair.dialer.streamCounts.outgoing, pair.listener.streamCounts.incoming]
            #expect(counts == [0, 0])
        }

        /// A protocol that the peer does not have costs the stream alone.
        @Test(arguments: [[other], [other, ProtocolName("/third/1")]])
        func refusedProtocols(_ protocols: [ProtocolName]) throws {
            var pair = try Pair(seed: 3)
            try pair.settle()
            let id = try pair.open(protocols)
            if protocols.count == 1 { _ = pair.dialer.write([1], to: id) }
            try pair.settle()
            #expect(pair.dialerLog.refused == [id])
            #expect(pair.listenerLog.accepted.isEmpty)
            let next = try pair.open([echo])
            _ = pair.dialer.write([5], to: next)
            try pair.settle()
            #expect(pair.dialerLog.bytes == [next: [5]])
        }

        /// Somebody else at the address is noticed before anything is said to him.
        @Test func wrongPeer() throws {
            let expected = try Pair.options([]).identity.peer
            var pair = try Pair(seed: 4, expecting: expected)
            try pair.cross()
            var failure: ConnectionError?
            do throws(any Error) {
                try pair.crossBack()
            } catch {
                failure = error as? ConnectionError
            }
            #expect(
                failure
                    == .wrongPeer(
                        expected: expected, found: pair.listener.options.identity.peer))
            #expect(pair.dialer.yamux == nil)
        }

        /// Inside a private network everything works, and outsiders do not even get a hello.
        @Test func privateNetworks() throws {
            let key = try PresharedKey([UInt8](repeating: 1, count: 32))
            var (mine, theirs) = (try Pair.options([]), try Pair.options([echo]))
            mine.presharedKey = key
            theirs.presharedKey = key
            var pair = try Pair(seed: 5, dialer: mine, listener: theirs)
            try pair.settle()
            let id = try pair.open([echo])
            let bytes = pair.noise.bytes(100_000)
            _ = pair.dialer.write(bytes[...], to: id)
            try pair.settle()
            #expect(pair.dialerLog.bytes[id] == bytes)

            mine.presharedKey = try PresharedKey([UInt8](repeating: 2, count: 32))
            for outsider in [mine, try Pair.options([])] {
                var pair = try Pair(seed: 6, dialer: outsider, listener: theirs)
                var failed = false
                do {
                    for _ in 0..<3 {
                        try pair.cross()
                        try pair.crossBack()
                    }
                } catch {
                    failed = true
                }
                #expect(failed || pair.listenerLog.peer == nil)
                #expect(pair.dialerLog.peer == nil)
            }
        }

        /// A peer that stops in the middle is given up at the deadline, and says nothing before.
        @Test func deadlines() throws {
            var pair = try Pair(seed: 7)
            let first = pair.listener.deadline
            let deadline = try #require(first)
            try pair.listener.advance(to: deadline + .milliseconds(-1))
            var failure: ConnectionError?
            do throws(ConnectionError) {
                try pair.listener.advance(to: deadline)
            } catch {
                failure = error
            }
            #expect(failure == .timedOut(.security))

            // A stream whose protocol is never agreed on.
            var second = try Pair(seed: 8)
            try second.settle()
            let id = try second.open([other, echo])
            second.drainDialer()
            _ = second.dialer.transmitAll()
            let soon = second.dialer.deadline
            try second.dialer.advance(to: try #require(soon))
            second.drainDialer()
            #expect(second.dialerLog.reset == [id])
        }

        /// Any cut-off of the handshake leaves both sides waiting, and any change fails one.
        @Test func hostileBytes() throws {
            for seed in 0..<80 {
                var pair = try Pair(seed: UInt64(seed))
                var bytes = pair.dialer.transmitAll()
                // The first two bytes behind the proposals are a length, so that a change there
                // only makes the listener wait.
                let place = Int.random(in: 30..<bytes.count, using: &pair.noise)
                bytes[place] ^= 0x10
                var failed = false
                do {
                    try pair.listener.receive(
                        bytes.rawSpan.extracting(..<(place / 2)), now: pair.now)
                    #expect(pair.listenerLog.peer == nil)
                    try pair.listener.receive(
                        bytes.rawSpan.extracting((place / 2)...), now: pair.now)
                    try pair.crossBack()
                    try pair.cross()
                } catch {
                    failed = true
                }
                #expect(failed || pair.listenerLog.peer == nil)
            }
        }

        /// A dialer that proposes TLS gets it; what follows at once is kept for the handshake.
        @Test func startOfTLS() throws {
            var pair = try Pair(seed: 9, role: .tlsDialer(nil))
            var proposal = Multistream(proposing: [SecurityProtocol.tls.name])
            let bytes = proposal.takeOutput() + [9, 8, 7]
            try pair.listener.receive(bytes.rawSpan, now: pair.now)
            pair.drainListener()
            #expect(pair.listenerLog.wantsTLS)
            let unread = pair.listener.takeUnread()
            #expect(unread == [9, 8, 7])
            let answer = pair.listener.transmitAll()
            var input = ByteReader(answer.rawSpan)
            let outcome = try proposal.receive(&input)
            #expect(outcome == .agreed(SecurityProtocol.tls.name))
            // As if TLS had done its part, without a muxer in it.
            try pair.dialer.secured(
                peer: pair.listener.options.identity.peer, muxer: nil, now: pair.now)
            try pair.listener.secured(
                peer: pair.dialer.options.identity.peer, muxer: nil, now: pair.now)
            let id = try pair.open([echo])
            _ = pair.dialer.write([1, 2], to: id)
            try pair.settle()
            #expect(pair.dialerLog.bytes[id] == [1, 2])
        }

        /// A fault of the peer is told to it before the end.
        @Test func goAway() throws {
            var pair = try Pair(seed: 10)
            try pair.settle()
            _ = pair.dialer.yamux?.answers.append(
                YamuxHeader(.data, .syn, stream: 2, length: 0))
            var failure: ConnectionError?
            do throws(any Error) {
                try pair.cross()
            } catch {
                failure = error as? ConnectionError
            }
            #expect(failure == .yamux(.wrongStreamNumber))
            try pair.crossBack()
            let isPeerLeaving = pair.dialer.yamux?.isPeerLeaving
            #expect(isPeerLeaving == true)
            let refused = pair.dialer.open([echo], now: pair.now)
            #expect(refused == nil)
        }
    }

    extension Connection {
        /// All that waits to be sent.
        fileprivate mutating func transmitAll() -> [UInt8] {
            var out: [UInt8] = []
            while wantsToTransmit {
                let part = [UInt8](capacity: 100_000) { (output: inout OutputRawSpan) in
                    transmit(into: &output)
                }
                if part.isEmpty { break }
                out += part
            }
            return out
        }
    }
#endif
