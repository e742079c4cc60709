// The strict dag-pb decoder: it finds the links and where the data lies
// (ipld.io/specs/codecs/dag-pb/spec, "Protobuf strictness").

public import Multiformats
public import Wire

/// What a dag-pb block links to and where its data lies, without a copy of the data.
public struct PBLayout: Sendable {
    /// The links, in the order of the wire.
    public private(set) var links: [PBLink] = []
    /// Where the opaque data lies in the block; nil if the field is absent.
    public private(set) var dataRange: Range<Int>?

    /// Decodes a block. Refuses unknown fields, a second Data field, Data between links, links
    /// without a CID and fields of a link that are repeated or out of order.
    public init(decoding block: RawSpan) throws(DecodeError) {
        var scanner = PBScanner(block)
        while let link = try scanner.nextLink() {
            let name = link.nameRange.map { [UInt8](block.extracting($0)) }
            let hash = try Self.cid(at: link.hashRange, in: block)
            links.append(PBLink(hash, name: name, tsize: link.tsize))
        }
        dataRange = scanner.dataRange
    }

    /// The CIDs that a block links to, under the same rules, without the rest.
    public static func links(in block: RawSpan) throws(DecodeError) -> [CID] {
        var scanner = PBScanner(block)
        var cids: [CID] = []
        while let link = try scanner.nextLink() {
            cids.append(try cid(at: link.hashRange, in: block))
        }
        return cids
    }

    /// The CID of the first link of a name, nil if there is none, and where the opaque data lies.
    /// Checks the shape of the whole block, but decodes no other CID, so that a look-up in a large
    /// directory stays cheap.
    static func lookUp(
        _ name: [UInt8], in block: RawSpan
    ) throws(DecodeError) -> (target: CID?, data: Range<Int>?) {
        var scanner = PBScanner(block)
        var found: Range<Int>?
        while let link = try scanner.nextLink() {
            if found == nil, let range = link.nameRange, block.holds(name, at: range) {
                found = link.hashRange
            }
        }
        guard let found else { return (nil, scanner.dataRange) }
        return (try cid(at: found, in: block), scanner.dataRange)
    }

    private static func cid(at range: Range<Int>, in block: RawSpan) throws(DecodeError) -> CID {
        do throws(DecodeError) {
            return try CID(decoding: block.extracting(range))
        } catch {
            throw DecodeError(error.kind, error.reason, at: error.offset + range.lowerBound)
        }
    }
}

extension RawSpan {
    /// Whether these bytes lie in this range.
    fileprivate func holds(_ bytes: [UInt8], at range: Range<Int>) -> Bool {
        guard range.count == bytes.count else { return false }
        for index in bytes.indices where byte(at: range.lowerBound + index) != bytes[index] {
            return false
        }
        return true
    }
}

/// Goes over a node's fields once and stops at each link.
private struct PBScanner: ~Escapable, ~Copyable {
    struct Link {
        let hashRange: Range<Int>
        let nameRange: Range<Int>?
        let tsize: UInt64?
    }

    private var reader: ByteReader
    private(set) var dataRange: Range<Int>?
    private var seen = Sections.none

    /// Which fields of the node have been read, in which order.
    private enum Sections {
        case none, links, data, dataThenLinks, linksThenData
    }

    @_lifetime(copy block)
    init(_ block: RawSpan) {
        reader = ByteReader(block)
    }

    @_lifetime(self: copy self)
    mutating func nextLink() throws(DecodeError) -> Link? {
        while let tag = reader.peek {
            switch tag {
            case 0x12:
                switch seen {
                case .none, .links: seen = .links
                case .data, .dataThenLinks: seen = .dataThenLinks
                case .linksThenData:
                    throw reader.error(.malformed, "dag-pb: Data lies between Links")
                }
                try reader.skip(1)
                return try readLink()
            case 0x0a:
                switch seen {
                case .none: seen = .data
                case .links: seen = .linksThenData
                case .data, .dataThenLinks, .linksThenData:
                    throw reader.error(.malformed, "dag-pb: Data is repeated")
                }
                try reader.skip(1)
                dataRange = try readRange()
            default: throw reader.error(.malformed, "dag-pb: a node has only Links and Data")
            }
        }
        return nil
    }

    /// Passes over a length-delimited value and answers where it lies.
    @_lifetime(self: copy self)
    private mutating func readRange() throws(DecodeError) -> Range<Int> {
        let length = try reader.readLength(limit: reader.remaining)
        let start = reader.offset
        try reader.skip(length)
        return start..<reader.offset
    }

    @_lifetime(self: copy self)
    private mutating func readLink() throws(DecodeError) -> Link {
        let length = try reader.readLength(limit: reader.remaining)
        let end = reader.offset + length
        guard length > 0, reader.peek == 0x0a else {
            throw reader.error(.malformed, "dag-pb: a link starts with its Hash")
        }
        try reader.skip(1)
        let hashRange = try readRange()
        var nameRange: Range<Int>?
        var tsize: UInt64?
        if reader.offset < end, reader.peek == 0x12 {
            try reader.skip(1)
            nameRange = try readRange()
        }
        if reader.offset < end, reader.peek == 0x18 {
            try reader.skip(1)
            tsize = try reader.readProtobufVarint()
        }
        guard reader.offset == end else {
            throw reader.error(
                .malformed, "dag-pb: a link has Hash, Name and Tsize, once and in this order")
        }
        return Link(hashRange: hashRange, nameRange: nameRange, tsize: tsize)
    }
}
