// Mutual credit: peers serve each other and count. Below a small debt nothing is said about it;
// from then on who was served signs for it. What a peer may owe grows with what it has done.

public import Multiformats
public import Wire

/// The accounts of a node with all peers, and the chain of what it has signed.
public struct CreditBook: Sendable {
    /// What the owner has to do.
    public enum Event: Hashable, Sendable {
        /// Sign this message with the node's identity: ``signed(_:_:)`` with the number.
        case sign(UInt64, [UInt8])
        /// Ask a peer to sign this.
        case claim(PeerID, [UInt8])
        /// Send a peer this receipt, which this node has signed for what it got.
        case acknowledge(PeerID, [UInt8])
        /// Give a peer this receipt, which both have signed.
        case deliver(PeerID, [UInt8])
        /// Keep this receipt: this node's chain has grown by it. Nothing of it is sent before
        /// ``kept(_:_:)`` with the number. It is given again, with another number, when the other
        /// side has signed as well.
        case keep(UInt64, Receipt)
        /// A balance has changed.
        case changed(BalanceChange)
        /// A peer has signed two things at one place of its chain.
        case forked(PeerID, Evidence)
    }

    /// The most peers with an account.
    public static let maxAccounts = 65_536
    /// How long a peer has to sign before it is asked again.
    public static let claimTime: Duration = .seconds(60)
    /// How long a claim waits for the answers that it is for, which it may have overtaken.
    public static let patience: Duration = .seconds(5)
    /// The most receipts that wait to be signed.
    static let maxPending = 256

    private struct Signing {
        var receipt: Receipt
        let position: ChainPosition
        let asCreditor: Bool
        let time: UInt64
    }

    /// Whose book it is.
    public let owner: PeerID
    private let limits: CreditLimits
    /// The accounts by peer.
    public private(set) var accounts: [PeerID: Account]
    /// This node's chain.
    public private(set) var chain: ReceiptChain
    /// What all newcomers got and has not faded, and when that was.
    private var newcomersTab: (amount: UInt64, time: UInt64) = (0, 0)
    private var newcomers = Outbox<PeerID>()
    /// What peers have been asked to sign, and when.
    private var claims = [PeerID: (terms: ReceiptTerms, at: Instant)]()
    /// Receipts that are to be signed, one after another, since each names the one before it.
    private var pending = BoundedQueue<(receipt: Receipt, asCreditor: Bool, time: UInt64)>(
        limit: maxPending)
    /// Claims of more than has been counted, by peer, and when that is signed for all the same.
    private var waiting = [PeerID: (terms: ReceiptTerms, at: Instant)]()
    private var deadlines = DeadlineQueue<PeerID>()
    private var signing: (number: UInt64, Signing)?
    /// What has been signed and is not known to be kept.
    private var keeping: (number: UInt64, receipt: Receipt, asCreditor: Bool)?
    /// What is about to be signed for, by peer.
    private var reserved = [PeerID: UInt64]()
    /// Whether a receipt could not be kept: then nothing more is signed.
    private var isClosed = false
    /// The receipts of those this node deals with, and those that others have shown.
    private var watch = ForkWatch()
    private var others = ForkWatch(maxPeers: 1_024)
    private var nextNumber: UInt64 = 1
    private var events = Outbox<Event>()

    /// A book that goes on where it ended.
    ///
    /// - Parameter receipts: those that were kept, as this node has checked them then.
    public init(
        of owner: PeerID, accounts: [PeerID: Account] = [:], chain end: ChainPosition = .first,
        receipts: [Receipt] = [], limits: CreditLimits = CreditLimits()
    ) {
        self.owner = owner
        self.limits = limits
        self.accounts = accounts
        chain = ReceiptChain(of: owner, end: end)
        for (_, account) in accounts where account.isNewcomer {
            let time = max(newcomersTab.time, account.servedAt)
            newcomersTab = (newcomersTab.amount.adding(account.debt), time)
        }
        for receipt in receipts {
            let other = receipt.terms.from == owner ? receipt.terms.to : receipt.terms.from
            watch.recall(receipt, of: other)
        }
    }

    /// What a peer owes this node; negative if this node owes.
    public func balance(of peer: PeerID) -> Int64 { accounts[peer]?.balance ?? 0 }

    /// What a peer may owe this node.
    public func limit(of peer: PeerID) -> UInt64 { (accounts[peer] ?? Account()).limit(limits) }

