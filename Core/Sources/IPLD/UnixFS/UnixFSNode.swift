// The UnixFS message that a dag-pb node carries in its Data field (specs.ipfs.tech/unixfs).

public import Wire

/// The UnixFS message: what a dag-pb node is to a file system.
public struct UnixFSNode: Hashable, Sendable {
    /// What kind of thing the node is.
    public enum Kind: UInt8, Hashable, Sendable {
        /// A piece of a file, in the old form; never written any more.
        case raw = 0
        case directory = 1
        case file = 2
        /// Reserved; nothing here reads or writes it.
        case metadata = 3
        case symlink = 4
        /// A shard of a directory that is spread over many blocks.
        case hamtShard = 5
    }

    /// What kind of thing the node is.
    public var kind: Kind
    /// Where the inner data (content, symlink target, bitfield) lies in the bytes that were
    /// decoded; nil if there is none, and in nodes that were not decoded.
    public private(set) var dataRange: Range<Int>?
    /// The size of a file's content in bytes, inner data included.
    public var fileSize: UInt64?
    /// The content size of each linked part of a file, in bytes.
    public var blockSizes: [UInt64] = []
    /// The multicodec number of the hash that spreads a sharded directory's names.
    public var hashType: UInt64?
    /// How many buckets a shard has.
    public var fanout: UInt64?
    /// Permissions and time of modification.
    public var metadata = FileMetadata()

    /// An otherwise empty node.
    public init(_ kind: Kind) {
        self.kind = kind
    }
}

/// Permissions and time of modification, which a node may carry.
public struct FileMetadata: Hashable, Sendable {
    /// The permission bits of POSIX in the lowest twelve bits; the others are reserved and kept.
    public var mode: UInt32?
    /// When the content was last changed.
    public var modified: ModificationTime?

    /// Creates metadata; both parts are optional.
    public init(mode: UInt32? = nil, modified: ModificationTime? = nil) {
        self.mode = mode
        self.modified = modified
    }

    /// Whether there is nothing to write.
    public var isEmpty: Bool { mode == nil && modified == nil }
}

/// A time of modification.
public struct ModificationTime: Hashable, Sendable {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    public let seconds: Int64
    /// Nanoseconds after `seconds`, at most 999,999,999.
    public let nanoseconds: UInt32

    /// Creates a time; nil if there are a billion nanoseconds or more.
    public init?(seconds: Int64, nanoseconds: UInt32 = 0) {
        guard nanoseconds < 1_000_000_000 else { return nil }
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

extension UnixFSNode {
    /// Decodes the message. Refuses one without a type, unknown types, and times whose
    /// nanoseconds are out of range; passes over unknown fields.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var kind: Kind?
        self.init(.raw)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): kind = try reader.readKind()
            case (2, .bytes): dataRange = try reader.readRange()
            case (3, .varint): fileSize = try reader.readProtobufVarint()
            case (4, .varint): blockSizes.append(try reader.readProtobufVarint())
            case (4, .bytes): try reader.readPacked(into: &blockSizes)
            case (5, .varint): hashType = try reader.readProtobufVarint()
            case (6, .varint): fanout = try reader.readProtobufVarint()
            case (7, .varint): metadata.mode = try reader.readMode()
            case (8, .bytes): metadata.modified = try reader.readModificationTime()
            case (1...8, _):
                throw reader.error(.malformed, "UnixFS: a field has the wrong wire type")
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let kind else { throw reader.error(.malformed, "UnixFS: the type is missing") }
        self.kind = kind
    }

    /// The message's bytes, with `data` as inner data.
    public func encoded(data: [UInt8]? = nil) -> [UInt8] {
        var out = encodedHead(dataCount: data?.count)
        if let data { out.append(contentsOf: data) }
        appendTail(to: &out)
        return out
    }

    /// What comes before `dataCount` bytes of inner data.
    func encodedHead(dataCount: Int?) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(24 + (dataCount ?? 0) + 10 * blockSizes.count)
        out.appendField(1, varint: UInt64(kind.rawValue))
        if let dataCount {
            out.append(0x12)
            out.appendVarint(UInt64(dataCount))
        }
        return out
    }

    /// Appends what comes after the inner data.
    func appendTail(to out: inout [UInt8]) {
        if let fileSize { out.appendField(3, varint: fileSize) }
        for size in blockSizes { out.appendField(4, varint: size) }
        if let hashType { out.appendField(5, varint: hashType) }
        if let fanout { out.appendField(6, varint: fanout) }
        if let mode = metadata.mode { out.appendField(7, varint: UInt64(mode)) }
        if let modified = metadata.modified {
            var time: [UInt8] = []
            time.appendField(1, varint: UInt64(bitPattern: modified.seconds))
            if modified.nanoseconds > 0 { time.appendField(2, fixed32: modified.nanoseconds) }
            out.appendField(8, bytes: time)
        }
    }
}

extension ByteReader {
    @_lifetime(self: copy self)
    fileprivate mutating func readKind() throws(DecodeError) -> UnixFSNode.Kind {
        let value = try readProtobufVarint()
        guard let raw = UInt8(exactly: value), let kind = UnixFSNode.Kind(rawValue: raw) else {
            throw error(.unsupported, "UnixFS: the type is not known")
        }
        return kind
    }

    /// Passes over a length-delimited value and answers where it lies.
    @_lifetime(self: copy self)
    fileprivate mutating func readRange() throws(DecodeError) -> Range<Int> {
        let length = try readLength(limit: remaining)
        let start = offset
        try skip(length)
        return start..<offset
    }

    @_lifetime(self: copy self)
    fileprivate mutating func readPacked(into sizes: inout [UInt64]) throws(DecodeError) {
        let length = try readLength(limit: remaining)
        let end = offset + length
        while offset < end { sizes.append(try readProtobufVarint()) }
        guard offset == end else { throw error(.malformed, "UnixFS: packed sizes overrun") }
    }

    @_lifetime(self: copy self)
    fileprivate mutating func readMode() throws(DecodeError) -> UInt32 {
        let value = try readProtobufVarint()
        guard let mode = UInt32(exactly: value) else {
            throw error(.malformed, "UnixFS: the mode has more than 32 bits")
        }
        return mode
    }

    @_lifetime(self: copy self)
    fileprivate mutating func readModificationTime() throws(DecodeError) -> ModificationTime {
        let start = offset
        var reader = ByteReader(try readDelimited())
        var seconds: Int64?
        var nanoseconds: UInt32 = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): seconds = Int64(bitPattern: try reader.readProtobufVarint())
            case (2, .fixed32):
                nanoseconds = try reader.readLittleEndian()
                guard 1..<1_000_000_000 ~= nanoseconds else {
                    throw DecodeError(
                        .malformed, "UnixFS: nanoseconds are 1 to 999,999,999", at: start)
                }
            case (1...2, _):
                throw DecodeError(.malformed, "UnixFS: a time has a wrong wire type", at: start)
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let seconds, let time = ModificationTime(seconds: seconds, nanoseconds: nanoseconds)
        else { throw DecodeError(.malformed, "UnixFS: a time has no seconds", at: start) }
        return time
    }
}
