// The parts of a request that bear on the answer: ranges, entity tags, paths, queries, formats.

import HTTPTypes
import Testing
import Wire

@testable import Weft

@Suite struct RequestParts {
    /// RFC 9110, section 14: which bytes a field means, and which fields are ignored.
    @Test(arguments: [
        ("bytes=0-0", ByteRanges.parts([0..<1])),
        ("bytes=0-", .parts([0..<100])),
        ("bytes=90-200", .parts([90..<100])),
        ("bytes=-10", .parts([90..<100])),
        ("bytes=-1000", .parts([0..<100])),
        ("bytes=5-6, 1-2", .parts([5..<7, 1..<3])),
        ("Bytes=1-2", .parts([1..<3])),
        ("bytes=100-", .unsatisfiable),
        ("bytes=-0", .unsatisfiable),
        ("bytes=200-300,50-60", .parts([50..<61])),
        ("bytes=6-5", .whole),
        ("bytes=a-b", .whole),
        ("bytes=", .unsatisfiable),
        ("bytes=+1-2", .whole),
        ("bytes=1", .whole),
        ("lines=1-2", .whole),
        ("bytes=99999999999999999999-", .whole),
        ("bytes=0-99,0-99", .whole),
        ("bytes=" + (0..<40).map { "\($0)-\($0)" }.joined(separator: ","), .whole),
    ])
    func ranges(field: String, expected: ByteRanges) {
        #expect(ByteRanges(field, size: 100) == expected)
    }

    @Test func nothingOfNothing() {
        #expect(ByteRanges("bytes=0-", size: 0) == .unsatisfiable)
        #expect(ByteRanges(nil, size: 0) == .whole)
    }

    /// The length of a range may be more than an `Int` can say.
    @Test func rangesOfTheLargestSizes() {
        #expect(ByteRanges("bytes=0-", size: .max) == .parts([0..<UInt64.max]))
        #expect(ByteRanges("bytes=0-9, 20-", size: .max) == .parts([0..<10, 20..<UInt64.max]))
        #expect(ByteRanges("bytes=0-9, 0-", size: .max) == .whole)
    }

    /// Noise in a header must neither crash nor give a range outside the content.
    @Test func noiseInRanges() {
        var generator = SeededGenerator(seed: 7)
        let alphabet = Array("bytes=0123456789-, ,=a\u{e9}")
        for _ in 0..<5_000 {
            let length = Int.random(in: 0...24, using: &generator)
            let text = String((0..<length).map { _ in alphabet.randomElement(using: &generator)! })
            if case .parts(let parts) = ByteRanges("bytes=" + text, size: 50) {
                #expect(parts.allSatisfy { !$0.isEmpty && $0.upperBound <= 50 })
            }
        }
    }

    @Test(arguments: [
        ("\"a\"", true), ("W/\"a\"", true), ("*", true), ("\"b\", \"a\"", true),
        ("\"b\",W/\"a\"", true), ("\"b\"", false), ("a", false), ("\"a", false), ("", false),
        ("\"aa\"", false), ("\"b\" \"a\"", true),
    ])
    func entityTags(field: String, matches: Bool) {
        #expect(EntityTag.matches(field, "\"a\"") == matches)
        #expect(EntityTag.matches(field, "W/\"a\"") == matches)
    }

    @Test func paths() throws {
        let path = try ContentPath(encoded: "/ipfs/bafy//a%20b/%C4%85/")
        #expect(path.namespace == .ipfs)
        #expect(path.root == "bafy")
        #expect(path.segments == ["a b", "ą"])
        #expect(path.hasTrailingSlash)
        #expect(path.encoded == "/ipfs/bafy/a%20b/%C4%85/")
        #expect(try ContentPath(encoded: path.encoded) == path)
    }

    @Test(arguments: [
        "", "/", "/ipfs", "/ipfs/", "ipfs/bafy", "/ipld/bafy", "/ipfs/a/../b", "/ipfs/a/%2e%2e",
        "/ipfs/a/.", "/ipfs/a/%", "/ipfs/a/%zz", "/ipfs/a/%ff", "/ipfs/a/%00", "/ipfs/a/b%2fc",
    ])
    func badPaths(text: String) {
        #expect(throws: ContentError.self) { try ContentPath(encoded: text) }
    }

    @Test func longPaths() {
        let deep = "/ipfs/a" + String(repeating: "/b", count: ContentPath.maxSegments + 1)
        #expect(throws: ContentError.self) { try ContentPath(encoded: deep) }
        let long = "/ipfs/a/" + String(repeating: "b", count: ContentPath.maxLength)
        #expect(throws: ContentError.self) { try ContentPath(encoded: long) }
    }

    /// Whatever can be a name comes back from its encoded form.
    @Test func percentCodingRoundTrip() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<2_000 {
            let scalars = (0..<Int.random(in: 0...8, using: &generator)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 1...0x2fff, using: &generator))
            }
            let text = String(String.UnicodeScalarView(scalars))
            for context in [PercentCoding.Context.pathSegment, .parameter] {
                let encoded = PercentCoding.encode(text, for: context)
                #expect(encoded.utf8.allSatisfy { (0x21...0x7e).contains($0) })
                #expect(PercentCoding.decode(encoded)?.utf8.elementsEqual(text.utf8) ?? false)
            }
        }
    }

    @Test func queries() {
        let query = QueryItems("a=1&a=2&b=x%20y+z&c&%zz=1&d=%ff")
        #expect(query["a"] == "1")
        #expect(query["b"] == "x y z")
        #expect(query["c"] == "")
        #expect(query["d"] == nil)
        #expect(query["e"] == nil)
    }

    /// IPIP-523: the URL beats the header.
    @Test func formats() throws {
        func format(_ query: String, _ accept: String?) throws -> ResponseFormat? {
            try AcceptedFormat(query: QueryItems(query), accept: accept).format
        }
        #expect(try format("", nil) == nil)
        #expect(try format("format=raw", "application/vnd.ipld.car") == .raw)
        #expect(try format("", "text/html,application/vnd.ipld.car; order=dfs") == .car)
        #expect(try format("", "application/vnd.ipld.car;q=0, */*") == nil)
        #expect(throws: ContentError.self) { try format("format=zip", nil) }
    }

    @Test(arguments: [
        "car-version=2", "car-order=bfs", "car-dups=maybe", "dag-scope=none", "entity-bytes=1",
        "entity-bytes=a:b", "entity-bytes=5:1", "entity-bytes=:", "entity-bytes=1:2:3",
    ])
    func badArchives(query: String) {
        #expect(throws: ContentError.self) {
            try CARRequest(query: QueryItems(query), parameters: [])
        }
    }

    /// Two archives that differ must not have one entity tag.
    @Test func archiveTagsDiffer() throws {
        let queries = [
            "", "dag-scope=block", "dag-scope=entity", "entity-bytes=0:*", "entity-bytes=0:5",
            "entity-bytes=-5:*", "car-dups=y",
        ]
        let tags = try queries.map {
            try CARRequest(query: QueryItems($0), parameters: []).digest(of: ["a"])
        }
        #expect(Set(tags).count == queries.count)
        let other = try CARRequest(query: QueryItems(""), parameters: []).digest(of: ["b"])
        #expect(!tags.contains(other))
    }
}
