// Connections over real sockets: between our own peers, and with a peer that others wrote.

import Connections
import Foundation
import Multiformats
import NIOCore
import NIOPosix
import Testing
import Transports
import Wire

private func address(_ text: String) throws -> Multiaddr { try Multiaddr(text: text) }

private func loopback() throws -> Multiaddr { try address("/ip4/127.0.0.1/tcp/0") }

/// A listener, and a connection to it.
private func connect(
    _ mine: Transport, _ theirs: Transport, on listening: Multiaddr
) async throws -> (listener: Listener, peer: PeerConnection) {
    let listener = try await theirs.listen(on: listening) { _ in }
    return (listener, try await mine.dial(listener.address, peer: theirs.peer))
}

@Suite struct TransportTests {
    /// Several streams at once come back whole, over both kinds of security and of addresses.
    @Test(
        "streams between two of our own peers",
        arguments: [SecurityProtocol.noise, .tls],
        ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"])
    func echoes(security: SecurityProtocol, listening: String) async throws {
        let (mine, theirs) = (try makeTransport([security]), try makeTransport([.tls, .noise]))
        let (listener, peer) = try await connect(mine, theirs, on: try address(listening))
        #expect(peer.peer == theirs.peer)
        var noise = SeededGenerator(seed: 5)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for size in [0, 1, 1000, 300_000, 2_000_000] {
                let bytes = noise.bytes(size)
                group.addTask { try await answer(peer, Names.echo, to: bytes) == bytes }
            }
            for try await isSame in group { #expect(isSame) }
        }
        #expect(try await isHashed(peer, pieces: 16))
        peer.close()
        _ = try await peer.ended.get()
        try await listener.close()
    }

    /// A node listens at one port of every interface, on IPv4 and on IPv6.
    @Test func everywhere() async throws {
        let transport = try makeTransport([.noise])
        let first = try await transport.listen(on: try address("/ip4/0.0.0.0/tcp/0")) { _ in }
        let port = try #require(first.address.components.first { $0.protocol == .tcp }).text
        let second = try await transport.listen(on: try address("/ip6/::/tcp/\(port)")) { _ in }
        let mine = try makeTransport([.noise])
        for place in ["/ip4/127.0.0.1/tcp/\(port)", "/ip6/::1/tcp/\(port)"] {
            let peer = try await mine.dial(try address(place), peer: transport.peer)
            peer.close()
        }
        try await first.close()
        try await second.close()
    }

    /// What goes wrong is said: the wrong peer, nobody there, an unknown protocol, a closed
    /// connection.
    @Test func faults() async throws {
        let (mine, theirs) = (try makeTransport([.noise]), try makeTransport([.noise]))
        let stranger = try makeTransport([.noise]).peer
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        await #expect {
            try await mine.dial(listener.address, peer: stranger)
        } throws: { error in
            guard case TransportError.failed(.wrongPeer(let expected, let found)) = error else {
                return false
            }
            return expected == stranger && found == theirs.peer
        }
        let peer = try await mine.dial(listener.address)
        await #expect {
            try await peer.open([ProtocolName("/none"), ProtocolName("/neither")])
        } throws: { error in
            guard case TransportError.protocolRefused = error else { return false }
            return true
        }
        let stream = try await peer.open([Names.echo])
        peer.close()
        await #expect(throws: TransportError.self) { try await stream.readAll() }
        await #expect(throws: TransportError.self) { try await peer.open([Names.echo]) }
        try await listener.close()
        await #expect {
            try await mine.dial(listener.address)
        } throws: { error in
            guard case TransportError.unreachable = error else { return false }
            return true
        }
        await #expect(throws: TransportError.self) {
            try await mine.dial(try address("/ip4/127.0.0.1/udp/1/quic-v1"))
        }
    }

    /// A peer without the preferred security is reached by the other; and without any common one,
    /// or a private network's key, not at all.
    @Test func security() async throws {
        let mine = try makeTransport([.noise, .tls])
        let onlyTLS = try makeTransport([.tls])
        let (listener, peer) = try await connect(mine, onlyTLS, on: try loopback())
        #expect(try await answer(peer, Names.echo, to: [1, 2]) == [1, 2])
        peer.close()
        let onlyNoise = try makeTransport([.noise])
        await #expect(throws: TransportError.self) {
            try await onlyNoise.dial(listener.address, peer: onlyTLS.peer)
        }
        try await listener.close()

        let key = try PresharedKey([UInt8](repeating: 3, count: 32))
        let inside = try (0..<2).map { _ in try makeTransport([.noise]) { $0.presharedKey = key } }
        let (privateListener, member) = try await connect(inside[0], inside[1], on: try loopback())
        #expect(try await isHashed(member, pieces: 1))
        member.close()
        let outsider = try makeTransport([.noise]) { $0.handshakeTimeout = .milliseconds(500) }
        await #expect(throws: TransportError.self) {
            try await outsider.dial(privateListener.address, peer: inside[1].peer)
        }
        try await privateListener.close()
    }

    /// A peer that says nothing is given up at the handshake's deadline.
    @Test func silence() async throws {
        let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(silent.localAddress?.port)
        let mine = try makeTransport([.noise]) { $0.handshakeTimeout = .milliseconds(200) }
        await #expect {
            try await mine.dial(try address("/ip4/127.0.0.1/tcp/\(port)"))
        } throws: { error in
            guard case TransportError.failed(.timedOut(.security)) = error else { return false }
            return true
        }
        try await silent.close()
    }

    /// A dialer that says nothing, or half a request, is hung up on.
    @Test("a silent dialer", arguments: ["", "/ws"])
    func silentDialer(carrier: String) async throws {
        let theirs = try makeTransport([.noise]) { $0.handshakeTimeout = .milliseconds(200) }
        let listener = try await theirs.listen(
            on: try address("/ip4/127.0.0.1/tcp/0\(carrier)")
        ) { _ in }
        let port = try #require(listener.address.first(.tcp).flatMap { Int($0.text) })
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get()
        try await channel.writeAndFlush(ByteBuffer(string: "GET"))
        try await channel.closeFuture.get()
        try await listener.close()
    }

    /// Many short connections in a row leave no descriptor behind.
    @Test func churn() async throws {
        let (mine, theirs) = (try makeTransport([.noise]), try makeTransport([.noise]))
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        func openFiles() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        }
        var before = 0
        for round in 0..<220 {
            if round == 20 { before = try openFiles() }
            let peer = try await mine.dial(listener.address, peer: theirs.peer)
            #expect(try await answer(peer, Names.echo, to: [1, 2, 3]) == [1, 2, 3])
            peer.close()
            _ = try await peer.ended.get()
        }
        // The other side's end of the last few may still be on its way.
        #expect(try openFiles() < before + 50)
        try await listener.close()
    }

    /// A reader that does not read holds the writer back, on this side's memory too.
    @Test func backPressure() async throws {
        let (mine, theirs) = (try makeTransport([.noise]), try makeTransport([.noise]))
        let (listener, peer) = try await connect(mine, theirs, on: try loopback())
        let stream = try await peer.open([Names.echo])
        let piece = [UInt8](repeating: 1, count: 1 << 20)
        // The echo is not read, so that after the windows and queues nothing more is taken.
        let writing = Task {
            var count = 0
            while count < 24, !Task.isCancelled {
                try await stream.write(piece[...])
                count += 1
            }
            return count
        }
        var received = 0
        var pieces: [ArraySlice<UInt8>]? = []
        while received < 24 << 20, pieces != nil {
            pieces = try await stream.read()
            received += pieces?.reduce(0) { $0 + $1.count } ?? 0
        }
        #expect(try await writing.value == 24)
        #expect(received == 24 << 20)
        peer.close()
        try await listener.close()
    }
}

