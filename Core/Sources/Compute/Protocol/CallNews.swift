// What peers tell each other on streams of `/weft/call/1` besides questions and answers: that there
// is a proof against somebody, and which receipts they know. Either side may say it at any time.

import IPLD
public import Multiformats
import Wire

/// That there is a proof against a peer.
public struct ProofNotice: Hashable, Sendable {
    /// Who has lied.
    public let accused: PeerID
    /// The SHA-256 of the file (``Evidence/encoded``).
    public let hash: [UInt8]
    /// How long the file is.
    public let size: UInt32

    /// A notice of a proof.
    public init(accused: PeerID, hash: [UInt8], size: UInt32) {
        precondition(hash.count == 32, "a hash has 32 bytes")
        self.accused = accused
        self.hash = hash
        self.size = size
    }
}

/// What either side may tell the other.
public enum CallNews: Hashable, Sendable {
    /// There is a proof, which can be had here.
    case proof(ProofNotice)
    /// The part of a proof with this hash that begins at this byte is wanted.
    case want(hash: [UInt8], offset: UInt32)
    /// A part of a proof.
    case part(hash: [UInt8], offset: UInt32, bytes: [UInt8])
    /// Receipts of others, so that whoever signs two for one place is found out.
    case receipts([Receipt])

    /// The longest part of a proof, in bytes.
    public static let maxPartBytes = 256 << 10
    /// The most receipts at a time.
    public static let maxReceipts = 16

    /// What the protobuf field holds.
    var encoded: [UInt8] {
        var out: [UInt8] = []
        var body: [UInt8] = []
        switch self {
        case .proof(let notice):
            body.appendField(1, bytes: notice.accused.bytes)
            body.appendField(2, bytes: notice.hash)
            body.appendField(3, varint: UInt64(notice.size))
            out.appendField(1, bytes: body)
        case .want(let hash, let offset):
            body.appendField(1, bytes: hash)
            body.appendField(2, varint: UInt64(offset))
            out.appendField(2, bytes: body)
        case .part(let hash, let offset, let bytes):
            body.reserveCapacity(bytes.count + 64)
            body.appendField(1, bytes: hash)
            body.appendField(2, varint: UInt64(offset))
            body.appendField(3, bytes: bytes)
            out.appendField(3, bytes: body)
        case .receipts(let receipts):
            for receipt in receipts { body.appendField(1, bytes: receipt.encoded) }
            out.appendField(4, bytes: body)
        }
        return out
    }

    /// Decodes what the protobuf field holds; nil if it is of a kind that is not known.
    static func decode(_ message: RawSpan) throws(DecodeError) -> CallNews? {
        var reader = ByteReader(message)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): return .proof(try notice(try reader.readDelimited()))
            case (2, .bytes):
                let (hash, offset, _) = try part(try reader.readDelimited())
                return .want(hash: hash, offset: offset)
            case (3, .bytes):
                let (hash, offset, bytes) = try part(try reader.readDelimited())
                guard !bytes.isEmpty else {
                    throw reader.error(.malformed, "call: a part of a proof is empty")
                }
                return .part(hash: hash, offset: offset, bytes: bytes)
            case (4, .bytes): return .receipts(try receipts(try reader.readDelimited()))
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return nil
    }

    private static func notice(_ body: RawSpan) throws(DecodeError) -> ProofNotice {
        var reader = ByteReader(body)
        var accused: PeerID?
        var hash: [UInt8]?
        var size: UInt64 = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): accused = try PeerID(decoding: try reader.readDelimited())
            case (2, .bytes): hash = try readHash(try reader.readDelimited())
            case (3, .varint): size = try reader.readProtobufVarint()
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let accused, let hash, 1...UInt64(Evidence.maxBytes) ~= size else {
            throw reader.error(.malformed, "call: a notice of a proof lacks a part")
        }
        return ProofNotice(accused: accused, hash: hash, size: UInt32(size))
    }

    private static func part(
        _ body: RawSpan
    ) throws(DecodeError) -> (hash: [UInt8], offset: UInt32, bytes: [UInt8]) {
        var reader = ByteReader(body)
        var hash: [UInt8]?
        var offset: UInt64 = 0
        var bytes: [UInt8] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): hash = try readHash(try reader.readDelimited())
            case (2, .varint): offset = try reader.readProtobufVarint()
            case (3, .bytes):
                let given = try reader.readDelimited()
                guard given.byteCount <= maxPartBytes else {
                    throw reader.error(.overLimit, "call: a part of a proof is too long")
                }
                bytes = [UInt8](given)
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let hash, offset < UInt64(Evidence.maxBytes) else {
            throw reader.error(.malformed, "call: a part of a proof has no name or place")
        }
        return (hash, UInt32(offset), bytes)
    }

    private static func receipts(_ body: RawSpan) throws(DecodeError) -> [Receipt] {
        var reader = ByteReader(body)
        var receipts: [Receipt] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes):
                guard receipts.count < maxReceipts else {
                    throw reader.error(.overLimit, "call: too many receipts at a time")
                }
                receipts.append(try Receipt(decoding: try reader.readDelimited()))
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return receipts
    }

    private static func readHash(_ bytes: RawSpan) throws(DecodeError) -> [UInt8] {
        guard bytes.byteCount == 32 else {
            throw DecodeError(.malformed, "call: a hash has 32 bytes")
        }
        return [UInt8](bytes)
    }
}
