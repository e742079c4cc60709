// Contracts for tests: assembled from text, or compiled from C by the toolchain's clang.

import ContractText
import Foundation
import NIOCore
import Synchronization
import Testing

@testable import WasmEngine

/// What went wrong outside of what is tested.
struct ToolError: Error, CustomStringConvertible {
    let description: String
}

/// A directory that is gone at the end of the test.
final class Workplace: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "weft-engine-\(UUID())").path
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // What is left of a test's files is the system's to remove.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Runs a program that must succeed.
    func run(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["timeout", "600"] + arguments
        process.currentDirectoryURL = URL(filePath: path)
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardError = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw ToolError(description: "\(arguments): \(String(decoding: text, as: UTF8.self))")
        }
    }

    /// The module of a C program, compiled for WASI.
    func compile(_ text: String) throws -> [UInt8] {
        try Data(text.utf8).write(to: URL(filePath: path + "/program.c"))
        try run([
            "clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-nodefaultlibs", "-lc",
            "program.c", "-o", "program.wasm",
        ])
        return try [UInt8](Data(contentsOf: URL(filePath: path + "/program.wasm")))
    }

    /// Whether C programs for WASI can be compiled here.
    static let hasWASI = FileManager.default.fileExists(
        atPath: "/usr/lib/wasm32-wasi/crt1-command.o")
}

/// A contract with the imports of the native interface, and what a test adds.
func contract(_ text: String, pages: String = "1") -> String {
    ContractText.native(text, pages: pages)
}

/// A program of the engine of this process.
func program(_ text: String, cache: CompiledCache? = nil) throws -> Program {
    try Program(try ContractText.assemble(text), engine: try Engine.shared(), cache: cache)
}

extension Program {
    /// Runs it with a request.
    func run(
        _ method: String = "run", gas: Int64 = 10_000_000, limits: RunLimits = RunLimits(),
        control: RunControl = RunControl(), host: any ContractHost = EmptyHost(),
        _ change: (inout ContractRequest) -> Void = { _ in }
    ) async throws -> ContractOutcome {
        var request = ContractRequest(method: method, gas: gas)
        change(&request)
        return try await engine.run(
            self, request, limits: limits, control: control, host: host)
    }
}

extension ContractOutcome {
    /// The body as text.
    var text: String { String(buffer: response.body) }
}

/// A host whose answers a test says.
final class ScriptedHost: ContractHost {
    /// An answer that is there when it is asked for.
    private final class Ready: PendingAnswer {
        let fetch: ContractFetch
        let host: ScriptedHost

        init(_ fetch: ContractFetch, _ host: ScriptedHost) {
            self.fetch = fetch
            self.host = host
        }

        func value() throws -> ContractAnswer {
            host.log.withLock { $0.append("value \(fetch.url)") }
            return try host.answer(fetch)
        }

        func abandon() { host.log.withLock { $0.append("abandon \(fetch.url)") } }
    }

    let answer: @Sendable (ContractFetch) throws -> ContractAnswer
    let log = Mutex<[String]>([])

    init(_ answer: @escaping @Sendable (ContractFetch) throws -> ContractAnswer) {
        self.answer = answer
    }

    func hold(_ bytes: Int) {}

    func begin(_ fetch: ContractFetch) -> any PendingAnswer {
        log.withLock { $0.append("begin \(fetch.url)") }
        return Ready(fetch, self)
    }
}

/// A file in memory, as content from elsewhere.
struct MemoryFile: ContentFile {
    let bytes: [UInt8]

    var size: Int64 { Int64(bytes.count) }

    func read(from offset: Int64, into target: UnsafeMutableRawBufferPointer) {
        target.copyBytes(from: bytes[Int(offset)...].prefix(target.count))
    }

    func read(_ range: Range<Int64>, _ take: (ByteBuffer) throws -> Void) throws {
        try take(ByteBuffer(bytes: bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
    }
}
