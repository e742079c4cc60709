// A listener of WebRTC that is attacked: whoever means it honestly is served all the same, and
// strangers cost no more than they may.

import Connections
import Foundation
import Glibc
import Multiformats
import Synchronization
import Testing
import Wire

@testable import Transports

extension [UInt8] {
    /// Whether it is a datagram of a handshake that begins with this message: 2 is the server's
    /// first, 3 wants a cookie back.
    func isHandshake(_ message: UInt8) -> Bool {
        count > 25 && self[0] == 22 && self[13] == message
    }
}

@Suite(.serialized) struct WebRTCAttackTests {
    private func address(_ listener: Listener, _ transport: Transport, by port: UInt16) -> String {
        let hash = listener.address.first(.certhash)?.text ?? ""
        return "/ip4/127.0.0.1/udp/\(port)/webrtc-direct/certhash/\(hash)/p2p/\(transport.peer)"
    }

    /// A datagram whose sender cannot be answered, because nobody is at port 0, is nothing to the
    /// others.
    @Test("a sender at port 0 does not close the port", .enabled(if: geteuid() == 0))
    func portZero() async throws {
        let (listener, port) = try await listening(try makeTransport([.noise]))
        let raw = Glibc.socket(AF_INET, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_UDP))
        try #require(raw >= 0)
        let question = STUNWriter(.request, transaction: [UInt8](repeating: 1, count: 12))
            .finish(key: nil)
        let length = question.count + 8
        let head: [UInt8] = [
            0, 0, UInt8(port >> 8), UInt8(port & 255), UInt8(length >> 8), UInt8(length & 255), 0,
            0,
        ]
        let datagram = head + question
        for _ in 0..<3 {
            let sent = withAddress(1, port: 0) { sendto(raw, datagram, datagram.count, 0, $0, $1) }
            #expect(sent == datagram.count)
        }
        close(raw)
        for _ in 0..<3 { #expect(try Stranger(to: port).isAnswered()) }
        try await listener.close()
    }

    /// A machine has several addresses, and whoever asks one of them hears nobody else.
    @Test("answers leave from the address that was asked") func wildcard() async throws {
        let (listener, port) = try await listening(try makeTransport([.noise]), at: "0.0.0.0")
        for host: UInt32 in [1, 5, 0x0203_04] {
            let stranger = try Stranger(to: port, asking: host)
            #expect(try stranger.isAnswered(), "\(host)")
            stranger.send(check("w\(host)"))
            #expect(stranger.receive() != nil)
            stranger.send(hello())
            let answer = try #require(stranger.receive())
            #expect(answer.isHandshake(2))
        }
        try await listener.close()
    }

    /// When many handshakes are under way, whoever begins one has to bring back a cookie, which
    /// only works from where it was sent to; nothing is kept until then.
    @Test("in a crowd an address has to be proven", .timeLimit(.minutes(10)))
    func crowd() async throws {
        let admission = Admission(limit: 200)
        let mine = try makeTransport([.noise]) {
            $0.admission = admission
            $0.handshakeTimeout = .seconds(60)
        }
        let (listener, port) = try await listening(mine)
        var crowd: [Stranger] = []
        for number in 0..<32 {
            let stranger = try Stranger(to: port, at: 256 + UInt32(number))
            stranger.send(check("c\(number)"))
            _ = try #require(stranger.receive())
            stranger.send(hello())
            let answer = try #require(stranger.receive())
            #expect(answer.isHandshake(2))
            crowd.append(stranger)
        }
        #expect(admission.counts.open == 32)
        var cookies: [[UInt8]] = []
        let late = try (0..<2).map { try Stranger(to: port, at: 512 + UInt32($0)) }
        for (number, stranger) in late.enumerated() {
            stranger.send(check("late\(number)"))
            _ = try #require(stranger.receive())
            stranger.send(hello())
            let answer = try #require(stranger.receive())
            // No longer than what it answers, so that nobody gains by naming another's address.
            #expect(answer.isHandshake(3) && answer.count <= hello().count)
            cookies.append(Array(answer[28...]))
            #expect(cookies[number].count == Int(answer[27]))
        }
        #expect(cookies[0] != cookies[1] && admission.counts.open == 32)
        late[0].send(hello(cookie: cookies[1]))
        #expect(try #require(late[0].receive()).isHandshake(3))
        late[0].send(hello(cookie: cookies[0]))
        #expect(try #require(late[0].receive()).isHandshake(2))
        #expect(admission.counts.open == 33)
        // Others do not mind.
        let foreign = try ForeignPeer(["webrtc2", address(listener, mine, by: port)])
        defer { foreign.stop() }
        #expect(foreign.line() == "ok")
        try await listener.close()
    }

