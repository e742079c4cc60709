// Mutual credit: what is counted, when it is signed for, and what a lie about it proves.

import Compute
import Multiformats
import TestSupport
import Testing
import Wire

/// Two peers with a book each.
private struct Pair {
    let server = Identity()
    let client = Identity()
    var serving: CreditBook
    var asking: CreditBook
    var kept: [Receipt] = []
    var changes: [BalanceChange] = []
    var messages = 0
    var now = Instant(nanoseconds: 1_000_000_000)

    init(limits: CreditLimits = CreditLimits()) {
        serving = CreditBook(of: server.peer, limits: limits)
        asking = CreditBook(of: client.peer, limits: limits)
    }

    func header(_ gas: UInt64, price: Price = .usual) throws -> CallHeader {
        CallHeader(
            call: try makeCall().cid, nonce: [UInt8](repeating: 0, count: 16),
            commitment: [UInt8](repeating: 0, count: 32), gas: gas, price: price)
    }

    /// The server runs a call, and the asker counts so much of it.
    mutating func run(_ gas: UInt64, counted: UInt64? = nil) throws {
        asking.received(server.peer, try header(counted ?? gas), time: 7)
        serving.served(client.peer, try header(gas), now: now, time: 7)
        settle()
    }

    /// What has changed on one side since the last time, if nothing else happened.
    static func changes(of book: inout CreditBook) -> [BalanceChange] {
        var changes: [BalanceChange] = []
        while let event = book.nextEvent() {
            if case .changed(let change) = event { changes.append(change) }
        }
        return changes
    }

    /// Neither has anything to say.
    mutating func expectQuiet() {
        let events = (serving.nextEvent(), asking.nextEvent())
        #expect(events.0 == nil && events.1 == nil)
    }

    /// - Parameter waits: whether what waits for a time has its time.
    mutating func settle(waits: Bool = true) {
        while true {
            if let event = serving.nextEvent() {
                switch event {
                case .sign(let number, let message): serving.signed(number, server.sign(message))
                case .claim(client.peer, let bytes):
                    messages += 1
                    asking.take(claim: bytes, from: server.peer, now: now, time: 8)
                case .deliver(client.peer, let bytes):
                    messages += 1
                    asking.take(receipt: bytes, from: server.peer)
                case .keep(let number, let receipt):
                    kept.append(receipt)
                    serving.kept(number, true)
                case .changed(let change): changes.append(change)
                default: Issue.record("not what who served does: \(event)")
                }
            } else if let event = asking.nextEvent() {
                switch event {
                case .sign(let number, let message): asking.signed(number, client.sign(message))
                case .acknowledge(server.peer, let bytes):
                    messages += 1
                    serving.take(acknowledgement: bytes, from: client.peer, time: 8)
                case .keep(let number, let receipt):
                    kept.append(receipt)
                    asking.kept(number, true)
                case .changed: break
                default: Issue.record("not what who was served does: \(event)")
                }
            } else if waits, let due = asking.deadline {
                asking.advance(to: due, time: 8)
            } else {
                return
            }
        }
    }
}

@Suite struct CreditTests {
    @Test("below the small debt nothing is exchanged; beyond it, one receipt with both signatures")
    func receipts() throws {
        var pair = Pair()
        for _ in 0..<10 { try pair.run(100_000_000) }
        #expect(pair.messages == 0)
        #expect(pair.kept.isEmpty)
        try pair.run(1)
        #expect(pair.messages == 3, "claim, acknowledgement, receipt")
        let receipt = try #require(pair.kept.last)
        #expect(receipt.terms.amount == 1_000_000_001)
        #expect(receipt.terms.quantity == 1_000_000_001)
        #expect(receipt.terms.from == pair.server.peer && receipt.terms.to == pair.client.peer)
        #expect(receipt.isSigned(by: pair.server.peer) && receipt.isSigned(by: pair.client.peer))
        #expect(try Receipt(decoding: receipt.encoded.rawSpan) == receipt)
        #expect(receipt.encoded.count < 700)
        #expect(pair.serving.balance(of: pair.client.peer) == 1_000_000_001)
        #expect(pair.asking.balance(of: pair.server.peer) == -1_000_000_001)
        #expect(pair.serving.chain.end.sequence == 1 && pair.asking.chain.end.sequence == 1)
        try pair.run(999_999_999)
        #expect(pair.messages == 3, "the next begins from what was signed")
    }

