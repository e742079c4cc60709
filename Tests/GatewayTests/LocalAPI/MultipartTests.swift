// Multipart bodies, as client libraries send them and as attackers might.

import NIOCore
import Testing
import Wire

@testable import Gateway

@Suite struct MultipartTests {
    private static let type = "multipart/form-data; boundary=\"xyz\""
    private static let body = """
        preamble\r
        --xyz\r
        Content-Disposition: form-data; name="file"; filename="dir%2Fa%20b.txt"\r
        Content-Type: application/octet-stream\r
        \r
        one\r\n--xy\r
        --xyz\r
        content-disposition: form-data; filename=dir\r
        Content-Type: application/x-directory\r
        \r
        \r
        --xyz--\r
        epilogue
        """

    /// What a parser says about a body that arrives in pieces of a size.
    private static func parts(
        _ body: String, pieces: Int
    ) throws -> [(part: MultipartParser.Part, content: String)] {
        var parser = try MultipartParser(contentType: type)
        var parts: [(part: MultipartParser.Part, content: String)] = []
        var rest = ByteBuffer(string: body)
        while true {
            switch try parser.next() {
            case .part(let part): parts.append((part, ""))
            case .data(let data): parts[parts.count - 1].content += String(buffer: data)
            case .endOfPart: break
            case .end: return parts
            case .needMore:
                let length = min(pieces, rest.readableBytes)
                guard length > 0, let piece = rest.readSlice(length: length) else { return parts }
                parser.feed(piece)
            }
        }
    }

    @Test(
        "a body means the same however it is cut",
        arguments: [1, 2, 3, 5, 7, 11, 64, 100_000])
    func pieces(size: Int) throws {
        let parts = try Self.parts(Self.body, pieces: size)
        #expect(parts.count == 2)
        #expect(parts[0].part.fileName == "dir/a b.txt")
        #expect(parts[0].content == "one\r\n--xy")
        #expect(parts[1].part.fileName == "dir")
        #expect(parts[1].part.contentType == "application/x-directory")
        #expect(parts[1].content == "")
    }

    @Test("a body that ends early is never complete")
    func truncated() throws {
        let end = Self.body.utf8.count - "--\r\nepilogue".utf8.count
        for length in 0..<end {
            var parser = try MultipartParser(contentType: Self.type)
            parser.feed(ByteBuffer(bytes: Array(Self.body.utf8.prefix(length))))
            while true {
                let event = try parser.next()
                #expect(event != .end)
                if event == .needMore || event == .end { break }
            }
            #expect(!parser.isComplete)
        }
    }

    @Test(
        "what is no multipart type is refused",
        arguments: [
            "", "text/plain", "multipart/form-data", "multipart/form-data; boundary=",
            "multipart/form-data; boundary=" + String(repeating: "x", count: 71),
        ])
    func types(type: String) {
        #expect(throws: MultipartError.self) { try MultipartParser(contentType: type) }
    }

    @Test("headers that never end are refused before they fill the memory")
    func endlessHeaders() throws {
        var parser = try MultipartParser(contentType: Self.type)
        parser.feed(ByteBuffer(string: "--xyz\r\n"))
        #expect(throws: MultipartError.self) {
            for _ in 0..<10_000 {
                parser.feed(ByteBuffer(string: "a: b\r\n"))
                _ = try parser.next()
            }
        }
    }

    @Test("noise never crashes the parser")
    func noise() throws {
        var generator = SeededGenerator(seed: 7)
        let alphabet = Array("\r\n-xyz:a\"; =%\0".utf8)
        for _ in 0..<2_000 {
            var parser = try MultipartParser(contentType: Self.type)
            let length = Int.random(in: 0..<200, using: &generator)
            let bytes = (0..<length).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            parser.feed(ByteBuffer(bytes: bytes))
            // Refusing is as good as reading; only a trap or a loop would be a fault.
            for _ in 0..<length + 2 {
                guard let event = try? parser.next(), event != .needMore, event != .end else {
                    break
                }
            }
        }
    }
}
