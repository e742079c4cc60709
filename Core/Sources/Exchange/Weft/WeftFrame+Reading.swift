// Reading frames of `/weft/exchange/1` that a stranger sent.

import IPLD
import Multiformats
public import Wire

extension WeftCommand {
    /// The commands of a frame, in order.
    public static func decode(_ frame: RawSpan) throws(DecodeError) -> [WeftCommand] {
        guard frame.byteCount <= WeftLimits.maxRequestFrame else {
            throw DecodeError(.overLimit, "exchange: the frame is larger than 256 KiB")
        }
        var reader = ByteReader(frame)
        var commands: [WeftCommand] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): commands.append(try readRequest(try reader.readDelimited()))
            case (2, .bytes): commands.append(try readCredit(try reader.readDelimited()))
            case (3, .bytes): commands.append(try readCancel(try reader.readDelimited()))
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return commands
    }

    private static func readRequest(_ body: RawSpan) throws(DecodeError) -> WeftCommand {
        var reader = ByteReader(body)
        var id: UInt64?
        var credit: UInt64 = 0
        var cids: [CID] = []
        var dag: WeftDAG?
        var isPresence = false
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .varint): credit = min(try reader.readProtobufVarint(), WeftLimits.maxCredit)
            case (3, .bytes): try readList(try reader.readDelimited(), into: &cids)
            case (4, .bytes): dag = try readDAG(try reader.readDelimited())
            case (5, .varint): isPresence = try reader.readProtobufVarint() != 0
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id, cids.isEmpty != (dag == nil) else {
            throw reader.error(.malformed, "exchange: a request asks for nothing, or for both")
        }
        if let dag { return .dag(id: id, credit: credit, dag) }
        return isPresence ? .presence(id: id, cids) : .list(id: id, credit: credit, cids)
    }

    private static func readList(
        _ body: RawSpan, into cids: inout [CID]
    ) throws(DecodeError) {
        var reader = ByteReader(body)
        var prefix: CIDPrefix?
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): prefix = try CIDPrefix(decoding: try reader.readDelimited())
            case (2, .bytes):
                var digests = ByteReader(try reader.readDelimited())
                guard let prefix, prefix.digestLength >= Multihash.minDigestLength else {
                    throw reader.error(.malformed, "exchange: digests without a prefix")
                }
                guard digests.remaining % prefix.digestLength == 0 else {
                    throw reader.error(.malformed, "exchange: a digest is cut off")
                }
                let count = digests.remaining / prefix.digestLength
                guard cids.count + count <= WeftLimits.maxListed else {
                    throw reader.error(.overLimit, "exchange: a request names too many blocks")
                }
                for _ in 0..<count {
                    let digest = try digests.readBytes(prefix.digestLength)
                    guard let cid = prefix.cid(digest: digest) else {
                        throw reader.error(.malformed, "exchange: not a CID")
                    }
                    cids.append(cid)
                }
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    private static func readDAG(_ body: RawSpan) throws(DecodeError) -> WeftDAG {
        var reader = ByteReader(body)
        var root: CID?
        var path: [String] = []
        var pathBytes = 0
        var scope: UInt64 = 0
        var from: Int64?
        var to: Int64?
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): root = try CID(decoding: try reader.readDelimited())
            case (2, .bytes):
                let name = try reader.readDelimited()
                pathBytes += name.byteCount
                guard path.count < WeftLimits.maxPathNames, pathBytes <= WeftLimits.maxPathBytes
                else { throw reader.error(.overLimit, "exchange: the path is too long") }
                guard let text = String(validating: [UInt8](name), as: UTF8.self) else {
                    throw reader.error(.malformed, "exchange: a name is not UTF-8")
                }
                path.append(text)
            case (3, .varint): scope = try reader.readProtobufVarint()
            case (4, .varint): from = unzigzag(try reader.readProtobufVarint())
            case (5, .varint): to = unzigzag(try reader.readProtobufVarint())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let root else { throw reader.error(.malformed, "exchange: a DAG without a root") }
        switch scope {
        case 0: return WeftDAG(root: root, path: path, scope: .block)
        case 1:
            let bytes =
                from == nil && to == nil ? nil : EntityBytes(from: from ?? 0, to: to)
            return WeftDAG(root: root, path: path, scope: .entity(bytes))
        case 2: return WeftDAG(root: root, path: path, scope: .all)
        default: throw reader.error(.unsupported, "exchange: a scope that is not known")
        }
    }

    private static func unzigzag(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    private static func readCredit(_ body: RawSpan) throws(DecodeError) -> WeftCommand {
        var reader = ByteReader(body)
        var id: UInt64?
        var bytes: UInt64 = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .varint): bytes = min(try reader.readProtobufVarint(), WeftLimits.maxCredit)
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id else { throw reader.error(.malformed, "exchange: credit for nothing") }
        return .credit(id: id, bytes: bytes)
    }

    private static func readCancel(_ body: RawSpan) throws(DecodeError) -> WeftCommand {
        var reader = ByteReader(body)
        var id: UInt64?
        var items: [UInt32]?
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .bytes):
                var packed = ByteReader(try reader.readDelimited())
                var read = items ?? []
                while !packed.isAtEnd {
                    guard read.count < WeftLimits.maxListed else {
                        throw reader.error(.overLimit, "exchange: too many blocks are cancelled")
                    }
                    read.append(UInt32(clamping: try packed.readVarint()))
                }
                items = read
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id else { throw reader.error(.malformed, "exchange: nothing is cancelled") }
        return items.map { .cancelItems(id: id, $0) } ?? .cancel(id: id)
    }
}

