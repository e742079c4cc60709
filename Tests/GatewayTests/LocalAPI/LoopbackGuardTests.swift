// Who may use the local API's port: programs of this machine, and no web page.

import HTTPTypes
import NIOCore
import Testing

@testable import Gateway

@Suite struct LoopbackGuardTests {
    private static func request(_ host: String?, _ fields: HTTPFields = [:]) -> HTTPRequest {
        HTTPRequest(
            method: .post, scheme: "http", authority: host, path: "/api/v0/id",
            headerFields: fields)
    }

    @Test(
        "loopback names are let in",
        arguments: ["127.0.0.1", "127.0.0.1:5001", "localhost:80", "[::1]:5001", "127.9.9.9"])
    func loopback(host: String) {
        #expect(LoopbackGuard.refusal(of: Self.request(host)) == nil)
    }

    @Test(
        "names that a web page could point here are refused",
        arguments: [
            "evil.example", "evil.example:5001", "127.0.0.1.evil.example", "localhost.evil", "",
            "10.0.0.1", "0.0.0.0:5001", "[::2]:5001", "[::1].evil:1", "127.0.0.1:5001:1",
            "127.0.0.1:x", "2130706433", "127.1", "[::1", "127.0.0.01x",
        ])
    func rebinding(host: String) {
        #expect(LoopbackGuard.refusal(of: Self.request(host))?.status == .forbidden)
    }

    @Test("a request without a host is refused")
    func noHost() {
        #expect(LoopbackGuard.refusal(of: Self.request(nil)) != nil)
    }

    @Test(
        "requests that a browser marks as a page's are refused",
        arguments: [
            ("Origin", "https://evil.example"), ("Origin", "null"),
            ("Origin", "http://127.0.0.1.evil.example"), ("Referer", "http://evil.example/a"),
            ("Origin", "https://localhost"), ("Sec-Fetch-Site", "cross-site"),
        ])
    func pages(name: String, value: String) throws {
        let field = try #require(HTTPField.Name(name), "no name")
        let request = Self.request("127.0.0.1:5001", [field: value])
        #expect(LoopbackGuard.refusal(of: request)?.status == .forbidden)
    }

    @Test("pages of this machine are let in")
    func ownPages() {
        let request = Self.request("localhost:5001", [.origin: "http://localhost:3000"])
        #expect(LoopbackGuard.refusal(of: request) == nil)
    }
}

@Suite struct FrameTests {
    private static let frames = [
        Frame(.head, ByteBuffer(string: "{}")), Frame(.data, ByteBuffer(string: "content")),
        Frame(.trace, ByteBuffer(string: "[]")), Frame(.end),
    ]

    private static let bytes: ByteBuffer = {
        var bytes = ByteBuffer()
        for frame in frames {
            bytes.writeImmutableBuffer(frame.header)
            bytes.writeImmutableBuffer(frame.payload)
        }
        return bytes
    }()

    @Test("a stream means the same however it is cut", arguments: [1, 2, 3, 6, 1000])
    func pieces(size: Int) throws {
        var reader = FrameReader()
        var rest = Self.bytes
        var content = ""
        var kinds: [Frame.Kind] = []
        while rest.readableBytes > 0 {
            let piece = rest.readSlice(length: min(size, rest.readableBytes))
            reader.feed(try #require(piece))
            while let frame = try reader.next() {
                if frame.kind == .data { content += String(buffer: frame.payload) }
                if kinds.last != frame.kind { kinds.append(frame.kind) }
            }
        }
        #expect(content == "content")
        #expect(kinds == [.head, .data, .trace, .end])
        #expect(reader.isComplete)
    }

    @Test("a stream that breaks off is not complete")
    func truncated() throws {
        for length in 0..<Self.bytes.readableBytes {
            var reader = FrameReader()
            let part = Self.bytes.getSlice(at: 0, length: length)
            reader.feed(try #require(part))
            while try reader.next() != nil {}
            #expect(!reader.isComplete)
        }
    }

    @Test("frames that make no sense are refused")
    func nonsense() {
        var reader = FrameReader()
        reader.feed(ByteBuffer(bytes: [0x78, 0, 0, 0, 0]))
        #expect(throws: FrameError.self) { try reader.next() }
        reader = FrameReader()
        reader.feed(ByteBuffer(bytes: [0x68, 0xff, 0xff, 0xff, 0xff]))
        #expect(throws: FrameError.self) { try reader.next() }
    }
}

@Suite struct MetricsTests {
    @Test("counters and histograms are written as Prometheus reads them")
    func exposition() {
        let metrics = Metrics()
        metrics.count(.requests, #"server="api",status="2xx""#, by: 2)
        metrics.observe(.requestSeconds, #"server="api""#, .milliseconds(7))
        let text = metrics.exposition(readings: [.init("weft_store_bytes", help: "Size.", 12)])
        #expect(text.contains("weft_http_requests_total{server=\"api\",status=\"2xx\"} 2\n"))
        #expect(text.contains("weft_store_bytes 12\n"))
        let name = "weft_http_request_duration_seconds"
        #expect(text.contains("\(name)_bucket{server=\"api\",le=\"0.005\"} 0\n"))
        #expect(text.contains("\(name)_bucket{server=\"api\",le=\"0.01\"} 1\n"))
        #expect(text.contains("\(name)_bucket{server=\"api\",le=\"+Inf\"} 1\n"))
        #expect(text.contains("\(name)_count{server=\"api\"} 1\n"))
    }

    @Test("label values that an attacker chooses cannot fill the memory")
    func bounded() {
        let metrics = Metrics()
        for index in 0..<2 * Metrics.maxSeries {
            metrics.count(.requests, #"status="\#(index)""#)
        }
        let lines = metrics.exposition(readings: []).split(separator: "\n")
        #expect(lines.count < 2 * Metrics.maxSeries)
    }
}
