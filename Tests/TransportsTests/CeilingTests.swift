// Ceilings of connections over real sockets: bytes per second, who may knock, and the private
// network; and WebSockets in TLS.

import Connections
import Foundation
import Multiformats
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing
import Transports
import Wire

private func loopback(_ rest: String = "") throws -> Multiaddr {
    try Multiaddr(text: "/ip4/127.0.0.1/tcp/0\(rest)")
}

private func makeBandwidth() -> Bandwidth {
    Bandwidth(timersOn: MultiThreadedEventLoopGroup.singleton.next())
}

@Suite struct CeilingTests {
    /// So low that it is what holds a slow machine back, too.
    private static let rate: UInt64 = 500_000

    /// Over any time, no more than rate · t and the burst passes, whoever limits and whatever
    /// carries the bytes; and everything arrives as it was.
    @Test(
        "bytes per second", arguments: ["sending", "receiving"],
        [("/ws", SecurityProtocol.noise), ("", .tls), ("", .noise)])
    func bandwidth(side: String, carrier: (String, SecurityProtocol)) async throws {
        let limited = makeBandwidth()
        let mine = try makeTransport([carrier.1]) {
            if side == "sending" { $0.bandwidth = limited }
        }
        let theirs = try makeTransport([carrier.1]) {
            if side == "receiving" { $0.bandwidth = limited }
        }
        let isSending = side == "sending"
        (isSending ? limited.outbound : limited.inbound).setRate(Self.rate)
        let meter = isSending ? limited.sent : limited.received
        let start = NIODeadline.now()
        let listener = try await theirs.listen(on: try loopback(carrier.0)) { _ in }
        let peers = [
            try await mine.dial(listener.address, peer: theirs.peer),
            try await mine.dial(listener.address, peer: theirs.peer),
        ]
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for peer in peers { group.addTask { try await isHashed(peer, pieces: 6, of: 1 << 16) } }
            // Looked at again and again, not only at the end.
            group.addTask {
                var isKept = true
                while meter.reading.total < 12 << 16, isKept {
                    let seen = meter.reading.total
                    isKept = seen <= Self.allowed(since: start)
                    await Task.yield()
                }
                return isKept
            }
            for try await isRight in group { #expect(isRight) }
        }
        #expect(meter.reading.total <= Self.allowed(since: start))
        #expect((isSending ? limited.outbound : limited.inbound).waits > 0)
        for peer in peers { peer.close() }
        try await listener.close()
    }

    /// An eighth of a second at once, and one turn for each of the two connections.
    private static func allowed(since start: NIODeadline) -> UInt64 {
        let nanoseconds = UInt64((NIODeadline.now() - start).nanoseconds)
        return nanoseconds / 1_000 * rate / 1_000_000 + rate / 8 + 2 * (64 << 10)
    }

    /// Who waits under a low ceiling goes on as soon as it is lifted; without one nobody waits, and
    /// bytes are counted all the same.
    @Test("lifting a ceiling") func lifting() async throws {
        let bandwidth = makeBandwidth()
        let mine = try makeTransport([.noise]) { $0.bandwidth = bandwidth }
        let theirs = try makeTransport([.noise])
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        let peer = try await mine.dial(listener.address, peer: theirs.peer)
        #expect(try await isHashed(peer, pieces: 2))
        #expect(bandwidth.outbound.waits == 0)
        #expect(bandwidth.sent.reading.total > 2 << 20)
        #expect(peer.sent == bandwidth.sent.reading.total)

        bandwidth.outbound.setRate(4_096)
        async let slow = isHashed(peer, pieces: 4)
        while bandwidth.outbound.waits == 0 { await Task.yield() }
        bandwidth.outbound.setRate(nil)
        #expect(try await slow)
        peer.close()
        try await listener.close()
    }

    /// An address that is not welcome, and one connection too many, are turned away before anything
    /// is spent on them; a place that is left is given away again.
    @Test func admission() async throws {
        let admission = Admission(limit: 1)
        let theirs = try makeTransport([.noise]) { $0.admission = admission }
        let mine = try makeTransport([.noise])
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        let first = try await mine.dial(listener.address, peer: theirs.peer)
        await #expect(throws: TransportError.self) {
            try await mine.dial(listener.address, peer: theirs.peer)
        }
        #expect(admission.counts.overLimit == 1)
        first.close()
        _ = try await first.ended.get()
        while admission.counts.open > 0 { await Task.yield() }
        try await mine.dial(listener.address, peer: theirs.peer).close()

