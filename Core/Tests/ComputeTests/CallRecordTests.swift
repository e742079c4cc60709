// Call records: what may stand in one, and how it fits to those of the calls that were made.

import Compute
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct CallRecordTests {
    @Test("a record survives its encoding, with and without its call, and has one form")
    func roundTrip() throws {
        var noise = Noise(seed: 2)
        for _ in 0..<300 {
            let record = try noise.record()
            let bytes = record.encoded
            #expect(try CallRecord(decoding: bytes.rawSpan) == record)
            #expect(record.block.cid == record.cid)
            let result = record.result
            #expect(try CallRecord(result: result.rawSpan, of: record.call) == record)
            let changed = noise.mutation(of: bytes)
            if let other = try? CallRecord(decoding: changed.rawSpan) {
                #expect(other.encoded == changed, "a record has one encoding")
            }
        }
    }

    @Test("a result that was sent for another call becomes a record of the call that was asked")
    func otherCall() throws {
        let asked = try makeCall("/a")
        let other = try makeRecord(makeCall("/b"))
        let result = other.result
        let record = try CallRecord(result: result.rawSpan, of: asked)
        #expect(record.call == asked)
        #expect(record.cid != other.cid)
    }

    @Test("outcome, output and gas do not contradict each other")
    func contradictions() throws {
        let call = try makeCall(gas: 1_000)
        let output = CallOutput(body: .empty)
        func fault(
            _ outcome: Outcome, _ output: CallOutput?, _ gas: UInt64, _ own: UInt64,
            reads: [CID] = [], children: [CID] = []
        ) -> RecordFault? {
            do throws(RecordFault) {
                _ = try CallRecord(
                    call, outcome: outcome, output: output, gas: gas, ownGas: own, reads: reads,
                    children: children)
                return nil
            } catch {
                return error
            }
        }
        let child = try makeRecord(call).cid
        #expect(fault(.ok, output, 1_000, 1_000) == nil)
        #expect(fault(.ok, nil, 10, 10) == .output)
        #expect(fault(.trap, output, 1_000, 1_000) == .output)
        #expect(fault(.ok, output, 1_001, 1_001) == .gas)
        #expect(fault(.ok, output, 10, 11, children: [child]) == .gas)
        #expect(fault(.ok, output, 11, 10) == .gas, "nothing was called")
        #expect(fault(.outOfGas, nil, 999, 999) == .gas, "what fails costs all")
        #expect(fault(.outOfGas, nil, 1_000, 400, children: [child]) == nil)
        #expect(fault(.ok, output, 10, 10, reads: [contract, contract]) == .reads)
        #expect(fault(.ok, output, 10, 5, children: [contract]) == .children)
        let many = [CID](repeating: child, count: CallLimits.maxChildren)
        #expect(fault(.ok, output, 10, 5, children: many) == nil)
        #expect(fault(.ok, output, 10, 5, children: many + [child]) == .children)
    }

    @Test("the largest record that there can be is under the limit of what is read")
    func largest() throws {
        let body = [UInt8](repeating: 1, count: CallLimits.maxInlineBytes)
        var headers = CallHeaders()
        try headers.set("accept", String(repeating: "a", count: 8_186))
        let call = try Call(
            contract, path: String(repeating: "/", count: 4_096),
            query: String(repeating: "a", count: 8_192), headers: headers, body: .inline(body),
            gas: 1_000_000)
        let child = try makeRecord(call).cid
        let reads = (0..<4_096).map { file([UInt8($0 >> 8), UInt8($0 & 255)]) }
        let record = try CallRecord(
            call, outcome: .ok,
            output: CallOutput(headers: headers, body: .inline(body)), gas: 4_097, ownGas: 1,
            reads: reads, children: [CID](repeating: child, count: 4_096))
        let bytes = record.encoded
        #expect(bytes.count > 400 << 10)
        #expect(try CallRecord(decoding: bytes.rawSpan) == record)
    }

    @Test("outputs have a status of HTTP and a bounded body")
    func outputs() {
        #expect(CallOutput(status: 199, body: .empty) == nil)
        #expect(CallOutput(status: 600, body: .empty) == nil)
        #expect(CallOutput(status: 404, body: .empty)?.status == 404)
        let most = [UInt8](repeating: 1, count: CallLimits.maxInlineBytes)
        #expect(CallOutput(body: .inline(most)) != nil)
        #expect(CallOutput(body: .inline(most + [1])) == nil)
    }

    @Test("an activation fits to the recorded results of what it called, and to no others")
    func children() throws {
        let one = try makeRecord(makeCall("/1"), gas: 100)
        let two = try makeRecord(makeCall("/2"), gas: 200)
        let parent = try makeRecord(makeCall(), calling: [one, two])
        var recorded = try RecordedChildren(of: parent, [one, two])
        #expect(recorded.answer(to: one.call) == one)
        #expect(!recorded.isExhausted)
        #expect(recorded.answer(to: one.call) == nil, "that is not the call that was recorded")
        #expect(recorded.answer(to: two.call) == two)
        #expect(recorded.isExhausted)
        #expect(recorded.answer(to: two.call) == nil)
        #expect(throws: RecordFault.children) { try RecordedChildren(of: parent, [two, one]) }
        #expect(throws: RecordFault.children) { try RecordedChildren(of: parent, [one]) }
        let liar = try CallRecord(
            parent.call, outcome: .ok, output: parent.output, gas: 801, ownGas: 500,
            children: [one.cid, two.cid])
        #expect(throws: RecordFault.gas) { try RecordedChildren(of: liar, [one, two]) }
    }

    @Test("what another encoder might write is refused")
    func notCanonical() throws {
        let record = try makeRecord(makeCall())
        guard case .map(let entries) = try DagCBOR.decode(record.encoded.rawSpan) else {
            Issue.record("a record is a map")
            return
        }
        for (key, value) in [
            ("gas", nil), ("more", .integer(1)), ("outcome", .integer(5)), ("outcome", .integer(1)),
            ("output", .null), ("own", .integer(1)), ("reads", .null),
            ("children", .list([.link(contract)])), ("call", .null),
        ] as [(String, Value?)] {
            let bytes = try DagCBOR.encode(
                .map(
                    entries.filter { $0.key != key }
                        + (value.map { [Value.Entry(key, $0)] } ?? [])))
            #expect(throws: DecodeError.self, "\(key)") { try CallRecord(decoding: bytes.rawSpan) }
        }
    }
}
