// Compiled code on disk: used again, made again when it is damaged, and kept within its limit.

import Foundation
import NIOCore
import Testing

@testable import WasmEngine

@Suite struct CacheTests {
    static let text = contract(
        """
        (data (i32.const 0) "hello")
        (func (export "run") (call $write (i32.const 0) (i32.const 5)))
        """)

    static func files(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    }

    @Test("what was compiled is taken from disk, and gives the same")
    func reuse() async throws {
        let place = try Workplace()
        let cache = CompiledCache(place.path + "/compiled", maxBytes: 100 << 20)
        let first = try program(Self.text, cache: cache)
        let files = try Self.files(place.path + "/compiled")
        #expect(files.count == 1)
        let entry = try #require(cache.load(files[0]))
        #expect(entry.facts == first.facts)
        let second = try program(Self.text, cache: cache)
        #expect(second.facts == first.facts)
        #expect(try await second.run().text == "hello")
        #expect(try await second.run().gas == (try await first.run().gas))
    }

    @Test("what is damaged is compiled again", arguments: [0, 1, 40, 100, -1])
    func damage(place: Int) async throws {
        let folder = try Workplace()
        let cache = CompiledCache(folder.path + "/compiled", maxBytes: 100 << 20)
        _ = try program(Self.text, cache: cache)
        let name = try #require(try Self.files(folder.path + "/compiled").first)
        let file = URL(filePath: folder.path + "/compiled/" + name)
        let good = try Data(contentsOf: file)
        var bad = good
        if place < 0 { bad.removeLast(100) } else { bad[place] ^= 1 }
        try bad.write(to: file)
        #expect(cache.load(name) == nil)
        #expect(try await program(Self.text, cache: cache).run().text == "hello")
        #expect(cache.load(name) != nil)
    }

    @Test("the least recently used goes when there is no room")
    func room() async throws {
        let place = try Workplace()
        let directory = place.path + "/compiled"
        func text(_ status: Int) -> String {
            contract("(func (export \"run\") (call $respond (i32.const \(status))))")
        }
        let one = CompiledCache(directory, maxBytes: 100 << 20)
        _ = try program(text(199), cache: one)
        let size = try #require(
            try FileManager.default.attributesOfItem(
                atPath: directory + "/" + (try Self.files(directory))[0])[.size] as? Int)
        let small = CompiledCache(directory, maxBytes: UInt64(size * 5 / 2))
        for index in 0..<4 {
            let program = try program(text(200 + index), cache: small)
            #expect(try await program.run().response.status == Int32(200 + index))
            #expect(try Self.files(directory).count <= 2)
        }
        let tiny = CompiledCache(directory, maxBytes: 100)
        #expect(try await program(Self.text, cache: tiny).run().text == "hello")
    }
}