        while admission.counts.open > 0 { await Task.yield() }
        admission.set(limit: 8) { $0.ipAddress != "127.0.0.1" }
        await #expect(throws: TransportError.self) {
            try await mine.dial(listener.address, peer: theirs.peer)
        }
        #expect(admission.counts == (0, 1, 1))
        try await listener.close()
    }

    /// Who lacks the key of a private network, or has another, gets in on neither side, whatever
    /// the carrier.
    @Test("a private network", arguments: ["", "/ws"])
    func privateNetwork(carrier: String) async throws {
        func make(_ key: UInt8?) throws -> Transport {
            try makeTransport([.tls, .noise]) {
                $0.handshakeTimeout = .milliseconds(500)
                if let key {
                    $0.presharedKey = try PresharedKey([UInt8](repeating: key, count: 32))
                }
            }
        }
        let (member, other) = (try make(1), try make(1))
        let listener = try await member.listen(on: try loopback(carrier)) { _ in }
        let peer = try await other.dial(listener.address, peer: member.peer)
        #expect(try await isHashed(peer, pieces: 2))
        for key in [nil, 2] as [UInt8?] {
            let stranger = try make(key)
            await #expect(throws: TransportError.self) {
                try await stranger.dial(listener.address, peer: member.peer)
            }
            let outside = try await stranger.listen(on: try loopback(carrier)) { _ in }
            await #expect(throws: TransportError.self) {
                try await other.dial(outside.address, peer: stranger.peer)
            }
            try await outside.close()
        }
        peer.close()
        try await listener.close()
    }
}

/// A certificate of the web, made for the test.
private final class WebCertificate: Sendable {
    let directory: URL
    var chain: String { directory.appending(path: "chain.pem").path }
    var key: String { directory.appending(path: "key.pem").path }

    init(for names: String) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "weft-ws-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=mesh.test",
            "-addext", "subjectAltName=\(names)", "-keyout", key, "-out", chain,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl made no certificate")
    }

    deinit {
        // What is left of a test that failed is no second failure.
        try? FileManager.default.removeItem(at: directory)
    }

    var server: TLSConfiguration {
        get throws {
            .makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(chain).map {
                    .certificate($0)
                },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        }
    }
}

@Suite struct SecureWebSocketTests {
    /// `/tls/ws` is dialled by IP address and by name, with the name of `/sni` where there is one;
    /// a certificate of nobody we know, or for another name or address, is refused.
    @Test("WebSockets in TLS", arguments: ["DNS:localhost,IP:127.0.0.1", "DNS:mesh.test"])
    func secure(names: String) async throws {
        let certificate = try WebCertificate(for: names)
        let theirs = try makeTransport([.noise, .tls]) { $0.webServer = try certificate.server }
        let listener = try await theirs.listen(on: try loopback("/tls/ws")) { _ in }
        let text = "\(listener.address)"
        #expect(text.hasPrefix("/ip4/127.0.0.1/tcp/") && text.hasSuffix("/tls/ws"))
        let port = try #require(listener.address.first(.tcp)).text
        let mine = try makeTransport([.tls]) {
            $0.webClient.additionalTrustRoots = [.file(certificate.chain)]
        }
        let named = "/ip4/127.0.0.1/tcp/\(port)/tls/sni/mesh.test/ws"
        let plain = [
            text, "/ip4/127.0.0.1/tcp/\(port)/wss", "/dns4/localhost/tcp/\(port)/tls/ws",
        ]
        let isNamed = names == "DNS:mesh.test"
        for good in isNamed ? [named] : plain {
            let peer = try await mine.dial(try Multiaddr(text: good), peer: theirs.peer)
            #expect(try await isHashed(peer, pieces: 1), "\(good)")
            peer.close()
        }
        let stranger = try makeTransport([.tls])
        var refused = [(stranger, text), (mine, "/ip4/127.0.0.1/tcp/\(port)/ws")]
        if isNamed {
            refused += plain.map { (mine, $0) }
            refused.append((mine, "/ip4/127.0.0.1/tcp/\(port)/tls/sni/other.test/ws"))
        }
        for (transport, bad) in refused {
            await #expect(throws: TransportError.self, "\(bad)") {
                try await transport.dial(try Multiaddr(text: bad), peer: theirs.peer)
            }
        }
        try await listener.close()
    }

    /// Without a certificate nothing listens there, and it is said what is missing.
    @Test("no certificate") func missing() async throws {
        let theirs = try makeTransport([.noise])
        await #expect {
            try await theirs.listen(on: try loopback("/tls/ws")) { _ in }
        } throws: { "\($0)".contains("mesh.certificate") }
    }
}
