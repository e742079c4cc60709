// A node as a process: it starts, stops, is killed, is not doubled, and what goes on meanwhile.

import Foundation
import Testing

@Suite struct NodeTests {
    @Test("a node says where it listens, and stops within 5 s", arguments: [SIGTERM, SIGINT])
    func stops(signal: Int32) throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place, "--listen", "/ip4/127.0.0.1/tcp/0")
        #expect((node.announcement["peer"] as? String)?.hasPrefix("12D3Koo") == true)
        let listening = node.announcement["listen"] as? [String]
        #expect(listening?.count == 1)
        #expect(listening?.first?.hasPrefix("/ip4/127.0.0.1/tcp/") == true)
        #expect(node.gateway.hasPrefix("http://127.0.0.1:"))
        let socket = place.path("repository/api.sock")
        let attributes = try FileManager.default.attributesOfItem(atPath: socket)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        // A client that keeps its connection open must not hold the node up.
        let idle = socketConnected(to: node.apiPort)
        defer { close(idle) }
        #expect(node.stop(signal) < .seconds(20))
        #expect(node.process.terminationStatus == 0)
        #expect(!FileManager.default.fileExists(atPath: socket))
    }

    @Test("a second node on a repository is refused, and names the first")
    func doubled() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        let second = try place.weft("up", "--gateway", "127.0.0.1:0")
        #expect(second.status == 1)
        #expect(second.errors.contains(String(node.process.processIdentifier)))
        #expect(try place.weft("id", "--json").object()["running"] as? Bool == true)
    }

    @Test("a certificate that cannot be used is named, and nothing listens")
    func badCertificate() throws {
        let place = try Workplace()
        try place.isolate()
        let file = try place.write("text.pem", Data("no certificate".utf8))
        #expect(try place.weft("config", "set", "gateway.certificate-key", file).status == 0)
        let half = try place.weft("up", "--gateway", "127.0.0.1:0")
        #expect(half.status == 1)
        #expect(half.errors.contains("'gateway.certificate' is empty"), "\(half.errors)")
        #expect(try place.weft("config", "set", "gateway.certificate", file).status == 0)
        let outcome = try place.weft("up", "--gateway", "127.0.0.1:0")
        #expect(outcome.status == 1)
        #expect(outcome.output == "")
        #expect(outcome.errors.contains("\(file), which holds no certificate"), "\(outcome.errors)")
    }

    @Test("a place for the local API that is not on loopback is refused in a sentence")
    func strangeAPIAddress() throws {
        let place = try Workplace()
        try place.isolate()
        // It begins as loopback addresses do.
        let outcome = try place.weft("up", "--gateway", "127.0.0.1:0", "--api", "127.1:0")
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("weft: the local API listens on loopback alone"))
        #expect(outcome.errors.contains("not on '127.1' (api.address)"), "\(outcome.errors)")
    }

    @Test("commands that need the repository at the same time wait for each other")
    func together() throws {
        let place = try Workplace()
        try place.isolate()
        let outcome = try place.shell(
            "for i in 1 2 3 4; do echo $i | weft add -q - & done; wait; weft pin ls")
        #expect(outcome.errors == "")
        #expect(outcome.output.split(separator: "\n").count == 8)
    }

    @Test("what was added survives SIGKILL, and the socket left behind does no harm")
    func killed() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        let content = Data((0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13 >> 2) })
        let cid = try place.weft("add", "-q", try place.write("file", content)).output
        node.stop(SIGKILL)
        #expect(FileManager.default.fileExists(atPath: place.path("repository/api.sock")))
        #expect(try place.weft("cat", cid).bytes == content)
        let again = try RunningNode(place)
        defer { again.stop() }
        #expect(try place.weft("cat", cid).bytes == content)
        #expect(try place.weft("repo", "check").status == 0)
    }

    @Test("a reader that goes away ends the program without a word")
    func brokenPipe() throws {
        let place = try Workplace()
        try place.isolate()
        try place.write("file", Data(count: 8 << 20))
        let outcome = try place.shell("weft cat $(weft add -q file) | head -c 10 | wc -c")
        #expect(outcome.output.contains("10"))
        #expect(outcome.errors == "")
    }

    @Test("health and metrics can be asked for, and count")
    func metrics() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        try place.weft("add", "-q", "-", input: Data("x".utf8))
        #expect(try RawHTTP.request(node.apiPort, "GET", "/healthz").hasSuffix("ok\n"))
        let text = try RawHTTP.request(node.apiPort, "GET", "/metrics")
        #expect(text.contains("weft_http_requests_total{server=\"socket\",status=\"2xx\"}"))
        #expect(text.contains("weft_store_max_bytes "))
        #expect(text.contains("weft_http_request_duration_seconds_bucket"))
    }

    private func socketConnected(to port: UInt16) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return descriptor
    }

    /// A node that hangs takes connections and never answers: commands say so, and whom to end.
    @Test("a command does not wait for ever for a node that hangs") func hanging() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        let number = node.process.processIdentifier
        kill(number, SIGSTOP)
        let said = try place.weft("pin", "ls")
        kill(number, SIGCONT)
        #expect(said.status == 1)
        #expect(said.errors.contains("(process \(number)) does not answer"), "\(said.errors)")
        #expect(try place.weft("pin", "ls").status == 0)
        node.stop()
    }
}
