// A node that is told to stop while it has much to do.

import Foundation
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(10))) struct StopTests {
    /// Additions over the RPC by a thread of its own, until the node refuses one.
    private final class Adder: Sendable {
        let acknowledged = Mutex<[String]>([])
        let progress = DispatchSemaphore(value: 0)
        let ended = DispatchSemaphore(value: 0)

        func start(_ port: UInt16) {
            Thread.detachNewThread { [self] in
                var number = 0
                while let cid = add("content \(number)", port) {
                    acknowledged.withLock { $0.append(cid) }
                    progress.signal()
                    number += 1
                }
                ended.signal()
            }
        }

        /// The CID of what was added; nil if the node did not say one.
        private func add(_ text: String, _ port: UInt16) -> String? {
            let disposition = #"Content-Disposition: form-data; name="file"; filename="a.txt""#
            let form = Data("--b\r\n\(disposition)\r\n\r\n\(text)\r\n--b--\r\n".utf8)
            let type = "Content-Type: multipart/form-data; boundary=b"
            // A node that has gone is how this ends.
            let answer = try? RawHTTP.request(
                port, "POST", "/api/v0/add", headers: [type], body: form)
            guard let found = answer?.firstRange(of: #""Hash":""#), let answer else { return nil }
            return String(answer[found.upperBound...].prefix { $0 != "\"" })
        }
    }

    @Test(
        "a node stops within 5 s in the midst of work, and keeps what it acknowledged",
        arguments: [SIGTERM, SIGINT])
    func underLoad(signal: Int32) throws {
        let place = try Workplace()
        try place.isolate()
        let large = try place.weft("add", "-q", try place.write("large", Data(count: 64 << 20)))
        let node = try RunningNode(place)

        // A silent client, downloads that stand still, one that goes on, one over HTTP/2.
        let port = try #require(URL(string: node.gateway)?.port.flatMap { UInt16($0) })
        let request = "GET /ipfs/\(large.output) HTTP/1.1\r\nHost: a\r\n\r\n"
        let silent = [try RawHTTP.begin(port, Data()), try RawHTTP.begin(node.apiPort, Data())]
        let stalled = try (0..<4).map { _ in try RawHTTP.begin(port, Data(request.utf8)) }
        defer { for descriptor in silent + stalled { close(descriptor) } }
        let downloads = [["--http1.1"], ["--http2-prior-knowledge"]].map { option in
            let curl = place.process([])
            curl.executableURL = URL(filePath: "/usr/bin/env")
            curl.arguments =
                ["curl", "-s", "--limit-rate", "4M", "-o", "/dev/null"] + option
                + ["\(node.gateway)/ipfs/\(large.output)"]
            return curl
        }
        for download in downloads { try download.run() }
        defer { for download in downloads where download.isRunning { download.terminate() } }

        // An upload whose end does not come, and additions that are acknowledged one by one.
        let unfinished = place.process(["add", "-q", "-"])
        let input = Pipe()
        unfinished.standardInput = input
        unfinished.standardOutput = FileHandle.nullDevice
        unfinished.standardError = FileHandle.nullDevice
        try unfinished.run()
        try input.fileHandleForWriting.write(contentsOf: Data(count: 3 << 20))
        let adder = Adder()
        adder.start(node.apiPort)
        for _ in 0..<20 { try #require(adder.progress.wait(timeout: .now() + 240) == .success) }

        #expect(node.stop(signal) < .seconds(20))
        #expect(node.process.terminationStatus == 0)
        #expect(node.process.terminationReason == .exit)
        let log = try String(contentsOf: node.log, encoding: .utf8)
        #expect(!log.contains("did not end in time"), "something hung: \(log)")
        #expect(adder.ended.wait(timeout: .now() + 240) == .success)
        try input.fileHandleForWriting.close()
        unfinished.waitUntilExit()
        #expect(unfinished.terminationStatus != 0)

        let check = try place.weft("repo", "check")
        #expect(check.status == 0, "\(check.output)\(check.errors)")
        let pins = try place.weft("pin", "ls").output
        for cid in adder.acknowledged.withLock({ $0 }) {
            #expect(pins.contains(cid), "\(cid) was acknowledged")
        }
        for (number, cid) in adder.acknowledged.withLock({ $0 }).enumerated().suffix(3) {
            #expect(try place.weft("cat", cid).output == "content \(number)")
        }
    }
}
