// Which results are remembered: in memory the newest, on disk the names of many.

import Compute
import Foundation
import Multiformats
import Testing
import WasmEngine

@testable import Weft

@Suite struct CallMemoTests {
    /// The name of a call that nobody made.
    private static func name(_ number: Int) -> CID {
        var digest = [UInt8](repeating: 7, count: 32)
        withUnsafeBytes(of: Int64(number)) { digest.replaceSubrange(0..<8, with: $0) }
        return CID(.dagCBOR, Multihash(code: .sha2_256, digest: digest))
    }

    private static func result() throws -> Weft.CallResult {
        let call = try Call(CID(.raw, name(0).hash), gas: 10)
        let output = CallOutput(body: .inline([1]))
        let record = try CallRecord(call, outcome: .ok, output: output, gas: 3, ownGas: 3)
        return Weft.CallResult(record: record, cid: record.cid, time: nil)
    }

    @Test("names outlast the process, two generations of them, of which the older makes room")
    func generations() throws {
        let place = try TemporaryDirectory()
        let path = place.path + "/calls"
        let (result, generation) = (try Self.result(), 65_536)
        let memo = CallMemo(path)
        for number in 0..<(2 * generation + 10) { memo.keep(result, of: Self.name(number)) }
        memo.flush()
        let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        #expect(size == 10 * 64)
        for memo in [memo, CallMemo(path)] {
            #expect(memo.record(of: Self.name(2 * generation + 9)) == result.cid)
            #expect(memo.record(of: Self.name(generation)) == result.cid)
            #expect(memo.record(of: Self.name(generation - 1)) == nil)
            #expect(memo.record(of: Self.name(2 * generation + 10)) == nil)
        }
        for number in 0..<generation { memo.keep(result, of: Self.name(-1 - number)) }
        memo.flush()
        let later = CallMemo(path)
        #expect(later.record(of: Self.name(2 * generation - 1)) == nil)
        #expect(later.record(of: Self.name(2 * generation + 9)) == result.cid)
        guard case .record(result.cid)? = later.find(Self.name(-1)) else {
            Issue.record("the newest is not found")
            return
        }
        guard case .result? = memo.find(Self.name(-generation)) else {
            Issue.record("the newest result is not in memory")
            return
        }
    }

    @Test("a torn end of the file is left out, and what comes after it is kept")
    func torn() throws {
        let place = try TemporaryDirectory()
        let path = place.path + "/calls"
        let result = try Self.result()
        let memo = CallMemo(path)
        memo.keep(result, of: Self.name(1))
        memo.keep(result, of: Self.name(2))
        memo.flush()
        let bytes = try Data(contentsOf: URL(filePath: path))
        try bytes.prefix(100).write(to: URL(filePath: path))
        let again = CallMemo(path)
        #expect(again.record(of: Self.name(1)) == result.cid)
        #expect(again.record(of: Self.name(2)) == nil)
        again.keep(result, of: Self.name(3))
        again.flush()
        let third = CallMemo(path)
        #expect(third.record(of: Self.name(1)) == result.cid)
        #expect(third.record(of: Self.name(3)) == result.cid)
    }
}
