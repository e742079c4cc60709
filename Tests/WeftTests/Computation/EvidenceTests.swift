// Proofs that a peer has lied, looked into by a node that has the contract.

import Compute
import ContractText
import Multiformats
import Testing
import Wire

@testable import Weft

@Suite struct EvidenceTests {
    private let liar = PrivateKey.generateEd25519()

    /// A signed answer.
    private func answer(_ record: CallRecord) throws -> CallAnswer {
        let salt = [UInt8](repeating: 1, count: CallProtocol.saltBytes)
        let header = CallHeader(
            call: record.call.cid, nonce: [UInt8](repeating: 2, count: CallProtocol.nonceBytes),
            commitment: Commitment.make(salt: salt, record: record), gas: record.gas,
            price: .usual)
        let hashes = [Multihash.sha2_256(of: header.encoded.rawSpan).digest]
        let signature = try liar.sign(SignedHeader.message(hashes))
        return CallAnswer(
            SignedHeader(
                header, by: PeerID(liar.publicKey), hashes: hashes, signature: signature),
            salt: salt, record: record)
    }

    @Test("a wrong answer is proven by running one activation again, a right one is not")
    func replay() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let (response, _, _) = try await node.call(
                "weft://\(contract)/all", "/hello?a\n/hello?b\n")
            let root = try #require(response.mesh.call).record
            let records = try await node.computation.tree(root).map { $0.record }
            try #require(records.count == 3)
            let honest = Evidence.wrongAnswer(
                WrongAnswer(
                    try answer(records[0]), path: [], records: Array(records.dropFirst())))
            let acquitted = try await node.computation.examine(honest)
            #expect(!acquitted.isProven)

            // A lie about the second call, and everything above fits to it.
            let lie = try CallRecord(
                records[2].call, outcome: .ok, output: CallOutput(body: .inline([1])),
                gas: records[2].gas, ownGas: records[2].ownGas)
            let top = try CallRecord(
                records[0].call, outcome: .ok, output: records[0].output, gas: records[0].gas,
                ownGas: records[0].ownGas, children: [records[1].cid, lie.cid])
            let evidence = Evidence.wrongAnswer(
                WrongAnswer(try answer(top), path: [1], records: [lie]))
            let file = evidence.encoded
            let finding = try await node.computation.examine(Evidence(decoding: file.rawSpan))
            #expect(finding.isProven, "\(finding.reason)")
            #expect(evidence.accused == PeerID(liar.publicKey))

            let forged = Evidence.wrongAnswer(
                WrongAnswer(
                    CallAnswer(
                        try answer(top).header, salt: [UInt8](repeating: 3, count: 32),
                        record: top),
                    path: [1], records: [lie]))
            #expect(try await !node.computation.examine(forged).isProven)
        }
    }

    @Test("a contradiction needs no contract at all")
    func contradiction() async throws {
        try await withNode { node, _ in
            let call = try Call(EncodedContract.none, gas: 1_000)
            let records = try (1...2).map { number in
                try CallRecord(
                    call, outcome: .ok, output: CallOutput(body: .inline([UInt8(number)])),
                    gas: 10, ownGas: 10)
            }
            let evidence = Evidence.contradiction(try answer(records[0]), try answer(records[1]))
            #expect(try await node.computation.examine(evidence).isProven)
        }
    }
}

private enum EncodedContract {
    /// A contract that nobody has.
    static let none = CID(.raw, Multihash.sha2_256(of: [1, 2, 3].rawSpan))
}
