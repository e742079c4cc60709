// What peers tell each other without being asked: proofs against liars, which each looks into
// itself, and receipts of others.

import Compute
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Simulation

/// A node that talks to peers which a test speaks for.
private struct Listener {
    var exchange: CallExchange
    var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var convicted: [PeerID] = []
    /// What has been said to whom.
    private(set) var said: [(peer: PeerID, news: CallNews)] = []
    private(set) var examined = 0
    /// What looking into a proof comes to, if not what it really comes to.
    var finding: ProofFinding?
    private var streams: [StreamID: PeerID] = [:]

    init() {
        exchange = CallExchange(
            offer: CallOffer(speed: 1, slots: 1), book: CreditBook(of: Identity().peer),
            secret: [UInt8](repeating: 3, count: 32))
    }

    private static func stream(_ number: Int) -> StreamID {
        StreamID(connection: UInt64(number), stream: 1)
    }

    /// A peer connects and opens a stream.
    mutating func meet(_ peer: PeerID, _ number: Int) {
        exchange.meet(peer, now: now)
        streams[Self.stream(number)] = peer
        exchange.receive(
            .accepted(Self.stream(number), peer, CallProtocol.name), isOurs: false, now: now,
            time: 0)
        settle()
    }

    /// A peer says something.
    mutating func hear(_ news: CallNews, _ number: Int) {
        exchange.receive(
            .message(Self.stream(number), CallCommand.news(news).encoded), isOurs: false, now: now,
            time: 0)
        settle()
    }

    mutating func wait(_ time: Duration) {
        now = now + time
        exchange.advance(to: now)
        settle()
    }

    mutating func settle() {
        while true {
            if let event = exchange.nextEvent(now: now, time: 0) {
                switch event {
                case .examine(let order, let file):
                    examined += 1
                    exchange.examined(order, finding ?? PretendEngine.examine(file), now: now)
                case .convicted(let peer, _): convicted.append(peer)
                default: break
                }
            } else if let order = exchange.nextTransmit() {
                guard case .send(let stream, let message) = order, let peer = streams[stream],
                    let replies = try? CallReply.decode(message.rawSpan)
                else { continue }
                for case .news(let news) in replies { said.append((peer, news)) }
            } else {
                return
            }
        }
    }

    /// What has been said to a peer, but for what was said before.
    mutating func takeSaid(to peer: PeerID) -> [CallNews] {
        defer { said.removeAll { $0.peer == peer } }
        return said.filter { $0.peer == peer }.map { $0.news }
    }

    func isBanned(_ peer: PeerID) -> Bool { exchange.responders.isBanned(peer, now: now) }
}

@Suite struct NewsTests {
    private let liar = Identity()
    private let reporter = Identity().peer
    private let other = Identity().peer

    /// A proof that needs nothing but itself, of about so many bytes.
    private func proof(of liar: Identity, bytes: Int = 0) throws -> [UInt8] {
        let call = try PretendEngine.call(depth: 0, number: 1)
        let body = [UInt8](repeating: 7, count: bytes)
        let records = try [body + [1], body + [2]].map { bytes in
            try CallRecord(
                call, outcome: .ok, output: CallOutput(body: .inline(bytes)), gas: 10, ownGas: 10)
        }
        return Evidence.contradiction(liar.answer(records[0]), liar.answer(records[1])).encoded
    }

    private func notice(_ file: [UInt8], of accused: PeerID) -> ProofNotice {
        ProofNotice(
            accused: accused, hash: Multihash.sha2_256(of: file.rawSpan).digest,
            size: UInt32(file.count))
    }

    @Test("a proof of somebody never met is fetched, looked into, believed and passed on")
    func believed() throws {
        var node = Listener()
        node.meet(reporter, 1)
        node.meet(other, 2)
        let file = try proof(of: liar)
        let notice = notice(file, of: liar.peer)
        node.hear(.proof(notice), 1)
        #expect(node.takeSaid(to: reporter) == [.want(hash: notice.hash, offset: 0)])
        #expect(node.takeSaid(to: other).isEmpty, "nothing is passed on that was not looked into")
        node.hear(.part(hash: notice.hash, offset: 0, bytes: file), 1)
        #expect(node.convicted == [liar.peer] && node.isBanned(liar.peer))
        #expect(node.takeSaid(to: other) == [.proof(notice)])
        // Whoever is told wants it, and gets it; whoever comes later is told as well.
        node.hear(.want(hash: notice.hash, offset: 0), 2)
        #expect(node.takeSaid(to: other) == [.part(hash: notice.hash, offset: 0, bytes: file)])
        let late = Identity().peer
        node.meet(late, 3)
        #expect(node.takeSaid(to: late) == [.proof(notice)])
        // One proof of a liar is enough.
        node.hear(.proof(self.notice(try proof(of: liar, bytes: 1), of: liar.peer)), 2)
        #expect(node.takeSaid(to: other).isEmpty && node.examined == 1)
        #expect(!node.isBanned(reporter) && !node.isBanned(other))
    }