    /// A host whose handshakes go no further takes all places there are; whoever comes from
    /// elsewhere gets one at the first attempt.
    @Test("one host's silent handshakes make room for others", .timeLimit(.minutes(10)))
    func silentHost() async throws {
        let admission = Admission(limit: 200)
        let mine = try makeTransport([.noise]) {
            $0.admission = admission
            $0.handshakeTimeout = .seconds(60)
        }
        let (listener, port) = try await listening(mine)
        func next(for stranger: Stranger) throws -> [UInt8] {
            while true {
                let answer = try #require(stranger.receive())
                if answer.first == 22 { return answer }
            }
        }
        func begin(_ name: String, at host: UInt32) throws -> Stranger {
            let stranger = try Stranger(to: port, at: host)
            // One host is not answered as often as it likes.
            repeat { stranger.send(check(name)) } while stranger.receive(within: 100) == nil
            stranger.send(hello())
            let answer = try next(for: stranger)
            if answer.isHandshake(3) {
                stranger.send(hello(cookie: Array(answer[28...])))
                #expect(try next(for: stranger).isHandshake(2))
            }
            return stranger
        }
        let most = ICELimits().halfOpen
        let silent = try (0..<most).map { try begin("s\($0)", at: 300) }
        #expect(admission.counts.open == most)
        for number in 0..<3 { _ = try begin("guest\(number)", at: 301 + UInt32(number)) }
        #expect(admission.counts.open == most)
        withExtendedLifetime(silent) {}
        try await listener.close()
    }

    /// Checks with which a page finds out whether its node is there, of an association of before.
    @Test("what speaks to a process before this one is answered no more")
    func before() async throws {
        let mine = try makeTransport([.noise])
        let (listener, port) = try await listening(mine)
        let stranger = try Stranger(to: port)
        stranger.send(check("old"))
        _ = try #require(stranger.receive())
        // A record with what SCTP says.
        stranger.send([23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4])
        stranger.send(check("old"))
        // Whoever dials anew is, also from the same place.
        stranger.send(check("new"))
        let answer = try #require(stranger.receive())
        let key = Array(("libp2p+webrtc+v2/new" + String(repeating: "x", count: 22)).utf8)
        let read = try STUNMessage(decoding: answer.span.bytes)
        let isNew = read.isAuthentic(answer.span.bytes, key: key.span.bytes)
        #expect(isNew)
        stranger.send(hello())
        #expect(try #require(stranger.receive()).isHandshake(2))
        try await listener.close()
    }

    /// Thousands of checks a second from many addresses, which never go on.
    @Test("a flood of checks keeps nobody out", .timeLimit(.minutes(10)))
    func flood() async throws {
        let admission = Admission(limit: 200)
        let mine = try makeTransport([.noise]) { $0.admission = admission }
        let (listener, port) = try await listening(mine)
        let isOver = Mutex(false)
        let strangers = try (0..<64).map { try Stranger(to: port, at: 1_024 + UInt32($0)) }
        let sockets = strangers.map { $0.socket }
        async let sent = Task.detached {
            var count = 0
            while !isOver.withLock({ $0 }) {
                for socket in sockets.shuffled().prefix(16) {
                    let bytes = check("f\(count)")
                    _ = send(socket, bytes, bytes.count, Int32(MSG_DONTWAIT))
                    count += 1
                }
                try? await Task.sleep(for: .milliseconds(1))
            }
            return count
        }.value
        let foreign = try ForeignPeer(["webrtc2", address(listener, mine, by: port)])
        #expect(foreign.line() == "ok")
        foreign.stop()
        isOver.withLock { $0 = true }
        #expect(await sent > 1_000)
        withExtendedLifetime(strangers) {}
        try await listener.close()
    }

    /// One datagram of ten gets lost, and in the middle the peer is suddenly seen elsewhere, as
    /// when a router starts anew.
    @Test(
        "a bad road that moves",
        .enabled(if: ProcessInfo.processInfo.environment["WEFT_LONG"] != nil),
        .timeLimit(.minutes(10)))
    func road() async throws {
        let (peers, isThere) = AsyncStream.makeStream(of: PeerConnection.self)
        let mine = try makeTransport([.noise])
        let (listener, port) = try await listening(mine) { isThere.yield($0) }
        let road = try Road(to: port, loss: 10)
        defer { road.end() }
        let way = address(listener, mine, by: road.port)
        let foreign = try ForeignPeer(["webrtc2", way, "little"])
        defer { foreign.stop() }
        var arrived = peers.makeAsyncIterator()
        _ = try #require(await arrived.next())
        try road.move()
        #expect(foreign.line() == "ok")
        try await listener.close()
    }
}
