// The messages of `/weft/call/1` (docs/call-protocol.md has the fields). One message carries one or
// more of them, in order.

import Multiformats
public import Wire

/// Why a responder does not run a call.
public enum CallRefusal: Hashable, Sendable {
    /// It has enough to do; the question may be repeated after this time.
    case busy(Duration)
    /// It does not run this contract, or not by these rules, or not with so much gas.
    case notOffered
    /// It costs more than the asker allows.
    case price
    /// The asker owes too much.
    case credit
    /// The contract, or content that the call names, cannot be had, or memory is lacking.
    case resource
    /// It makes no sense to this responder.
    case invalid
}

/// What an asker says.
public enum CallCommand: Hashable, Sendable {
    /// Run this call.
    case ask(CallQuestion)
    /// The answer is not wanted any more.
    case cancel(UInt64)
    /// A receipt that the asker, who owes, has signed.
    case acknowledge([UInt8])
    /// Something that has to do with no question.
    case news(CallNews)
}

/// One call that a peer is asked to run.
public struct CallQuestion: Hashable, Sendable {
    /// The asker's number of it, which grows from one to the next.
    public let id: UInt64
    /// What is to be run.
    public let call: Call
    /// Fresh random bytes, which the answer repeats.
    public let nonce: [UInt8]
    /// The most that gas may cost.
    public let maxPrice: Price
    /// How long the asker waits.
    public var patience: Duration
    /// Whether signed answers that others have given are welcome instead.
    public let mayRecall: Bool

    /// A question.
    public init(
        id: UInt64, call: Call, nonce: [UInt8], maxPrice: Price, patience: Duration,
        mayRecall: Bool = false
    ) {
        precondition(nonce.count == CallProtocol.nonceBytes)
        self.mayRecall = mayRecall
        self.id = id
        self.call = call
        self.nonce = nonce
        self.maxPrice = maxPrice
        self.patience = patience
    }
}

/// What a responder says.
public enum CallReply: Hashable, Sendable {
    /// What it offers; comes first on every stream, and again when it changes.
    case offer(CallOffer)
    /// Headers of answers by the question's number, and the one signature of them all.
    case headers([(id: UInt64, header: CallHeader)], signature: [UInt8], queue: Duration)
    /// What was committed to: the salt, and the record without its call.
    case reveal(id: UInt64, salt: [UInt8], result: [UInt8])
    /// It does not run the call.
    case refuse(id: UInt64, CallRefusal)
    /// What the asker owes, as a receipt that it should sign.
    case claim([UInt8])
    /// The receipt with both signatures.
    case receipt([UInt8])
    /// Something that has to do with no question.
    case news(CallNews)
    /// Instead of an answer: the record without its call, and who vouches for it. It costs nothing.
    case vouched(id: UInt64, result: [UInt8], [Voucher])

    public static func == (left: Self, right: Self) -> Bool { left.encoded == right.encoded }

    public func hash(into hasher: inout Hasher) { hasher.combine(contentsOf: encoded) }
}

extension CallCommand {
    /// The protobuf field, to be put into a message with others.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .ask(let question):
            var body: [UInt8] = []
            body.appendField(1, varint: question.id)
            body.appendField(2, bytes: question.call.encoded)
            body.appendField(3, bytes: question.nonce)
            body.appendField(4, varint: UInt64(question.maxPrice.rate))
            body.appendField(5, varint: question.patience.milliseconds)
            if question.mayRecall { body.appendField(6, varint: 1) }
            out.appendField(1, bytes: body)
        case .cancel(let id): out.appendField(2, varint: id)
        case .acknowledge(let receipt): out.appendField(3, bytes: receipt)
        case .news(let news): out.appendField(7, bytes: news.encoded)
        }
        return out
    }

    /// Decodes what a message holds.
    public static func decode(_ message: RawSpan) throws(DecodeError) -> [CallCommand] {
        guard message.byteCount <= CallProtocol.maxMessageBytes else {
            throw DecodeError(.overLimit, "call: a message is too long")
        }
        var reader = ByteReader(message)
        var commands: [CallCommand] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): commands.append(.ask(try question(try reader.readDelimited())))
            case (2, .varint): commands.append(.cancel(try reader.readProtobufVarint()))
            case (3, .bytes):
                commands.append(.acknowledge(try readReceipt(try reader.readDelimited())))
            case (7, .bytes):
                guard let news = try CallNews.decode(try reader.readDelimited()) else { continue }
                commands.append(.news(news))
            default: try reader.skipValue(of: tag.wireType)
            }
            guard commands.count <= CallProtocol.maxCallsPerPeer * 2 else {
                throw reader.error(.overLimit, "call: a message says too much")
            }
        }
        return commands
    }

    private static func question(_ body: RawSpan) throws(DecodeError) -> CallQuestion {
        var reader = ByteReader(body)
        var id: UInt64?
        var call: Call?
        var nonce: [UInt8] = []
        var rate: UInt64 = 0
        var patience: UInt64 = 0
        var mayRecall = false
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .bytes): call = try Call(decoding: try reader.readDelimited())
            case (3, .bytes):
                let fresh = try reader.readDelimited()
                guard fresh.byteCount == CallProtocol.nonceBytes else {
                    throw reader.error(.malformed, "call: a nonce has 16 bytes")
                }
                nonce = [UInt8](fresh)
            case (4, .varint): rate = try reader.readProtobufVarint()
            case (5, .varint): patience = try reader.readProtobufVarint()
            case (6, .varint): mayRecall = try reader.readProtobufVarint() != 0
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id, let call, !nonce.isEmpty else {
            throw reader.error(.malformed, "call: a question lacks a part")
        }
        return CallQuestion(
            id: id, call: call, nonce: nonce, maxPrice: Price(rate: UInt32(clamping: rate)),
            patience: min(Duration(milliseconds: patience), CallProtocol.maxPatience),
            mayRecall: mayRecall)
    }
}

