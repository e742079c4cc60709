// Runs the program that the build put beside this test bundle, as a user would.

import Foundation
import Testing

/// What a run of the program came to.
struct Outcome {
    let status: Int32
    let bytes: Data
    let errors: String

    /// Standard output as text, without the last line break.
    var output: String {
        let text = String(decoding: bytes, as: UTF8.self)
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    /// The JSON objects of standard output, one a line.
    func objects() throws -> [[String: Any]] {
        try output.split(separator: "\n").map { line in
            let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
            return try #require(value as? [String: Any], "\(line) is no object")
        }
    }

    /// The one JSON object of standard output.
    func object() throws -> [String: Any] {
        let all = try objects()
        #expect(all.count == 1)
        return try #require(all.first)
    }
}

/// A directory that is gone after the test, with a repository in it.
final class Workplace {
    let directory: URL
    var repository: String { directory.appending(path: "repository").path }

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "weft-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit {
        // What is left of a test that failed is no second failure.
        try? FileManager.default.removeItem(at: directory)
    }

    func path(_ name: String) -> String { directory.appending(path: name).path }

    /// Writes a file, with its folders.
    @discardableResult
    func write(_ name: String, _ content: Data) throws -> String {
        let url = directory.appending(path: name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try content.write(to: url)
        return url.path
    }

    func read(_ name: String) throws -> Data {
        try Data(contentsOf: directory.appending(path: name))
    }

    /// The program's process, ready to start, with its output in files: pipes that nobody reads
    /// would stop it.
    func process(_ arguments: [String], environment: [String: String] = [:]) -> Process {
        let process = Process()
        process.executableURL = DocumentationTests.executable
        process.arguments = arguments
        process.currentDirectoryURL = directory
        var all = ProcessInfo.processInfo.environment
        all["WEFT_HOME"] = repository
        all["NO_COLOR"] = nil
        process.environment = all.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        return process
    }

    /// Runs the program to its end.
    @discardableResult
    func weft(
        _ arguments: String..., input: Data? = nil, environment: [String: String] = [:]
    ) throws -> Outcome {
        try run(process(arguments, environment: environment), input: input)
    }

    /// Runs the program to its end.
    func run(_ arguments: [String]) throws -> Outcome { try run(process(arguments), input: nil) }

    /// Runs a line of shell, in which `weft` is the program.
    func shell(_ line: String) throws -> Outcome {
        let process = process([])
        process.executableURL = URL(filePath: "/bin/bash")
        let weft = DocumentationTests.executable.path
        process.arguments = ["-c", "weft() { '\(weft)' \"$@\"; }\n" + line]
        return try run(process, input: nil)
    }

    private func run(_ process: Process, input: Data?) throws -> Outcome {
        let output = try file("output")
        let errors = try file("errors")
        process.standardOutput = output.handle
        process.standardError = errors.handle
        if let input {
            let name = "input-\(UUID())"
            process.standardInput = try FileHandle(
                forReadingFrom: URL(filePath: try write(name, input)))
        }
        try process.run()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus, bytes: try Data(contentsOf: output.url),
            errors: String(decoding: try Data(contentsOf: errors.url), as: UTF8.self))
    }

    private func file(_ name: String) throws -> (url: URL, handle: FileHandle) {
        let url = directory.appending(path: "\(name)-\(UUID())")
        #expect(FileManager.default.createFile(atPath: url.path, contents: nil))
        return (url, try FileHandle(forWritingTo: url))
    }

    /// Settings with which nobody outside is contacted, and no port is taken unasked.
    func isolate() throws {
        for key in ["routing.delegated", "mesh.bootstrap", "mesh.listen"] {
            #expect(try weft("config", "set", key, "").status == 0)
        }
        #expect(try weft("config", "set", "mesh.port-mapping", "off").status == 0)
        #expect(try weft("config", "set", "mesh.mdns", "off").status == 0)
    }
}

/// A node that runs until it is stopped.
final class RunningNode {
    let process: Process
    let announcement: [String: Any]
    let log: URL

    var gateway: String { announcement["gateway"] as? String ?? "" }
    var api: String { announcement["api"] as? String ?? "" }
    var apiPort: UInt16 { URL(string: api)?.port.flatMap { UInt16($0) } ?? 0 }

    /// Starts a node on ports that the system chooses and waits until it says where it listens.
    init(
        _ place: Workplace, _ arguments: String..., environment: [String: String] = [:]
    ) throws {
        process = place.process(
            [
                "up", "--json", "--gateway", "127.0.0.1:0", "--api", "127.0.0.1:0",
                "--no-port-mapping",
            ] + arguments, environment: environment)
        log = URL(filePath: place.path("node-\(UUID()).log"))
        #expect(FileManager.default.createFile(atPath: log.path, contents: nil))
        let output = Pipe()
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        var line = Data()
        while !line.contains(0x0a) {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            line += more
        }
        let text = try String(contentsOf: log, encoding: .utf8)
        let object = try? JSONSerialization.jsonObject(with: line) as? [String: Any]
        announcement = try #require(object, "the node did not start: \(text)")
    }

    deinit { if process.isRunning { process.terminate() } }

    /// Asks the node to stop and waits; answers how long that took.
    @discardableResult
    func stop(_ signal: Int32 = SIGTERM) -> Duration {
        let start = ContinuousClock.now
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        return start.duration(to: ContinuousClock.now)
    }
}

/// One exchange over a socket, byte by byte as a test wants it.
enum RawHTTP {
    /// Nobody listens.
    struct Unreachable: Error {
        let port: UInt16
    }

    /// Sends bytes to a loopback port and reads until the other side closes.
    static func exchange(_ port: UInt16, _ request: Data) throws -> String {
        let descriptor = try begin(port, request)
        defer { close(descriptor) }
        var answer = Data()
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { break }
            answer += buffer[..<count]
        }
        return String(decoding: answer, as: UTF8.self)
    }

    /// Sends bytes to a loopback port and leaves the connection open, for the caller to close.
    static func begin(_ port: UInt16, _ request: Data) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var patience = timeval(tv_sec: 240, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            close(descriptor)
            throw Unreachable(port: port)
        }
        request.withUnsafeBytes {
            _ = send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        return descriptor
    }

    /// Sends a request with these headers and this body; the connection closes after it.
    static func request(
        _ port: UInt16, _ method: String = "POST", _ target: String, host: String? = nil,
        headers: [String] = [], body: Data = Data()
    ) throws -> String {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: \(host ?? "127.0.0.1:\(port)")"]
        lines += headers + ["Content-Length: \(body.count)", "Connection: close", "", ""]
        return try exchange(port, Data(lines.joined(separator: "\r\n").utf8) + body)
    }
}
