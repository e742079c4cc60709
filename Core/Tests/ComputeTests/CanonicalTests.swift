// What is hashed, signed or kept of calls is dag-cbor that every decoder takes: written with its
// fields in order, and read by nothing but that.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Compute

struct CanonicalTests {
    private let one = Identity()
    private let two = Identity()
    private let hash = [UInt8](repeating: 7, count: 32)

    private func record() throws -> CallRecord {
        var headers = CallHeaders()
        try headers.set("content-type", "text/plain")
        try headers.set("accept", "*/*")
        let module = EncodedBlock([1, 2, 3], codec: .raw).cid
        let call = try Call(
            module, path: "/a", query: "b=c", headers: headers, body: .inline([1]), gas: 1_000)
        let output = CallOutput(status: 404, headers: headers, body: .content(module))
        return try CallRecord(
            call, outcome: .ok, output: output, gas: 300, ownGas: 20, reads: [module],
            children: [call.cid])
    }

    private func header(_ record: CallRecord) -> SignedHeader {
        let header = CallHeader(
            call: record.call.cid, nonce: Array(hash.prefix(16)), commitment: hash,
            gas: record.gas, price: .usual)
        return SignedHeader(header, by: one.peer, hashes: [header.hash, hash], signature: hash)
    }

    private var receipt: Receipt {
        var receipt = Receipt(
            ReceiptTerms(from: one.peer, to: two.peer, amount: 9, quantity: 300, time: 1 << 33))
        receipt.debtor = Receipt.Side(.first, hash)
        receipt.creditor = Receipt.Side(ChainPosition(sequence: 70_000, previous: hash), hash)
        return receipt
    }

    private func all() throws -> [(name: String, bytes: [UInt8])] {
        let record = try record()
        let answer = CallAnswer(header(record), salt: hash, record: record)
        var account = Account()
        account.served = 1 << 40
        var responders = Responders()
        responders.noteAnswer(
            of: one.peer, gas: 1_000, expected: .milliseconds(1), took: .milliseconds(2))
        let book = CreditBook(of: one.peer, accounts: [two.peer: account])
        func change(_ cause: BalanceChange.Cause, _ amount: Int64) -> [UInt8] {
            BalanceChange(
                peer: two.peer, cause: cause, amount: amount, account: account, time: 1, count: 3
            ).stored
        }
        return [
            ("call", record.call.encoded), ("record", record.encoded), ("result", record.result),
            ("header", answer.header.header.encoded), ("voucher", Voucher(answer).encoded),
            ("kept voucher", Voucher(answer, via: two.peer).stored),
            ("unpassed voucher", Voucher(answer).stored), ("receipt", receipt.encoded),
            ("claim", Receipt(receipt.terms).encoded),
            ("debtor", receipt.debtorText(at: .first)),
            ("creditor", receipt.creditorText(at: .first) ?? []),
            (
                "wrong answer",
                Evidence.wrongAnswer(WrongAnswer(answer, path: [0, 30], records: [record])).encoded
            ),
            ("contradiction", Evidence.contradiction(answer, answer).encoded),
            ("fork", Evidence.fork(one.peer, receipt, receipt).encoded),
            ("responders", responders.stored), ("accounts", book.storedAccounts),
            ("change", change(.served(call: record.call.cid, gas: 5), -7)),
            ("other change", change(.lied, 1 << 40)),
        ]
    }

    @Test("what is written is the one dag-cbor of its value") func writing() throws {
        for (name, bytes) in try all() {
            let again = try DagCBOR.encode(try DagCBOR.decode(bytes.rawSpan))
            #expect(again == bytes, "\(name)")
        }
    }

    @Test("what is no dag-cbor, or another value's, is not read as a record")
    func reading() throws {
        let bytes = try record().encoded
        #expect(try CallRecord(decoding: bytes.rawSpan).encoded == bytes)
        var noise = Noise(seed: 3)
        for _ in 0..<2_000 {
            let changed = noise.mutation(of: bytes)
            guard let read = try? CallRecord(decoding: changed.rawSpan) else { continue }
            // Whatever is read has been written like this, and is dag-cbor.
            #expect(read.encoded == changed)
            #expect((try? DagCBOR.decode(changed.rawSpan)) != nil)
        }
        for (name, other) in try all() where other != bytes {
            #expect(throws: DecodeError.self, "\(name)") {
                try CallRecord(decoding: other.rawSpan)
            }
        }
    }
}
