// Evidence: what proves a lie, and that nothing can be made of what honest peers sign.

import Compute
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct EvidenceTests {
    private let liar = Identity()
    private let call: Call
    private let one: CallRecord
    private let two: CallRecord

    init() throws {
        call = try makeCall()
        one = try makeRecord(call, "42")
        two = try makeRecord(call, "43")
    }

    @Test("two signed answers to one call that differ prove by themselves that one is wrong")
    func contradiction() throws {
        let evidence = Evidence.contradiction(liar.answer(one), liar.answer(two))
        #expect(try evidence.examine() == .proven)
        #expect(try Evidence(decoding: evidence.encoded.rawSpan) == evidence)
        #expect(evidence.accused == liar.peer)
        #expect(throws: EvidenceFault.consistent) {
            try Evidence.contradiction(liar.answer(one), liar.answer(one)).examine()
        }
        #expect(throws: EvidenceFault.unrelated) {
            try Evidence.contradiction(liar.answer(one), Identity().answer(two)).examine()
        }
        let other = try makeRecord(makeCall("/other"))
        #expect(throws: EvidenceFault.unrelated) {
            try Evidence.contradiction(liar.answer(one), liar.answer(other)).examine()
        }
    }

    @Test("what an honest peer signed cannot be turned against it by another record")
    func forgedRecord() throws {
        let honest = liar.answer(one)
        let forged = CallAnswer(honest.header, salt: honest.salt, record: two)
        #expect(!forged.fits)
        #expect(throws: EvidenceFault.unrelated) {
            try Evidence.contradiction(honest, forged).examine()
        }
        #expect(throws: EvidenceFault.unrelated) {
            try Evidence.wrongAnswer(WrongAnswer(forged, path: [], records: [])).examine()
        }
    }

    @Test("a signature of somebody else proves nothing")
    func forgedSignature() throws {
        let header = Identity().answer(two).header
        let forged = CallAnswer(
            SignedHeader(
                header.header, by: liar.peer, hashes: header.hashes, signature: header.signature),
            salt: salt, record: two)
        #expect(throws: EvidenceFault.signature) {
            try Evidence.contradiction(liar.answer(one), forged).examine()
        }
        #expect(throws: EvidenceFault.signature) {
            try Evidence.wrongAnswer(WrongAnswer(forged, path: [], records: [])).examine()
        }
    }

    @Test("an asker that asks twice with one nonce gets two commitments, and no proof of anything")
    func repeatedNonce() throws {
        let nonce = [UInt8](repeating: 4, count: 16)
        let first = liar.answer(one, nonce: nonce)
        let second = CallAnswer(
            liar.sign(
                CallHeader(
                    call: call.cid, nonce: nonce,
                    commitment: Commitment.make(
                        salt: [UInt8](repeating: 5, count: 32), record: one), gas: one.gas,
                    price: .usual)), salt: [UInt8](repeating: 5, count: 32), record: one)
        #expect(first.fits && second.fits && first.header.header != second.header.header)
        #expect(throws: EvidenceFault.consistent) {
            try Evidence.contradiction(first, second).examine()
        }
    }

    @Test("a header that was signed with others is proven like one alone")
    func batch() throws {
        let headers = try (0..<5).map { index in
            liar.answer(try makeRecord(makeCall("/\(index)"))).header.header
        }
        let hashes = headers.map { liar.hash($0) }
        let signature = liar.sign(SignedHeader.message(hashes))
        for header in headers {
            #expect(
                SignedHeader(header, by: liar.peer, hashes: hashes, signature: signature).isValid)
        }
        let foreign = liar.answer(one).header.header
        #expect(
            !SignedHeader(foreign, by: liar.peer, hashes: hashes, signature: signature).isValid)
    }

    @Test("numbers that contradict those of the children need no replay")
    func arithmetic() throws {
        let child = try makeRecord(makeCall("/child"), gas: 100)
        let parent = try CallRecord(
            call, outcome: .ok, output: CallOutput(body: .empty), gas: 1_000, ownGas: 10,
            children: [child.cid])
        let wrong = WrongAnswer(liar.answer(parent), path: [], records: [child])
        #expect(try Evidence.wrongAnswer(wrong).examine() == .proven)
        let honest = try makeRecord(call, calling: [child])
        let right = WrongAnswer(liar.answer(honest), path: [], records: [child])
        #expect(
            try Evidence.wrongAnswer(right).examine()
                == .dependsOn(ReplayOrder(honest, children: [child])))
    }

    @Test("a way that leads nowhere, or lacks a record, is no proof")
    func incomplete() throws {
        let child = try makeRecord(makeCall("/child"), gas: 100)
        let answer = liar.answer(try makeRecord(call, calling: [child]))
        for (path, records, fault) in [
            ([], [], EvidenceFault.incomplete), ([0], [], .incomplete), ([1], [child], .unrelated),
            ([0, 0], [child], .unrelated),
        ] as [([UInt32], [CallRecord], EvidenceFault)] {
            #expect(throws: fault) {
                try Evidence.wrongAnswer(WrongAnswer(answer, path: path, records: records))
                    .examine()
            }
        }
    }

    @Test("a replay that strays or gives another record refutes; the same record does not")
    func replay() throws {
        let order = try ReplayOrder(one, children: [])
        #expect(order.isRefuted(by: .strayed))
        #expect(order.isRefuted(by: .record(two)))
        #expect(!order.isRefuted(by: .record(one)))
    }

    @Test("files survive their encoding, and noise is refused or harmless")
    func roundTrip() throws {
        var noise = Noise(seed: 8)
        for _ in 0..<100 {
            let record = try noise.record()
            let wrong = Evidence.wrongAnswer(
                WrongAnswer(
                    liar.answer(record), path: [1, 2],
                    records: [try noise.record(), try noise.record()]))
            let file = wrong.encoded
            #expect(try Evidence(decoding: file.rawSpan) == wrong)
            let changed = noise.mutation(of: file)
            if let other = try? Evidence(decoding: changed.rawSpan) {
                #expect(other.encoded == changed)
                #expect((try? other.examine()) != .proven)
            }
        }
        let long = [UInt8](repeating: 0, count: Evidence.maxBytes + 1)
        #expect(throws: DecodeError.self) { try Evidence(decoding: long.rawSpan) }
    }
}