    @Test("each side's receipts make one chain, that anybody can follow")
    func chains() throws {
        var pair = Pair()
        for _ in 0..<4 {
            try pair.run(1_500_000_000)
            pair.now = pair.now + .seconds(60)
        }
        let whole = pair.kept.filter { $0.creditor != nil && $0.debtor != nil }
        for owner in [pair.server.peer, pair.client.peer] {
            var chain = ReceiptChain(of: owner)
            var seen: Set<UInt64> = []
            for receipt in whole {
                guard let entry = receipt.entry(of: owner),
                    seen.insert(entry.position.sequence).inserted
                else { continue }
                let isNext = chain.follow(receipt)
                #expect(isNext)
            }
            #expect(chain.end.sequence == 4)
            let isNext = chain.follow(whole[0])
            #expect(!isNext, "what was there already is not the next")
        }
    }

    @Test("who was served signs for what it counts itself, and the rest is written off")
    func disagreement() throws {
        var pair = Pair()
        try pair.run(1_200_000_000, counted: 700_000_000)
        #expect(pair.kept.last?.terms.amount == 700_000_000)
        #expect(pair.serving.balance(of: pair.client.peer) == 700_000_000)
        #expect(pair.changes.last?.cause == .writtenOff)
        #expect(pair.changes.last?.amount == -500_000_000)
    }

    @Test("who signs for a trifle of what it got owes the rest all the same")
    func trifle() throws {
        var pair = Pair()
        let client = pair.client.peer
        for _ in 0..<4 where pair.serving.mayServe(client, time: 7) {
            try pair.run(1_900_000_000, counted: 1)
            pair.now = pair.now + .seconds(61)
        }
        let account = try #require(pair.serving.accounts[client])
        #expect(account.writtenOff < 1_500_000_000)
        #expect(account.balance > 2_000_000_000)
        #expect(!pair.serving.mayServe(client, time: 7))
    }

    @Test("a call that was taken back counts, and who takes back few is forgiven")
    func takenBack() throws {
        var pair = Pair()
        let (client, call) = (pair.client.peer, try makeCall().cid)
        for _ in 0..<10 {
            pair.serving.withdrew(
                client, call: call, gas: 500_000_000, price: .usual, now: pair.now, time: 7)
        }
        #expect(!pair.serving.mayServe(client, time: 7))
        #expect(pair.serving.balance(of: client) == 5_000_000_000)

        pair = Pair()
        for _ in 0..<20 {
            pair.asking.served(
                pair.server.peer, try pair.header(1), now: pair.now, time: 7)
            try pair.run(990_000_000)
            pair.serving.withdrew(
                pair.client.peer, call: call, gas: 60_000_000, price: .usual, now: pair.now,
                time: 7)
            pair.settle()
            pair.now = pair.now + .seconds(61)
        }
        let account = try #require(pair.serving.accounts[pair.client.peer])
        #expect(account.writtenOff >= 1_000_000_000)
        #expect(account.balance < 20_900_000_000)
    }

    @Test("a debt fades with the days, as does what strangers got together")
    func fading() throws {
        var limits = CreditLimits()
        limits.newcomers = 8_000_000_000
        var pair = Pair(limits: limits)
        let client = pair.client.peer
        for _ in 0..<4 { try pair.run(1_100_000_000) }
        #expect(!pair.serving.mayServe(client, time: 8))
        let day: UInt64 = 86_400
        #expect(pair.serving.mayServe(client, time: 7 + day / 4))
        pair.serving.served(
            client, try pair.header(100), now: pair.now, time: 7 + day / 4)
        let changes = Pair.changes(of: &pair.serving)
        #expect(changes.map { $0.cause }.first == .faded)
        #expect(changes.first?.amount == -1_000_000_000)
        #expect(pair.serving.balance(of: client) == 3_400_000_100)
        for _ in 0..<2 {
            let stranger = Identity().peer
            pair.serving.served(
                stranger, try pair.header(1_900_000_000), now: pair.now, time: 7 + day / 4)
        }
        let next = Identity().peer
        #expect(pair.serving.mayServe(next, time: 7 + day / 4))
        pair.serving.served(
            next, try pair.header(1_900_000_000), now: pair.now, time: 7 + day / 4)
        let last = Identity().peer
        #expect(!pair.serving.mayServe(last, time: 7 + day / 4))
        #expect(pair.serving.mayServe(last, time: 7 + day / 2))
    }