    /// Whether a peer may be served: it does not owe too much, and signs for what it got.
    ///
    /// - Parameter time: seconds since 1970.
    public func mayServe(_ peer: PeerID, time: UInt64) -> Bool {
        let account = account(of: peer, at: time)
        return account.limit(limits) > 0 && !isOverdrawn(account, at: time)
    }

    /// Whether a peer owes so much that what is under way for it is not worth finishing. What it
    /// has yet to sign is no reason: that takes as long as asking it does.
    ///
    /// - Parameter time: seconds since 1970.
    func isOverdrawn(_ peer: PeerID, time: UInt64) -> Bool {
        isOverdrawn(account(of: peer, at: time), at: time)
    }

    private func isOverdrawn(_ account: Account, at time: UInt64) -> Bool {
        account.debt >= account.ceiling(limits)
            || account.isNewcomer && newcomersTab(at: time) >= limits.newcomers
    }

    /// The account with a peer, without what has faded.
    private func account(of peer: PeerID, at time: UInt64) -> Account {
        var account = accounts[peer] ?? Account()
        account.fade(by: account.faded(at: time, limits))
        return account
    }

    /// What newcomers got and has not faded by a time.
    private func newcomersTab(at time: UInt64) -> UInt64 {
        let (amount, since) = newcomersTab
        return amount
            - CreditLimits.fading(of: amount, perDay: limits.newcomers, since: since, time: time)
    }

    // MARK: What happened

    /// This node has run a call for a peer.
    ///
    /// - Parameter time: seconds since 1970.
    public mutating func served(_ peer: PeerID, _ header: CallHeader, now: Instant, time: UInt64) {
        count(
            header.amount, header.gas, for: peer, .served(call: header.call, gas: header.gas),
            now: now, time: time)
    }

    /// A peer has taken back a call that this node had run for so much gas, about. It counts as
    /// what it was: work. The peer does not count it, so that it is written off when it signs, but
    /// no more of it than of any other difference.
    public mutating func withdrew(
        _ peer: PeerID, call: CID, gas: UInt64, price: Price, now: Instant, time: UInt64
    ) {
        count(
            price.amount(for: gas), gas, for: peer, .withdrawn(call: call, gas: gas), now: now,
            time: time)
    }

    /// Counts what this node did for a peer.
    private mutating func count(
        _ amount: UInt64, _ gas: UInt64, for peer: PeerID, _ cause: BalanceChange.Cause,
        now: Instant, time: UInt64
    ) {
        guard amount > 0 else { return }
        if let faded = accounts[peer]?.faded(at: time, limits), faded > 0 {
            edit(peer, .faded, time) { $0.fade(by: faded) }
        }
        edit(peer, cause, time) {
            $0.served = $0.served.adding(amount)
            $0.unsignedGas = $0.unsignedGas.adding(gas)
            $0.servedAt = time
        }
        if accounts[peer]?.isNewcomer == true {
            let rest = newcomersTab(at: time)
            let isSame = rest > 0 && rest == newcomersTab.amount
            newcomersTab = (rest.adding(amount), isSame ? newcomersTab.time : time)
        }
        claim(from: peer, now: now, time: time)
    }

    /// A peer has run a call for this node.
    public mutating func received(_ peer: PeerID, _ header: CallHeader, time: UInt64) {
        guard header.amount > 0 else { return }
        edit(peer, .received(call: header.call, gas: header.gas), time) {
            $0.received = $0.received.adding(header.amount)
        }
        guard let claim = waiting[peer], claim.terms.amount <= unsigned(by: peer) else { return }
        waiting[peer] = nil
        acknowledge(claim.terms, time: time)
    }

    /// A peer has lied. What it is owed beyond what it was given is not paid.
    public mutating func lied(_ peer: PeerID, time: UInt64) {
        guard let account = accounts[peer], account.balance < 0 else { return }
        edit(peer, .lied, time) { $0.received = min($0.received, max($0.served, $0.signedHere)) }
    }

    /// Asks a peer again to sign for what it got, now that it can be reached.
    public mutating func remind(_ peer: PeerID, now: Instant, time: UInt64) {
        claim(from: peer, now: now, time: time)
    }

    private mutating func claim(from peer: PeerID, now: Instant, time: UInt64) {
        guard let account = accounts[peer], account.unsigned > limits.delta else { return }
        if let claim = claims[peer], now.since(claim.at) < Self.claimTime { return }
        let terms = ReceiptTerms(
            from: owner, to: peer, amount: account.unsigned, quantity: account.unsignedGas,
            time: time)
        claims[peer] = (terms, now)
        events.append(.claim(peer, Receipt(terms).encoded))
    }

