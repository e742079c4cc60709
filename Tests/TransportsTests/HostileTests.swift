// Peers that mean harm, on one connection or with many: what they cost is bounded, they lose their
// connections, and nobody else does.

import Connections
import Foundation
import Multiformats
import NIOCore
import NIOPosix
import Testing
import Transports
import Wire

private func loopback() throws -> Multiaddr { try Multiaddr(text: "/ip4/127.0.0.1/tcp/0") }

/// Takes everything and lets nothing go, as a machine would that is far behind.
private let hoard = ProtocolName("/weft-test/hoard")

private func hoarding(
    _ peer: PeerConnection, _ stream: PeerStream, _ name: ProtocolName
) -> StreamReceiver? {
    name == hoard ? { _ in } : accept(peer, stream, name)
}

private func makeHoarder(_ memory: MemoryBudget) throws -> Transport {
    var options = TransportOptions(
        identity: .generateEd25519(), protocols: Names.all + [hoard])
    options.security = [.noise]
    options.memory = memory
    return try Transport(
        options, group: MultiThreadedEventLoopGroup.singleton, acceptor: hoarding)
}

@Suite struct HostileTests {
    /// A connection that fills all the windows it can get is held back, and closed when that does
    /// not help; one beside it, which holds little, goes on, and all memory is given back.
    @Test("memory") func memory() async throws {
        let memory = MemoryBudget(limit: 4 << 20, patience: .milliseconds(300))
        let theirs = try makeHoarder(memory)
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        let honest = try makeTransport([.noise])
        let good = try await honest.dial(listener.address, peer: theirs.peer)
        let attacker = try makeTransport([.noise])
        let bad = try await attacker.dial(listener.address, peer: theirs.peer)
        let piece = [UInt8](repeating: 1, count: 256 << 10)
        for _ in 0..<64 {
            // From some point on the connection is gone.
            guard let stream = try? await bad.open([hoard]) else { break }
            guard (try? await stream.write(piece[...])) != nil else { break }
        }
        _ = try await bad.ended.get()
        #expect(memory.use.refused > 0)
        #expect(memory.use.bytes <= 4 << 20)
        #expect(try await answer(good, Names.echo, to: [1, 2, 3]) == [1, 2, 3])
        good.close()
        _ = try await good.ended.get()
        while memory.use.bytes > 0 { await Task.yield() }
        try await listener.close()
    }

