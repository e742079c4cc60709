// Where content is cut decides CIDs, so the cuts are held against an implementation straight from
// the definitions, and must not depend on how the bytes arrive.

import IPLD
import TestSupport
import Testing
import Wire

struct ChunkVector: CustomTestStringConvertible, Sendable {
    let chunker: String
    let size: Int
    let chunks: [Int]

    var testDescription: String { "\(chunker) of \(size) bytes" }

    static let all: [ChunkVector] = Vectors.objects("unixfs/chunks.json").compactMap { object in
        guard let chunker = object["chunker"] as? String, let size = object["size"] as? Int,
            let chunks = object["chunks"] as? [Int]
        else { return nil }
        return ChunkVector(chunker: chunker, size: size, chunks: chunks)
    }
}

/// The sizes of the pieces when `content` arrives in parts of these sizes, over and over.
private func pieces(
    of content: [UInt8], _ chunker: Chunker, arriving parts: [Int]
) -> [Int] {
    var splitter = Splitter(chunker)
    var sizes: [Int] = []
    var current = 0
    var offset = 0
    var turn = 0
    while offset < content.count {
        var part = Array(content[offset..<min(offset + parts[turn % parts.count], content.count)])
        offset += part.count
        turn += 1
        while let end = splitter.cut(part.rawSpan) {
            sizes.append(current + end)
            current = 0
            part.removeFirst(end)
            if part.isEmpty { break }
        }
        current += part.count
    }
    if current > 0 { sizes.append(current) }
    return sizes
}

@Suite struct ChunkerTests {
    @Test func allVectorsAreThere() {
        #expect(ChunkVector.all.count == 9)
    }

    @Test("cuts are where the definition puts them", arguments: ChunkVector.all)
    func vectors(vector: ChunkVector) throws {
        var stream = ChaCha20(seed: "chunks")
        let content = stream.read(vector.size)
        let chunker = try #require(Chunker(vector.chunker))
        #expect(pieces(of: content, chunker, arriving: [vector.size]) == vector.chunks)
        #expect(pieces(of: content, chunker, arriving: [65_537, 4096, 31]) == vector.chunks)
        #expect(vector.chunks.allSatisfy { $0 <= chunker.maximum })
    }

    @Test(
        "cuts do not depend on how the bytes arrive",
        arguments: ["size-1", "size-7", "size-300", "rabin-16-32-64", "rabin-100-200-300"])
    func incremental(text: String) throws {
        let chunker = try #require(Chunker(text))
        var noise = Noise(seed: 5)
        for _ in 0..<20 {
            let content = noise.bytes(upTo: 2000)
            let whole = pieces(of: content, chunker, arriving: [2000])
            #expect(whole.reduce(0, +) == content.count)
            for parts in [[1], [2, 3, 5], [64, 1, 299], [17]] {
                #expect(pieces(of: content, chunker, arriving: parts) == whole)
            }
        }
    }

    /// Zeros hash to zero, so that every piece has the least length (whyrusleeping/chunker tests
    /// the same).
    @Test func zeros() throws {
        let chunker = try #require(Chunker("rabin-512-1024-2048"))
        let sizes = pieces(of: [UInt8](repeating: 0, count: 2048), chunker, arriving: [2048])
        #expect(sizes == [512, 512, 512, 512])
    }

    @Test func aCopyStartsAfresh() {
        let fresh = Splitter(.rabin(minimum: 16, average: 32, maximum: 64))
        var first = fresh
        let content = [UInt8](repeating: 1, count: 200)
        let cut = first.cut(content.rawSpan)
        var second = fresh
        #expect(second.cut(content.rawSpan) == cut)
    }

    @Test(arguments: [
        ("size-262144", "size-262144"), ("size-2096896", "size-2096896"), ("size-1", "size-1"),
        ("rabin", "rabin-87381-262144-393216"), ("rabin-1000", "rabin-333-1000-1500"),
        ("rabin-16-17-18", "rabin-16-17-18"), ("buzhash", "buzhash"),
    ])
    func reads(text: String, meaning: String) throws {
        #expect(try #require(Chunker(text)).description == meaning)
    }

    @Test(arguments: [
        "", "size", "size-", "size-0", "size--1", "size-2096897", "size-1-2", "size-x", "size-1 ",
        "size-99999999999999999999", "rabin-12-512-1024", "rabin-512-512-1024",
        "rabin-512-1024-1024", "rabin-1-2", "rabin-47", "rabin-16-32-2096897", "rabin-9999999",
        "buzhash-1", "buzz", "default",
    ])
    func refuses(text: String) {
        #expect(Chunker(text) == nil)
    }
}