/// A part of a server's frame.
enum WeftPart {
    /// The next blocks of a request, whose bytes lie here in the frame.
    case blocks(id: UInt64, [Range<Int>])
    /// So many of the next blocks do not come.
    case missing(id: UInt64, Int)
    /// So many of the next blocks are there, and do not come.
    case present(id: UInt64, Int)
    case end(id: UInt64, WeftStatus)

    /// The parts of a frame, in order.
    static func decode(_ frame: RawSpan) throws(DecodeError) -> [WeftPart] {
        guard frame.byteCount <= WeftLimits.maxAnswerFrame else {
            throw DecodeError(.overLimit, "exchange: the frame is larger than a block")
        }
        var reader = ByteReader(frame)
        var parts: [WeftPart] = []
        var count = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (4, .bytes):
                let body = try reader.readDelimited()
                try readBlocks(
                    body, at: reader.offset - body.byteCount, into: &parts, count: &count)
            case (5, .bytes):
                parts.append(try readEnd(try reader.readDelimited()))
                count += 1
            default: try reader.skipValue(of: tag.wireType)
            }
            guard count <= WeftLimits.maxParts else {
                throw reader.error(.overLimit, "exchange: the frame has too many parts")
            }
        }
        return parts
    }

    private static func readBlocks(
        _ body: RawSpan, at start: Int, into parts: inout [WeftPart], count parsed: inout Int
    ) throws(DecodeError) {
        var reader = ByteReader(body)
        var id: UInt64?
        var blocks: [Range<Int>] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint):
                // Its blocks follow; what stood before it would be another one's.
                guard blocks.isEmpty else {
                    throw reader.error(.malformed, "exchange: blocks of two requests in one field")
                }
                id = try reader.readProtobufVarint()
            case (2, .bytes):
                let count = try reader.readDelimited().byteCount
                guard id != nil else { throw reader.error(.malformed, "exchange: whose block?") }
                guard count <= BlockLimits.maxBytes else {
                    throw reader.error(.overLimit, "exchange: a block is larger than 2 MiB")
                }
                let end = start + reader.offset
                blocks.append((end - count)..<end)
                parsed += 1
            case (3, .varint), (4, .varint):
                let count = try reader.readProtobufVarint()
                guard let id, count > 0, count <= UInt64(WeftLimits.maxListed) else {
                    throw reader.error(.malformed, "exchange: so many blocks cannot be meant")
                }
                if !blocks.isEmpty { parts.append(.blocks(id: id, blocks)) }
                blocks = []
                parts.append(
                    tag.field == 3 ? .missing(id: id, Int(count)) : .present(id: id, Int(count)))
                parsed += 1
            default: try reader.skipValue(of: tag.wireType)
            }
            guard parsed <= WeftLimits.maxParts else {
                throw reader.error(.overLimit, "exchange: the frame has too many parts")
            }
        }
        if let id, !blocks.isEmpty { parts.append(.blocks(id: id, blocks)) }
    }

    private static func readEnd(_ body: RawSpan) throws(DecodeError) -> WeftPart {
        var reader = ByteReader(body)
        var id: UInt64?
        var code: UInt64 = 0
        var retry: UInt64 = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): id = try reader.readProtobufVarint()
            case (2, .varint): code = try reader.readProtobufVarint()
            case (3, .varint): retry = min(try reader.readProtobufVarint(), 3_600_000)
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let id else { throw reader.error(.malformed, "exchange: the end of nothing") }
        return .end(id: id, WeftStatus(code: code, retry: retry))
    }
}
