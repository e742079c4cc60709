// Large modules are compiled in haste for their first call, and once more afterwards.

import ContractText
import Foundation
import NIOCore
import Testing
import WasmRules

@testable import WasmEngine

@Suite struct DraftTests {
    /// A contract of many functions, all of which its method calls.
    private static let large: String = {
        let count = 1_500
        var text = ""
        for number in 0..<count {
            text += "(func $f\(number) (param i32 f64) (result i32) (local i32)"
            for step in 0..<6 {
                text += """
                    (local.set 2 (i32.add (i32.mul (local.get 0) (i32.const \(number * 7 + step)))
                      (i32.trunc_sat_f64_s (f64.mul (local.get 1) (f64.const \(step).5)))))
                    (if (i32.and (local.get 2) (i32.const 1)) (then
                      (local.set 0 (i32.xor (local.get 2) (i32.const \(number))))))
                    """
            }
            text += "(local.get 2))\n"
        }
        text += "(func (export \"run\") (local i32)"
        for number in 0..<count {
            text += "(local.set 0 (call $f\(number) (local.get 0) (f64.const \(number).25)))"
        }
        text += "(i32.store (i32.const 0) (local.get 0)) (call $write (i32.const 0) (i32.const 4)))"
        return contract(text)
    }()

    @Test("a draft runs as the full code does, and compiling it once more ends being one")
    func draft() async throws {
        let place = try Workplace()
        let cache = CompiledCache(place.path + "/compiled", maxBytes: 100 << 20)
        let module = try ContractText.assemble(Self.large)
        let engine = try Engine.shared()
        let draft = try Program(module, engine: engine, cache: cache, effort: .draft)
        #expect(draft.isDraft)
        #expect(!FileManager.default.fileExists(atPath: place.path + "/compiled"), "none is kept")
        let first = try await draft.run()
        let full = try draft.improved()
        #expect(!full.isDraft && full.facts == draft.facts)
        let second = try await full.run()
        #expect(first.status == .ok && second.status == .ok)
        #expect(first.gas == second.gas && first.response.body == second.response.body)
        #expect(first.response.body.readableBytes == 4)
        // The full code is what later processes begin with.
        #expect(try !Program(module, engine: engine, cache: cache, effort: .draft).isDraft)
    }

    @Test("what is small is compiled in full at once")
    func small() async throws {
        let module = try ContractText.assemble(CacheTests.text)
        let program = try Program(module, engine: try Engine.shared(), effort: .draft)
        #expect(!program.isDraft)
    }
}
