// A receipt: one peer has served another, and both say so. Each identity keeps all that it signs in
// one chain, whoever the other side is: a position of the chain that is signed twice is a fork, and
// proves by itself that its owner lies.

import Cryptography
public import Multiformats
public import Wire

/// What a receipt is about. Only who served, who was served, and how much.
public struct ReceiptTerms: Hashable, Sendable {
    /// What was delivered.
    public enum Kind: UInt8, Hashable, Sendable {
        /// Gas of calls.
        case gas = 0
        /// Bytes of content.
        case bytes = 1
    }

    /// What was delivered.
    public let kind: Kind
    /// Who served.
    public let from: PeerID
    /// Who was served, and owes.
    public let to: PeerID
    /// What it is worth, in credits.
    public let amount: UInt64
    /// How much was delivered: units of gas, or bytes.
    public let quantity: UInt64
    /// When, in seconds since 1970 by the clock of who served.
    public let time: UInt64

    /// The terms of a receipt.
    public init(
        _ kind: Kind = .gas, from: PeerID, to: PeerID, amount: UInt64, quantity: UInt64,
        time: UInt64
    ) {
        self.kind = kind
        self.from = from
        self.to = to
        self.amount = amount
        self.quantity = quantity
        self.time = time
    }

    /// The same for a smaller amount.
    func reduced(to amount: UInt64) -> ReceiptTerms {
        ReceiptTerms(
            kind, from: from, to: to, amount: min(amount, self.amount), quantity: quantity,
            time: time)
    }

    func write(into map: inout CanonicalWriter) {
        map.map(fields: 6)
        map.write("to", to.bytes)
        map.write("from", from.bytes)
        map.write("kind", UInt64(kind.rawValue))
        map.write("time", time)
        map.write("amount", amount)
        map.write("quantity", quantity)
    }

    init(_ reader: inout CanonicalReader) throws(DecodeError) {
        try reader.map(fields: 6)
        let to = try reader.peer("to")
        let from = try reader.peer("from")
        guard let kind = Kind(rawValue: UInt8(try reader.number("kind", upTo: 255))) else {
            throw DecodeError(.unsupported, "receipt: of a kind that is not known")
        }
        let time = try reader.number("time")
        let amount = try reader.number("amount")
        self.init(
            kind, from: from, to: to, amount: amount, quantity: try reader.number("quantity"),
            time: time)
        guard from != to else {
            throw DecodeError(.malformed, "receipt: nobody serves itself")
        }
    }
}

/// A place in the chain of an identity.
public struct ChainPosition: Hashable, Sendable {
    /// Which entry of the chain it is; the first is 0.
    public let sequence: UInt64
    /// The hash of the entry before it; zeros for the first.
    public let previous: [UInt8]

    /// The place before everything else.
    public static let first = ChainPosition(
        sequence: 0, previous: [UInt8](repeating: 0, count: 32))

    /// A place after the entry with this hash.
    public init(sequence: UInt64, previous: [UInt8]) {
        precondition(previous.count == 32, "a hash has 32 bytes")
        self.sequence = sequence
        self.previous = previous
    }
}

/// A receipt, signed first by who was served, then by who served.
public struct Receipt: Hashable, Sendable {
    /// One side's place and signature.
    public struct Side: Hashable, Sendable {
        /// Where in its signer's chain the receipt is.
        public let position: ChainPosition
        /// The signature.
        public let signature: [UInt8]

        /// A place with a signature.
        public init(_ position: ChainPosition, _ signature: [UInt8]) {
            self.position = position
            self.signature = signature
        }
    }

    /// What it is about.
    public let terms: ReceiptTerms
    /// The side of who was served; nil in a claim, which nobody has signed.
    public var debtor: Side?
    /// The side of who served; nil as long as only the other side has signed.
    public var creditor: Side?

    /// A claim: a receipt that nobody has signed.
    public init(_ terms: ReceiptTerms) { self.terms = terms }

    // MARK: Signing

    /// What the debtor signs at a place of its chain.
    public func debtorText(at position: ChainPosition) -> [UInt8] {
        var map = CanonicalWriter(fields: 3)
        map.write("seq", position.sequence)
        map.write("prev", position.previous)
        map.key("terms")
        terms.write(into: &map)
        return map.bytes
    }