    // MARK: Receipts

    /// A peer says what this node owes it. Signed is what this node counts itself, and no more. An
    /// answer is counted when it has been checked, and what claims it may be quicker: that waits.
    public mutating func take(claim bytes: [UInt8], from peer: PeerID, now: Instant, time: UInt64) {
        guard let receipt = try? Receipt(decoding: bytes.rawSpan), receipt.debtor == nil,
            receipt.terms.from == peer, receipt.terms.to == owner, receipt.terms.amount > 0
        else { return }
        guard receipt.terms.amount > unsigned(by: peer),
            waiting[peer] != nil || waiting.count < Self.maxPending
        else {
            waiting[peer] = nil
            return acknowledge(receipt.terms, time: time)
        }
        let due = waiting[peer]?.at ?? now + Self.patience
        if waiting[peer] == nil { deadlines.add(peer, at: due) }
        waiting[peer] = (receipt.terms, due)
    }

    /// Signs for what has been counted of claims that have waited long enough.
    public mutating func advance(to now: Instant, time: UInt64) {
        while let peer = deadlines.popDue(at: now) {
            guard let claim = waiting[peer], claim.at <= now else { continue }
            waiting[peer] = nil
            acknowledge(claim.terms, time: time)
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// What this node owes a peer and has not signed for.
    private func unsigned(by peer: PeerID) -> UInt64 {
        guard let account = accounts[peer] else { return 0 }
        let signed = account.signedHere.adding(reserved[peer] ?? 0)
        return account.received - min(account.received, signed)
    }

    private mutating func acknowledge(_ terms: ReceiptTerms, time: UInt64) {
        let peer = terms.from
        let reduced = terms.reduced(to: unsigned(by: peer))
        guard reduced.amount > 0, pending.append((Receipt(reduced), false, time)) else { return }
        // At once, so that it is not signed for twice.
        reserved[peer, default: 0] += reduced.amount
        signNext()
    }

    /// A peer has signed for what it got.
    public mutating func take(acknowledgement bytes: [UInt8], from peer: PeerID, time: UInt64) {
        guard let claim = claims[peer], let receipt = try? Receipt(decoding: bytes.rawSpan),
            receipt.creditor == nil, receipt.terms.amount > 0,
            receipt.terms == claim.terms.reduced(to: receipt.terms.amount),
            receipt.isSigned(by: peer)
        else { return }
        claims[peer] = nil
        note(receipt, of: peer)
        let missing = claim.terms.amount - receipt.terms.amount
        edit(peer, .signed(receipt.terms.amount), time) { account in
            account.signedByPeer = account.signedByPeer.adding(receipt.terms.amount)
            account.unsignedGas -= min(account.unsignedGas, claim.terms.quantity)
        }
        // The two count differently, for example because an answer crossed a cancellation.
        let rest = min(missing, accounts[peer]?.forgivable(limits) ?? 0)
        if rest > 0 {
            edit(peer, .writtenOff, time) {
                $0.served -= min($0.served, rest)
                $0.writtenOff = $0.writtenOff.adding(rest)
            }
        }
        _ = pending.append((receipt, true, time))
        signNext()
    }

    /// A peer has signed a receipt that this node had signed.
    public mutating func take(receipt bytes: [UInt8], from peer: PeerID) {
        guard let receipt = try? Receipt(decoding: bytes.rawSpan), receipt.terms.to == owner,
            receipt.terms.from == peer
        else { return }
        // What is known already is not kept once more.
        if case .nothing = watch.compare(receipt, of: peer) { return }
        guard receipt.isSigned(by: peer), receipt.isSigned(by: owner) else { return }
        note(receipt, of: peer)
        nextNumber += 1
        events.append(.keep(nextNumber, receipt))
    }

    /// Remembers where a peer has signed, and compares that with what is known already.
    private mutating func note(_ receipt: Receipt, of peer: PeerID) {
        compareOnly(receipt, of: peer)
        guard let evidence = watch.note(receipt, of: peer) else { return }
        events.append(.forked(peer, evidence))
    }

    private mutating func compareOnly(_ receipt: Receipt, of peer: PeerID) {
        guard case .fork(let evidence) = others.compare(receipt, of: peer) else { return }
        events.append(.forked(peer, evidence))
    }

    /// Takes receipts of others that a peer shows. They are compared with all that is known, and
    /// remembered apart from those of this node's own dealings, which they cannot drive out.
    public mutating func hear(_ receipts: [Receipt]) {
        for receipt in receipts {
            for peer in [receipt.terms.from, receipt.terms.to] where peer != owner {
                switch watch.compare(receipt, of: peer) {
                case .fork(let evidence): events.append(.forked(peer, evidence))
                case .nothing: break
                case .new:
                    if let evidence = others.note(receipt, of: peer) {
                        events.append(.forked(peer, evidence))
                    }
                }
            }
        }
    }

    /// Some receipts that this node knows, drawn at random, to be shown to a peer.
    public func sample(
        _ count: Int, for peer: PeerID, random: inout some RandomNumberGenerator
    ) -> [Receipt] {
        let own = others.isEmpty ? count : count - count / 2
        return watch.sample(own, without: peer, random: &random)
            + others.sample(count - own, without: peer, random: &random)
    }

    private mutating func signNext() {
        guard signing == nil, keeping == nil, !isClosed,
            let (receipt, asCreditor, time) = pending.popFirst()
        else { return }
        let position = chain.end
        guard
            let text = asCreditor
                ? receipt.creditorText(at: position) : receipt.debtorText(at: position)
        else { return }
        nextNumber += 1
        signing = (
            nextNumber,
            Signing(receipt: receipt, position: position, asCreditor: asCreditor, time: time)
        )
        events.append(.sign(nextNumber, Receipt.message(text, asCreditor: asCreditor)))
    }

    /// A signature that was asked for; nil if none could be made.
    public mutating func signed(_ number: UInt64, _ signature: [UInt8]?) {
        guard let (expected, work) = signing, expected == number else { return }
        signing = nil
        let (creditor, amount) = (work.receipt.terms.from, work.receipt.terms.amount)
        if !work.asCreditor {
            let rest = (reserved[creditor] ?? 0) - min(reserved[creditor] ?? 0, amount)
            reserved[creditor] = rest > 0 ? rest : nil
        }
        guard let signature else { return signNext() }
        var receipt = work.receipt
        let side = Receipt.Side(work.position, signature)
        if work.asCreditor { receipt.creditor = side } else { receipt.debtor = side }
        guard chain.follow(receipt) else { return signNext() }
        if !work.asCreditor {
            edit(creditor, .acknowledged(amount), work.time) {
                $0.signedHere = $0.signedHere.adding(amount)
            }
        }
        nextNumber += 1
        keeping = (nextNumber, receipt, work.asCreditor)
        events.append(.keep(nextNumber, receipt))
    }

    /// A receipt has been kept, with all changes of accounts before it; or it could not be. Only
    /// what is kept is sent: a node that forgot what it has signed would sign another in its place.
    public mutating func kept(_ number: UInt64, _ isKept: Bool) {
        guard let (expected, receipt, asCreditor) = keeping, expected == number else { return }
        keeping = nil
        guard isKept else {
            isClosed = true
            return
        }
        if asCreditor {
            events.append(.deliver(receipt.terms.to, receipt.encoded))
        } else {
            events.append(.acknowledge(receipt.terms.from, receipt.encoded))
        }
        signNext()
    }

    /// What has to be done.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    // MARK: Tables

    private mutating func edit(
        _ peer: PeerID, _ cause: BalanceChange.Cause, _ time: UInt64,
        _ change: (inout Account) -> Void
    ) {
        if accounts[peer] == nil {
            makeRoom()
            newcomers.append(peer)
        }
        var account = accounts[peer] ?? Account()
        let before = account
        change(&account)
        accounts[peer] = account
        if before.isNewcomer, !account.isNewcomer {
            newcomersTab.amount -= min(newcomersTab.amount, before.debt)
        }
        let record = BalanceChange(
            peer: peer, cause: cause, amount: account.balance &- before.balance, account: account,
            time: time)
        events.append(.changed(record))
    }

    /// Forgets somebody who has never done anything for this node and owes next to nothing.
    private mutating func makeRoom() {
        guard accounts.count >= Self.maxAccounts else { return }
        for _ in 0..<64 {
            guard let peer = newcomers.popFirst() else { return }
            guard let account = accounts[peer], account.isNewcomer else { continue }
            accounts[peer] = nil
            claims[peer] = nil
            return
        }
    }
}
