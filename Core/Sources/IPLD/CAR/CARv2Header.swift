// What stands before the blocks of a version 2 archive: a fixed pragma that version 1 readers
// refuse, and where data and index lie (ipld.io/specs/transport/car/carv2).

public import Wire

/// The header of a version 2 archive.
public struct CARv2Header: Hashable, Sendable {
    /// The first bytes of every version 2 archive: a version 1 header that says version 2.
    public static let pragma: [UInt8] = [
        0x0a, 0xa1, 0x67, 0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e, 0x02,
    ]

    /// How many bytes pragma and header take.
    public static let size = 51

    /// Whether the index also lists blocks whose CID contains them.
    public enum Coverage: Hashable, Sendable {
        case withoutIdentity, full
    }

    /// What the index covers.
    public var coverage: Coverage
    /// Where the version 1 stream starts, in bytes from the start of the pragma.
    public var dataOffset: UInt64
    /// How long the version 1 stream is, in bytes.
    public var dataSize: UInt64
    /// Where the index starts, in bytes from the start of the pragma; nil if there is none.
    public var indexOffset: UInt64?

    /// A header for a stream of `dataSize` bytes that follows at once, and an index behind it
    /// with this coverage; nil for no index.
    public init(dataSize: UInt64, index coverage: Coverage?) {
        self.coverage = coverage ?? .withoutIdentity
        dataOffset = UInt64(Self.size)
        self.dataSize = dataSize
        indexOffset = coverage == nil ? nil : dataOffset + dataSize
    }

    /// Decodes pragma and header. Refuses offsets that overlap or overflow; whether they lie in
    /// the file is for ``check(fileSize:)``.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        for byte in Self.pragma {
            guard try reader.readByte() == byte else {
                throw DecodeError(.malformed, "car: no version 2 pragma")
            }
        }
        coverage = (reader.peek ?? 0) & 0x80 == 0 ? .withoutIdentity : .full
        try reader.skip(16)
        dataOffset = try reader.readLittleEndian()
        dataSize = try reader.readLittleEndian()
        let index: UInt64 = try reader.readLittleEndian()
        indexOffset = index == 0 ? nil : index
        let (dataEnd, overflow) = dataOffset.addingReportingOverflow(dataSize)
        guard dataOffset >= UInt64(Self.size), dataSize > 0, !overflow else {
            throw reader.error(.malformed, "car: the data's place is impossible")
        }
        guard index == 0 || index >= dataEnd else {
            throw reader.error(.malformed, "car: the index does not lie behind the data")
        }
    }

    /// Refuses offsets outside a file of `fileSize` bytes.
    public func check(fileSize: UInt64) throws(DecodeError) {
        guard dataOffset + dataSize <= fileSize else {
            throw DecodeError(.truncated, "car: the data ends behind the file")
        }
        if let indexOffset, indexOffset >= fileSize {
            throw DecodeError(.truncated, "car: the index lies behind the file")
        }
    }

    /// Pragma and header.
    public func encoded() -> [UInt8] {
        var out = Self.pragma
        out.append(coverage == .full ? 0x80 : 0)
        out.append(contentsOf: repeatElement(0, count: 15))
        out.appendLittleEndian(dataOffset)
        out.appendLittleEndian(dataSize)
        out.appendLittleEndian(indexOffset ?? 0)
        return out
    }
}