    @Test("a claim of what was never delivered is not signed")
    func falseClaim() throws {
        var pair = Pair()
        let terms = ReceiptTerms(
            from: pair.server.peer, to: pair.client.peer, amount: 5_000_000_000, quantity: 1,
            time: 1)
        func claim(_ bytes: [UInt8], from peer: PeerID) {
            pair.asking.take(claim: bytes, from: peer, now: pair.now, time: 8)
            pair.expectQuiet()
            pair.now = pair.now + CreditBook.patience
            pair.asking.advance(to: pair.now, time: 8)
        }
        claim(Receipt(terms).encoded, from: pair.server.peer)
        pair.expectQuiet()
        pair.asking.received(pair.server.peer, try pair.header(10), time: 7)
        _ = Pair.changes(of: &pair.asking)
        claim(Receipt(terms).encoded, from: pair.server.peer)
        guard case .sign? = pair.asking.nextEvent() else {
            Issue.record("what was delivered is signed for")
            return
        }
        claim(Receipt(terms).encoded, from: pair.server.peer)
        claim(Receipt(terms).encoded, from: Identity().peer)
        claim([1, 2, 3], from: pair.server.peer)
        pair.expectQuiet()
    }

    /// An answer is signed before it leaves, and checked before it is counted; what claims it is
    /// quicker, also where it is the first.
    @Test("a claim that overtakes the answer it is for waits for it, and nothing is written off")
    func overtaking() throws {
        var pair = Pair()
        for gas in [1_500_000_000, 24_827, 1_192_526_313, 1_192_526_313] as [UInt64] {
            pair.serving.served(pair.client.peer, try pair.header(gas), now: pair.now, time: 7)
            pair.settle(waits: false)
            pair.asking.received(pair.server.peer, try pair.header(gas), time: 7)
            pair.settle(waits: false)
            pair.now = pair.now + CreditBook.claimTime
        }
        #expect(!pair.changes.contains { $0.cause == .writtenOff })
        #expect(pair.serving.balance(of: pair.client.peer) == 3_885_077_453)
        #expect(pair.asking.balance(of: pair.server.peer) == -3_885_077_453)
        let signed = pair.changes.compactMap { change -> UInt64? in
            guard case .signed(let amount) = change.cause else { return nil }
            return amount
        }
        #expect(signed == [1_500_000_000, 1_192_551_140, 1_192_526_313])
    }

    @Test("an acknowledgement of other terms, or with another signature, is worth nothing")
    func falseAcknowledgement() throws {
        var pair = Pair()
        pair.serving.served(
            pair.client.peer, try pair.header(2_000_000_000), now: pair.now, time: 7)
        var claim: Receipt?
        while let event = pair.serving.nextEvent() {
            if case .claim(_, let bytes) = event { claim = try Receipt(decoding: bytes.rawSpan) }
        }
        let terms = try #require(claim).terms
        let more = ReceiptTerms(
            from: terms.from, to: terms.to, amount: terms.amount + 1, quantity: terms.quantity,
            time: terms.time)
        for (terms, signer) in [(more, pair.client), (terms, Identity())] {
            var receipt = Receipt(terms)
            let text = receipt.debtorText(at: .first)
            receipt.debtor = Receipt.Side(
                .first, signer.sign(Receipt.message(text, asCreditor: false)))
            pair.serving.take(acknowledgement: receipt.encoded, from: pair.client.peer, time: 8)
            pair.expectQuiet()
        }
        #expect(pair.serving.chain.end == .first)
    }

    @Test("who does not sign is not served beyond twice the small debt")
    func unsigned() throws {
        var pair = Pair()
        let client = pair.client.peer
        for _ in 0..<2 {
            #expect(pair.serving.mayServe(client, time: 7))
            pair.serving.served(client, try pair.header(1_000_000_000), now: pair.now, time: 7)
        }
        #expect(pair.serving.mayServe(client, time: 7), "2·10⁹ exactly")
        pair.serving.served(client, try pair.header(1), now: pair.now, time: 7)
        #expect(!pair.serving.mayServe(client, time: 7))
        #expect(pair.serving.limit(of: client) == 0)
    }

    @Test("what may be owed grows with what was done, up to a ceiling")
    func limits() throws {
        var pair = Pair()
        let client = pair.client.peer
        #expect(pair.serving.limit(of: client) == 4_000_000_000)
        pair.serving.received(client, try pair.header(10_000_000_000), time: 7)
        #expect(pair.serving.limit(of: client) == 9_000_000_000)
        pair.serving.received(client, try pair.header(1 << 40), time: 7)
        #expect(pair.serving.limit(of: client) == 64_000_000_000)
    }

    @Test("many strangers together get no more than the ceiling for all of them")
    func strangers() throws {
        var limits = CreditLimits()
        limits.newcomers = 10_000_000_000
        var book = CreditBook(of: Identity().peer, limits: limits)
        var header = try Pair().header(1_900_000_000)
        var served = 0
        for _ in 0..<20 {
            let stranger = Identity().peer
            guard book.mayServe(stranger, time: 7) else { continue }
            book.served(stranger, header, now: Instant(nanoseconds: 1), time: 7)
            served += 1
        }
        #expect(served == 6, "until the debts of all exceed 10¹⁰")
        let friend = Identity().peer
        header = try Pair().header(1)
        book.received(friend, header, time: 7)
        #expect(book.mayServe(friend, time: 7), "who has done something is no stranger")
    }

