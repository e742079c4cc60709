// HTTPS with a certificate made for the test, and a client that nobody here wrote: curl.

import Foundation
import Logging
import Multiformats
import NIOCore
import NIOPosix
import Testing
import Weft

@testable import Gateway

@Suite(.timeLimit(.minutes(10))) struct TLSTests {
    /// A certificate for localhost and its key, in a directory that is gone after the test.
    final class Certificate: Sendable {
        let directory: String
        var chain: String { directory + "/chain.pem" }
        var key: String { directory + "/key.pem" }

        init() async throws {
            directory =
                FileManager.default.temporaryDirectory
                .appending(path: "weft-tls-\(UUID())").path
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
            let made = try await Program.run(
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,DNS:*.ipfs.localhost,IP:127.0.0.1",
                "-keyout", directory + "/key.pem", "-out", directory + "/chain.pem")
            try #require(made.status == 0, "\(made.errors)")
        }

        deinit {
            // What is left of a test that failed is no second failure.
            try? FileManager.default.removeItem(atPath: directory)
        }

        var files: GatewayOptions.Certificate { .init(chainFile: chain, keyFile: key) }
    }

    /// Both versions, as negotiated: bodies whole, ranges, and links that stay with HTTPS.
    @Test(arguments: [("--http2", "2"), ("--http1.1", "1.1")])
    func negotiated(option: String, version: String) async throws {
        let certificate = try await Certificate()
        var blocks = MemoryBlocks()
        let file = try blocks.addFile(mebibytes: 8)
        try await RunningGateway.run(.serving(blocks)) {
            $0.certificate = certificate.files
        } _: { server in
            func curl(_ path: String, _ more: String...) async throws -> Program.Outcome {
                try await Program.run(
                    ["curl", option, "-sS", "-m", "30", "--cacert", certificate.chain]
                        + more + ["https://localhost:\(server.port)\(path)"])
            }
            let format = "%{http_version} %{http_code} %{size_download}"
            let whole = try await curl(
                "/ipfs/\(file)?format=raw", "-o", "/dev/null", "-w", format)
            #expect(whole.output.hasPrefix("\(version) 200 "), "\(whole)")
            let addressed = try await Program.run(
                "curl", option, "-sS", "-m", "30", "--cacert", certificate.chain, "-w", format,
                "-o", "/dev/null", "https://127.0.0.1:\(server.port)/ipfs/\(file)")
            #expect(addressed.output == "\(version) 200 \(8 << 20)", "\(addressed)")
            let part = try await Program.run(
                "curl", option, "-sS", "-m", "30", "--cacert", certificate.chain, "-w", format,
                "-o", "/dev/null", "-r", "5-14,1048570-1048585",
                "https://127.0.0.1:\(server.port)/ipfs/\(file)")
            #expect(part.output.hasPrefix("\(version) 206 "), "\(part)")
            let redirect = try await curl(
                "/ipfs/\(file)", "-o", "/dev/null", "-w", "%{redirect_url}")
            #expect(
                redirect.output == "https://\(file).ipfs.localhost:\(server.port)/", "\(redirect)")
            let missing = try await curl("/nowhere", "-w", " %{http_code}")
            #expect(missing.output.hasSuffix(" 404"), "\(missing)")
        }
    }

    /// Many answers at a time on one connection, none mixed up with another.
    @Test func streams() async throws {
        let certificate = try await Certificate()
        var blocks = MemoryBlocks()
        let files = (0..<60).map { index in
            blocks.add([UInt8](repeating: UInt8(index), count: 1_000 + 997 * index), .raw)
        }
        try await RunningGateway.run(.serving(blocks)) {
            $0.certificate = certificate.files
        } _: { server in
            let urls = files.map { "https://127.0.0.1:\(server.port)/ipfs/\($0)" }
            let outcome = try await Program.run(
                [
                    "curl", "--http2", "-sS", "-Z", "-m", "30", "--cacert", certificate.chain, "-w",
                    "%{http_version} %{size_download} %{num_connects}\n",
                ] + urls.flatMap { ["-o", "/dev/null", $0] })
            #expect(outcome.status == 0, "\(outcome.errors)")
            let lines = outcome.output.split(separator: "\n").map { $0.split(separator: " ") }
            #expect(lines.allSatisfy { $0[0] == "2" })
            #expect(
                Set(lines.map { String($0[1]) }) == Set((0..<60).map { "\(1_000 + 997 * $0)" }))
        }
    }

    /// HTTP/2 without TLS, by prior knowledge, to a reader that is slow.
    @Test func priorKnowledge() async throws {
        var blocks = MemoryBlocks()
        let file = try blocks.addFile(mebibytes: 4)
        try await RunningGateway.run(.serving(blocks)) { server in
            let outcome = try await Program.run(
                "curl", "--http2-prior-knowledge", "-sS", "-m", "30", "--limit-rate", "16M", "-w",
                "%{http_version} %{http_code} %{size_download}", "-o", "/dev/null",
                "http://127.0.0.1:\(server.port)/ipfs/\(file)")
            #expect(outcome.output == "2 200 \(4 << 20)", "\(outcome)")
        }
    }

    /// Plain HTTP where TLS is spoken, a handshake that stops, and silence after one: all end.
    @Test func noHandshake() async throws {
        let certificate = try await Certificate()
        try await RunningGateway.run(.serving(MemoryBlocks())) {
            $0.certificate = certificate.files
            $0.idleTimeout = .milliseconds(300)
        } _: { server in
            for said in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "\u{16}\u{3}\u{1}"] {
                try await server.connect { connection in
                    try await connection.send(said)
                    #expect(await connection.drain() < 100)
                }
            }
        }
    }

    /// Files that cannot be used are named before anything listens.
    @Test func unusable() async throws {
        let first = try await Certificate()
        let second = try await Certificate()
        let text = first.directory + "/text"
        try Data("no certificate".utf8).write(to: URL(filePath: text))
        let cases: [(chain: String, key: String, error: CertificateError)] = [
            (
                "", first.key,
                .missing(key: "gateway.certificate", although: "gateway.certificate-key")
            ),
            (
                first.chain, "",
                .missing(key: "gateway.certificate-key", although: "gateway.certificate")
            ),
            (
                "/nowhere/a.pem", first.key,
                .unreadable(
                    key: "gateway.certificate", path: "/nowhere/a.pem",
                    reason: "No such file or directory")
            ),
            (text, first.key, .noCertificate(path: text)),
            (first.key, first.key, .noCertificate(path: first.key)),
            (first.chain, text, .noKey(path: text)),
            (first.chain, second.key, .mismatch(certificate: first.chain, key: second.key)),
        ]
        for item in cases {
            var options = GatewayOptions()
            options.certificate = .init(chainFile: item.chain, keyFile: item.key)
            let gateway = try Gateway(.serving(MemoryBlocks()), options: options)
            #expect(throws: item.error) {
                _ = try gateway.server(
                    at: .init(host: "127.0.0.1", port: 0),
                    eventLoops: MultiThreadedEventLoopGroup.singleton,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            }
        }
    }

    /// One key without the other is not taken for plain HTTP.
    @Test func halfConfigured() {
        var configuration = Configuration()
        configuration.gateway.certificateKey = "/a/key.pem"
        #expect(GatewayOptions(configuration).certificate != nil)
    }
}

/// Programs from elsewhere, found in the path.
enum Program {
    struct Outcome: Sendable {
        let status: Int32
        let output: String
        let errors: String
    }

    static func run(_ command: String...) async throws -> Outcome { try await run(command) }

    /// Runs a program to its end without holding up the server that runs in this process.
    static func run(_ command: [String]) async throws -> Outcome {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        let output = Pipe()
        let errors = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in done.resume() }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                done.resume(throwing: error)
            }
        }
        // What these programs print fits a pipe.
        return Outcome(
            status: process.terminationStatus,
            output: String(
                decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self),
            errors: String(
                decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self))
    }
}
