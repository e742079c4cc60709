// Those whom a listener of WebRTC meets besides its peers: strangers with a socket, and the road.

import Connections
import Foundation
import Glibc
import Multiformats
import Synchronization
import Testing
import Wire

@testable import Transports

func listening(
    _ transport: Transport, at ip: String = "127.0.0.1",
    onPeer: @escaping @Sendable (PeerConnection) -> Void = { _ in }
) async throws -> (listener: Listener, port: UInt16) {
    let place = try Multiaddr(text: "/ip4/\(ip)/udp/0/webrtc-direct")
    let listener = try await transport.listen(on: place, onPeer: onPeer)
    let port = try #require(listener.address.first(.udp).flatMap { UInt16($0.text) })
    return (listener, port)
}

/// Calls the system with an address of this machine: 127.0.0.0 and `host`.
func withAddress<Result>(
    _ host: UInt32, port: UInt16, _ body: (UnsafePointer<sockaddr>?, socklen_t) -> Result
) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = (0x7f00_0000 + host).bigEndian
    return withUnsafeBytes(of: &address) { bytes in
        body(
            bytes.bindMemory(to: sockaddr.self).baseAddress,
            socklen_t(MemoryLayout<sockaddr_in>.size))
    }
}

/// A UDP socket of a stranger, at 127.0.0.0 and `host`. It hears but the address that it asks.
final class Stranger {
    let socket: Int32

    init(to port: UInt16, at host: UInt32 = 1, asking other: UInt32 = 1) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        try #require(socket >= 0)
        let bound = withAddress(host, port: 0) { [socket] in bind(socket, $0, $1) }
        let connected = withAddress(other, port: port) { [socket] in connect(socket, $0, $1) }
        try #require(bound == 0 && connected == 0)
    }

    deinit { close(socket) }

    func send(_ bytes: [UInt8]) { _ = Glibc.send(socket, bytes, bytes.count, 0) }

    /// The next datagram; nil if none comes within a while.
    func receive(within milliseconds: Int = 2_000) -> [UInt8]? {
        var limit = timeval(
            tv_sec: milliseconds / 1_000, tv_usec: (milliseconds % 1_000) * 1_000)
        setsockopt(
            socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var room = [UInt8](repeating: 0, count: 2_048)
        let count = recv(socket, &room, room.count, 0)
        return count < 0 ? nil : Array(room[..<count])
    }

    /// Asks where it is seen, which is answered after all that was sent before.
    func isAnswered() throws -> Bool {
        send(
            STUNWriter(.request, transaction: [UInt8](repeating: 5, count: 12)).finish(key: nil))
        guard let answer = receive() else { return false }
        return try STUNMessage(decoding: answer.span.bytes).kind == .success
    }
}

func check(_ name: String, version: Int = 2, key: String? = nil) -> [UInt8] {
    let ours = "libp2p+webrtc+v\(version)/" + name + String(repeating: "x", count: 22)
    var writer = STUNWriter(.request, transaction: [UInt8](repeating: 4, count: 12))
    writer.add(username: Array("\(ours):ufrg".utf8))
    writer.add(priority: 1, isNomination: true)
    return writer.finish(key: Array((key ?? ours).utf8))
}

/// The first message of a handshake of DTLS 1.2 as browsers send it, alone or with a cookie.
func hello(cookie: [UInt8] = []) -> [UInt8] {
    var body: [UInt8] = [254, 253] + [UInt8](repeating: 6, count: 32)
    body += [0, UInt8(cookie.count)] + cookie
    body += [0, 2, 0xc0, 0x2b, 1, 0]
    // P-256, its points, and ECDSA with SHA2-256.
    let extensions: [UInt8] = [
        0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3,
    ]
    body += [0, UInt8(extensions.count)] + extensions
    let length: [UInt8] = [0, 0, UInt8(body.count)]
    let sequence: UInt8 = cookie.isEmpty ? 0 : 1
    let message: [UInt8] = [1] + length + [0, sequence, 0, 0, 0] + length + body
    return [22, 254, 255, 0, 0, 0, 0, 0, 0, 0, sequence, 0, UInt8(message.count)] + message
}

/// Sends datagrams on in both directions, and loses some.
final class Road: Sendable {
    private struct State {
        var inner: Int32
        var isOver = false
        var noise = SeededGenerator(seed: 12)
    }

    private let outer: Int32
    private let target: UInt16
    private let loss: Int
    private let state: Mutex<State>
    /// Where it is entered.
    let port: UInt16

    /// A road to a port, on which `loss` of a hundred datagrams get lost.
    init(to target: UInt16, loss: Int) throws {
        outer = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        let bound = withAddress(1, port: 0) { [outer] in bind(outer, $0, $1) }
        try #require(bound == 0)
        var own = sockaddr_in()
        var count = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutableBytes(of: &own) { [outer] bytes in
            _ = getsockname(outer, bytes.bindMemory(to: sockaddr.self).baseAddress, &count)
        }
        port = UInt16(bigEndian: own.sin_port)
        self.target = target
        self.loss = loss
        state = Mutex(State(inner: try Self.connect(to: target)))
        Thread { [self] in run() }.start()
    }

    private static func connect(to port: UInt16) throws -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        let connected = withAddress(1, port: port) { Glibc.connect(socket, $0, $1) }
        try #require(connected == 0)
        return socket
    }

    /// From now on the one at this end is seen at another port.
    func move() throws {
        let new = try Self.connect(to: target)
        close(
            state.withLock { state in
                defer { state.inner = new }
                return state.inner
            })
    }

    func end() { state.withLock { $0.isOver = true } }

    private func run() {
        var caller = sockaddr_in()
        var callerCount = socklen_t(0)
        var room = [UInt8](repeating: 0, count: 2_048)
        while true {
            let (inner, isOver) = state.withLock { ($0.inner, $0.isOver) }
            guard !isOver else { break }
            var waits = [outer, inner].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&waits, 2, 50) > 0 else { continue }
            if waits[0].revents != 0 {
                callerCount = socklen_t(MemoryLayout<sockaddr_in>.size)
                let count = withUnsafeMutableBytes(of: &caller) { bytes in
                    recvfrom(
                        outer, &room, room.count, Int32(MSG_DONTWAIT),
                        bytes.bindMemory(to: sockaddr.self).baseAddress, &callerCount)
                }
                if count > 0, !isLost() { _ = send(inner, room, count, 0) }
            }
            if waits[1].revents != 0 {
                let count = recv(inner, &room, room.count, Int32(MSG_DONTWAIT))
                guard count > 0, !isLost() else { continue }
                _ = withUnsafeBytes(of: &caller) { bytes in
                    sendto(
                        outer, room, count, 0,
                        bytes.bindMemory(to: sockaddr.self).baseAddress, callerCount)
                }
            }
        }
        close(outer)
        close(state.withLock { $0.inner })
    }

    private func isLost() -> Bool {
        state.withLock { Int.random(in: 0..<100, using: &$0.noise) < loss }
    }
}