/// py-libp2p, which nobody here wrote.
@Suite(.serialized) struct InteropTests {
    /// The key of private_network.py, if the test is about it.
    private static func key(_ security: String) throws -> PresharedKey? {
        security == "psk" ? try PresharedKey([UInt8](repeating: 3, count: 32)) : nil
    }

    @Test("we dial py-libp2p", arguments: ["noise", "tls", "ws", "psk"])
    func dialling(security: String) async throws {
        let foreign = try ForeignPeer([security])
        defer { foreign.stop() }
        let address = try Multiaddr(text: foreign.line())
        let mine = try makeTransport([security == "tls" ? .tls : .noise]) {
            $0.presharedKey = try Self.key(security)
        }
        let peer = try await mine.dial(address)
        #expect(peer.peer == address.peer)
        let question = (0..<32).map(UInt8.init)
        let ping = try await peer.open([Names.ping])
        for _ in 0..<3 {
            try await ping.write(question[...])
            var found: [UInt8] = []
            while found.count < 32 {
                let pieces = try #require(try await ping.read())
                for piece in pieces { found += piece }
            }
            #expect(found == question)
        }
        ping.finish()
        var noise = SeededGenerator(seed: 6)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for size in [1, 1000, 300_000, 1_000_000, 5] {
                let bytes = noise.bytes(size)
                group.addTask { try await answer(peer, Names.echo, to: bytes) == bytes }
            }
            for try await isSame in group { #expect(isSame) }
        }
        #expect(try await isHashed(peer, pieces: 64))
        await #expect(throws: TransportError.self) {
            try await peer.open([ProtocolName("/none"), ProtocolName("/neither")])
        }
        peer.close()
    }

    @Test("py-libp2p dials us", arguments: ["noise", "tls", "ws", "psk"])
    func listening(security: String) async throws {
        let mine = try makeTransport([.noise, .tls]) {
            $0.presharedKey = try Self.key(security)
        }
        let place = "/ip4/127.0.0.1/tcp/0" + (security == "ws" ? "/ws" : "")
        let listener = try await mine.listen(on: try Multiaddr(text: place)) { _ in }
        let foreign = try ForeignPeer([security, "\(listener.address)/p2p/\(mine.peer)"])
        defer { foreign.stop() }
        #expect(foreign.line() == "ok")
        try await listener.close()
    }

    /// A dial that is given up ends then, and not when its deadline passes.
    @Test("giving up a dial", .timeLimit(.minutes(10))) func givingUp() async throws {
        let (accepted, isAccepted) = AsyncStream.makeStream(of: (any Channel).self)
        let mute = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                isAccepted.yield(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let transport = try makeTransport([.noise]) { $0.handshakeTimeout = .seconds(3600) }
        let port = try #require(mute.localAddress?.port)
        let address = try Multiaddr(text: "/ip4/127.0.0.1/tcp/\(port)")
        let dial = Task { try await transport.dial(address) }
        var there = accepted.makeAsyncIterator()
        let channel = try #require(await there.next())
        dial.cancel()
        await #expect(throws: (any Error).self) { try await dial.value }
        try await channel.closeFuture.get()
        try await mute.close()
    }
}
