// The Noise handshake and channel against published transcripts, and what hostile peers do to it.

#if HostCrypto
    import Cryptography
    import Multiformats
    import TestSupport
    import Testing
    import Wire

    @testable import Connections

    /// A vector: keys of both sides, and what passes between them.
    private struct Transcript {
        let fields: [String]
        var messages: [(payload: [UInt8], ciphertext: [UInt8])] = []

        static let all: [Transcript] = {
            var found: [Transcript] = []
            for row in rows(of: "noise-xx.csv") {
                if row.count == 7 {
                    found.append(Transcript(fields: row))
                } else {
                    found[found.count - 1].messages.append((hex(row[0]), hex(row[1])))
                }
            }
            return found
        }()
    }

    private func identity(_ seed: UInt64) throws -> NoiseIdentity {
        var noise = SeededGenerator(seed: seed)
        return try NoiseIdentity(.generateEd25519(), staticKey: noise.bytes(32))
    }

    private func handshake(
        _ role: NoiseXX.Role, _ identity: NoiseIdentity, _ muxers: [ProtocolName]
    ) throws -> NoiseHandshake {
        try NoiseHandshake(
            role: role, identity: identity, ephemeralKey: X25519.makePrivateKey(), muxers: muxers)
    }

    /// Shows `side` these bytes in random pieces.
    private func feed(
        _ side: inout NoiseHandshake, _ bytes: [UInt8], _ noise: inout SeededGenerator
    ) throws -> NoiseHandshake.Outcome? {
        var start = 0
        while start < bytes.count {
            let end = Int.random(in: (start + 1)...bytes.count, using: &noise)
            var input = ByteReader(bytes.rawSpan.extracting(start..<end))
            if let outcome = try side.receive(&input) { return outcome }
            start = end
        }
        return nil
    }

    @Suite struct NoiseTests {
        /// Both sides write and read the published messages, byte for byte.
        @Test(arguments: 0..<2)
        func transcripts(index: Int) throws {
            #expect(Transcript.all.count == 2)
            let vector = Transcript.all[index]
            let prologue = hex(vector.fields[1])
            var sides = [
                NoiseXX(
                    role: .initiator, staticKey: hex(vector.fields[2]),
                    ephemeralKey: hex(vector.fields[3]), prologue: prologue),
                NoiseXX(
                    role: .responder, staticKey: hex(vector.fields[4]),
                    ephemeralKey: hex(vector.fields[5]), prologue: prologue),
            ]
            for (number, message) in vector.messages.prefix(3).enumerated() {
                let writer = number % 2
                let written = try sides[writer].write(message.payload)
                #expect(written == message.ciphertext)
                let read = try sides[1 - writer].read(message.ciphertext.rawSpan)
                #expect(read == message.payload)
            }
            #expect(sides[0].hash == sides[1].hash)
            if !vector.fields[6].isEmpty { #expect(hex(sides[0].hash) == vector.fields[6]) }
            let ciphers = [try sides[0].split(), try sides[1].split()]
            for (number, message) in vector.messages.enumerated().dropFirst(3) {
                let writer = number % 2
                let sealed = try ciphers[writer].sending.seal(
                    message.payload.rawSpan, authenticating: RawSpan())
                #expect(sealed == message.ciphertext)
                #expect(
                    try ciphers[1 - writer].receiving.open(
                        sealed.rawSpan, authenticating: RawSpan()) == message.payload)
            }
        }

        /// Whatever pieces the bytes arrive in, both sides learn who the other is and agree on
        /// the muxer that the initiator prefers.
        @Test(arguments: 0..<20)
        func agreement(seed: UInt64) throws {
            var noise = SeededGenerator(seed: seed)
            let (yamux, other) = (ConnectionOptions.muxer, ProtocolName("/other"))
            let (alice, bob) = (try identity(1), try identity(2))
            var initiator = try handshake(.initiator, alice, [other, yamux])
            var responder = try handshake(.responder, bob, [yamux, ProtocolName("/third")])
            let early = try feed(&responder, initiator.takeOutput(), &noise)
            #expect(early == nil)
            let foundOutcome = try feed(&initiator, responder.takeOutput(), &noise)
            let found = try #require(foundOutcome)
            #expect(found.peer == bob.peer && found.muxer == yamux)
            let backOutcome = try feed(&responder, initiator.takeOutput(), &noise)
            let back = try #require(backOutcome)
            #expect(back.peer == alice.peer && back.muxer == yamux)
        }

        /// A side that names no muxer leaves the choice to a later negotiation; two lists without
        /// a common name end the handshake.
        @Test func muxers() throws {
            var noise = SeededGenerator(seed: 1)
            var initiator = try handshake(.initiator, try identity(1), [ConnectionOptions.muxer])
            var responder = try handshake(.responder, try identity(2), [])
            _ = try feed(&responder, initiator.takeOutput(), &noise)
            let foundOutcome = try feed(&initiator, responder.takeOutput(), &noise)
            let found = try #require(foundOutcome)
            #expect(found.muxer == nil)
            #expect(throws: NoiseFault.noCommonMuxer) {
                var initiator = try handshake(.initiator, try identity(1), [ProtocolName("/a")])
                var responder = try handshake(.responder, try identity(2), [ProtocolName("/b")])
                _ = try feed(&responder, initiator.takeOutput(), &noise)
                _ = try feed(&initiator, responder.takeOutput(), &noise)
            }
        }

        /// Any changed bit of any message ends the handshake on one of the sides.
        @Test func forgeries() throws {
            var noise = SeededGenerator(seed: 2)
            let (alice, bob) = (try identity(1), try identity(2))
            for _ in 0..<60 {
                var initiator = try handshake(.initiator, alice, [])
                var responder = try handshake(.responder, bob, [])
                var first = initiator.takeOutput()
                let place = Int.random(in: 2..<first.count, using: &noise)
                first[place] ^= 1 << UInt8.random(in: 0...7, using: &noise)
                #expect(throws: NoiseFault.self) {
                    _ = try feed(&responder, first, &noise)
                    var second = responder.takeOutput()
                    if place % 2 == 0 {
                        second[Int.random(in: 2..<second.count, using: &noise)] ^= 0x80
                    }
                    _ = try feed(&initiator, second, &noise)
                    _ = try feed(&responder, initiator.takeOutput(), &noise)
                }
            }
        }

        /// A signature by another key, and a payload that is no protobuf, are refused.
        @Test func payloads() throws {
            let own = try identity(1)
            let payload = try NoisePayload(decoding: own.payload(offering: []))
            let key = try X25519.publicKey(of: own.staticKey)
            #expect(try payload.verifiedPeer(staticKey: key) == own.peer)
            #expect(throws: NoiseFault.invalidSignature) {
                try payload.verifiedPeer(staticKey: [UInt8](repeating: 1, count: 32))
            }
            #expect(throws: NoiseFault.malformedPayload) {
                try NoisePayload(decoding: []).verifiedPeer(staticKey: key)
            }
            #expect(throws: DecodeError.self) { try NoisePayload(decoding: [0x0a, 9, 1]) }
            let many = own.payload(
                offering: (0..<20).map { ProtocolName(utf8: Array("/\($0)".utf8)) })
            #expect(throws: DecodeError.self) { try NoisePayload(decoding: many) }
        }
    }
#endif