    @Test("each change of a balance has a cause, and together they are the balance")
    func explained() throws {
        var pair = Pair()
        var noise = Noise(seed: 5)
        let client = pair.client.peer
        for _ in 0..<200 {
            let header = try pair.header(.random(in: 1...50_000_000, using: &noise))
            if Bool.random(using: &noise) {
                pair.serving.served(client, header, now: pair.now, time: 7)
            } else {
                pair.serving.received(client, header, time: 7)
            }
        }
        pair.serving.lied(client, time: 9)
        let changes = Pair.changes(of: &pair.serving)
        #expect(changes.reduce(0) { $0 + $1.amount } == pair.serving.balance(of: client))
        #expect(changes.last?.balance == pair.serving.balance(of: client))
    }

    @Test("a liar is not paid for what it is still owed, but keeps what it owes")
    func lied() throws {
        var pair = Pair()
        pair.asking.received(pair.server.peer, try pair.header(500), time: 7)
        pair.asking.lied(pair.server.peer, time: 8)
        #expect(pair.asking.balance(of: pair.server.peer) == 0)
        let change = Pair.changes(of: &pair.asking).last
        #expect(change?.cause == .lied)
        pair.asking.served(pair.server.peer, try pair.header(300), now: pair.now, time: 9)
        pair.asking.lied(pair.server.peer, time: 10)
        #expect(pair.asking.balance(of: pair.server.peer) == 300)
    }

    @Test("two receipts at one place of a chain prove a fork, in either role")
    func forks() throws {
        let forker = Identity()
        let others = [Identity(), Identity()]
        let receipts = others.map { other -> Receipt in
            var receipt = Receipt(
                ReceiptTerms(
                    from: other.peer, to: forker.peer, amount: 5, quantity: 5, time: 1))
            let text = receipt.debtorText(at: .first)
            receipt.debtor = Receipt.Side(
                .first, forker.sign(Receipt.message(text, asCreditor: false)))
            return receipt
        }
        let evidence = Evidence.fork(forker.peer, receipts[0], receipts[1])
        #expect(try evidence.examine() == .proven)
        #expect(try Evidence(decoding: evidence.encoded.rawSpan) == evidence)
        #expect(throws: EvidenceFault.consistent) {
            try Evidence.fork(forker.peer, receipts[0], receipts[0]).examine()
        }
        #expect(throws: EvidenceFault.unrelated) {
            try Evidence.fork(others[0].peer, receipts[0], receipts[1]).examine()
        }
        var watch = ForkWatch()
        let notes = [receipts[0], receipts[0], receipts[1]].map { watch.note($0, of: forker.peer) }
        #expect(notes == [nil, nil, evidence])
        // A node that is started anew knows those that it has kept.
        var book = CreditBook(of: others[0].peer, receipts: [receipts[0]])
        book.hear([receipts[0], receipts[1]])
        guard case .forked(let peer, let found)? = book.nextEvent() else {
            Issue.record("the fork was not seen")
            return
        }
        #expect(peer == forker.peer && found == evidence)
        var forged = receipts[1]
        forged.debtor = Receipt.Side(.first, [UInt8](repeating: 1, count: 64))
        let note = watch.note(forged, of: forker.peer)
        #expect(note == nil, "that is not its signature")
        // As creditor of the third at the same place.
        let third = Identity()
        var other = Receipt(
            ReceiptTerms(from: forker.peer, to: third.peer, amount: 5, quantity: 5, time: 1))
        other.debtor = Receipt.Side(
            .first,
            third.sign(Receipt.message(other.debtorText(at: .first), asCreditor: false)))
        let text = try #require(other.creditorText(at: .first))
        other.creditor = Receipt.Side(
            .first, forker.sign(Receipt.message(text, asCreditor: true)))
        #expect(
            try Evidence.fork(forker.peer, receipts[0], other).examine() == .proven)
    }

    @Test("a receipt survives its encoding, and what another encoder might write is refused")
    func encoding() throws {
        var pair = Pair()
        try pair.run(2_000_000_000)
        var noise = Noise(seed: 6)
        for receipt in pair.kept {
            let bytes = receipt.encoded
            #expect(try Receipt(decoding: bytes.rawSpan) == receipt)
            for _ in 0..<200 {
                let changed = noise.mutation(of: bytes)
                guard let other = try? Receipt(decoding: changed.rawSpan) else { continue }
                #expect(other.encoded == changed)
                #expect(
                    other == receipt || !other.isSigned(by: other.terms.to)
                        || other.creditor != receipt.creditor)
            }
        }
    }
}
