// What a node owes and is owed, and where its chain ends, across restarts.

import Compute
import Multiformats
import Testing
import Wire

@testable import Weft

@Suite struct CreditFilesTests {
    @Test("a chain goes on where it ended, because one that begins anew looks like a lie")
    func chain() throws {
        let base = try TemporaryDirectory()
        let path = base.path + "/credit"
        let key = PrivateKey.generateEd25519()
        let (owner, other) = (
            PeerID(key.publicKey), PeerID(PrivateKey.generateEd25519().publicKey)
        )
        for sequence in 0..<3 {
            let files = try CreditFiles(path, of: owner)
            #expect(files.book.chain.end.sequence == UInt64(sequence))
            var receipt = Receipt(
                ReceiptTerms(from: other, to: owner, amount: 5, quantity: 7, time: 9))
            let position = files.book.chain.end
            let text = Receipt.message(receipt.debtorText(at: position), asCreditor: false)
            receipt.debtor = Receipt.Side(position, try key.sign(text))
            try files.keep(receipt)
            // Again, as when the other side has signed as well.
            try files.keep(receipt)
        }
        try base.write("credit/chain", [1, 2, 3])
        #expect(throws: DamagedCredit.self) { try CreditFiles(path, of: owner) }
    }

    @Test("accounts are read as they were written")
    func accounts() throws {
        let base = try TemporaryDirectory()
        let owner = PeerID(PrivateKey.generateEd25519().publicKey)
        let other = PeerID(PrivateKey.generateEd25519().publicKey)
        let call = try Call(
            CID(.raw, Multihash.sha2_256(of: [1].span.bytes)), path: "/x", gas: 1_000_000_000)
        let files = try CreditFiles(base.path + "/credit", of: owner)
        var book = files.book
        let header = CallHeader(
            call: call.cid, nonce: Array(repeating: 1, count: CallProtocol.nonceBytes),
            commitment: Array(repeating: 2, count: 32), gas: 5_000_000, price: .usual)
        book.received(other, header, time: 1)
        files.noteChange()
        try files.save(book)
        let again = try CreditFiles(base.path + "/credit", of: owner).book
        #expect(again.accounts == book.accounts && again.balance(of: other) < 0)
        try base.write("credit/accounts", [1, 2, 3])
        #expect(throws: DamagedCredit.self) {
            try CreditFiles(base.path + "/credit", of: owner)
        }
    }
}
