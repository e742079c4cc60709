// A result with its history: who has signed that it is what a call comes to. A signature counts
// whoever passes it on: it names the call and commits to the record, so its signer answers for it
// with a proof if it is wrong. The nonce in it is that of another question, so it is no answer to
// this node's own, and nothing is owed for it.

public import Multiformats
public import Wire

/// What somebody has signed of a result.
public struct Voucher: Hashable, Sendable {
    /// What was signed.
    public let header: SignedHeader
    /// The salt of its commitment.
    public let salt: [UInt8]
    /// Who passed it on; nil if the signer itself has answered this node.
    public let via: PeerID?

    /// What an answer says, as it came from its signer or was passed on.
    public init(_ answer: CallAnswer, via: PeerID? = nil) {
        self.init(header: answer.header, salt: answer.salt, via: via)
    }

    init(header: SignedHeader, salt: [UInt8], via: PeerID?) {
        self.header = header
        self.salt = salt
        self.via = via
    }

    /// Who vouches.
    public var signer: PeerID { header.responder }

    /// How many bytes it takes to keep, roughly.
    public var byteCount: Int { 320 + header.hashes.count * 34 + (via?.hash.digest.count ?? 0) }

    /// The longest form, in bytes: 64 hashes, and what is around them.
    static let maxBytes = 4 << 10

    /// What is passed on: canonical dag-cbor, without who passed it on before.
    var encoded: [UInt8] {
        var map = CanonicalWriter(fields: 2)
        map.write("salt", salt)
        map.key("signed")
        header.write(into: &map)
        return map.bytes
    }

    init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxBytes else {
            throw DecodeError(.overLimit, "voucher: longer than 4 KiB")
        }
        var reader = CanonicalReader(bytes)
        try reader.map(fields: 2)
        try self.init(&reader, via: nil)
    }

    private init(_ reader: inout CanonicalReader, via: PeerID?) throws(DecodeError) {
        let saltBytes = CallProtocol.saltBytes
        let salt = try reader.bytes("salt", count: saltBytes...saltBytes)
        try reader.key("signed")
        self.init(header: try SignedHeader(&reader), salt: salt, via: via)
        try reader.end()
    }

    /// As it is kept: with who passed it on.
    public var stored: [UInt8] {
        var map = CanonicalWriter(fields: 3)
        map.key("via")
        if let via { map.append(via.bytes) } else { map.null() }
        map.write("salt", salt)
        map.key("signed")
        header.write(into: &map)
        return map.bytes
    }

    /// Reads what ``stored`` wrote.
    public init(storage bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxBytes + 128 else {
            throw DecodeError(.overLimit, "voucher: longer than 4 KiB")
        }
        var reader = CanonicalReader(bytes)
        try reader.map(fields: 3)
        let via = try reader.null("via") ? nil : try reader.peer()
        try self.init(&reader, via: via)
    }
}

/// A result, and who vouches for it.
public struct ResultHistory: Hashable, Sendable {
    /// The most that are remembered to vouch for one result.
    public static let maxVouchers = 8

    /// The result.
    public let record: CallRecord
    /// Who vouches for it, each signer once.
    public private(set) var vouchers: [Voucher]

    /// A result, with those of the vouchers that can be added.
    public init(_ record: CallRecord, _ vouchers: [Voucher] = []) {
        self.record = record
        self.vouchers = []
        for voucher in vouchers { add(voucher) }
    }

    /// How many of them this node has asked itself. Those whose word was passed on are not among
    /// them: whoever did so may have chosen liars.
    public var witnesses: Int { vouchers.count { $0.via == nil } }

    /// Adds somebody who vouches for this very record. Who has answered this node itself takes the
    /// place of somebody whose word was passed on. Returns whether anything has changed.
    @discardableResult
    public mutating func add(_ voucher: Voucher) -> Bool {
        guard voucher.header.isCovered, answer(voucher).fits else { return false }
        if let place = vouchers.firstIndex(where: { $0.signer == voucher.signer }) {
            guard vouchers[place].via != nil, voucher.via == nil else { return false }
            vouchers[place] = voucher
            return true
        }
        if vouchers.count >= Self.maxVouchers {
            guard voucher.via == nil, let place = vouchers.firstIndex(where: { $0.via != nil })
            else { return false }
            vouchers.remove(at: place)
        }
        vouchers.append(voucher)
        return true
    }

    /// Forgets what a peer has signed or passed on, because it lies.
    public mutating func remove(_ liar: PeerID) {
        vouchers.removeAll { $0.signer == liar || $0.via == liar }
    }

    /// The answer that a voucher was.
    public func answer(_ voucher: Voucher) -> CallAnswer {
        CallAnswer(voucher.header, salt: voucher.salt, record: record)
    }
}
