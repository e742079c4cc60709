// WebRTC over real sockets: peers that others wrote (aiortc, py-libp2p) connect and talk, and
// whoever does not play by the rules costs nothing.

import Connections
import Foundation
import Multiformats
import NIOCore
import Testing
import Wire

@testable import Transports

@Suite(.serialized) struct WebRTCTests {
    /// Both versions of webrtc-direct: py-libp2p pings, echoes and sends to be hashed, many streams
    /// at once; then we open a stream to it.
    @Test("py-libp2p dials webrtc-direct", arguments: ["webrtc1", "webrtc2"])
    func foreign(version: String) async throws {
        let (peers, isThere) = AsyncStream.makeStream(of: PeerConnection.self)
        let admission = Admission(limit: 8)
        let mine = try makeTransport([.noise]) { $0.admission = admission }
        let (listener, _) = try await listening(mine) { isThere.yield($0) }
        #expect(listener.address.components.last?.protocol == .certhash)
        let foreign = try ForeignPeer([version, "\(listener.address)/p2p/\(mine.peer)"])
        defer { foreign.stop() }
        #expect(foreign.line() == "ok")
        var arrived = peers.makeAsyncIterator()
        let peer = try #require(await arrived.next())
        var noise = SeededGenerator(seed: 8)
        for size in [1, 40_000] {
            let bytes = noise.bytes(size)
            #expect(try await answer(peer, Names.echo, to: bytes) == bytes)
        }
        #expect(peer.received > 1 << 20 && peer.sent > 100_000)
        #expect(admission.counts.open == 1)
        peer.close()
        _ = try await peer.ended.get()
        #expect(admission.counts.open == 0)
        try await listener.close()
    }

    /// Strangers ask where they are seen, and get an answer.
    @Test("the listener answers plain STUN") func server() async throws {
        let (listener, port) = try await listening(try makeTransport([.noise]))
        let stranger = try Stranger(to: port)
        #expect(try stranger.isAnswered())
        try await listener.close()
    }

    /// Nothing is answered, and nothing kept, of what is not a valid check or comes before one.
    @Test("what is not a valid check is dropped") func garbage() async throws {
        let admission = Admission(limit: 8)
        let mine = try makeTransport([.noise]) { $0.admission = admission }
        let (listener, port) = try await listening(mine)
        let stranger = try Stranger(to: port)
        var noise = SeededGenerator(seed: 9)
        for first in 0...255 {
            stranger.send([UInt8(first)] + noise.bytes(Int.random(in: 0...1_400, using: &noise)))
        }
        stranger.send([])
        stranger.send(check("a", key: "wrong"))
        stranger.send(check("a", version: 3))
        // A message of DTLS from nowhere.
        stranger.send([22, 254, 253] + noise.bytes(200))
        #expect(try stranger.isAnswered())
        #expect(admission.counts.open == 0)
        try await listener.close()
    }

    /// Whoever does a check and then talks nonsense is let go, and others are served meanwhile.
    @Test("a handshake of nonsense ends", .timeLimit(.minutes(10)))
    func nonsense() async throws {
        let admission = Admission(limit: 8)
        let mine = try makeTransport([.noise]) {
            $0.admission = admission
            $0.handshakeTimeout = .milliseconds(300)
        }
        let (listener, port) = try await listening(mine)
        let strangers = try (0..<4).map { _ in try Stranger(to: port) }
        var noise = SeededGenerator(seed: 10)
        for (index, stranger) in strangers.enumerated() {
            stranger.send(check("n\(index)"))
            let answer = try #require(stranger.receive())
            #expect(try STUNMessage(decoding: answer.span.bytes).kind == .success)
            for _ in 0..<50 {
                // The head of a record of DTLS 1.2, and what does not belong into one.
                let body = noise.bytes(Int.random(in: 1...300, using: &noise))
                let head: [UInt8] = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1]
                stranger.send(head + [UInt8(body.count >> 8), UInt8(body.count & 255)] + body)
            }
            #expect(admission.counts.open <= 4)
        }
        while admission.counts.open > 0 { try await Task.sleep(for: .milliseconds(10)) }
        try await listener.close()
    }

    /// One source is answered so often, and no more.
    @Test("strangers are limited") func limits() async throws {
        let mine = try makeTransport([.noise])
        let (listener, port) = try await listening(mine)
        // One source may ask 64 times at once, and 32 times a second.
        let strangers = try (0..<250).map { _ in try Stranger(to: port) }
        for (index, stranger) in strangers.enumerated() { stranger.send(check("l\(index)")) }
        while try !strangers[0].isAnswered() {}
        let answered = strangers.dropFirst().filter { $0.receive(within: 1) != nil }.count
        #expect(answered >= 63 && answered < 200)
        try await listener.close()
    }

    /// The certificate lasts as long as whoever keeps its file.
    @Test("a certificate is read as it was written") func certificate() async throws {
        let made = try DTLSCertificate()
        let read = try DTLSCertificate(pem: made.pem)
        #expect(read.fingerprint == made.fingerprint)
        #expect(try DTLSCertificate().fingerprint != made.fingerprint)
        let other = try DTLSCertificate().pem.components(separatedBy: "-----BEGIN EC")
        let mixed =
            made.pem.components(separatedBy: "-----BEGIN EC")[0] + "-----BEGIN EC" + other[1]
        #expect(throws: (any Error).self) { try DTLSCertificate(pem: mixed) }
        #expect(throws: (any Error).self) { try DTLSCertificate(pem: "nothing") }
        var addresses: [Multiaddr.Component?] = []
        for _ in 0..<2 {
            let transport = try makeTransport([.noise]) { $0.webRTCCertificate = { read } }
            let (listener, _) = try await listening(transport)
            addresses.append(listener.address.first(.certhash))
            try await listener.close()
        }
        #expect(addresses[0] != nil && addresses[0] == addresses[1])
    }

    @Test(
        "an address that cannot be listened on is refused",
        arguments: [
            "/ip4/127.0.0.1/udp/0/webrtc", "/dns/localhost/udp/0/webrtc-direct",
            "/ip4/127.0.0.1/tcp/0/webrtc-direct", "/ip4/127.0.0.1/udp/0/quic-v1/webrtc-direct",
        ])
    func refused(text: String) async throws {
        let mine = try makeTransport([.noise])
        await #expect(throws: TransportError.self) {
            try await mine.listen(on: try Multiaddr(text: text)) { _ in }
        }
        let inside = try makeTransport([.noise]) {
            $0.presharedKey = try PresharedKey([UInt8](repeating: 3, count: 32))
        }
        await #expect(throws: TransportError.self) { _ = try await listening(inside) }
    }
}