    /// More streams than a peer may have are refused one by one; those that it has go on.
    @Test("a flood of streams", .timeLimit(.minutes(10))) func streams() async throws {
        let memory = MemoryBudget(limit: 64 << 20)
        let theirs = try makeHoarder(memory)
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        let attacker = try makeTransport([.noise]) { $0.limits.unacknowledgedStreams = 1024 }
        let peer = try await attacker.dial(listener.address, peer: theirs.peer)
        let first = try await peer.open([Names.echo])
        for _ in 0..<600 {
            // One that is refused may be gone before it is written to.
            guard let stream = try? await peer.open([hoard]) else { continue }
            try? await stream.write([7])
        }
        // The streams that were let in never end, so that this one was not.
        await #expect(throws: (any Error).self) {
            let stream = try await peer.open([hoard])
            try await stream.write([7])
            while try await stream.read() != nil {}
        }
        try await first.write([1, 2, 3])
        first.finish()
        #expect(try await first.readAll() == [1, 2, 3])
        #expect(memory.use.bytes < 1 << 20)
        peer.close()
        try await listener.close()
    }

    /// Those who connect and say little or nothing are gone when the time for the handshake is up,
    /// and leave their places to others.
    @Test("slow handshakes") func slowHandshakes() async throws {
        let admission = Admission(limit: 64)
        let theirs = try makeTransport([.noise, .tls]) {
            $0.admission = admission
            $0.handshakeTimeout = .milliseconds(500)
        }
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        let port = try #require(listener.address.first(.tcp).flatMap { Int($0.text) })
        let starts = [
            "", "\u{13}", "\u{13}/multistream/1.0.0\n", "\u{13}/multistream/1.0.0\n\u{7}/",
        ]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<96 {
                group.addTask {
                    let channel = try await ClientBootstrap(
                        group: MultiThreadedEventLoopGroup.singleton
                    ).connect(host: "127.0.0.1", port: port).get()
                    // One that is turned away cannot be written to.
                    try? await channel.writeAndFlush(ByteBuffer(string: starts[number % 4]))
                    try await channel.closeFuture.get()
                }
            }
            try await group.waitForAll()
        }
        while admission.counts.open > 0 { await Task.yield() }
        let mine = try makeTransport([.noise])
        let peer = try await mine.dial(listener.address, peer: theirs.peer)
        #expect(try await answer(peer, Names.echo, to: [1]) == [1])
        peer.close()
        try await listener.close()
    }

    /// A host that opens connections and says nothing keeps out only itself.
    @Test("a silent host") func silentHost() async throws {
        let admission = Admission(limit: 16)
        let theirs = try makeTransport([.noise]) {
            $0.admission = admission
            $0.handshakeTimeout = .seconds(600)
        }
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        let port = try #require(listener.address.first(.tcp).flatMap { Int($0.text) })
        let other = try SocketAddress(ipAddress: "127.0.0.2", port: 0)
        var silent: [any Channel] = []
        for _ in 0..<16 {
            silent.append(
                try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .bind(to: other).connect(host: "127.0.0.1", port: port).get())
        }
        while admission.counts.open < 16 { await Task.yield() }
        let mine = try makeTransport([.noise])
        var peers: [PeerConnection] = []
        for number in 1...4 as ClosedRange<UInt8> {
            let peer = try await mine.dial(listener.address, peer: theirs.peer)
            #expect(try await answer(peer, Names.echo, to: [number]) == [number])
            peers.append(peer)
        }
        #expect(admission.counts.overLimit == 0)
        // Its oldest ones have made way, and no more of them than were needed.
        let left = silent.filter { $0.isActive }.count
        #expect(left >= 12)
        for channel in silent { channel.close(promise: nil) }
        for peer in peers { peer.close() }
        try await listener.close()
    }

    /// At an address for pages of this machine no other page learns who the node is.
    @Test(
        "pages' origins",
        arguments: [
            (nil, true), ("http://localhost:8080", true), ("https://localhost", true),
            ("http://127.0.0.1:8080", false), ("https://[::1]:8443", false),
            ("https://evil.example", false), ("null", false),
            ("http://localhost.evil.example", false), ("http://a.ipfs.localhost:8080", false),
        ] as [(String?, Bool)])
    func origins(origin: String?, isWelcome: Bool) {
        #expect(PageOrigins.localhost.admits([origin].compactMap(\.self)) == isWelcome)
        #expect(PageOrigins.all.admits([origin].compactMap(\.self)))
    }

    /// Short connections in a row leave nothing behind: no descriptor, no place, no memory. With
    /// `WEFT_LONG` there are ten thousand of them, else a few hundred.
    @Test("many short connections", .timeLimit(.minutes(30))) func churn() async throws {
        let isLong = ProcessInfo.processInfo.environment["WEFT_LONG"] != nil
        let (rounds, warmUp) = isLong ? (10_000, 1_000) : (300, 100)
        let (admission, memory) = (Admission(limit: 64), MemoryBudget(limit: 64 << 20))
        let theirs = try makeTransport([.noise, .tls]) {
            $0.admission = admission
            $0.memory = memory
        }
        let listener = try await theirs.listen(on: try loopback()) { _ in }
        let dialers = [try makeTransport([.noise]), try makeTransport([.tls])]
        var before = (files: 0, bytes: 0)
        for round in 0..<rounds {
            if round == warmUp { before = try Self.resources() }
            let peer = try await dialers[round % 2].dial(listener.address, peer: theirs.peer)
            #expect(try await answer(peer, Names.echo, to: [1, 2, 3]) == [1, 2, 3])
            peer.close()
            _ = try await peer.ended.get()
        }
        while admission.counts.open > 0 { await Task.yield() }
        #expect(memory.use.bytes == 0)
        let after = try Self.resources()
        // Other tests run beside this one.
        #expect(after.files < before.files + 60)
        if isLong { #expect(after.bytes < before.bytes + 32 << 20, "\(before) \(after)") }
        try await listener.close()
    }

    /// Open descriptors and resident bytes of this process.
    private static func resources() throws -> (files: Int, bytes: Int) {
        let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            .split(separator: " ")
        return (files, (Int(pages[1]) ?? 0) * 4_096)
    }
}
