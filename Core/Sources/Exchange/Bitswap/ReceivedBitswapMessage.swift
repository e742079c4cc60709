// Reading a bitswap message that a stranger sent. Blocks are hashed here, so that this belongs on
// the connection's event loop; what comes out is safe to hand on and holds no copies.

public import IPLD
import Multiformats
public import Wire

/// A bitswap message whose blocks have been hashed.
public struct ReceivedBitswapMessage: Sendable {
    /// The lists.
    public private(set) var lists = BitswapMessage()
    /// The blocks, in the order of the message.
    public private(set) var blocks: [ReceivedBlock] = []
    /// How many blocks had a hash that cannot be computed here, or that vouches for nothing.
    public private(set) var unverifiableBlocks = 0

    /// Decodes a whole message, without the varint of its length, and hashes its blocks.
    ///
    /// Throws `overLimit` for a message, block or list over ``BitswapLimits``.
    public init(verifying message: [UInt8]) throws(DecodeError) {
        guard message.count <= BitswapLimits.maxMessageBytes else {
            throw DecodeError(.overLimit, "bitswap: the message is larger than 4 MiB")
        }
        var reader = ByteReader(message.rawSpan)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): try readWantlist(try reader.readDelimited(), end: reader.offset)
            case (2, .bytes):
                let body = try reader.readDelimited()
                try take(body, as: .v0, of: message, end: reader.offset)
            case (3, .bytes):
                let body = try reader.readDelimited()
                try readBlock(body, of: message, end: reader.offset)
            case (4, .bytes): try readPresence(try reader.readDelimited(), end: reader.offset)
            case (5, .varint):
                lists.pendingBytes = Int32(
                    truncatingIfNeeded: try reader.readProtobufVarint())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    private mutating func readWantlist(_ body: RawSpan, end: Int) throws(DecodeError) {
        var reader = ByteReader(body)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes):
                let entry = try reader.readDelimited()
                guard lists.wants.count < BitswapLimits.maxEntries else {
                    throw DecodeError(.overLimit, "bitswap: too many wants", at: end)
                }
                lists.wants.append(try Self.readWant(entry, end: end))
            case (2, .varint): lists.isFull = try reader.readProtobufVarint() != 0
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    private static func readWant(
        _ body: RawSpan, end: Int
    ) throws(DecodeError) -> BitswapMessage.Want {
        var reader = ByteReader(body)
        var cid: CID?
        var priority: Int32 = 0
        var isCancelled = false
        var isHave = false
        var absence = BitswapMessage.Want.Absence.silent
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): cid = try CID(decoding: try reader.readDelimited())
            case (2, .varint):
                priority = Int32(truncatingIfNeeded: try reader.readProtobufVarint())
            case (3, .varint): isCancelled = try reader.readProtobufVarint() != 0
            case (4, .varint): isHave = try reader.readProtobufVarint() == 1
            case (5, .varint):
                absence = try reader.readProtobufVarint() != 0 ? .answer : .silent
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let cid else {
            throw DecodeError(.malformed, "bitswap: a want without a CID", at: end)
        }
        return BitswapMessage.Want(
            cid, isCancelled ? .cancel : isHave ? .have : .block, priority: priority,
            absence: absence)
    }

    private mutating func readPresence(_ body: RawSpan, end: Int) throws(DecodeError) {
        var reader = ByteReader(body)
        var cid: CID?
        var kind: BitswapMessage.Presence.Kind? = .have
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): cid = try CID(decoding: try reader.readDelimited())
            case (2, .varint):
                let value = try reader.readProtobufVarint()
                kind = BitswapMessage.Presence.Kind(rawValue: UInt8(clamping: value))
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let cid else {
            throw DecodeError(.malformed, "bitswap: a presence without a CID", at: end)
        }
        guard lists.presences.count < BitswapLimits.maxEntries else {
            throw DecodeError(.overLimit, "bitswap: too many presences", at: end)
        }
        // A kind that does not exist yet says nothing that is understood.
        if let kind { lists.presences.append(BitswapMessage.Presence(cid, kind)) }
    }

    private mutating func readBlock(
        _ body: RawSpan, of message: [UInt8], end: Int
    ) throws(DecodeError) {
        var reader = ByteReader(body)
        var prefix: CIDPrefix?
        var content = 0..<0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): prefix = try CIDPrefix(decoding: try reader.readDelimited())
            case (2, .bytes):
                let count = try reader.readDelimited().byteCount
                content = (reader.offset - count)..<reader.offset
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let prefix else {
            throw DecodeError(.malformed, "bitswap: a block without a prefix", at: end)
        }
        let start = end - body.byteCount
        try take(
            body.extracting(content), as: prefix, of: message, end: start + content.upperBound)
    }

    /// Hashes a block whose bytes end at `end` of the message.
    private mutating func take(
        _ content: RawSpan, as prefix: CIDPrefix, of message: [UInt8], end: Int
    ) throws(DecodeError) {
        guard content.byteCount <= BlockLimits.maxBytes else {
            throw DecodeError(.overLimit, "bitswap: a block is larger than 2 MiB", at: end)
        }
        guard blocks.count + unverifiableBlocks < BitswapLimits.maxEntries else {
            throw DecodeError(.overLimit, "bitswap: too many blocks", at: end)
        }
        let bytes = message[(end - content.byteCount)..<end]
        guard let block = ReceivedBlock(hashing: bytes, as: prefix) else {
            unverifiableBlocks += 1
            return
        }
        blocks.append(block)
    }
}
