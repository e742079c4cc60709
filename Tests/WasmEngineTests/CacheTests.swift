// Compiled code on disk: used again, made again when it is damaged, and kept within its limit.

import ContractText
import Foundation
import Multiformats
import NIOCore
import Testing
import WasmRules
import Wire

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

    /// Whoever changes what an instrumented module is raises the version: code that was compiled
    /// before would give other outcomes than that of other nodes.
    @Test("compiled code is told apart by the rules that it was made by")
    func version() throws {
        let module = try ContractText.assemble(ContractText.native(Self.everything))
        let hash = Multihash.sha2_256(of: try InstrumentedModule(module).bytes.rawSpan)
        let text = "\(CID(.raw, hash))"
        #expect(Engine.version.hasSuffix("-rules-1-4"))
        #expect(text == "bafkreiamyu2rnfvbhs6ffmjn4vivzjnxutg5op3ntz42ytwpy4he2frkqq")
    }

    /// Each kind of thing that instrumenting adds to.
    private static let everything = """
        (table 1 9 funcref)
        (func $long (param f64) (result f64)
            \(Array(repeating: "(f64.add (f64.const 1)", count: 20).joined(separator: " "))
            (local.get 0) \(String(repeating: ")", count: 20)))
        (func (export "run") (local $n i32)
            (loop $next
                (drop (memory.grow (i32.const 1)))
                (drop (table.grow 0 (ref.null func) (i32.const 1)))
                (memory.copy (i32.const 0) (i32.const 8) (local.get $n))
                (table.fill 0 (i32.const 0) (ref.null func) (local.get $n))
                (f64.store (i32.const 0) (call $long (f64.load (i32.const 8))))
                (v128.store (i32.const 16) (f32x4.sqrt (v128.load (i32.const 16))))
                (br_if $next (i32.lt_u
                    (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 9)))))
        """

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
