import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct EnvelopeTests {
    /// Made by py-libp2p 0.8.1 of the Ed25519 seed 00…1f.
    static let envelope = hex(
        """
        0a240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8120203011a550a
        2600240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b810d285d8cc04
        1a0a0a0804cb007107060fa11a190a172920010db800000000000000000000000191020fa1cd032a40d177c2f8
        5dd185b4b9a5c107330a7ed6488a4e76128b099343904945db93a1272154cac25f1b0dbed4bae72d0227444fe2
        4b921b053248fe6b74510c148dff03
        """)
    static let key = hex(
        """
        08011240000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
        03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8
        """)

    static var record: PeerRecord {
        get throws {
            PeerRecord(
                peer: try PeerID(text: "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"),
                sequence: 1_234_567_890,
                addresses: [
                    try Multiaddr(text: "/ip4/203.0.113.7/tcp/4001"),
                    try Multiaddr(text: "/ip6/2001:db8::1/udp/4001/quic-v1"),
                ])
        }
    }

    #if HostCrypto
        /// A foreign implementation's record is read and believed, and ours is the same bytes.
        @Test func foreignRecord() throws {
            let envelope = try SignedEnvelope(decoding: Self.envelope.rawSpan)
            #expect(try PeerRecord(verifying: envelope) == Self.record)
            let key = try PrivateKey(decoding: Self.key.rawSpan)
            #expect(try Self.record.sealed(with: key).encoded == Self.envelope)
        }

        /// A signature for another purpose, of other bytes, or by another peer counts for nothing.
        @Test func forgeries() throws {
            let key = try PrivateKey(decoding: Self.key.rawSpan)
            let record = try Self.record
            let other = try SignedEnvelope(
                record.encoded, type: PeerRecord.payloadType, domain: "another",
                signingWith: key)
            #expect(throws: DecodeError.self) { try PeerRecord(verifying: other) }
            let stranger = try record.sealed(with: .generateEd25519())
            #expect(throws: DecodeError.self) { try PeerRecord(verifying: stranger) }
            for index in Self.envelope.indices {
                var changed = Self.envelope
                changed[index] ^= 1
                guard let envelope = try? SignedEnvelope(decoding: changed.rawSpan) else {
                    continue
                }
                #expect((try? PeerRecord(verifying: envelope)) == nil, "byte \(index)")
            }
        }
    #endif

    /// No noise and no part of an envelope crashes the decoders.
    @Test func noise() throws {
        var noise = Noise(seed: 7)
        for length in 0..<Self.envelope.count {
            let part = Array(Self.envelope[..<length])
            _ = try? SignedEnvelope(decoding: part.rawSpan)
        }
        for _ in 0..<2_000 {
            let bytes = noise.mutation(of: Self.envelope)
            if let envelope = try? SignedEnvelope(decoding: bytes.rawSpan) {
                _ = try? PeerRecord(decoding: envelope.payload.rawSpan)
            }
            let record = noise.mutation(of: try Self.record.encoded)
            if let read = try? PeerRecord(decoding: record.rawSpan) {
                #expect(try PeerRecord(decoding: read.encoded.rawSpan) == read)
            }
        }
    }
}