/// A receipt's bytes, which its own decoder looks at.
private func readReceipt(_ bytes: RawSpan) throws(DecodeError) -> [UInt8] {
    guard bytes.byteCount <= 1_024 else {
        throw DecodeError(.overLimit, "call: a receipt is longer than 1 KiB")
    }
    return [UInt8](bytes)
}

extension CallReply {
    /// The protobuf field, to be put into a message with others.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .offer(let offer): out.appendField(1, bytes: offer.encoded)
        case .headers(let headers, let signature, let queue):
            var body: [UInt8] = []
            for (id, header) in headers {
                var entry: [UInt8] = []
                entry.appendField(1, varint: id)
                entry.appendField(2, bytes: header.encoded)
                body.appendField(1, bytes: entry)
            }
            body.appendField(2, bytes: signature)
            body.appendField(3, varint: queue.milliseconds)
            out.appendField(2, bytes: body)
        case .reveal(let id, let salt, let result):
            var body: [UInt8] = []
            body.reserveCapacity(result.count + 64)
            body.appendField(1, varint: id)
            body.appendField(2, bytes: salt)
            body.appendField(3, bytes: result)
            out.appendField(3, bytes: body)
        case .refuse(let id, let refusal):
            var body: [UInt8] = []
            body.appendField(1, varint: id)
            body.appendField(2, varint: refusal.number)
            if case .busy(let wait) = refusal { body.appendField(3, varint: wait.milliseconds) }
            out.appendField(4, bytes: body)
        case .claim(let receipt): out.appendField(5, bytes: receipt)
        case .receipt(let receipt): out.appendField(6, bytes: receipt)
        case .news(let news): out.appendField(7, bytes: news.encoded)
        case .vouched(let id, let result, let vouchers):
            var body: [UInt8] = []
            body.appendField(1, varint: id)
            body.appendField(2, bytes: result)
            for voucher in vouchers { body.appendField(3, bytes: voucher.encoded) }
            out.appendField(8, bytes: body)
        }
        return out
    }

    /// Decodes what a message holds.
    public static func decode(_ message: RawSpan) throws(DecodeError) -> [CallReply] {
        guard message.byteCount <= CallProtocol.maxMessageBytes else {
            throw DecodeError(.overLimit, "call: a message is too long")
        }
        var reader = ByteReader(message)
        var replies: [CallReply] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes):
                replies.append(.offer(try CallOffer(decoding: try reader.readDelimited())))
            case (2, .bytes): replies.append(try headers(try reader.readDelimited()))
            case (3, .bytes): replies.append(try reveal(try reader.readDelimited()))
            case (4, .bytes): replies.append(try refusal(try reader.readDelimited()))
            case (5, .bytes):
                replies.append(.claim(try readReceipt(try reader.readDelimited())))
            case (6, .bytes):
                replies.append(.receipt(try readReceipt(try reader.readDelimited())))
            case (7, .bytes):
                guard let news = try CallNews.decode(try reader.readDelimited()) else { continue }
                replies.append(.news(news))
            case (8, .bytes): replies.append(try vouched(try reader.readDelimited()))
            default: try reader.skipValue(of: tag.wireType)
            }
            guard replies.count <= CallProtocol.maxCallsPerPeer * 4 else {
                throw reader.error(.overLimit, "call: a message says too much")
            }
        }
        return replies
    }

    private static func headers(_ body: RawSpan) throws(DecodeError) -> CallReply {
        var reader = ByteReader(body)
        var headers: [(id: UInt64, header: CallHeader)] = []
        var signature: [UInt8] = []
        var queue: UInt64 = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes):
                guard headers.count < CallProtocol.maxBatch else {
                    throw reader.error(.overLimit, "call: a signature covers too many headers")
                }
                headers.append(try header(try reader.readDelimited()))
            case (2, .bytes):
                let bytes = try reader.readDelimited()
                guard bytes.byteCount <= 256 else {
                    throw reader.error(.overLimit, "call: a signature is too long")
                }
                signature = [UInt8](bytes)
            case (3, .varint): queue = try reader.readProtobufVarint()
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard !headers.isEmpty, !signature.isEmpty else {
            throw reader.error(.malformed, "call: headers without a signature, or none")
        }
        return .headers(headers, signature: signature, queue: Duration(milliseconds: queue))
    }

    private static func header(
        _ body: RawSpan
    ) throws(DecodeError) -> (id: UInt64, header: CallHeader) {
        var reader = ByteReader(body)
        var id: UInt64?
        var header: CallHeader?
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .bytes): header = try CallHeader(decoding: try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id, let header else {
            throw reader.error(.malformed, "call: a header lacks its number")
        }
        return (id, header)
    }

    private static func reveal(_ body: RawSpan) throws(DecodeError) -> CallReply {
        var reader = ByteReader(body)
        var id: UInt64?
        var salt: [UInt8] = []
        var result: [UInt8] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .bytes):
                let bytes = try reader.readDelimited()
                guard bytes.byteCount == CallProtocol.saltBytes else {
                    throw reader.error(.malformed, "call: a salt has 32 bytes")
                }
                salt = [UInt8](bytes)
            case (3, .bytes): result = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id, !salt.isEmpty, !result.isEmpty else {
            throw reader.error(.malformed, "call: a result lacks a part")
        }
        return .reveal(id: id, salt: salt, result: result)
    }

    private static func vouched(_ body: RawSpan) throws(DecodeError) -> CallReply {
        var reader = ByteReader(body)
        var id: UInt64?
        var result: [UInt8] = []
        var vouchers: [Voucher] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .bytes): result = [UInt8](try reader.readDelimited())
            case (3, .bytes):
                guard vouchers.count < ResultHistory.maxVouchers else {
                    throw reader.error(.overLimit, "call: too many vouch for a result")
                }
                vouchers.append(try Voucher(decoding: try reader.readDelimited()))
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id, !result.isEmpty, !vouchers.isEmpty else {
            throw reader.error(.malformed, "call: a known result lacks a part")
        }
        return .vouched(id: id, result: result, vouchers)
    }

    private static func refusal(_ body: RawSpan) throws(DecodeError) -> CallReply {
        var reader = ByteReader(body)
        var id: UInt64?
        var number: UInt64 = 0
        var wait: UInt64 = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .varint): number = try reader.readProtobufVarint()
            case (3, .varint): wait = try reader.readProtobufVarint()
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id else { throw reader.error(.malformed, "call: a refusal lacks its number") }
        return .refuse(id: id, CallRefusal(number, after: Duration(milliseconds: wait)))
    }
}

extension CallRefusal {
    fileprivate var number: UInt64 {
        switch self {
        case .busy: 1
        case .notOffered: 2
        case .price: 3
        case .credit: 4
        case .resource: 5
        case .invalid: 6
        }
    }

    /// A reason by its number. One that is not known says no more than that it is no use.
    fileprivate init(_ number: UInt64, after wait: Duration) {
        switch number {
        case 1: self = .busy(wait)
        case 2: self = .notOffered
        case 3: self = .price
        case 4: self = .credit
        case 5: self = .resource
        default: self = .invalid
        }
    }
}

extension CallRefusal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .busy: "the peer has enough to do"
        case .notOffered: "the peer does not run this contract, or not with so much gas"
        case .price: "the peer wants more than the call may cost; see maxPrice"
        case .credit: "this node owes the peer too much; see weft balance"
        case .resource: "the peer lacks memory, or content that the call needs"
        case .invalid: "the peer cannot make sense of the call"
        }
    }
}
