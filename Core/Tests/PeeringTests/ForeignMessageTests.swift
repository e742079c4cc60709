import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

/// Messages that py-libp2p 0.8.1 wrote, of the peer whose Ed25519 seed is 00…1f.
@Suite struct ForeignMessageTests {
    static let author = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"
    /// Its id in binary, as a field of a message.
    static let id =
        "0a2600240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"

    @Test func kad() throws {
        let bytes = hex(
            "0803122212200000000000000000000000000000000000000000000000000000000000000000"
                + "1a220a072f69706e732f781201762a14323032362d30312d30315430303a30303a30305a"
                + "4234\(Self.id)12080408080808060fa118014a28\(Self.id)5001")
        let message = try KadMessage(decoding: bytes.rawSpan)
        let peer = try PeerID(text: Self.author)
        #expect(message.kind == .getProviders)
        #expect(message.key == [0x12, 0x20] + [UInt8](repeating: 0, count: 32))
        #expect(message.record?.key == Array("/ipns/x".utf8))
        #expect(message.record?.timeReceived == Array("2026-01-01T00:00:00Z".utf8))
        #expect(message.closerPeers == [KadPeer(peer, [try address("/ip4/8.8.8.8/tcp/4001")])])
        #expect(message.providers == [KadPeer(peer, [])])
    }

    @Test func identify() throws {
        let bytes = hex(
            "0a240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
                + "12080408080808060fa11a102f697066732f70696e672f312e302e3022080409090909060005"
                + "2a0a697066732f302e312e30320470792f31")
        let message = try IdentifyMessage(decoding: bytes.rawSpan)
        #expect(message.publicKey.map { PeerID($0) } == (try PeerID(text: Self.author)))
        #expect(message.listenAddresses == [try address("/ip4/8.8.8.8/tcp/4001")])
        #expect(message.protocols == [PeerProtocols.ping])
        #expect(message.observedAddress == (try address("/ip4/9.9.9.9/tcp/5")))
        #expect(message.agentVersion == Array("py/1".utf8))
        #expect(message.encoded == bytes)
    }

    @Test func relay() throws {
        let bytes = hex("08021a140880a4a7da0612080408080808060fa11a0276762206087810808008")
        let message = try RelayMessage(decoding: bytes.rawSpan, .hop)
        #expect(message.kind == .status)
        #expect(message.limit == RelayLimit(duration: 120, data: 131_072))
        #expect(message.reservation?.expires == 1_800_000_000)
        #expect(message.reservation?.addresses == [try address("/ip4/8.8.8.8/tcp/4001")])
        #expect(message.encoded(.hop) == bytes)
    }

    #if HostCrypto
        @Test func pubSub() throws {
            let bytes = hex(
                "0a0a08011206776f726c64731283010a26"
                    + Self.id.dropFirst(4)
                    + "120568656c6c6f1a0800000000000000012206776f726c64732a40"
                    + "49c1bdf25bdcbd2b7c3b64190a0022dce0dfad0fdaea7529321909aa738240a6"
                    + "cb92b9f6fc927c7568df10c54f24a414efeb5baee1a4ec37ff2279f0860ffc0a"
                    + "1a1f0a0c0a06776f726c6473120261621a080a06776f726c647322050a0174183c")
            let rpc = try PubSubRPC(decoding: bytes.rawSpan)
            let message = try #require(rpc.messages.first)
            #expect(message.isValid)
            #expect(message.author == (try PeerID(text: Self.author)))
            #expect(message.data == Array("hello".utf8))
            #expect(rpc.subscriptions.map(\.topic) == [Array("worlds".utf8)])
            #expect(rpc.graft == [Array("worlds".utf8)])
            #expect(rpc.prune == [.init(topic: [0x74], backoffSeconds: 60)])
            #expect(rpc.have == [.init(topic: Array("worlds".utf8), ids: [[0x61, 0x62]])])
        }
    #endif
}
