// The parts of an answer: media types, names to save under, dates, archives' headers, rules for
// missing pages, and pages that must not let a name become markup.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Testing

@testable import Weft

@Suite struct AnswerParts {
    @Test(arguments: [
        ("a.html", "text/html; charset=utf-8"), ("a.HTML", "text/html; charset=utf-8"),
        ("a.json", "application/json"), ("a.mp4", "video/mp4"), ("a.svg", "image/svg+xml"),
        ("archive.tar", "application/x-tar"), ("a.b.css", "text/css; charset=utf-8"),
    ])
    func typesByName(name: String, type: String) {
        #expect(MediaType.byExtension(of: name) == type)
    }

    @Test(arguments: ["", "a", ".html", "a.", "a.unknown", "a.toolongforanextension"])
    func namesWithoutType(name: String) {
        #expect(MediaType.byExtension(of: name) == nil)
    }

    /// The WHATWG's signatures, and what they must not be mistaken for.
    @Test(arguments: [
        ("  <!DOCTYPE HTML>", "text/html; charset=utf-8"),
        ("<p>hi", "text/html; charset=utf-8"), ("<pre>hi", "text/plain; charset=utf-8"),
        ("<!-- x", "text/html; charset=utf-8"), ("<svg xmlns=", "image/svg+xml"),
        ("<?xml version='1.0'?><a/>", "text/xml; charset=utf-8"),
        ("<?xml version='1.0'?>\n<svg>", "image/svg+xml"),
        ("%PDF-1.7", "application/pdf"), ("GIF89a...", "image/gif"),
        ("{ \"a\": 1 }", "application/json"), ("[1, 2]", "application/json"),
        ("{ not json", "text/plain; charset=utf-8"), ("hello\n", "text/plain; charset=utf-8"),
        ("grüße", "text/plain; charset=utf-8"), ("", "text/plain; charset=utf-8"),
    ])
    func typesByText(text: String, type: String) {
        #expect(MediaType.bySniffing(Array(text.utf8)) == type)
    }

    @Test(
        arguments: [
            ([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], "image/png"),
            ([0xff, 0xd8, 0xff, 0xe0], "image/jpeg"),
            ([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], "application/wasm"),
            ([0x50, 0x4b, 0x03, 0x04], "application/zip"),
            ([0, 0, 0, 0x18] + Array("ftypmp42".utf8), "video/mp4"),
            ([0, 0, 0, 0x18] + Array("ftypavif".utf8), "image/avif"),
            (Array("RIFF....WEBPVP8 ".utf8), "image/webp"),
            ([0x1a, 0x45, 0xdf, 0xa3, 0x42, 0x82, 0x84] + Array("webm".utf8), "video/webm"),
            ([0, 1, 2, 3], "application/octet-stream"),
            ([0xc3], "text/plain"),
        ] as [([UInt8], String)])
    func typesByBytes(bytes: [UInt8], type: String) {
        #expect(MediaType.bySniffing(bytes) == type)
    }

    /// Whoever made the content must not know what divides the parts of an answer.
    @Test func boundaries() {
        struct Nothing: ByteStream {
            mutating func next() async throws -> ByteBuffer? { nil }
        }
        let answers = (0..<2).map { _ in
            MultipartStream([0..<1, 2..<3], of: 3, type: "text/plain") { _ in Nothing() }
        }
        #expect(answers[0].boundary != answers[1].boundary)
        #expect(answers.allSatisfy { 20...70 ~= $0.boundary.utf8.count })
    }

    /// A character cut off by the sniffed part must not make text binary.
    @Test func textThatIsCutOff() {
        let text = Array(String(repeating: "ü", count: 4_000).utf8)
        for cut in 0..<4 {
            let head = text.dropFirst(cut % 2).prefix(MediaType.sniffLength + cut)
            _ = MediaType.bySniffing(Array(head))
        }
        let odd = [UInt8(ascii: "a")] + text
        #expect(MediaType.bySniffing(odd) == "text/plain; charset=utf-8")
    }

    @Test func filenames() {
        func value(_ name: String) -> String {
            ContentDisposition(kind: .attachment, filename: name).value
        }
        #expect(value("a b.txt") == "attachment; filename=\"a b.txt\"")
        #expect(value("a\"\r\nX: y") == "attachment; filename=\"a___X: y\"")
        #expect(
            value("testтест.pdf")
                == "attachment; filename=\"test____.pdf\"; "
                + "filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.pdf")
    }

    @Test(
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"), (-1, nil), (253_402_300_800, nil),
        ] as [(Int64, String?)])
    func dates(seconds: Int64, text: String?) {
        #expect(HTTPDate.text(seconds) == text)
    }

    @Test func tarHeaders() {
        let short = TarFormat.header(path: "a/b", kind: .file(size: 5), mode: nil, mtime: nil)
        #expect(short.count == 512)
        var sum = 0
        for (index, byte) in short.enumerated() {
            sum += (148..<156).contains(index) ? 0x20 : Int(byte)
        }
        let stored = String(decoding: short[148..<154], as: UTF8.self)
        #expect(Int(stored, radix: 8) == sum)
        let long = TarFormat.header(
            path: String(repeating: "ą", count: 200), kind: .directory, mode: 0o700, mtime: 9)
        #expect(long.count == 512 * 3)
        #expect(long[156] == UInt8(ascii: "x"))
        let large = TarFormat.header(
            path: "a", kind: .file(size: 1 << 40), mode: nil, mtime: nil)
        #expect(String(decoding: large, as: UTF8.self).contains(" size=1099511627776\n"))
    }

    @Test func redirectRules() throws {
        let rules = try RedirectRules(
            """
            # comment
            /a /b
            /old/:x/:y /new/:y/:x 302\r
            /files/* https://example.org/:splat 307
            /* /404.html 404
            """)
        #expect(rules.action(for: ["a"]) == .init(target: "/b", status: 301))
        #expect(
            rules.action(for: ["old", "1", "ü"]) == .init(target: "/new/%C3%BC/1", status: 302))
        #expect(
            rules.action(for: ["files", "a", "b"])
                == .init(target: "https://example.org/a/b", status: 307))
        #expect(rules.action(for: ["else"]) == .init(target: "/404.html", status: 404))
        #expect(rules.action(for: []) == .init(target: "/404.html", status: 404))
    }

    @Test(arguments: [
        "/a", "/a /b 301!", "/a /b 600", "a /b", "/a b", "/a/*/b /c", "/a /b 301 x",
        "/a https://example.org 200",
    ])
    func badRules(text: String) {
        #expect(throws: RedirectRules.Problem.self) { try RedirectRules(text) }
    }

    /// A name in a directory is anybody's text; in a page it must stay text.
    @Test func namesStayText() throws {
        let name = "<script>alert(\"1\")</script>&'"
        let cid = CID(.raw, Multihash.sha2_256(of: [UInt8]().span.bytes))
        let request = ContentRequest(
            ContentPath(.ipfs, root: "<b>", segments: ["\"x"], hasTrailingSlash: true), root: cid)
        let page = DirectoryPage(request)
        let entry = DirectoryEntry(name: Array(name.utf8), cid: cid, tsize: 1_500)
        let text = page.opening(cid: "\(cid)", count: 1) + page.row(entry) + page.closing
        #expect(!text.contains("<script>"))
        #expect(!text.contains("<b>"))
        #expect(!text.contains("\"x"))
        #expect(text.contains("1.4 KiB"))
    }
}
