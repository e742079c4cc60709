// What a caller is told of a call without an answer: what it can do about that.

import Compute
import Multiformats
import Testing

@testable import Weft

@Suite struct CallResultTests {
    private static func result(
        _ outcome: Outcome, gas: UInt64, ownGas: UInt64, reason: String? = nil
    ) throws -> Weft.CallResult {
        let hash = Multihash(code: .sha2_256, digest: [UInt8](repeating: 7, count: 32))
        let call = try Call(CID(.raw, hash), gas: gas)
        // Gas that it did not use by itself went to a callee.
        let children = gas == ownGas ? [] : [CID(.dagCBOR, hash)]
        let record = try CallRecord(
            call, outcome: outcome, output: outcome == .ok ? CallOutput(body: .inline([])) : nil,
            gas: gas, ownGas: ownGas, children: children)
        return Weft.CallResult(record: record, cid: record.cid, time: nil, reason: reason)
    }

    @Test("out of gas says what was given, and where that is not what lacked, the limit")
    func outOfGas() throws {
        let given = try #require(try Self.result(.outOfGas, gas: 5_000, ownGas: 5_000).refusal)
        #expect(given.contains("out-of-gas") && given.contains("the 5000 gas that it was given"))
        let shared = try #require(
            try Self.result(.outOfGas, gas: 1 << 34, ownGas: 1 << 32).refusal)
        #expect(shared.contains("the 17179869184 gas that it was given"))
        let own = try #require(
            try Self.result(.outOfGas, gas: 1 << 40, ownGas: 1 << 40).refusal)
        #expect(own.contains("1099511627776 gas, of which one activation may use 4294967296"))
    }

    @Test("a trap says why if that is known, and else who can tell")
    func trap() throws {
        let known = try Self.result(.trap, gas: 9, ownGas: 9, reason: "it divides by zero")
        #expect(known.refusal?.hasSuffix("trap: it divides by zero") == true)
        #expect(known.ending == "trap: it divides by zero")
        let unknown = try Self.result(.trap, gas: 9, ownGas: 9)
        #expect(unknown.refusal?.contains("weft contract test") == true)
        #expect(unknown.ending == "trap")
        #expect(try Self.result(.ok, gas: 9, ownGas: 9).refusal == nil)
    }
}
