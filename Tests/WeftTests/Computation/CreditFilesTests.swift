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

    @Test("what partners have signed is known after a restart, so that a fork is seen")
    func recalled() throws {
        let base = try TemporaryDirectory()
        let path = base.path + "/credit"
        let key = PrivateKey.generateEd25519()
        let partner = PeerID(key.publicKey)
        let owner = PeerID(PrivateKey.generateEd25519().publicKey)
        let receipts = try [5, 6].map { (amount: UInt64) -> Receipt in
            var receipt = Receipt(
                ReceiptTerms(from: owner, to: partner, amount: amount, quantity: 7, time: 9))
            let text = Receipt.message(receipt.debtorText(at: .first), asCreditor: false)
            receipt.debtor = Receipt.Side(.first, try key.sign(text))
            return receipt
        }
        try CreditFiles(path, of: owner).keep(receipts[0])
        // A torn end hides nothing before it.
        let whole = try #require(try SmallFile.read(path + "/receipts"))
        try SmallFile.replace(path + "/receipts.old", with: whole)
        try SmallFile.replace(path + "/receipts", with: [4, 0, 1])
        var book = try CreditFiles(path, of: owner).book
        book.hear([receipts[0]])
        #expect(book.nextEvent() == nil)
        book.hear([receipts[1]])
        guard case .forked(let peer, let evidence)? = book.nextEvent() else {
            Issue.record("the fork was not seen")
            return
        }
        #expect(try peer == partner && evidence.examine() == .proven)
    }

    /// A header over so much gas.
    private static func header(_ gas: UInt64) throws -> CallHeader {
        let call = try Call(
            CID(.raw, Multihash.sha2_256(of: [1].span.bytes)), path: "/x", gas: 1_000_000_000)
        return CallHeader(
            call: call.cid, nonce: Array(repeating: 1, count: CallProtocol.nonceBytes),
            commitment: Array(repeating: 2, count: 32), gas: gas, price: .usual)
    }

    @Test("what was not written down when the process was killed follows from the changes")
    func killed() async throws {
        let base = try TemporaryDirectory()
        let path = base.path + "/credit"
        let peers = (0..<40).map { _ in PeerID(PrivateKey.generateEd25519().publicKey) }
        let owner = PeerID(PrivateKey.generateEd25519().publicKey)
        let files = try CreditFiles(path, of: owner)
        var book = files.book
        func note() {
            files.noteAll(of: &book)
        }
        for round in 1...20 {
            for peer in peers { book.received(peer, try Self.header(UInt64(round)), time: 5) }
            note()
        }
        book.served(peers[0], try Self.header(7), now: Instant(nanoseconds: 1), time: 6)
        note()
        // Soon all of it is on disk, though nobody has saved anything; nothing else is read here.
        try await JoinTests.until("the changes are there") {
            try CreditFiles(path, of: owner).book.accounts == book.accounts
        }
        let again = try CreditFiles(path, of: owner)
        let changes = again.journal.read()
        #expect(changes.last?.cause == .served(call: try Self.header(7).call, gas: 7))
        for peer in peers {
            let own = changes.filter { $0.peer == peer }
            #expect(own.reduce(0) { $0 + $1.amount } == book.balance(of: peer))
            #expect(own.reduce(0) { $0 + Int($1.count) } == (peer == peers[0] ? 21 : 20))
        }
        // A torn end is no change, and hides none before it.
        let whole = try #require(try SmallFile.read(path + "/changes"))
        try SmallFile.replace(path + "/changes", with: whole.dropLast(3))
        #expect(try CreditFiles(path, of: owner).journal.read() == changes.dropLast())
    }

    @Test("what a power cut tears off hides no change that comes later, nor takes accounts back")
    func torn() throws {
        let base = try TemporaryDirectory()
        let path = base.path + "/credit"
        let peer = PeerID(PrivateKey.generateEd25519().publicKey)
        let owner = PeerID(PrivateKey.generateEd25519().publicKey)
        /// Receives some answers; gives the book after that, which is written down if wanted.
        func receive(_ count: Int, saving: Bool) throws -> CreditBook {
            let files = try CreditFiles(path, of: owner)
            var book = files.book
            for _ in 0..<count { book.received(peer, try Self.header(5_000), time: 5) }
            files.noteAll(of: &book)
            files.journal.flush()
            guard saving else { return book }
            files.willSave()
            try files.save(book, Responders())
            return book
        }
        _ = try receive(3, saving: false)
        let whole = try #require(try SmallFile.read(path + "/changes"))
        try SmallFile.replace(path + "/changes", with: whole.dropLast(3))
        #expect(try CreditFiles(path, of: owner).cutBytes > 0)
        let early = try receive(2, saving: false)
        #expect(try CreditFiles(path, of: owner).book.accounts == early.accounts)
        let saved = try receive(2, saving: true)
        #expect(try CreditFiles(path, of: owner).book.accounts == saved.accounts)
        let latest = try receive(1, saving: false)
        let again = try CreditFiles(path, of: owner)
        #expect(again.book.accounts == latest.accounts && again.cutBytes == 0)
        #expect(again.journal.read().count == 2 + 2 + 2 + 1)
    }

    @Test("a change that comes while the accounts are being written is not lost with the process")
    func meanwhile() throws {
        let base = try TemporaryDirectory()
        let path = base.path + "/credit"
        let peer = PeerID(PrivateKey.generateEd25519().publicKey)
        let owner = PeerID(PrivateKey.generateEd25519().publicKey)
        let files = try CreditFiles(path, of: owner)
        var book = files.book
        func note() {
            files.noteAll(of: &book)
            files.journal.flush()
        }
        book.received(peer, try Self.header(5_000), time: 5)
        note()
        files.willSave()
        let seen = book
        book.received(peer, try Self.header(7_000), time: 6)
        note()
        try files.save(seen, Responders())
        #expect(try CreditFiles(path, of: owner).book.accounts == book.accounts)
    }

    @Test("what a peer has signed is on disk at once")
    func settled() throws {
        let base = try TemporaryDirectory()
        let owner = PeerID(PrivateKey.generateEd25519().publicKey)
        let other = PeerID(PrivateKey.generateEd25519().publicKey)
        let files = try CreditFiles(base.path + "/credit", of: owner)
        for index in 0..<3 as Range<UInt64> {
            files.note(
                BalanceChange(
                    peer: other, cause: .served(call: try Self.header(1).call, gas: index),
                    amount: 1, account: Account(), time: index))
        }
        files.note(
            BalanceChange(
                peer: other, cause: .signed(9), amount: 0, account: Account(), time: 9))
        let again = try CreditFiles(base.path + "/credit", of: owner)
        #expect(again.journal.read().map { $0.time } == [0, 1, 2, 9])
    }

    @Test("how peers have answered outlasts the process, and who is proven to lie stays banned")
    func responders() async throws {
        let base = try TemporaryDirectory()
        let liar = PrivateKey.generateEd25519()
        let peer = PeerID(PrivateKey.generateEd25519().publicKey)
        let owner = PeerID(PrivateKey.generateEd25519().publicKey)
        let files = try CreditFiles(base.path + "/credit", of: owner)
        var responders = Responders()
        responders.noteAnswer(of: peer, gas: 5, expected: .seconds(1), took: .seconds(1))
        responders.note(.stalled, of: peer, now: Instant(nanoseconds: 1))
        files.note(
            BalanceChange(peer: peer, cause: .lied, amount: 0, account: Account(), time: 1))
        try files.save(files.book, responders)
        let again = try CreditFiles(base.path + "/credit", of: owner).responders
        #expect(again[peer].answered == 1 && again[peer].failed == 1)
        #expect(again[peer].errorRate == responders[peer].errorRate)
        // What changes no balance is written when the node stops.
        let last = try CreditFiles(base.path + "/credit", of: owner)
        try last.save(last.book, again)
        responders.noteAnswer(of: peer, gas: 5, expected: .seconds(1), took: .seconds(1))
        let other = try CreditFiles(base.path + "/credit", of: owner)
        try other.save(other.book, responders)
        try other.save(other.book, responders, isLast: true)
        #expect(
            try CreditFiles(base.path + "/credit", of: owner).responders[peer].answered == 2)

        let evidence = EvidenceFiles(base.path + "/evidence")
        #expect(try evidence.accused().isEmpty)
        let proof = try Self.proof(of: liar)
        let file = try evidence.keep(proof)
        #expect(try evidence.keep(proof) == file)
        #expect(try evidence.accused() == [PeerID(liar.publicKey)])
        #expect(evidence.evidence(against: PeerID(liar.publicKey)) == proof)
        #expect(evidence.evidence(against: peer) == nil)
        // What is no proof against its name is none.
        try SmallFile.replace("\(base.path)/evidence/\(peer).evidence", with: proof.encoded)
        #expect(evidence.evidence(against: peer) == nil)
    }

    /// A proof that needs nothing but itself.
    static func proof(of liar: PrivateKey) throws -> Evidence {
        let call = try Call(
            CID(.raw, Multihash.sha2_256(of: [1].span.bytes)), path: "/x", gas: 1_000)
        let answers = try (1...2).map { number -> CallAnswer in
            let record = try CallRecord(
                call, outcome: .ok, output: CallOutput(body: .inline([UInt8(number)])), gas: 10,
                ownGas: 10)
            let salt = [UInt8](repeating: 1, count: CallProtocol.saltBytes)
            let header = CallHeader(
                call: call.cid, nonce: [UInt8](repeating: 2, count: CallProtocol.nonceBytes),
                commitment: Commitment.make(salt: salt, record: record), gas: 10, price: .usual)
            let hashes = [Multihash.sha2_256(of: header.encoded.rawSpan).digest]
            let signature = try liar.sign(SignedHeader.message(hashes))
            let signed = SignedHeader(
                header, by: PeerID(liar.publicKey), hashes: hashes, signature: signature)
            return CallAnswer(signed, salt: salt, record: record)
        }
        return .contradiction(answers[0], answers[1])
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
        files.noteAll(of: &book)
        try files.save(book, Responders())
        let again = try CreditFiles(base.path + "/credit", of: owner).book
        #expect(again.accounts == book.accounts && again.balance(of: other) < 0)
        try base.write("credit/accounts", [1, 2, 3])
        #expect(throws: DamagedCredit.self) {
            try CreditFiles(base.path + "/credit", of: owner)
        }
    }
}

extension CreditFiles {
    /// Notes all changes that a book has to tell of.
    fileprivate func noteAll(of book: inout CreditBook) {
        while let event = book.nextEvent() {
            if case .changed(let change) = event { note(change) }
        }
    }
}
