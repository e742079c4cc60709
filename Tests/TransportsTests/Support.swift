// What the tests of connections share: peers that echo and hash, and the foreign peer.

import Connections
import Cryptography
import Foundation
import Multiformats
import NIOCore
import NIOPosix
import Testing
import Transports
import Wire

enum Names {
    static let echo = ProtocolName("/weft-test/echo")
    static let sink = ProtocolName("/weft-test/sink")
    static let ping = ProtocolName("/ipfs/ping/1.0.0")
    static let all = [echo, sink, ping]
}

/// Sends back what comes, as fast as it is taken.
private func echo(_ stream: PeerStream) -> StreamReceiver {
    var waiting: [ArraySlice<UInt8>] = []
    var isFinished = false
    func push() {
        while let first = waiting.first {
            guard stream.write(first) else { return }
            waiting.removeFirst()
            stream.consume(first.count)
        }
        if isFinished { stream.finish() }
    }
    return { notice in
        switch notice {
        case .data(let bytes): waiting.append(bytes)
        case .finished: isFinished = true
        case .opened, .room, .ended: break
        }
        push()
    }
}

/// Hashes what comes and answers with the digest.
private func sink(_ stream: PeerStream) -> StreamReceiver {
    var hasher = SHA256()
    return { notice in
        switch notice {
        case .data(let bytes):
            hasher.update(bytes.rawSpan)
            stream.consume(bytes.count)
        case .finished:
            _ = stream.write(hasher.finalize()[...])
            stream.finish()
        case .opened, .room, .ended: break
        }
    }
}

func accept(
    _ peer: PeerConnection, _ stream: PeerStream, _ name: ProtocolName
) -> StreamReceiver? {
    switch name {
    case Names.echo, Names.ping: echo(stream)
    case Names.sink: sink(stream)
    default: nil
    }
}

/// A node's sockets with a key of its own.
func makeTransport(
    _ security: [SecurityProtocol], _ change: (inout TransportOptions) throws -> Void = { _ in }
) throws -> Transport {
    var options = TransportOptions(identity: .generateEd25519(), protocols: Names.all)
    options.security = security
    try change(&options)
    return try Transport(
        options, group: MultiThreadedEventLoopGroup.singleton, acceptor: accept)
}

extension ByteStream {
    /// All bytes up to the end.
    func readAll() async throws -> [UInt8] {
        var out: [UInt8] = []
        while let pieces = try await read() {
            for piece in pieces { out += piece }
        }
        return out
    }
}

/// A stream's answer to `bytes`, with the end after them.
func answer(
    _ peer: PeerConnection, _ name: ProtocolName, to bytes: [UInt8]
) async throws -> [UInt8] {
    let stream = try await peer.open([name])
    async let answer = stream.readAll()
    try await stream.write(bytes[...])
    stream.finish()
    return try await answer
}

/// Sends `count` pieces to be hashed. Returns whether the digest is right.
func isHashed(
    _ peer: PeerConnection, pieces count: Int, of size: Int = 1 << 20
) async throws -> Bool {
    var noise = SeededGenerator(seed: 1)
    let piece = noise.bytes(size)
    let stream = try await peer.open([Names.sink])
    var hasher = SHA256()
    for _ in 0..<count {
        hasher.update(piece.rawSpan)
        try await stream.write(piece[...])
    }
    stream.finish()
    return try await stream.readAll() == hasher.finalize()
}

/// The foreign peer's process.
final class ForeignPeer {
    private static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init(_ arguments: [String], script name: String = "libp2p_peer.py") throws {
        let python = Self.root.appending(path: ".build/venv/bin/python")
        try #require(
            FileManager.default.isExecutableFile(atPath: python.path),
            "the Python peers are missing: run 'Scripts/install-packages test'")
        let script = Self.root.appending(path: "Tests/Interop/\(name)").path
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["timeout", "600", python.path, "-W", "ignore", script] + arguments
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    /// Says a line to it.
    func say(_ line: String) {
        input.fileHandleForWriting.write(Data((line + "\n").utf8))
    }

    /// The next line of its output, which it says in one.
    func line() -> String {
        var bytes: [UInt8] = []
        while true {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { break }
            bytes += data
            if bytes.last == UInt8(ascii: "\n") { break }
        }
        return String(decoding: bytes, as: UTF8.self).trimmingCharacters(
            in: .whitespacesAndNewlines)
    }

    func stop() {
        input.fileHandleForWriting.closeFile()
        process.terminate()
        process.waitUntilExit()
    }
}