    /// What the creditor signs at a place of its chain, which names the debtor's entry; nil as long
    /// as the debtor has not signed.
    public func creditorText(at position: ChainPosition) -> [UInt8]? {
        guard let debtor else { return nil }
        var map = CanonicalWriter(fields: 4)
        map.write("seq", position.sequence)
        map.write("half", SHA256.hash(debtorText(at: debtor.position).rawSpan))
        map.write("prev", position.previous)
        map.key("terms")
        terms.write(into: &map)
        return map.bytes
    }

    /// What is really signed of such a text. Debtors and creditors sign different things, so that
    /// one's signature cannot be used as the other's.
    public static func message(_ text: [UInt8], asCreditor: Bool) -> [UInt8] {
        SignedEnvelope.message(
            CallProtocol.receiptDomain, Array((asCreditor ? "creditor" : "debtor").utf8), text)
    }

    /// The entry that this receipt is in a peer's chain: its place and its hash; nil if the peer
    /// has not signed it.
    public func entry(of peer: PeerID) -> (position: ChainPosition, hash: [UInt8])? {
        if peer == terms.to, let debtor {
            return (debtor.position, SHA256.hash(debtorText(at: debtor.position).rawSpan))
        }
        if peer == terms.from, let creditor, let text = creditorText(at: creditor.position) {
            return (creditor.position, SHA256.hash(text.rawSpan))
        }
        return nil
    }

    /// Whether a peer has signed this receipt on its side.
    public func isSigned(by peer: PeerID) -> Bool {
        guard let key = peer.publicKey else { return false }
        if peer == terms.to, let debtor {
            return key.verify(
                signature: debtor.signature,
                of: Self.message(debtorText(at: debtor.position), asCreditor: false))
        }
        if peer == terms.from, let creditor, let text = creditorText(at: creditor.position) {
            return key.verify(
                signature: creditor.signature, of: Self.message(text, asCreditor: true))
        }
        return false
    }

    // MARK: Encoding

    /// The longest receipt, in bytes.
    public static let maxBytes = 1_024

    /// The canonical dag-cbor.
    public var encoded: [UInt8] {
        var map = CanonicalWriter(fields: 3)
        writeFields(into: &map)
        return map.bytes
    }

    /// Decodes the canonical dag-cbor. What is read proves nothing before ``isSigned(by:)``.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxBytes else {
            throw DecodeError(.overLimit, "receipt: longer than 1 KiB")
        }
        var reader = CanonicalReader(bytes)
        try self.init(&reader)
        try reader.end()
    }

    func write(into map: inout CanonicalWriter) {
        map.map(fields: 3)
        writeFields(into: &map)
    }

    private func writeFields(into map: inout CanonicalWriter) {
        map.key("terms")
        terms.write(into: &map)
        map.key("debtor")
        Self.write(debtor, into: &map)
        map.key("creditor")
        Self.write(creditor, into: &map)
    }

    init(_ reader: inout CanonicalReader) throws(DecodeError) {
        try reader.map(fields: 3)
        try reader.key("terms")
        terms = try ReceiptTerms(&reader)
        debtor = try Self.side("debtor", &reader)
        creditor = try Self.side("creditor", &reader)
        guard debtor != nil || creditor == nil else {
            throw DecodeError(.malformed, "receipt: who was served signs first")
        }
    }

    private static func write(_ side: Side?, into map: inout CanonicalWriter) {
        guard let side else { return map.null() }
        map.map(fields: 3)
        map.write("seq", side.position.sequence)
        map.write("prev", side.position.previous)
        map.write("signature", side.signature)
    }

    private static func side(
        _ name: StaticString, _ reader: inout CanonicalReader
    ) throws(DecodeError) -> Side? {
        if try reader.null(name) { return nil }
        try reader.map(fields: 3)
        let position = ChainPosition(
            sequence: try reader.number("seq"), previous: try reader.bytes("prev", count: 32...32))
        return Side(position, try reader.bytes("signature", count: 1...128))
    }
}

/// The chain of what an identity has signed.
public struct ReceiptChain: Hashable, Sendable {
    /// Whose it is.
    public let owner: PeerID
    /// Where the next entry goes.
    public private(set) var end: ChainPosition

    /// The chain of `owner`, up to `end`.
    public init(of owner: PeerID, end: ChainPosition = .first) {
        self.owner = owner
        self.end = end
    }

    /// Follows the chain by one receipt that its owner has signed. Returns whether it is the next.
    public mutating func follow(_ receipt: Receipt) -> Bool {
        guard let (position, hash) = receipt.entry(of: owner), position == end,
            position.sequence < .max
        else { return false }
        end = ChainPosition(sequence: position.sequence + 1, previous: hash)
        return true
    }
}
