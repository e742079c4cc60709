// Large contracts are compiled in haste for their first call: nobody may notice but by the time.

import ContractText
import Testing

@testable import Weft

@Suite struct HasteTests {
    /// Straight code over 39 variables, of which code made in haste keeps each value by itself.
    private static func code(_ count: Int) -> String {
        var state: UInt32 = 1
        func variable() -> UInt32 {
            state = state &* 1_664_525 &+ 1_013_904_223
            return (state >> 16) % 39 + 1
        }
        let loads = (1..<40).map {
            "(local.set \($0) (i64.load (i32.const \(8 * $0))))"
        }
        let steps = (0..<count).map { _ in
            """
            (local.set \(variable()) (i64.xor (i64.add (local.get \(variable())) \
            (local.get \(variable()))) (local.get \(variable()))))
            """
        }
        let stores = (1..<40).map { "(i64.store (i32.const \(8 * $0)) (local.get \($0)))" }
        return (loads + steps + stores).joined(separator: "\n")
    }

    @Test("code made in haste that needs more stack than there is is made anew at once")
    func deepDraft() async throws {
        let variables = "(local \(Array(repeating: "i64", count: 39).joined(separator: " ")))"
        let module = """
            (module (memory (export "memory") 1)
              (func $down (param i32) \(variables) \(Self.code(17_000))
                (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
              (func (param i32) \(variables) \(Self.code(9_000)))
              (func (export "go") (call $down (i32.const 20))))
            """
        try await withNode(.offline) { node, _ in
            let contract = try await node.publish(contract: module)
            #expect(try await node.call("weft://\(contract)/go").response.ok)
        }
    }
}