    @Test("a long proof comes in parts")
    func parts() throws {
        var node = Listener()
        node.meet(reporter, 1)
        let child = try (0..<12).map { index in
            try CallRecord(
                PretendEngine.call(depth: 0, number: UInt64(index)), outcome: .ok,
                output: CallOutput(body: .inline([UInt8](repeating: 1, count: 32_000))), gas: 10,
                ownGas: 10)
        }
        let root = try CallRecord(
            PretendEngine.call(depth: 1, number: 1), outcome: .ok, output: CallOutput(body: .empty),
            gas: 1_000, ownGas: 1, children: child.map { $0.cid })
        let wrong = Evidence.wrongAnswer(WrongAnswer(liar.answer(root), path: [], records: child))
        let file = wrong.encoded
        let notice = notice(file, of: liar.peer)
        #expect(file.count > CallNews.maxPartBytes)
        node.hear(.proof(notice), 1)
        var offset = 0
        while offset < file.count {
            #expect(
                node.takeSaid(to: reporter) == [.want(hash: notice.hash, offset: UInt32(offset))])
            let end = min(file.count, offset + CallNews.maxPartBytes)
            node.hear(
                .part(
                    hash: notice.hash, offset: UInt32(offset), bytes: [UInt8](file[offset..<end])),
                1)
            offset = end
        }
        #expect(node.convicted == [liar.peer], "its numbers contradict those of its children")
    }

    @Test("who tells of a proof that is none is listened to no more, and nobody else is told")
    func slander() throws {
        let honest = try PretendEngine.call(depth: 0, number: 1)
        var engine = PretendEngine()
        let run = engine.run(honest)
        let record = try #require(run)
        let harmless = Evidence.wrongAnswer(
            WrongAnswer(liar.answer(record), path: [], records: [])
        ).encoded
        let noise = [UInt8](repeating: 9, count: 100)
        let ofOther = try proof(of: Identity())
        for file in [harmless, noise, ofOther] {
            var node = Listener()
            node.meet(reporter, 1)
            node.meet(other, 2)
            let notice = notice(file, of: liar.peer)
            node.hear(.proof(notice), 1)
            node.hear(.part(hash: notice.hash, offset: 0, bytes: file), 1)
            #expect(node.convicted.isEmpty && !node.isBanned(liar.peer))
            #expect(node.isBanned(reporter))
            #expect(node.takeSaid(to: other).isEmpty)
            _ = node.takeSaid(to: reporter)
            node.hear(.proof(self.notice(try proof(of: liar), of: liar.peer)), 1)
            #expect(node.takeSaid(to: reporter).isEmpty, "even if it is true this time")
        }
    }

    @Test("bytes that were not named, and too many of them, cost the reporter the same")
    func wrongBytes() throws {
        let file = try proof(of: liar)
        for changed in [[0] + file.dropFirst(), file + [1]] {
            var node = Listener()
            node.meet(reporter, 1)
            let notice = notice(file, of: liar.peer)
            node.hear(.proof(notice), 1)
            node.hear(.part(hash: notice.hash, offset: 0, bytes: changed), 1)
            #expect(node.examined == 0 && node.isBanned(reporter) && !node.isBanned(liar.peer))
        }
    }

    @Test("a reporter that does not give what it named is passed over for another")
    func silence() throws {
        var node = Listener()
        node.meet(reporter, 1)
        node.meet(other, 2)
        let file = try proof(of: liar)
        let notice = notice(file, of: liar.peer)
        node.hear(.proof(notice), 1)
        node.hear(.proof(notice), 2)
        #expect(node.takeSaid(to: other).isEmpty, "it is fetched once")
        node.wait(.seconds(30))
        #expect(node.takeSaid(to: other) == [.want(hash: notice.hash, offset: 0)])
        node.hear(.part(hash: notice.hash, offset: 0, bytes: file), 2)
        #expect(node.convicted == [liar.peer])
        #expect(!node.isBanned(reporter), "a slow line is no lie")
        #expect(node.exchange.deadline.map { $0 > node.now } ?? true)
    }

    @Test("a flood of notices has this node fetch no more than so much of one reporter")
    func flood() throws {
        var node = Listener()
        node.meet(reporter, 1)
        var wanted = 0
        for _ in 0..<1_000 {
            let notice = ProofNotice(
                accused: Identity().peer,
                hash: (0..<32).map { _ in UInt8.random(in: 0...255) }, size: 8 << 20)
            node.hear(.proof(notice), 1)
            wanted += node.takeSaid(to: reporter).count
        }
        #expect(wanted == 1, "one at a time")
        node.wait(.seconds(30))
        #expect(node.takeSaid(to: reporter).isEmpty, "and it did not give that")
        #expect(node.convicted.isEmpty)
        // Those that cannot be decided here cost time: after a few its reporter has to wait.
        var tired = Listener()
        tired.finding = .undecided
        tired.meet(reporter, 1)
        for number in 0..<20 {
            let file = try proof(of: liar, bytes: number)
            let notice = notice(file, of: liar.peer)
            tired.hear(.proof(notice), 1)
            tired.hear(.part(hash: notice.hash, offset: 0, bytes: file), 1)
        }
        #expect(tired.examined == 3 && !tired.isBanned(reporter))
    }

    @Test("receipts of others that contradict each other are a fork, whoever shows them")
    func forks() throws {
        let forker = Identity()
        func receipt(_ amount: UInt64) -> Receipt {
            let debtor = Identity()
            var receipt = Receipt(
                ReceiptTerms(
                    from: forker.peer, to: debtor.peer, amount: amount, quantity: 1, time: 1))
            receipt.debtor = Receipt.Side(
                .first,
                debtor.sign(
                    Receipt.message(receipt.debtorText(at: .first), asCreditor: false)))
            let text = receipt.creditorText(at: .first) ?? []
            receipt.creditor = Receipt.Side(
                .first, forker.sign(Receipt.message(text, asCreditor: true)))
            return receipt
        }
        let receipts = [receipt(1), receipt(2)]
        var node = Listener()
        node.meet(reporter, 1)
        node.meet(other, 2)
        node.hear(.receipts([receipts[0]]), 1)
        #expect(node.convicted.isEmpty)
        node.hear(.receipts([receipts[1]]), 1)
        #expect(node.convicted.isEmpty, "one peer is not listened to all the time")
        node.hear(.receipts([receipts[1]]), 2)
        #expect(node.convicted == [forker.peer])
        // What is not signed by its owner says nothing about it.
        var forged = Receipt(receipts[1].terms.self)
        forged.debtor = receipts[0].debtor
        forged.creditor = receipts[0].creditor
        var careful = Listener()
        careful.meet(reporter, 1)
        careful.meet(other, 2)
        careful.hear(.receipts([receipts[0]]), 1)
        careful.hear(.receipts([forged]), 2)
        #expect(careful.convicted.isEmpty)
    }

    @Test("news survive their encoding; a later kind of news is passed over")
    func encoding() throws {
        let file = try proof(of: liar)
        let notice = notice(file, of: liar.peer)
        for news in [
            CallNews.proof(notice), .want(hash: notice.hash, offset: 9),
            .part(hash: notice.hash, offset: 0, bytes: file), .receipts([]),
        ] {
            let command = CallCommand.news(news)
            #expect(try CallCommand.decode(command.encoded.rawSpan) == [command])
            let reply = CallReply.news(news)
            #expect(try CallReply.decode(reply.encoded.rawSpan) == [reply])
        }
        var later: [UInt8] = []
        later.appendField(7, bytes: [0x4a, 1, 0])
        #expect(try CallCommand.decode(later.rawSpan).isEmpty)
        var short: [UInt8] = []
        short.appendField(7, bytes: [0x12, 2, 0x0a, 0])
        #expect(throws: DecodeError.self) { try CallCommand.decode(short.rawSpan) }
    }
}
