// `weft evidence verify`: a proof of each kind, on a machine that is connected to nothing, and
// files that prove nothing, or are none.

import Compute
import ContractText
import Foundation
import Multiformats
import Testing
import Wire

@Suite(.serialized) struct EvidenceTests {
    private let liar = PrivateKey.generateEd25519()
    private var name: String { "\(PeerID(liar.publicKey))" }

    private func answer(
        _ record: CallRecord, salt: UInt8 = 1, signedBy signer: PrivateKey? = nil
    ) throws -> CallAnswer {
        let salt = [UInt8](repeating: salt, count: CallProtocol.saltBytes)
        let header = CallHeader(
            call: record.call.cid, nonce: [UInt8](repeating: 2, count: CallProtocol.nonceBytes),
            commitment: Commitment.make(salt: salt, record: record), gas: record.gas,
            price: .usual)
        let hashes = [Multihash.sha2_256(of: header.encoded.rawSpan).digest]
        let signature = try (signer ?? liar).sign(SignedHeader.message(hashes))
        let signed = SignedHeader(
            header, by: PeerID(liar.publicKey), hashes: hashes, signature: signature)
        return CallAnswer(signed, salt: salt, record: record)
    }

    private func record(_ call: Call, _ text: String) throws -> CallRecord {
        try CallRecord(
            call, outcome: .ok, output: CallOutput(body: .inline(Array(text.utf8))), gas: 1_000,
            ownGas: 1_000)
    }

    private func receipt(_ amount: UInt64) throws -> Receipt {
        let debtor = PrivateKey.generateEd25519()
        var receipt = Receipt(
            ReceiptTerms(
                from: PeerID(liar.publicKey), to: PeerID(debtor.publicKey), amount: amount,
                quantity: 1, time: 1))
        receipt.debtor = Receipt.Side(
            .first,
            try debtor.sign(Receipt.message(receipt.debtorText(at: .first), asCreditor: false)))
        let text = try #require(receipt.creditorText(at: .first))
        receipt.creditor = Receipt.Side(
            .first, try liar.sign(Receipt.message(text, asCreditor: true)))
        return receipt
    }

    private func verify(
        _ evidence: Evidence, in place: Workplace
    ) throws -> (status: Int32, said: String) {
        let file = try place.write("some.evidence", Data(evidence.encoded))
        let outcome = try place.weft("evidence", "verify", file)
        return (outcome.status, outcome.output + outcome.errors)
    }

    @Test("a proof of each kind holds, without a node and without a network")
    func kinds() throws {
        let place = try Workplace()
        #expect(try place.weft("config", "set", "network.mode", "offline").status == 0)
        let call = try Call(
            url: "weft://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy/x", gas: 9_000)
        let (one, two) = (try record(call, "one"), try record(call, "two"))
        let contradiction = try verify(.contradiction(answer(one), answer(two)), in: place)
        #expect(
            contradiction == (0, "\(name) has lied: what the peer has signed contradicts itself"))
        let fork = try verify(
            .fork(PeerID(liar.publicKey), receipt(1), receipt(2)), in: place)
        #expect(fork == (0, "\(name) has lied: what the peer has signed contradicts itself"))

        // A wrong answer takes the contract, and nothing else.
        let module = try place.write(
            "many.wasm", Data(try ContractText.assemble(ContractText.many)))
        let contract = try place.weft("add", "-q", "--only-hash", module).output
        let hello = try Call(url: "weft://\(contract)/hello", gas: 9_000_000)
        let wrong = Evidence.wrongAnswer(
            WrongAnswer(try answer(record(hello, "wrong")), path: [], records: []))
        let without = try verify(wrong, in: place)
        #expect(without.status == 1 && without.said.contains(contract), "\(without)")
        #expect(try place.weft("add", "-q", module).output == contract)
        let found = try verify(wrong, in: place)
        #expect(found.status == 0, "\(found)")
        #expect(found.said.hasPrefix("\(name) has lied: run again, it comes to ok"), "\(found)")
        let json = try place.weft("evidence", "verify", "--json", place.path("some.evidence"))
        let object = try json.object()
        #expect(object["accused"] as? String == name && object["kind"] as? String == "wrong-answer")
        #expect(object["proven"] as? Bool == true)
    }

    @Test("what an honest peer said, forged files and files that are none prove nothing")
    func baseless() throws {
        let place = try Workplace()
        #expect(try place.weft("config", "set", "network.mode", "offline").status == 0)
        let call = try Call(
            url: "weft://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy/x", gas: 9_000)
        let (one, two) = (try record(call, "one"), try record(call, "two"))
        let other = PrivateKey.generateEd25519()
        let forged = try answer(two, signedBy: other)
        let twice = try receipt(3)
        let cases: [(Evidence, String)] = [
            (.contradiction(try answer(one), forged), "has not signed"),
            (.contradiction(try answer(one), try answer(one, salt: 2)), "no contradiction"),
            (
                .contradiction(
                    try answer(one),
                    CallAnswer(
                        try answer(one).header, salt: [UInt8](repeating: 1, count: 32), record: two)
                ),
                "do not belong together"
            ),
            (.fork(PeerID(liar.publicKey), twice, twice), "no contradiction"),
            (.fork(PeerID(other.publicKey), twice, try receipt(4)), "do not belong together"),
            (
                .wrongAnswer(WrongAnswer(forged, path: [], records: [])), "has not signed"
            ),
            (
                .wrongAnswer(WrongAnswer(try answer(one), path: [1], records: [])),
                "do not belong together"
            ),
        ]
        for (evidence, reason) in cases {
            let (status, said) = try verify(evidence, in: place)
            #expect(status == 1 && said.hasPrefix("nothing is proven: "), "\(said)")
            #expect(said.contains(reason), "\(reason): \(said)")
        }
        let whole = Evidence.contradiction(try answer(one), try answer(two)).encoded
        for bytes in [[], [1, 2, 3], whole.dropLast(), whole + [0]] as [[UInt8]] {
            let file = try place.write("no.evidence", Data(bytes))
            let outcome = try place.weft("evidence", "verify", file)
            #expect(outcome.status == 1 && outcome.output.isEmpty, "\(outcome)")
            #expect(outcome.errors.contains("this is no evidence"), "\(outcome.errors)")
        }
        let missing = try place.weft("evidence", "verify", place.path("nowhere"))
        #expect(missing.status != 0 && missing.errors.contains("nowhere"), "\(missing.errors)")
    }

    @Test("an honest answer is acquitted by running it again")
    func honest() throws {
        let place = try Workplace()
        #expect(try place.weft("config", "set", "network.mode", "offline").status == 0)
        let module = try place.write(
            "many.wasm", Data(try ContractText.assemble(ContractText.many)))
        let contract = try place.weft("add", "-q", module).output
        let call = try place.weft("fetch", "-v", "weft://\(contract)/hello", "--data-binary", "you")
        #expect(call.output == "hello you", "\(call.errors)")
        let line = try #require(
            call.errors.split(separator: "\n").first { $0.hasPrefix("Weft-Record: ") })
        let block = try place.weft("block", "get", String(line.dropFirst(13)))
        let right = try CallRecord(decoding: [UInt8](block.bytes).rawSpan)
        let (status, said) = try verify(
            .wrongAnswer(WrongAnswer(answer(right), path: [], records: [])), in: place)
        #expect(status == 1 && said.contains("gives the same record"), "\(said)")
    }
}
